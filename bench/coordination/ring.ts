/** Messages streamed through a ring by two pinned threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
// They hold for threads that start afterwards.
import '../../src/system/v8-flags.js';
import { sharedLines } from '../../src/machine/shared-memory.js';
import type { RingEndData } from './ring-worker.js';

/** Nanoseconds a message of one line, of each round. `capacity`: lines, a power of two. */
export async function ringRounds(
  cpus: readonly [number, number],
  rounds: number,
  messages: number,
  capacity: number,
): Promise<number[]> {
  const CONTROL_LINES = 4;
  const lines = CONTROL_LINES + capacity;
  const words = new Int32Array(sharedLines(64 * lines), 0, 16 * lines);
  const workers = (['producer', 'consumer'] as const).map((side, index) => {
    const workerData: RingEndData = { side, cpu: cpus[index], words, rounds, messages };
    return new Worker(new URL('./ring-worker.js', import.meta.url), { workerData });
  });
  try {
    // Only the consumer ever says anything, but each may fail.
    const [times] = (await Promise.race(workers.map((worker) => once(worker, 'message')))) as [number[]];
    return times;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
