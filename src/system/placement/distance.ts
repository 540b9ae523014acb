/**
 * What it costs that two domains which have to do with each other are on two cores, by the distance between those:
 * the one place where the planner's figures stand (docs/placement.md says where they come from).
 */
import type { Cluster, Topology } from '../../machine/topology/index.js';

/** How far apart two cores are. */
export const DISTANCES = ['same core', 'same cluster', 'other cluster'] as const;
export type Distance = (typeof DISTANCES)[number];

/** Nanoseconds that one event costs: so many fixed, and so many transfers of a cache line between the two cores. */
export interface EventCost {
  readonly fixed: number;
  readonly lines: number;
}

/**
 * On one core all lines are in its cache. Between cores of a cluster, both use one kernel's state: about ten lines a
 * call, and an interrupt each way. Between clusters, explicit messages of few lines, but more kernel entries.
 */
export const CALL_COST: Readonly<Record<Distance, EventCost>> = {
  'same core': { fixed: 50, lines: 0 },
  'same cluster': { fixed: 400, lines: 10 },
  'other cluster': { fixed: 600, lines: 4 },
};
export const NOTIFICATION_COST: Readonly<Record<Distance, EventCost>> = {
  'same core': { fixed: 100, lines: 0 },
  'same cluster': { fixed: 200, lines: 6 },
  'other cluster': { fixed: 300, lines: 1.6 },
};

/** One line of a region that two domains share, once one of them has written it. */
export const REGION_LINE_COST: Readonly<Record<Distance, EventCost>> = {
  'same core': { fixed: 0, lines: 0 },
  'same cluster': { fixed: 0, lines: 1 },
  'other cluster': { fixed: 0, lines: 1 },
};

/** Nanoseconds, one way, that a line takes where nobody measured it: by what two cores have in common. */
export const LINE_COST_NS = {
  physicalCore: 10,
  level2: 22,
  level3: 60,
  package: 100,
  /** For the distance 20 between nodes, as the firmware counts: 10 is local. Other distances in proportion. */
  otherNode: 200,
  otherPackage: 250,
} as const;

/** A line's cost from core to core in nanoseconds, `cores.length` squared: measured, or else by what they share. */
export function lineCosts(topology: Topology): Float64Array {
  const count = topology.cores.length;
  const costs = new Float64Array(count * count);
  // The nearest cache of each core, for each level: caches are ordered by level.
  const cachesOf = topology.cores.map(() => new Map<number, number>());
  topology.caches.forEach(({ level, kind, cores }, index) => {
    if (kind !== 'instruction') for (const core of cores) cachesOf[core].set(level, index);
  });
  const nodeIndex = new Map(topology.nodes.map(({ id }, index) => [id, index]));
  const byLevel = (a: number, b: number): number => {
    const [coreA, coreB] = [topology.cores[a], topology.cores[b]];
    if (coreA.physical === coreB.physical) return LINE_COST_NS.physicalCore;
    const shared = (level: number): boolean =>
      cachesOf[a].has(level) && cachesOf[a].get(level) === cachesOf[b].get(level);
    if (shared(2)) return LINE_COST_NS.level2;
    if (shared(3)) return LINE_COST_NS.level3;
    if (coreA.node !== coreB.node) {
      const distance = topology.nodes[nodeIndex.get(coreA.node)!]?.distances?.[nodeIndex.get(coreB.node)!];
      if (distance !== undefined)
        return Math.max(LINE_COST_NS.package, (LINE_COST_NS.otherNode * distance) / 20);
    }
    if (coreA.package !== coreB.package) return LINE_COST_NS.otherPackage;
    return coreA.node === coreB.node ? LINE_COST_NS.package : LINE_COST_NS.otherNode;
  };
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < a; b++) {
      const measured = topology.lineCost?.[a]?.[b];
      const cost = measured === undefined || !(measured > 0) ? byLevel(a, b) : measured;
      costs[a * count + b] = costs[b * count + a] = cost;
    }
  }
  return costs;
}

/** The distances of a machine cut into clusters. Row and column of the tables are places in `cores`. */
export interface Distances {
  /** The cores that a domain may be placed on: those of all clusters, ascending. */
  readonly cores: readonly number[];
  /** For each of `cores`, the index of its cluster. */
  readonly clusters: readonly number[];
  /** Index into {@link DISTANCES}. */
  readonly distance: Uint8Array;
  /** Nanoseconds of a line, one way. */
  readonly line: Float64Array;
}

export function distancesOf(topology: Topology, clusters: readonly Cluster[]): Distances {
  const placed = clusters
    .flatMap(({ cores }, cluster) => cores.map((core) => ({ core, cluster })))
    .sort((a, b) => a.core - b.core);
  const lines = lineCosts(topology);
  const count = placed.length;
  const distance = new Uint8Array(count * count);
  const line = new Float64Array(count * count);
  placed.forEach((a, i) => {
    placed.forEach((b, j) => {
      distance[i * count + j] = i === j ? 0 : a.cluster === b.cluster ? 1 : 2;
      line[i * count + j] = lines[a.core * topology.cores.length + b.core];
    });
  });
  return {
    cores: placed.map(({ core }) => core),
    clusters: placed.map(({ cluster }) => cluster),
    distance,
    line,
  };
}
