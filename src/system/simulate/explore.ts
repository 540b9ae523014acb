/** Runs the founding experiment for many machines and designs, on all cores of this computer. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Latencies } from '../../machine/simulated/model.js';
import { simulatedModel } from '../../machine/simulated/presets.js';
import { DESIGNS, type Design, type FoundingOptions, type FoundingRow } from './founding.js';

export interface ExploreOptions extends FoundingOptions {
  /** Presets or hwloc XML files. */
  readonly machines: readonly string[];
  readonly latencies: Partial<Latencies>;
  /** Told after each machine and design that is done. */
  readonly progress?: (done: number, all: number) => void;
}

/** One design on one machine. */
export interface Job {
  readonly machine: string;
  readonly design: Design;
  readonly latencies: Partial<Latencies>;
  readonly options: FoundingOptions;
}

/**
 * The rows of all machines and designs, in their order.
 * @throws TopologyError when a machine is not as it must be; before anything is started.
 */
export async function exploreFounding(options: ExploreOptions): Promise<FoundingRow[]> {
  const { machines, latencies, seed, work, calls, progress } = options;
  const sizes = new Map(
    machines.map((spec) => [spec, simulatedModel(spec, latencies).topology.cores.length]),
  );
  const jobs = [...sizes.keys()].flatMap((machine) =>
    DESIGNS.map((design): Job => ({ machine, design, latencies, options: { seed, work, calls } })),
  );
  // The largest first, so that none is left over for one core at the end.
  const waiting = jobs.toSorted((a, b) => sizes.get(b.machine)! - sizes.get(a.machine)!);
  const results = new Map<Job, FoundingRow[]>();
  const workers = Array.from({ length: Math.min(availableParallelism(), jobs.length) }, () => {
    return new Worker(new URL('./explore-worker.js', import.meta.url));
  });
  const serve = (worker: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      let job: Job | undefined;
      const next = (): void => {
        job = waiting.shift();
        if (job === undefined) resolve();
        else worker.postMessage(job);
      };
      worker.on('message', (rows: FoundingRow[]) => {
        results.set(job!, rows);
        progress?.(results.size, jobs.length);
        next();
      });
      worker.once('error', reject);
      next();
    });
  try {
    await Promise.all(workers.map(serve));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return jobs.flatMap((job) => results.get(job)!);
}
