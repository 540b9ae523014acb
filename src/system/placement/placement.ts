/** The planner: which domain runs on which core of which cluster, so that the system costs least. */
import type { Cluster, Topology } from '../../machine/topology/index.js';
import { DescriptionError, type SystemDescription } from '../description/index.js';
import { distancesOf, type Distance } from './distance.js';
import { type Costs, type PairCosts, explain, problemOf } from './problem.js';
import type { Profile } from './profile.js';
import { search } from './search.js';
import { trafficOf } from './traffic.js';

/** How many pairs of domains are named as those that cost most. */
const DOMINANT = 5;

export interface Placement {
  readonly domains: readonly {
    readonly name: string;
    readonly core: number;
    /** The {@link Cluster.id}. */
    readonly cluster: number;
    /** Whether the description names this core. */
    readonly pinned: boolean;
    /** The core as written: that of the description, which is 0 where it names none. */
    readonly written: number;
    /** The part of one core's time that the domain takes. */
    readonly load: number;
  }[];
  /** In seconds of a core's time, each second. */
  readonly planned: Costs;
  /** The same as written; absent where that cannot run, since a domain is on a core that is in no cluster. */
  readonly written?: Costs;
  /** Whether no placement is cheaper, by proof. */
  readonly optimal: boolean;
  /** The pairs of domains that cost most as planned, dearest first. */
  readonly dominant: readonly {
    readonly between: readonly [string, string];
    readonly distance: Distance;
    readonly what: PairCosts['what'];
    readonly cost: number;
  }[];
}

/**
 * Plans where domains run. A domain whose `cpu` the description names stays there. The same input gives the same plan.
 * @throws DescriptionError where a domain is pinned to a core that is not there, or that no cluster has.
 */
export function place(
  system: SystemDescription,
  topology: Topology,
  clusters: readonly Cluster[],
  profile?: Profile,
): Placement {
  const distances = distancesOf(topology, clusters);
  const placeOf = new Map(distances.cores.map((core, index) => [core, index]));
  const pinned = Int32Array.from(system.protectionDomains, ({ cpu, cpuPinned, at }) => {
    if (!cpuPinned) return -1;
    const index = placeOf.get(cpu);
    if (index !== undefined) return index;
    const why =
      cpu < topology.cores.length
        ? 'is in no cluster: --clusters leaves it out'
        : `is not there: this machine has the cores 0 to ${topology.cores.length - 1}`;
    throw new DescriptionError(`cpu ${cpu} ${why}`, { file: system.file, at, element: 'protection_domain' });
  });
  const graph = trafficOf(system, distances.cores.length, profile);
  const problem = problemOf(graph, distances, pinned);
  const written = Int32Array.from(system.protectionDomains, ({ cpu }) => placeOf.get(cpu) ?? -1);
  const runsAsWritten = !written.includes(-1);
  const { places, optimal } = search(graph, problem, runsAsWritten ? written : undefined);
  const { costs, pairs } = explain(graph, problem, places);
  const names = system.protectionDomains.map(({ name }) => name);
  return {
    domains: system.protectionDomains.map(({ name, cpu }, index) => ({
      name,
      core: distances.cores[places[index]],
      cluster: clusters[distances.clusters[places[index]]].id,
      pinned: pinned[index] >= 0,
      written: cpu,
      load: problem.loads[index],
    })),
    planned: costs,
    ...(runsAsWritten ? { written: explain(graph, problem, written).costs } : {}),
    optimal,
    dominant: pairs
      .slice(0, DOMINANT)
      .flatMap(({ a, b, distance, what, cost }) =>
        cost > 0 ? [{ between: [names[a], names[b]] as const, distance, what, cost }] : [],
      ),
  };
}

/** The description with each domain where the plan puts it. */
export function placed(system: SystemDescription, { domains }: Placement): SystemDescription {
  return {
    ...system,
    protectionDomains: system.protectionDomains.map((pd, index) => ({
      ...pd,
      cpu: domains[index].core,
      cpuPinned: true,
    })),
  };
}
