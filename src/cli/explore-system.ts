/** `atoll explore SYSTEM`: on which machine, cut how and placed how, a system gets most done. */
import { dirname } from 'node:path';
import type { Latencies } from '../machine/simulated/model.js';
import { PRESETS, simulatedModel } from '../machine/simulated/presets.js';
import { loadSystem, type Arch } from '../system/description/index.js';
import { assertWritable } from '../system/placement/file-error.js';
import { readProfile } from '../system/placement/profile.js';
import { CUT_OF, type Design } from '../system/simulate/design.js';
import { bestOf, sweep, type Place, type SweepRow } from '../system/simulate/sweep.js';
import { progressBar } from './progress-bar.js';
import { writeReport, type Chart } from './report-file.js';
import { table } from './table.js';

export interface ExploreSystemOptions {
  readonly arch: Arch;
  readonly searchPath?: readonly string[];
  /** Presets, machine files or hwloc files; all presets if there is none. */
  readonly machine?: readonly string[];
  readonly latency?: Partial<Latencies>;
  readonly designs: readonly Design[];
  readonly clusters?: readonly string[];
  readonly place: readonly Place[];
  readonly profile?: string;
  /** Virtual seconds. */
  readonly for: number;
  readonly results?: string;
  readonly json?: boolean;
  readonly report?: string;
}

/** @throws TopologyError, DescriptionError, ProgramError, RunError or FileError. */
export async function exploreSystemCommand(file: string, options: ExploreSystemOptions): Promise<void> {
  const {
    arch,
    searchPath = [dirname(file)],
    latency = {},
    designs,
    clusters = [],
    report,
    results,
  } = options;
  const system = loadSystem(file, { arch, searchPath });
  const machines = [...new Set(options.machine ?? PRESETS)].map((spec) => simulatedModel(spec, latency));
  if (report !== undefined) assertWritable('report', report);
  if (results !== undefined) assertWritable('results', results);
  const bar = progressBar();
  const rows = await sweep(system, {
    machines,
    cuts: [
      ...designs.map((design) => CUT_OF[design]),
      ...clusters.map((cut) => ({ clusters: cut, elided: false })),
    ],
    places: options.place,
    searchPath,
    seconds: options.for,
    progress: bar.show,
    ...(options.profile === undefined ? {} : { profile: readProfile(options.profile, system) }),
    ...(results === undefined ? {} : { results }),
  });
  bar.clear();
  const best = bestOf(rows);
  if (report !== undefined) writeReport(report, `Where ${file} gets most done`, sections(rows, best));
  process.stdout.write(options.json === true ? `${JSON.stringify({ rows, best })}\n` : describe(rows, best));
}

function describe(rows: readonly SweepRow[], best: readonly SweepRow[]): string {
  return `What each machine does in a virtual second, by how it is cut into kernels and where the domains are.

${table(
  [
    'machine',
    'clusters',
    'kernels',
    'placed',
    'ended',
    'calls and notifications/s',
    'a call, cycles',
    'lines moved',
    'best',
  ],
  rows.map((row) => [
    row.machine,
    cutOf(row),
    `${row.kernels}`,
    row.place,
    row.ended,
    row.events_per_second.toLocaleString('en-US'),
    row.call_cycles?.toLocaleString('en-US') ?? '',
    row.lines_moved.toLocaleString('en-US'),
    best.includes(row) ? '*' : '',
  ]),
)}

${best.map(inWords).join('\n')}
`;
}

/** How it was cut, and what became of the lock. */
function cutOf({ clusters, elided }: SweepRow): string {
  return elided ? `${clusters}, lock elided` : clusters;
}

function inWords(row: SweepRow): string {
  const { machine, clusters, kernels, elided, place, events_per_second: events } = row;
  const where = place === 'plan' ? 'the domains where the planner puts them' : 'the domains as written';
  return `Best on ${machine}: --clusters ${/[;,]/.test(clusters) ? `"${clusters}"` : clusters}${elided ? ' --elide-lock' : ''} \
(${kernels} ${kernels === 1 ? 'kernel' : 'kernels'}), ${where}: ${events.toLocaleString('en-US')} calls and notifications a second.`;
}

function nameOf({ place, elided }: SweepRow): string {
  return `placed: ${place}${elided ? ', lock elided' : ''}`;
}

function sections(rows: readonly SweepRow[], best: readonly SweepRow[]) {
  return best.map((row, at) => {
    const here = rows.filter(({ machine }) => machine === row.machine);
    const chart = (id: string, title: string, y: string, figure: (row: SweepRow) => number): Chart => ({
      id: `${id}-${at}`,
      title,
      x: 'kernels',
      y,
      logarithmic: true,
      lines: [...new Set(here.map(nameOf))].map((name) => ({
        name,
        points: here
          .filter((row) => nameOf(row) === name)
          .map((row): [number, number] => [row.kernels, figure(row)]),
      })),
    });
    return {
      title: row.machine,
      text: inWords(row),
      charts: [
        chart('done', 'What gets done', 'calls and notifications a second', (row) => row.events_per_second),
        chart(
          'lines',
          'Lines that kernels and programs move between cores',
          'lines',
          (row) => row.lines_moved,
        ),
      ],
      tables: [
        {
          title: 'All cuts and placements',
          head: [
            'clusters',
            'placed',
            'kernels',
            'calls and notifications/s',
            'a call, cycles',
            'kernel entries',
            'cycles waiting for locks',
            'lines moved',
            'aborts',
          ],
          rows: here.map((row) => [
            cutOf(row),
            row.place,
            `${row.kernels}`,
            row.events_per_second,
            row.call_cycles ?? '',
            row.kernel_entries,
            row.lock_waiting_cycles,
            row.lines_moved,
            row.aborts ?? '',
          ]),
        },
      ],
    };
  });
}
