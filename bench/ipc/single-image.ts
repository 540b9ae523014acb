/**
 * What the founding message argues about: one kernel image that two cores use in turn, so that each finds in the other's
 * cache what it must touch. Both are core 0 to the kernel: they never enter it at the same time, and do the very same
 * work, so that all of the difference to one core alone is what it costs to bring the lines over.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { compileKernel, type KernelImage } from '../../src/core/kernel.js';
import { sharedMemory } from '../../src/machine/shared-memory.js';
import { bootPairsOf, partitionSize } from '../../src/system/simulate/pairs.js';
import { median } from '../median.js';
import type { Turns } from './single-image-turns.js';

export interface SingleImage {
  /** Nanoseconds for a call and its reply where the two cores take turns; null with one core. */
  readonly inTurn: number | null;
  /** The same where one core does all. */
  readonly alone: number;
}

const BASE = 2 ** 20;

/** @param cpus one or two CPUs to pin to. */
export async function singleImage(image: KernelImage, cpus: readonly number[]): Promise<SingleImage> {
  const size = partitionSize(1);
  const memory = sharedMemory(BASE + size);
  const module = compileKernel(image);
  const [{ client }] = bootPairsOf(module, memory, { base: BASE, size, cores: 1 });
  const turn = new Int32Array(new SharedArrayBuffer(256));
  const url = new URL('./single-image-worker.js', import.meta.url);
  const workers = cpus.map((cpu, side) => {
    const turns: Turns = { module, memory, base: BASE, client, cpu, side, sides: cpus.length, turn };
    return new Worker(url, { workerData: turns });
  });
  try {
    // Only the first ever says anything, but each may fail.
    const [{ inTurn, alone }] = (await Promise.race(workers.map((worker) => once(worker, 'message')))) as [
      { inTurn: number[]; alone: number[] },
    ];
    return { inTurn: cpus.length === 1 ? null : median(inTurn), alone: median(alone) };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
