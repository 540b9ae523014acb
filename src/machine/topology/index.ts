/**
 * The machine that a command names: this computer, or one that a file describes.
 */

import { availableParallelism } from 'node:os';
import { measureLineCosts } from '../host/line-cost.js';
import { topologyFromFile } from './hwloc.js';
import { topologyFromSysfs } from './sysfs.js';
import { layOut, type Topology } from './topology.js';

export { NEAR_LINE_COST_NS, autoRule, clustersOf, type Cluster, type ClusterRule } from './clusters.js';
export { groupBy } from './group-by.js';
export { topologyFromFile } from './hwloc.js';
export { writeTopology } from './region.js';
export { formatNumberList, parseNumberList } from './number-list.js';
export {
  TopologyError,
  type Cache,
  type CacheKind,
  type Core,
  type NumaNode,
  type Package,
  type Topology,
} from './topology.js';

/**
 * Whether to measure line costs, which starts a thread for each core and takes a tenth of a second and more:
 * always, never, or where caches are hidden, so that `auto` clusters have something to go by.
 */
export type Measure = 'always' | 'where-caches-are-hidden' | 'never';

/**
 * This computer: the CPUs that this process may use.
 * @throws TopologyError when Linux shows no such CPU.
 */
export async function hostTopology(options: { readonly measure: Measure }): Promise<Topology> {
  if (process.platform !== 'linux') return countedTopology();
  const topology = topologyFromSysfs();
  const hidden = topology.caches.length === 0;
  if (options.measure === 'never' || (options.measure === 'where-caches-are-hidden' && !hidden))
    return topology;
  return { ...topology, lineCost: await measureLineCosts(topology), lineCostSource: 'measured' };
}

/**
 * @param spec `host`, or the path of an hwloc XML file, where nothing is measured.
 * @throws TopologyError
 */
export async function machineTopology(
  spec: string,
  options: { readonly measure: Measure } = { measure: 'where-caches-are-hidden' },
): Promise<Topology> {
  return spec === 'host' ? hostTopology(options) : topologyFromFile(spec);
}

/** Where the system shows nothing of its shape, and does not let threads be pinned. */
function countedTopology(): Topology {
  return layOut({
    source: `this computer, of which ${process.platform} shows the number of cores alone`,
    cpus: Array.from({ length: availableParallelism() }, (_, cpu) => ({ cpu, package: 0, physical: cpu })),
    nodes: [],
    caches: [],
  });
}
