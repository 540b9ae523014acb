/** `atoll explore`: what the simulated machines say. */
import { PRESETS } from '../machine/simulated/presets.js';
import type { Latencies } from '../machine/simulated/model.js';
import { assertWritable } from '../system/placement/file-error.js';
import { exploreFounding, type Exploration } from '../system/simulate/explore.js';
import type { FoundingRow, IpcRow, ThroughputRow } from '../system/simulate/founding.js';
import { writeFoundingReport } from './founding-report.js';
import { progressBar } from './progress-bar.js';
import { table } from './table.js';

export interface ExploreFoundingOptions {
  /** Presets or hwloc XML files; all presets if there is none. */
  readonly machine?: readonly string[];
  readonly latency?: Partial<Latencies>;
  readonly seed: number;
  readonly work: number;
  readonly calls: number;
  readonly json?: boolean;
  /** An HTML file to write. */
  readonly report?: string;
}

/** @throws TopologyError when a machine is not as it must be. @throws FileError when the report cannot be written. */
export async function exploreFoundingCommand(options: ExploreFoundingOptions): Promise<void> {
  const { machine = PRESETS, latency = {}, seed, work, calls, json = false, report } = options;
  if (report !== undefined) assertWritable('report', report);
  const bar = progressBar();
  const { rows, entriesASecond } = await exploreFounding({
    machines: machine,
    latencies: latency,
    seed,
    work,
    calls,
    progress: bar.show,
  });
  bar.clear();
  if (report !== undefined) writeFoundingReport(report, rows, work);
  process.stderr.write(`${describeSpeed(entriesASecond)}\n`);
  process.stdout.write(json ? `${JSON.stringify(rows)}\n` : describe(rows, work));
}

function describeSpeed(entriesASecond: Exploration['entriesASecond']): string {
  const rates = Object.entries(entriesASecond).map(
    // The system may not tell times so short.
    ([design, rate]) => `${design} ${rate < Infinity ? Math.round(rate).toLocaleString('en-US') : '–'}`,
  );
  return `Kernel entries simulated a second, by each thread: ${rates.join(', ')}.`;
}

function describe(rows: readonly FoundingRow[], work: number): string {
  const ipc = rows.filter((row): row is IpcRow => 'state' in row);
  const pairs = rows.filter((row): row is ThroughputRow => 'calls_per_kilocycle' in row);
  const ends = pairs.filter((row, index) => pairs[index + 1]?.design !== row.design);
  return `A fastpath IPC, one way, by where the state that it needs was last used: by this core, by another of its cluster,
or by the most distant core that shares the kernel.

${table(
  ['machine', 'design', 'state', 'cycles', 'lines moved', 'times warm'],
  ipc.map((row) => [
    row.machine,
    row.design,
    row.state,
    row.ipc_cycles.toFixed(0),
    row.lines_moved.toFixed(1),
    row.slowdown.toFixed(1),
  ]),
)}

Independent pairs of client and server, one on each core, that compute ${work} cycles for each call: calls in 1,000 cycles.

${table(
  ['machine', 'design', 'cores', 'one core', 'all cores', 'times', 'most, at cores'],
  ends.map((last) => {
    const all = pairs.filter(({ machine, design }) => machine === last.machine && design === last.design);
    const most = all.reduce((a, b) => (b.calls_per_kilocycle > a.calls_per_kilocycle ? b : a));
    return [
      last.machine,
      last.design,
      `${last.cores}`,
      all[0].calls_per_kilocycle.toFixed(3),
      last.calls_per_kilocycle.toFixed(2),
      (last.calls_per_kilocycle / all[0].calls_per_kilocycle).toFixed(1),
      `${most.cores}`,
    ];
  }),
)}
`;
}
