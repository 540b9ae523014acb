/**
 * The two loops that pass a cache line back and forth, and the memory in which they do it.
 *
 * In WebAssembly, since that is what kernels run as, and since V8 compiles it the same way each time. (The same
 * loops in JavaScript with `Atomics` came to the same median, but needed several rounds more to settle.)
 */

/** One page, 64 KiB, of shared memory; can be sent to another thread. */
export interface PingPongMemory {
  readonly buffer: SharedArrayBuffer;
}

export function pingPongMemory(): PingPongMemory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
}

/**
 * Makes `trips` round trips with the word at `address`, which must be below `value` when both sides start: `value`
 * is the first one sent and goes up by 2 each trip, so a later call goes on with `value + 2 * trips`.
 */
export type Trips = (address: number, value: number, trips: number) => void;

/** `ping` sends and then awaits the answer, `pong` the other way round; each spins, for ever if alone. */
export function pingPongLoops(memory: PingPongMemory): { readonly ping: Trips; readonly pong: Trips } {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { machine: { memory } });
  return exports as { ping: Trips; pong: Trips };
}

// Assembled by hand: the loops are short, and nothing but loads and stores must be in them.
const GET_ADDRESS = [0x20, 0];
const GET_VALUE = [0x20, 1];
const GET_ANSWER = [0x20, 1, 0x41, 1, 0x6a]; // value + 1
const LOAD = [0xfe, 0x10, 2, 0]; // i32.atomic.load
const STORE = [0xfe, 0x17, 2, 0]; // i32.atomic.store
const LOOP = [0x03, 0x40];
const AGAIN_IF = [0x0d, 0, 0x0b]; // br_if 0, end

function spinUntil(wanted: number[]): number[] {
  return [...LOOP, ...GET_ADDRESS, ...LOAD, ...wanted, 0x47, ...AGAIN_IF]; // again if not equal
}

function eachTrip(body: number[]): number[] {
  const nextValue = [...GET_VALUE, 0x41, 2, 0x6a, 0x21, 1]; // value += 2
  const nextTrip = [0x20, 2, 0x41, 1, 0x6b, 0x22, 2]; // trips -= 1
  return [0, ...LOOP, ...body, ...nextValue, ...nextTrip, ...AGAIN_IF, 0x0b]; // no locals
}

const PING = eachTrip([...GET_ADDRESS, ...GET_VALUE, ...STORE, ...spinUntil(GET_ANSWER)]);
const PONG = eachTrip([...spinUntil(GET_VALUE), ...GET_ADDRESS, ...GET_ANSWER, ...STORE]);

function name(string: string): number[] {
  return [string.length, ...Buffer.from(string)];
}

function section(id: number, content: number[]): number[] {
  return [id, content.length, ...content];
}

const MODULE = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0]), // type 0: (i32, i32, i32) -> ()
  ...section(2, [1, ...name('machine'), ...name('memory'), 2, 3, 1, 1]), // shared, exactly one page
  ...section(3, [2, 0, 0]), // two functions of type 0
  ...section(7, [2, ...name('ping'), 0, 0, ...name('pong'), 0, 1]),
  ...section(10, [2, PING.length, ...PING, PONG.length, ...PONG]),
]);
