/** The founding experiment as plots: cost against distance, throughput against cores, who waits for whom. */
import type {
  ConflictRow,
  DistanceRow,
  FoundingRow,
  IpcRow,
  ThroughputRow,
  WaitingRow,
} from '../system/simulate/founding.js';
import { writeReport, type Chart, type HtmlTable, type Section } from './report-file.js';

/** @throws FileError when it cannot be written. */
export function writeFoundingReport(file: string, rows: readonly FoundingRow[], work: number): void {
  const machines = [...new Set(rows.map(({ machine }) => machine))];
  const of = machines.map((machine) => rows.filter((row) => row.machine === machine));
  writeReport(file, 'One kernel for how many cores?', [
    {
      title: 'All machines: what an IPC costs by how far its state is',
      text: `One fastpath IPC in a kernel image that another core used last, by what it takes to bring one cache line from that
core. At 0, this core used it last.`,
      charts: [
        {
          id: 'distance',
          title: 'single: one image, big lock',
          x: 'cycles for a line',
          y: 'cycles for an IPC',
          logarithmic: false,
          lines: of.map((rows, at) => ({ name: machines[at], points: distances(rows, 'single') })),
        },
      ],
    },
    ...machines.map((machine, at) => sectionOf(machine, `machine-${at}`, of[at], work)),
  ]);
}

function sectionOf(machine: string, id: string, rows: readonly FoundingRow[], work: number): Section {
  return {
    title: machine,
    charts: [costs(`${id}-costs`, rows), throughputs(`${id}-throughput`, rows, work)],
    tables: [states(rows), ...rows.filter(isWaiting).map(waiting)],
  };
}

function costs(id: string, rows: readonly FoundingRow[]): Chart {
  return {
    id,
    title: 'An IPC by distance',
    x: 'cycles for a line',
    y: 'cycles for an IPC',
    logarithmic: false,
    lines: ['single', 'single-elided'].map((design) => ({ name: design, points: distances(rows, design) })),
  };
}

function distances(rows: readonly FoundingRow[], design: string): [number, number][] {
  const warm = rows.filter(isIpc).filter((row) => row.design === design && row.state === 'warm');
  const distant = rows.filter(isDistance).filter((row) => row.design === design);
  return [
    ...warm.map((row): [number, number] => [0, row.ipc_cycles]),
    ...distant.map((row): [number, number] => [row.line_cycles, row.ipc_cycles_at_distance]),
  ];
}

function throughputs(id: string, rows: readonly FoundingRow[], work: number): Chart {
  const pairs = rows.filter(isThroughput);
  const designs = [...new Set(pairs.map(({ design }) => design))];
  return {
    id,
    title: `Calls of independent pairs, ${work} cycles of work each`,
    x: 'cores',
    y: 'calls in 1,000 cycles',
    logarithmic: true,
    lines: [
      ...designs.map((design) => ({
        name: design,
        points: pairs
          .filter((row) => row.design === design)
          .map((row): [number, number] => [row.cores, row.calls_per_kilocycle]),
      })),
      {
        name: 'single-elided, pairs in conflict',
        dashed: true,
        points: rows
          .filter(isConflict)
          .map((row): [number, number] => [row.cores, row.conflicting_calls_per_kilocycle]),
      },
    ],
  };
}

function states(rows: readonly FoundingRow[]): HtmlTable {
  return {
    title: 'A fastpath IPC, one way, by where its state was last used',
    head: ['design', 'state', 'cycles', 'lines moved', 'times warm'],
    rows: rows
      .filter(isIpc)
      .map((row) => [row.design, row.state, row.ipc_cycles, row.lines_moved, row.slowdown]),
  };
}

function waiting({
  design,
  cores_a_group: size,
  lock_waiting_cycles_per_call: cycles,
}: WaitingRow): HtmlTable {
  const name = (group: number): string =>
    size === 1 ? `${group}` : `${group * size}–${(group + 1) * size - 1}`;
  return {
    title: `${design}: who (row) waits for whom (column) at the lock, cycles a call, with a pair on each core`,
    head: ['cores', ...cycles.map((_, group) => name(group))],
    rows: cycles.map((row, group) => [name(group), ...row]),
    shaded: true,
  };
}

const isIpc = (row: FoundingRow): row is IpcRow => 'state' in row;
const isThroughput = (row: FoundingRow): row is ThroughputRow => 'calls_per_kilocycle' in row;
const isConflict = (row: FoundingRow): row is ConflictRow => 'aborts_per_call' in row;
const isDistance = (row: FoundingRow): row is DistanceRow => 'line_cycles' in row;
const isWaiting = (row: FoundingRow): row is WaitingRow =>
  'lock_waiting_cycles_per_call' in row &&
  row.lock_waiting_cycles_per_call.flat().some((cycles) => cycles > 0);
