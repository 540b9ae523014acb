/** The floor under a protected call: two calls of an empty WebAssembly function, in a thread made like a core's. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
// They hold for threads that start afterwards.
import '../../src/system/v8-flags.js';
import { median } from '../median.js';

/** The median time of the two calls, in nanoseconds. */
export async function wasmCrossingPair(cpu: number): Promise<number> {
  const worker = new Worker(new URL('./crossing-worker.js', import.meta.url), { workerData: { cpu } });
  const [rounds] = (await once(worker, 'message')) as [number[]];
  return median(rounds);
}
