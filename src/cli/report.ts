/** What a run did, in tables for people. */
import type { Placement } from '../system/placement/placement.js';
import type { RunReport, SimulatedCluster } from '../system/run-report.js';
import { table } from './table.js';

const ENDED = {
  idle: 'nothing is left to do',
  time: 'the time is up',
  interrupted: 'interrupted',
  failed: 'no cluster is left',
} as const;

const AFTER = {
  stopped: 'stopped, and its memory scrubbed',
  hung: 'lost: a core of it cannot be stopped',
} as const;

/** Of a cluster on the simulated machine, core by core. */
const SIMULATED = [
  ['busy, cycles', 'busyCycles'],
  ['kernel entries', 'kernelEntries'],
  ['waited for lock, cycles', 'lockWaitingCycles'],
  ['lines moved', 'linesMoved'],
  ['aborts', 'aborts'],
] as const satisfies readonly (readonly [string, keyof SimulatedCluster])[];

/** `placement`: the plan that it ran by, if by one. */
export function describeRun(report: RunReport, placement?: Placement): string {
  const figures = SIMULATED.filter(([, figure]) => report.clusters[0].simulated?.[figure] !== undefined);
  const clusters = report.clusters.map(({ id, cores, kernel, memory, busySeconds, simulated }) => [
    `${id}`,
    cores.join(', '),
    kernel,
    `${memory / 2 ** 20} MiB`,
    ...(simulated === undefined
      ? [busySeconds.map((seconds) => `${(seconds * 1000).toFixed(1)} ms`).join(', ')]
      : figures.map(([, figure]) => simulated[figure]!.map(whole).join(', '))),
  ]);
  const domains = report.domains.map(({ name, core, cluster, state, entries, ...counts }) => [
    name,
    `${core}`,
    `${cluster}`,
    state,
    ...[entries.init, entries.notified, entries.protected, entries.fault].map(String),
    ...[counts.calls, counts.notifications, counts.faults, counts.restarts].map(String),
  ]);
  const calls = report.channels.flatMap(({ from, fromId, to, calls, callCycles }) =>
    callCycles === undefined ? [] : [[`${from} (${fromId}) to ${to}`, whole(calls), whole(callCycles)]],
  );
  const outages = report.clusters.flatMap(({ id, failures }) =>
    failures.map((failure) => ({ id, ...failure })),
  );
  const notes = [
    ...outages.map(
      ({ id, why, at, outageSeconds }) =>
        `Cluster ${id} failed after ${at.toFixed(3)} s: ${why}.` +
        (outageSeconds === undefined ? '' : ` It was back ${outageSeconds.toFixed(3)} s later.`),
    ),
    ...report.clusters.flatMap(({ id, state }) =>
      state === 'up' ? [] : [`Cluster ${id} is ${AFTER[state]}.`],
    ),
    ...report.clusters.flatMap(({ id, moving }) =>
      moving === undefined || moving.given + moving.taken === 0
        ? []
        : [
            `Cluster ${id} gave ${mebibytes(moving.given)} of memory to others and took ${mebibytes(moving.taken)}; it has ${mebibytes(moving.owned)} that can move.`,
          ],
    ),
    ...(report.injected === undefined
      ? []
      : [
          `On purpose: ${report.injected.dropped} interrupts between clusters dropped, ${report.injected.doubled} doubled, ${report.injected.died} monitors ended.`,
        ]),
    ...(report.trace === undefined || report.trace.dropped === 0
      ? []
      : [
          `The trace has ${report.trace.events} events; ${report.trace.dropped} more had no room and were left out.`,
        ]),
    ...(report.notPinned === undefined
      ? []
      : [`Threads are not pinned to their cores: ${report.notPinned}.`]),
    ...report.hungCores.map((core) => `Core ${core} did not stop by itself: a domain on it did not return.`),
    ...(report.unhandledFaults === 0 ? [] : [`Faults that no parent handled: ${report.unhandledFaults}.`]),
  ];
  return [
    '',
    `Machine: ${report.machine}, ${report.cores} ${report.cores === 1 ? 'core' : 'cores'}`,
    `Ran ${describeTime(report)}: ${ENDED[report.ended]}.`,
    '',
    table(
      [
        'cluster',
        'cores',
        'kernel',
        'memory',
        ...(report.cycles === undefined ? ['cores busy'] : figures.map(([title]) => title)),
      ],
      clusters,
    ),
    '',
    table(
      [
        'domain',
        'core',
        'cluster',
        'state',
        'init',
        'notified',
        'protected',
        'fault',
        'calls',
        'notifies',
        'faults',
        'restarts',
      ],
      domains,
    ),
    ...(calls.length === 0 ? [] : ['', table(['call', 'number', 'cycles, mean'], calls)]),
    ...(placement === undefined ? [] : ['', describeSaving(placement)]),
    ...(notes.length > 0 ? ['', ...notes] : []),
    '',
  ].join('\n');
}

function describeTime({ seconds, cycles, megahertz }: RunReport): string {
  if (cycles === undefined) return `${seconds.toFixed(3)} s`;
  return `${whole(cycles)} cycles, ${seconds.toFixed(6)} s at ${whole(megahertz!)} MHz`;
}

function whole(figure: number): string {
  return figure.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

function mebibytes(bytes: number): string {
  return `${bytes / 2 ** 20} MiB`;
}

/** In one line, what a plan saves. */
function describeSaving({ planned, written, optimal }: Placement): string {
  const instead =
    written === undefined
      ? 'as written it could not run'
      : `as written it would be ${milliseconds(written.total)} ms`;
  return `Placed by plan: ${milliseconds(planned.total)} ms of a core each second${optimal ? ', which nothing beats' : ''}; ${instead}.`;
}

export function milliseconds(seconds: number): string {
  return (seconds * 1000).toFixed(3);
}
