/** A system on many machines, cut and placed in many ways: how much each gets done, in virtual time. */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { bundlePrograms } from '../../core/engine/typescript/bundle.js';
import { kernelBytes } from '../../core/kernel.js';
import { withLineCosts } from '../../machine/simulated/line-costs.js';
import type { MachineModel } from '../../machine/simulated/model.js';
import { clustersOf, TopologyError, type Topology } from '../../machine/topology/index.js';
import type { SystemDescription } from '../description/index.js';
import { FileError, cannotWrite, reasonOf } from '../placement/file-error.js';
import { place, placed } from '../placement/placement.js';
import type { Profile } from '../placement/profile.js';
import { findPrograms } from '../run.js';
import type { Cut } from './design.js';
import { simulateSystem } from './system.js';

/** Where the domains run: on the cores that the description names, or where the planner puts them. */
export const PLACES = ['written', 'plan'] as const;
export type Place = (typeof PLACES)[number];

export interface SweepOptions {
  readonly machines: readonly MachineModel[];
  /** Their clusters may also be `size:N`, for clusters of N neighbouring cores. */
  readonly cuts: readonly Cut[];
  readonly places: readonly Place[];
  readonly profile?: Profile;
  readonly searchPath: readonly string[];
  /** Virtual: each run ends then, or once the system is idle for good. */
  readonly seconds: number;
  /** A file with the results of earlier sweeps, which are not run again; new ones are added to it. */
  readonly results?: string;
  /** Told at first and after each run; of those that have to be run. */
  readonly progress?: (done: number, all: number) => void;
}

export interface SweepRow {
  readonly machine: string;
  /** As in the options. */
  readonly clusters: string;
  readonly kernels: number;
  /** Whether kernels of several cores elide their lock. */
  readonly elided: boolean;
  readonly place: Place;
  readonly ended: string;
  readonly seconds: number;
  readonly calls: number;
  readonly notifications: number;
  /** Both together. */
  readonly events_per_second: number;
  /** Of a protected call, all channels together; absent where there was none. */
  readonly call_cycles?: number;
  readonly kernel_entries: number;
  readonly lock_waiting_cycles: number;
  readonly lines_moved: number;
  /** Where the lock is elided: transactions that did not commit. */
  readonly aborts?: number;
  readonly faults: number;
}

interface Job {
  readonly model: MachineModel;
  readonly cut: Cut;
  /** As `clustersOf` takes them. */
  readonly clusters: string;
  readonly place: Place;
  readonly system: SystemDescription;
}

/**
 * A row for each machine, cut and place, in this order; of cuts that are the same on a machine only the first.
 * @throws TopologyError, DescriptionError, ProgramError, RunError or FileError: nothing is left running then.
 */
export async function sweep(system: SystemDescription, options: SweepOptions): Promise<SweepRow[]> {
  const { searchPath, seconds, results, progress } = options;
  const jobs = options.machines.flatMap((model) => jobsOf(system, model, options));
  const inputs = await inputsOf(system, searchPath);
  const keys = jobs.map(({ model, cut: { elided }, clusters, system: { protectionDomains } }) =>
    hash([inputs, model, clusters, elided, protectionDomains.map(({ cpu }) => cpu), seconds]),
  );
  const known = results === undefined ? new Map<string, SweepRow>() : readResults(results);
  // What differs in name alone is run once.
  const waiting = [...new Map(jobs.map((job, index) => [keys[index], job]))].filter(
    ([key]) => !known.has(key),
  );
  const all = waiting.length;
  let done = 0;
  progress?.(done, all);
  const running = new Set<AbortController>();
  const serve = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [key, job] = next;
      const stop = new AbortController();
      running.add(stop);
      const row = await run(job, { searchPath, seconds, signal: stop.signal });
      running.delete(stop);
      if (stop.signal.aborted) return;
      known.set(key, row);
      if (results !== undefined) writeResult(results, key, row);
      progress?.(++done, all);
    }
  };
  const servers = Array.from({ length: Math.min(availableParallelism(), waiting.length) }, serve);
  try {
    await Promise.all(servers);
  } catch (error) {
    waiting.length = 0;
    for (const stop of running) stop.abort();
    await Promise.allSettled(servers);
    throw error;
  }
  return jobs.map(({ model, cut, place }, index) => ({
    ...known.get(keys[index])!,
    machine: model.name,
    clusters: cut.clusters,
    place,
  }));
}

/** For each machine the row that gets most done in a second; of equal ones that with the fewest kernels. */
export function bestOf(rows: readonly SweepRow[]): SweepRow[] {
  const best = new Map<string, SweepRow>();
  for (const row of rows) {
    const before = best.get(row.machine);
    const more = row.events_per_second - (before?.events_per_second ?? -1);
    if (more > 0 || (more === 0 && row.kernels < before!.kernels)) best.set(row.machine, row);
  }
  return [...best.values()];
}

function jobsOf(system: SystemDescription, model: MachineModel, options: SweepOptions): Job[] {
  const { cuts, places, profile } = options;
  const topology = withLineCosts(model);
  const seen = new Set<string>();
  return cuts.flatMap((cut) => {
    const found = clustersOf(topology, sized(topology, cut.clusters));
    const clusters = found.map(({ cores }) => cores.join()).join(';');
    // A kernel of one core has no lock.
    const elided = cut.elided && found.some(({ cores }) => cores.length > 1);
    const name = elided ? `${clusters} elided` : clusters;
    if (seen.has(name)) return [];
    seen.add(name);
    return places.map((where): Job => ({
      model,
      cut: { ...cut, elided },
      clusters,
      place: where,
      system: where === 'plan' ? placed(system, place(system, topology, found, profile)) : system,
    }));
  });
}

