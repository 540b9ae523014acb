/**
 * Stack headroom. All domains of a core run on one stack, so a program that recurses until the stack is full, and then
 * calls a server, would have the server fail for want of stack. A system call that a program makes therefore goes
 * through a gate that first makes sure of {@link HEADROOM_BYTES}: where there is less, the *caller* gets a RangeError,
 * as for any call too deep, and nothing has happened.
 *
 * JavaScript cannot ask how much stack is left. But every function checks on entry whether its own frame fits, and
 * that of the gate is made large: a WebAssembly function whose second branch, never taken, needs thousands of values
 * at once. On the way through it costs one comparison.
 */

/** Stack that engine and handlers have at least when another domain's handler starts. */
export const HEADROOM_BYTES = 64 * 1024;

const VALUE_BYTES = 8;

/** By number of parameters. */
const compiled = new Map<number, WebAssembly.Module>();

/**
 * Returns a function that does what the system call `f` does, or throws a RangeError before it. `f` has so many parameters,
 * of which the first is never 0.
 */
export function withHeadroom<P extends [cptr: number, ...number[]]>(
  f: (...words: P) => number,
  parameters: P['length'],
): (...words: P) => number {
  const module = compiled.get(parameters) ?? new WebAssembly.Module(gate(parameters));
  compiled.set(parameters, module);
  const { exports } = new WebAssembly.Instance(module, { system: { call: f } });
  return (exports as { gate: typeof f }).gate;
}

/** `gate(cptr, …)`: if cptr is not 0, `call(cptr, …)`; else many times `call(0, …)`, all results live at once, and their sum. */
function gate(parameters: number): Uint8Array {
  const values = HEADROOM_BYTES / VALUE_BYTES;
  const passed = Array.from({ length: parameters }, (_, index) => [0x20, index]).flat();
  const body = [
    0x00, // no locals
    ...[0x20, 0, 0x04, 0x40, ...passed, 0x10, 0, 0x0f, 0x0b], // if (cptr) return call(cptr, …)
    ...Array.from({ length: values }, () => [...passed, 0x10, 0, 0xad]).flat(), // i64.extend_i32_u(call(cptr, …))
    ...Array.from({ length: values - 1 }, () => 0x7c), // i64.add
    ...[0xa7, 0x0b], // i32.wrap_i64, end
  ];
  const type = [0x60, parameters, ...Array<number>(parameters).fill(0x7f), 1, 0x7f];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, ...type]), // type 0: (i32, …) -> i32
    ...section(2, [1, ...name('system'), ...name('call'), 0, 0]), // function 0, imported
    ...section(3, [1, 0]), // function 1
    ...section(7, [1, ...name('gate'), 0, 1]),
    ...section(10, [1, ...leb128(body.length), ...body]),
  ]);
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...leb128(content.length), ...content];
}

function name(text: string): number[] {
  return [text.length, ...Buffer.from(text)];
}

function leb128(value: number): number[] {
  const low = value & 127;
  return value < 128 ? [low] : [low | 128, ...leb128(value >>> 7)];
}
