/** What it takes to load a line that another core wrote last: one after the other, as each says where the next is. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { randomNumbers } from '../../src/machine/random.js';
import { median } from '../median.js';

/** Of a chain: few enough for a core's caches. */
export const LINES = 256;
/** In words: prefetchers fetch lines in pairs, and some lines are of 128 bytes. */
const STRIDE = 64;

export interface Chain {
  readonly cpu: number;
  /** Whose turn it is: 0 or 1. */
  readonly side: number;
  /** A word that says whose turn it is, and from word {@link FIRST} on the chain. */
  readonly words: Int32Array;
}

export const FIRST = STRIDE;

/** Nanoseconds a line. */
export async function farLine(cpus: readonly [number, number]): Promise<number> {
  const words = new Int32Array(new SharedArrayBuffer(4 * STRIDE * (LINES + 1)));
  const random = randomNumbers(1);
  const order = Array.from({ length: LINES }, (_, line) => ({
    at: FIRST + line * STRIDE,
    key: line === 0 ? 0 : random(),
  }))
    .sort((a, b) => a.key - b.key)
    .map(({ at }) => at);
  order.forEach((at, index) => (words[at] = order[(index + 1) % LINES]));
  const url = new URL('./far-line-worker.js', import.meta.url);
  const workers = cpus.map(
    (cpu, side) => new Worker(url, { workerData: { cpu, side, words } satisfies Chain }),
  );
  try {
    const [times] = (await Promise.race(workers.map((worker) => once(worker, 'message')))) as [number[]];
    return median(times);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
