/**
 * How a machine is cut into clusters: one kernel image for each.
 *
 * The rule is the founding message's: a single image makes sense where cores share an L2, for there the ten or so
 * cache lines that a fastpath touches come at about a dozen cycles each. A shared L3 is not enough.
 */

import { groupBy } from './group-by.js';
import { NumberListError, formatNumberList, parseNumberList } from './number-list.js';
import { TopologyError, type Topology } from './topology.js';

export interface Cluster {
  /** Its index in the list of clusters. */
  readonly id: number;
  /** Core ids, ascending. */
  readonly cores: readonly number[];
}

/**
 * The line cost, in nanoseconds one way, up to which two cores count as sharing an L2.
 *
 * One way of a ping-pong is a chain: the store invalidates the other core's copy, the other core misses, looks up
 * the shared L2, which fetches the line from the L1 of the core that stored. Through a shared L2 each of these is
 * about 15 cycles, so all of it 60 to 75: 20 to 25 ns at 3 GHz. Hardware threads of one core are below that. A hop
 * over a ring or mesh to an L3 slice adds tens of cycles in each direction, another die or package hundreds.
 * A private L2 behind a small, fast L3 can come as near as a shared L2: then cost says that one image will do.
 */
export const NEAR_LINE_COST_NS = 25;

/** What `auto` goes by on this machine. */
export type ClusterRule = 'shared-l2' | 'line-cost' | 'unknown';

export function autoRule(topology: Topology): ClusterRule {
  if (topology.caches.some((cache) => cache.level === 2 && cache.kind !== 'instruction')) return 'shared-l2';
  return topology.lineCost?.some((row) => row.some((cost) => cost > 0)) ? 'line-cost' : 'unknown';
}

/**
 * @param spec `auto`, `one` (all cores), `per-core`, or cores by id: `0,1;2,3`, where `0-3` is a range.
 *   `auto` is a cluster for each set of cores that share an L2; where no L2 is known, for cores that are all within
 *   {@link NEAR_LINE_COST_NS} of each other; where nothing is known, for each physical core.
 *   Cores that an explicit list does not name are left unused.
 * @throws TopologyError when `spec` is none of these, names an unknown core, or a core twice.
 */
export function clustersOf(topology: Topology, spec: string): Cluster[] {
  const all = topology.cores.map((core) => core.id);
  switch (spec.trim()) {
    case 'one':
      return numbered([all]);
    case 'per-core':
      return numbered(all.map((core) => [core]));
    case 'auto':
      return numbered(autoGroups(topology));
    default:
      return numbered(listedGroups(topology, spec));
  }
}

function numbered(groups: number[][]): Cluster[] {
  return groups.map((cores, id) => ({ id, cores: cores.sort((a, b) => a - b) }));
}

function autoGroups(topology: Topology): number[][] {
  const threads = [...groupBy(topology.cores, (core) => core.physical).values()].map((siblings) =>
    siblings.map(({ id }) => id),
  );
  switch (autoRule(topology)) {
    case 'shared-l2': {
      const l2s = topology.caches.filter((cache) => cache.level === 2 && cache.kind !== 'instruction');
      const l2Of = new Map(l2s.flatMap((cache) => cache.cores.map((core) => [core, cache])));
      // A core that has no L2 shares it with nobody.
      const groups = groupBy(threads, (siblings) => l2Of.get(siblings[0]) ?? siblings);
      return [...groups.values()].map((threads) => threads.flat());
    }
    case 'line-cost':
      return mergeNear(threads, topology.lineCost!);
    case 'unknown':
      return threads;
  }
}

/**
 * Puts each physical core into the first cluster whose cores are all near to it. That all must be near keeps a mesh,
 * where each core is near to its neighbours, from becoming one cluster.
 */
function mergeNear(threads: number[][], cost: NonNullable<Topology['lineCost']>): number[][] {
  const groups: number[][] = [];
  for (const siblings of threads) {
    const group = groups.find((group) => group.every((core) => cost[core][siblings[0]] <= NEAR_LINE_COST_NS));
    if (group) group.push(...siblings);
    else groups.push([...siblings]);
  }
  return groups;
}

function listedGroups(topology: Topology, spec: string): number[][] {
  const usage = `--clusters is auto, one, per-core, or lists of cores such as "0,1;2,3"`;
  const count = topology.cores.length;
  const clusterOf = new Map<number, number>();
  return spec.split(';').map((list, cluster) => {
    let cores: number[];
    try {
      cores = parseNumberList(list);
    } catch (error) {
      if (!(error instanceof NumberListError)) throw error;
      throw new TopologyError(`invalid clusters '${spec}': ${error.message}; ${usage}`);
    }
    if (cores.length === 0) {
      throw new TopologyError(`invalid clusters '${spec}': cluster ${cluster} has no core; ${usage}`);
    }
    for (const core of cores) {
      if (core >= count) {
        const known = formatNumberList(topology.cores.map(({ id }) => id));
        throw new TopologyError(
          `invalid clusters '${spec}': there is no core ${core}; the machine has ${known}`,
        );
      }
      if (clusterOf.has(core)) {
        const where = clusterOf.get(core) === cluster ? `twice in cluster ${cluster}` : `in two clusters`;
        throw new TopologyError(`invalid clusters '${spec}': core ${core} is ${where}; name each core once`);
      }
      clusterOf.set(core, cluster);
    }
    return cores;
  });
}
