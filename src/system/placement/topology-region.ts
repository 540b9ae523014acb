/**
 * The topology region of a system: one region outside of all partitions, mapped read-only into the domains that are
 * granted it, on whatever cluster they are.
 */
import { writeTopology, type Cluster, type Topology } from '../../machine/topology/index.js';
import type { MemoryRange, VisibleCluster } from '../../topology-region.js';
import type { MapDescription, MemoryRegion, SystemDescription } from '../description/index.js';
import type { SystemPlan } from './plan.js';

const PAGE = 4096n;

/**
 * The system with a topology region, where a domain is granted one. Besides, each such domain has the number of its own
 * core in a variable, the region's symbol with `_cpu` behind it.
 */
export function withTopologyRegion(
  system: SystemDescription,
  topology: Topology,
  clusters: readonly Cluster[],
): SystemDescription {
  if (system.grants.length === 0) return system;
  const { at } = system.grants[0];
  const bytes = writeTopology(topology, visible(clusters, []), ranges(clusters, [])).length;
  const size = ((BigInt(bytes) + PAGE - 1n) / PAGE) * PAGE;
  const region: MemoryRegion = {
    ...{ name: 'topology', size, pageSize: PAGE, pageSizeSpecified: false },
    ...{ prefillTopology: true, at },
  };
  const index = system.memoryRegions.length;
  return {
    ...system,
    memoryRegions: [...system.memoryRegions, region],
    protectionDomains: system.protectionDomains.map((pd, number) => {
      const grant = system.grants.find((each) => each.pd === number);
      if (grant === undefined) return pd;
      const map: MapDescription = {
        ...{ region: index, mr: region.name, vaddr: 0n, cached: true, setvarVaddr: grant.symbol },
        ...{ perms: { r: true, w: false, x: false }, at: grant.at },
      };
      const cpu = { symbol: `${grant.symbol}_cpu`, kind: 'cpu', value: BigInt(pd.cpu), at } as const;
      return { ...pd, maps: [...pd.maps, map], setvars: [...pd.setvars, cpu] };
    }),
  };
}

/** Fills the region, where the plan has one: before any domain runs, and once. */
export function fillTopologyRegion(
  plan: SystemPlan,
  topology: Topology,
  clusters: readonly Cluster[],
  memory: ArrayBufferLike,
): void {
  const region = plan.regions.find(({ holdsTopology }) => holdsTopology);
  if (region === undefined) return;
  const bytes = writeTopology(
    topology,
    visible(clusters, plan.clusters),
    ranges(clusters, plan.clusters, plan),
  );
  new Uint8Array(memory, region.sharedAddress, region.size).set(bytes);
}

type Booted = Pick<SystemPlan['clusters'][number], 'id' | 'image' | 'base' | 'size'>;

function visible(clusters: readonly Cluster[], booted: readonly Booted[]): VisibleCluster[] {
  return clusters.map((cluster) => ({
    ...cluster,
    kernel: booted.find(({ id }) => id === cluster.id)?.image,
  }));
}

/** What is shared, then a range for each cluster, empty where none is booted: so their number is known beforehand. */
function ranges(
  clusters: readonly Cluster[],
  booted: readonly Booted[],
  { sharedBase, sharedSize }: Pick<SystemPlan, 'sharedBase' | 'sharedSize'> = {
    sharedBase: 0,
    sharedSize: 0,
  },
): MemoryRange[] {
  return [
    { cluster: undefined, base: sharedBase, size: sharedSize },
    ...clusters.map(({ id }) => {
      const { base, size } = booted.find((each) => each.id === id) ?? { base: 0, size: 0 };
      return { cluster: id, base, size };
    }),
  ];
}
