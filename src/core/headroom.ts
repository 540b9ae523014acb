/**
 * Stack headroom. All domains of a core run on one stack, so a program that recurses until the stack is full, and then
 * calls a server, would have the server fail for want of stack. The kernel's entry points that programs call therefore
 * first make sure of {@link HEADROOM_BYTES}: where there is less, the *caller* gets a RangeError, as for any call too
 * deep, and nothing has happened.
 *
 * Neither JavaScript nor WebAssembly can ask how much stack is left. But V8 checks on entry to a function whether its frame
 * fits, and those of the entry points are made large: by a branch, never taken, that needs thousands of values at once.
 * A function with thousands of results gives them and one with thousands of parameters takes them, so that the branch is
 * of a few bytes. On the way through it costs a comparison; a function of its own before the kernel's costs a tenth of a
 * protected call.
 */

/** Stack that engine and handlers have at least when another domain's handler starts. */
export const HEADROOM_BYTES = 64 * 1024;

/** The widest type of value, so that V8 has few to find a place for. */
const V128 = 0x7b;
const V128_BYTES = 16;
/** Of each of the two functions. */
const CALLS = 5;
/** Its results, or its parameters: V8 lets it have a thousand. */
const VALUES = Math.ceil(HEADROOM_BYTES / (CALLS * V128_BYTES));

// WebAssembly Core Specification 2.0, sections 5.4 (instructions) and 5.5 (modules).
enum Section {
  Type = 1,
  Import = 2,
  Function = 3,
  Export = 7,
  Code = 10,
}
enum Kind {
  Function = 0,
  Table = 1,
  Memory = 2,
  Global = 3,
}
const HEADER_BYTES = 8;
const FUNCTION_TYPE = 0x60;
const CALL_FUNCTION = 0x10;
const END = 0x0b;
/** No locals, `unreachable`, `end`. */
const EMPTY_BODY = [3, 0, 0, END];

/**
 * Returns a module that differs in its entry points only: the exported functions of these names throw a RangeError, and
 * do nothing, where less than the headroom is left.
 * @param module valid, with a function of each name and no more kinds of import than the kernel's images have.
 */
export function withHeadroom(module: Uint8Array, entries: readonly string[]): Uint8Array {
  const sections = sectionsOf(module);
  const types = vectorOf(sections.get(Section.Type)!);
  const functions = vectorOf(sections.get(Section.Function)!);
  const code = vectorOf(sections.get(Section.Code)!);
  const imported = importedFunctions(sections.get(Section.Import)!);
  const chosen = exportedFunctions(sections.get(Section.Export)!, entries);

  const give = imported + functions.count;
  const take = give + 1;
  const times = (callee: number): number[] =>
    Array.from({ length: CALLS }, () => [CALL_FUNCTION, ...leb128(callee)]).flat();
  // memory.size, i32.eqz, if, …, end: there is memory, but V8 does not know it.
  const branch = [0x3f, 0, 0x45, 0x04, 0x40, ...times(give), ...times(take), END];

  const values = [...leb128(VALUES), ...Array<number>(VALUES).fill(V128)];
  const newTypes = [FUNCTION_TYPE, 0, ...values, FUNCTION_TYPE, ...values, 0];
  const newFunctions = [...leb128(types.count), ...leb128(types.count + 1)];
  const reader = new Reader(code.rest);
  const bodies = Array.from({ length: code.count }, (_, index) => {
    const body = reader.bytes(reader.number());
    if (!chosen.has(imported + index)) return bytes(leb128(body.length), body);
    const locals = localsLength(body);
    const length = leb128(body.length + branch.length);
    return bytes(length, body.subarray(0, locals), branch, body.subarray(locals));
  });
  const extended = (vector: Vector, ...more: Bytes[]): Uint8Array =>
    bytes(leb128(vector.count + 2), vector.rest, ...more);
  sections.set(Section.Type, extended(types, newTypes));
  sections.set(Section.Function, extended(functions, newFunctions));
  sections.set(Section.Code, extended({ count: code.count, rest: bytes(...bodies) }, EMPTY_BODY, EMPTY_BODY));
  return bytes(
    module.subarray(0, HEADER_BYTES),
    ...[...sections].flatMap(([id, content]) => [[id], leb128(content.length), content]),
  );
}

type Bytes = Uint8Array | readonly number[];

function bytes(...parts: readonly Bytes[]): Uint8Array {
  return Buffer.concat(parts.map((part) => Uint8Array.from(part)));
}

/** By number. Those without a meaning to WebAssembly, of which there may be several, are left out. */
function sectionsOf(module: Uint8Array): Map<number, Uint8Array> {
  const sections = new Map<number, Uint8Array>();
  const reader = new Reader(module, HEADER_BYTES);
  while (!reader.isAtEnd()) {
    const id = reader.byte();
    const content = reader.bytes(reader.number());
    if (id !== 0) sections.set(id, content);
  }
  return sections;
}

interface Vector {
  readonly count: number;
  readonly rest: Uint8Array;
}

function vectorOf(section: Uint8Array): Vector {
  const reader = new Reader(section);
  return { count: reader.number(), rest: reader.rest() };
}

function importedFunctions(section: Uint8Array): number {
  const reader = new Reader(section);
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.name();
    reader.name();
    const kind = reader.byte() as Kind;
    if (kind === Kind.Function) {
      reader.number();
      functions++;
    } else if (kind === Kind.Global) {
      reader.bytes(2);
    } else {
      if (kind === Kind.Table) reader.byte();
      const hasMaximum = (reader.byte() & 1) !== 0;
      reader.number();
      if (hasMaximum) reader.number();
    }
  }
  return functions;
}

/** The numbers of functions. */
function exportedFunctions(section: Uint8Array, names: readonly string[]): Set<number> {
  const reader = new Reader(section);
  const functions = new Set<number>();
  for (let left = reader.number(); left > 0; left--) {
    const name = reader.name();
    const kind = reader.byte() as Kind;
    const index = reader.number();
    if (kind === Kind.Function && names.includes(name)) functions.add(index);
  }
  return functions;
}

/** Bytes of a function's body before its first instruction. */
function localsLength(body: Uint8Array): number {
  const reader = new Reader(body);
  for (let left = reader.number(); left > 0; left--) {
    reader.number();
    reader.byte();
  }
  return reader.at;
}

class Reader {
  constructor(
    private readonly content: Uint8Array,
    public at = 0,
  ) {}

  isAtEnd(): boolean {
    return this.at >= this.content.length;
  }

  byte(): number {
    return this.content[this.at++];
  }

  bytes(count: number): Uint8Array {
    return this.content.subarray(this.at, (this.at += count));
  }

  rest(): Uint8Array {
    return this.content.subarray(this.at);
  }

  /** An unsigned number in LEB128. */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  }

  name(): string {
    return Buffer.from(this.bytes(this.number())).toString();
  }
}

function leb128(value: number): number[] {
  const low = value & 127;
  return value < 128 ? [low] : [low | 128, ...leb128(value >>> 7)];
}
