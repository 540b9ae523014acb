/** `atoll plan`: which domain should run on which core of which cluster, and what that costs. */
import { dirname } from 'node:path';
import { clustersOf, type Topology } from '../machine/topology/index.js';
import { loadElements, loadSystem, type Arch, type SystemDescription } from '../system/description/index.js';
import { exportPlan, writeExport } from '../system/placement/export.js';
import { MOST_LINES } from '../system/placement/links.js';
import { place, placed, type Placement } from '../system/placement/placement.js';
import type { Costs } from '../system/placement/problem.js';
import { readProfile } from '../system/placement/profile.js';
import { ASSUMED } from '../system/placement/traffic.js';
import { machineShape } from './machine.js';
import { milliseconds } from './report.js';
import { table } from './table.js';

interface PlanOptions {
  /** As {@link clustersOf}. */
  readonly clusters: string;
  /** The file of a profile. */
  readonly profile?: string;
}

export interface PlanCommandOptions extends PlanOptions {
  readonly arch: Arch;
  readonly machine: string;
  readonly searchPath?: readonly string[];
  readonly json?: boolean;
  /** A folder. */
  readonly export?: string;
  readonly force?: boolean;
  readonly sharedBase: bigint;
  readonly lines?: number;
}

/** @throws DescriptionError, TopologyError or FileError */
export async function planCommand(file: string, options: PlanCommandOptions): Promise<void> {
  const { arch, searchPath = [dirname(file)], json = false, force = false } = options;
  const system = loadSystem(file, { arch, searchPath });
  const topology = await machineShape(options.machine);
  const placement = plan(system, topology, options);
  if (options.export !== undefined) {
    const { sharedBase, lines = MOST_LINES } = options;
    const elements = loadElements(file);
    const files = exportPlan({ system, elements, topology, placement, sharedBase, lines, searchPath });
    writeExport(options.export, files, force);
  }
  process.stdout.write(json ? `${JSON.stringify(placement)}\n` : describePlan(placement, topology, options));
}

/** The plan, and the description with each domain where it puts it. @throws as `planCommand` */
export function planned(
  described: SystemDescription,
  topology: Topology,
  options: PlanOptions,
): { placement: Placement; system: SystemDescription } {
  const placement = plan(described, topology, options);
  return { placement, system: placed(described, placement) };
}

function plan(system: SystemDescription, topology: Topology, options: PlanOptions): Placement {
  const profile = options.profile === undefined ? undefined : readProfile(options.profile, system);
  return place(system, topology, clustersOf(topology, options.clusters), profile);
}

function describePlan(placement: Placement, topology: Topology, options: PlanCommandOptions): string {
  const { domains, planned, written, optimal, dominant } = placement;
  const cell = (costs: Costs | undefined, cause: keyof Costs): string =>
    costs === undefined ? '-' : milliseconds(costs[cause]);
  const causes: readonly (readonly [keyof Costs, string])[] = [
    ['calls', 'protected calls'],
    ['notifications', 'notifications'],
    ['memory', 'lines of shared regions'],
    ['waiting', 'waiting for others on the core'],
    ['overload', 'work that does not fit on its core'],
    ['total', 'all'],
  ];
  return [
    `Machine: ${topology.source}, ${topology.cores.length} cores. ${
      options.profile === undefined
        ? `Without --profile, ${ASSUMED.calls} calls and ${ASSUMED.notifications} notifications a second are assumed of each channel.`
        : `Rates are those of ${options.profile}.`
    }`,
    '',
    table(
      ['domain', 'core', 'cluster', 'load', 'as written'],
      domains.map(({ name, core, cluster, load, pinned, written }) => [
        name,
        `${core}`,
        `${cluster}`,
        `${(load * 100).toFixed(1)}%`,
        pinned ? 'pinned' : `core ${written}`,
      ]),
    ),
    '',
    table(
      ['ms of a core each second, for', 'as written', 'as planned'],
      causes.map(([cause, words]) => [words, cell(written, cause), cell(planned, cause)]),
    ),
    '',
    optimal
      ? 'Nothing is cheaper: that is proved.'
      : 'It is the cheapest that was found; there may be a cheaper one.',
    ...(written === undefined
      ? ['As written it cannot run: a domain is on a core that no cluster has.']
      : []),
    ...(dominant.length === 0 ? [] : ['', 'What costs most:']),
    ...dominant.map(
      ({ between: [a, b], distance, what, cost }) =>
        `  ${a} and ${b}, ${distance}: ${milliseconds(cost)} ms, mostly ${what}`,
    ),
    ...(options.export === undefined
      ? []
      : ['', `Written to ${options.export}: a description for each cluster, clusters.json and clusters.md.`]),
    '',
  ].join('\n');
}
