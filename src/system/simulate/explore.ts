/** Runs the founding experiment for many machines and designs, on all cores of this computer. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Latencies } from '../../machine/simulated/model.js';
import { simulatedModel } from '../../machine/simulated/presets.js';
import { DESIGNS, type Design } from './design.js';
import type { Founding, FoundingOptions, FoundingRow, Speed } from './founding.js';

export interface ExploreOptions extends FoundingOptions {
  /** Presets or hwloc XML files. */
  readonly machines: readonly string[];
  readonly latencies: Partial<Latencies>;
  /** Told after each machine and design that is done. */
  readonly progress?: (done: number, all: number) => void;
}

export interface Exploration {
  /** Of all machines and designs, in their order. */
  readonly rows: readonly FoundingRow[];
  /** Kernel entries that were simulated in a second of a thread's time, by design; boots left out. */
  readonly entriesASecond: Readonly<Record<Design, number>>;
}

/** One design on one machine. */
export interface Job {
  readonly machine: string;
  readonly design: Design;
  readonly latencies: Partial<Latencies>;
  readonly options: FoundingOptions;
}

/** @throws TopologyError when a machine is not as it must be; before anything is started. */
export async function exploreFounding(options: ExploreOptions): Promise<Exploration> {
  const { machines, latencies, seed, work, calls, progress } = options;
  const sizes = new Map(
    machines.map((spec) => [spec, simulatedModel(spec, latencies).topology.cores.length]),
  );
  const jobs = [...sizes.keys()].flatMap((machine) =>
    DESIGNS.map((design): Job => ({ machine, design, latencies, options: { seed, work, calls } })),
  );
  // The largest first, so that none is left over for one core at the end.
  const waiting = jobs.toSorted((a, b) => sizes.get(b.machine)! - sizes.get(a.machine)!);
  const results = new Map<Job, Founding>();
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
      worker.on('message', (answer: Founding) => {
        results.set(job!, answer);
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
  const rate = (design: Design): number => {
    const answers = jobs.filter((job) => job.design === design).map((job) => results.get(job)!);
    const sum = (figure: keyof Speed): number => answers.reduce((a, { speed }) => a + speed[figure], 0);
    return (1000 * sum('entries')) / sum('milliseconds');
  };
  return {
    rows: jobs.flatMap((job) => results.get(job)!.rows),
    entriesASecond: Object.fromEntries(DESIGNS.map((design) => [design, rate(design)])) as Record<
      Design,
      number
    >,
  };
}