/** `size:N` as a list of clusters. */
function sized({ cores }: Topology, cut: string): string {
  const [, digits] = /^size:(\d{1,6})$/.exec(cut) ?? [];
  if (digits === undefined) return cut;
  const size = Number(digits);
  if (size < 1 || cores.length % size !== 0)
    throw new TopologyError(`${cores.length} cores cannot be cut into clusters of ${size}`);
  return Array.from({ length: cores.length / size }, (_, cluster) =>
    Array.from({ length: size }, (_, index) => cluster * size + index).join(),
  ).join(';');
}

async function run(
  { model, cut, clusters, place, system }: Job,
  options: { searchPath: readonly string[]; seconds: number; signal: AbortSignal },
): Promise<SweepRow> {
  const { elided } = cut;
  const report = await simulateSystem(system, model, { ...options, clusters, elideLock: elided });
  const sum = <T>(items: readonly T[], figure: (item: T) => number): number =>
    items.reduce((total, item) => total + figure(item), 0);
  const cycles = (figure: 'kernelEntries' | 'lockWaitingCycles' | 'linesMoved' | 'aborts'): number =>
    sum(report.clusters, ({ simulated }) => sum(simulated![figure] ?? [], (count) => count));
  const calls = sum(report.domains, (domain) => domain.calls);
  const notifications = sum(report.domains, (domain) => domain.notifications);
  const timed = report.channels.filter(({ callCycles }) => callCycles !== undefined);
  const callCycles = sum(timed, (channel) => channel.calls * channel.callCycles!);
  return {
    machine: model.name,
    clusters: cut.clusters,
    kernels: report.clusters.length,
    elided,
    place,
    ended: report.ended,
    seconds: report.seconds,
    calls,
    notifications,
    events_per_second: report.seconds > 0 ? Math.round((calls + notifications) / report.seconds) : 0,
    ...(timed.length === 0 ? {} : { call_cycles: Math.round(callCycles / sum(timed, ({ calls }) => calls)) }),
    kernel_entries: cycles('kernelEntries'),
    lock_waiting_cycles: cycles('lockWaitingCycles'),
    lines_moved: cycles('linesMoved'),
    ...(elided ? { aborts: cycles('aborts') } : {}),
    faults: sum(report.domains, (domain) => domain.faults),
  };
}

/** All that a result depends on but machine, cut and place: description, programs, what regions are filled with, kernels. */
async function inputsOf(system: SystemDescription, searchPath: readonly string[]): Promise<string> {
  const { files } = findPrograms(system, searchPath);
  const bundles = await bundlePrograms(files);
  const contents = system.memoryRegions.flatMap(({ prefill }) =>
    prefill === undefined ? [] : [readFileSync(prefill.file, 'base64')],
  );
  const kernels = (['unicore', 'smp'] as const).map((image) => kernelBytes(image, true).toString('base64'));
  return hash([system, [...bundles.values()].map(({ code }) => code), contents, kernels]);
}

function hash(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item));
  return createHash('sha256').update(text).digest('hex');
}

const LINE_BEGINS = '{"key":"';

/** A result to a line, with the hash of what it depends on. The last line may be half a line, where a sweep was stopped. */
function readResults(file: string): Map<string, SweepRow> {
  if (!existsSync(file)) return new Map();
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new FileError(`cannot read the results '${file}': ${reasonOf(error)}`);
  }
  const results = new Map<string, SweepRow>();
  const lines = text.split('\n');
  const rest = lines.pop()!;
  for (const [at, line] of lines.entries()) {
    try {
      const { key, row } = JSON.parse(line) as { key: unknown; row: SweepRow };
      if (typeof key !== 'string' || !isRow(row)) throw new Error();
      results.set(key, row);
    } catch {
      throw new FileError(`'${file}' holds no results of atoll explore: line ${at + 1} is none`);
    }
  }
  if (rest !== '') {
    if (!rest.startsWith(LINE_BEGINS)) throw new FileError(`'${file}' holds no results of atoll explore`);
    truncateSync(file, Buffer.byteLength(text) - Buffer.byteLength(rest));
  }
  return results;
}

const NUMBERS = [
  'kernels',
  'seconds',
  'calls',
  'notifications',
  'events_per_second',
  'kernel_entries',
  'lock_waiting_cycles',
  'lines_moved',
  'faults',
] as const satisfies readonly (keyof SweepRow)[];

function isRow(row: Partial<SweepRow> | null): row is SweepRow {
  return (
    typeof row === 'object' &&
    row !== null &&
    NUMBERS.every((figure) => typeof row[figure] === 'number') &&
    typeof row.machine === 'string' &&
    typeof row.ended === 'string' &&
    typeof row.elided === 'boolean' &&
    [row.call_cycles, row.aborts].every((figure) => ['undefined', 'number'].includes(typeof figure))
  );
}

function writeResult(file: string, key: string, row: SweepRow): void {
  try {
    appendFileSync(file, `${JSON.stringify({ key, row })}\n`);
  } catch (error) {
    throw cannotWrite('results', file, error);
  }
}
