/** Posts the nanoseconds a pair of calls, of each round after warm-up. */
import { parentPort, workerData } from 'node:worker_threads';
import { hardenRealm } from '../../src/core/engine/typescript/realm.js';
import { pinThread } from '../../src/machine/host/affinity.js';

const WARM_UP = 5;
const ROUNDS = 31;
const CALLS = 200_000;

/** Two functions that return their first argument, with the parameters of `call` and of `replyRecv`. */
const MODULE = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...[1, 14, 2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f], // types, of two and three i32
  ...[3, 3, 2, 0, 1], // a function of each type
  ...[7, 9, 2, 1, 0x61, 0, 0, 1, 0x62, 0, 1], // exported as a and b
  ...[10, 11, 2, 4, 0, 0x20, 0, 0x0b, 4, 0, 0x20, 0, 0x0b], // local.get 0
]);

interface Empty {
  readonly a: (cptr: number, thread: number) => number;
  readonly b: (cptr: number, reply: number, thread: number) => number;
}

pinThread((workerData as { cpu: number }).cpu);
hardenRealm();
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), {});
const round = loop({ ...(exports as Empty) });
const times: number[] = [];
for (let i = 0; i < WARM_UP + ROUNDS; i++) {
  const start = process.hrtime.bigint();
  const sum = round(CALLS);
  if (sum !== ((CALLS * (CALLS - 1)) | 0)) throw new Error('not all calls were made');
  if (i >= WARM_UP) times.push(Number(process.hrtime.bigint() - start) / CALLS);
}
parentPort!.postMessage(times);

/** As the engine holds the kernel's entry points: constants of a closure (core/engine/typescript/domain.ts). */
function loop({ a, b }: Empty): (calls: number) => number {
  return (calls) => {
    let sum = 0;
    for (let i = 0; i < calls; i++) sum = (sum + a(i, i) + b(i, i, i)) | 0;
    return sum;
  };
}
