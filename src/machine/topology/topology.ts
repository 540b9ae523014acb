/**
 * The shape of a machine: which cores there are, and what they share.
 *
 * A core is one hardware thread (hwloc's "PU", a Linux CPU), as a node is in seL4's multicore kernel. The hardware
 * threads of one physical core are siblings: they share its L1 and L2, so they end in one cluster.
 */

import { groupBy } from './group-by.js';

/** Everything that is known of a machine. Cores are named by {@link Core.id} wherever they are listed. */
export interface Topology {
  /** Where this was learnt, for people. */
  readonly source: string;
  /** Ordered by id. */
  readonly packages: readonly Package[];
  /** Ordered by id. A node may have no cores: memory alone, or cores that this process may not use. */
  readonly nodes: readonly NumaNode[];
  /** Ordered by level, then by first core. Empty where the system hides them. */
  readonly caches: readonly Cache[];
  /** `cores[i].id === i`. */
  readonly cores: readonly Core[];
  /**
   * What it costs to bring a cache line from core `i` to core `j`: `lineCost[i][j]` in nanoseconds, one way, that
   * is half a round trip. Symmetric, 0 on the diagonal, NaN (null in JSON) where it could not be measured.
   */
  readonly lineCost?: readonly (readonly number[])[];
  readonly lineCostSource?: 'measured' | 'model';
}

export interface Core {
  /** 0 to n-1 without holes, in the order of {@link cpu}: what a system description's `cpu` names. */
  readonly id: number;
  /** The operating system's number, which may have holes: what a thread is pinned to. */
  readonly cpu: number;
  /** The {@link Package.id}. */
  readonly package: number;
  /** The {@link NumaNode.id}. */
  readonly node: number;
  /** The lowest core id among this core's hardware-thread siblings: equal for siblings, and for no others. */
  readonly physical: number;
}

/** What sits in one socket. */
export interface Package {
  readonly id: number;
  readonly cores: readonly number[];
}

export interface NumaNode {
  readonly id: number;
  readonly cores: readonly number[];
  readonly memoryBytes?: number;
  /** To each node in the order of {@link Topology.nodes}, in the units of ACPI's SLIT: 10 is local. */
  readonly distances?: readonly number[];
}

export type CacheKind = 'data' | 'instruction' | 'unified';

export interface Cache {
  /** 1 to 5; 1 is nearest to the core. */
  readonly level: number;
  readonly kind: CacheKind;
  readonly sizeBytes?: number;
  readonly lineBytes: number;
  /** The cores that share it. */
  readonly cores: readonly number[];
}

/** A machine, its description, or the way to cut it, is not as it must be. The message says what to do next. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';

  /** @param at where in which file, when the cause is a file's contents; line and column count from 1. */
  constructor(
    message: string,
    readonly at?: { readonly file: string; readonly line: number; readonly column: number },
  ) {
    super(at ? `${message}: ${at.file}:${at.line}:${at.column}` : message);
  }
}

/** The line size to assume where a system does not say: that of all current Arm, RISC-V and x86 server cores. */
export const DEFAULT_LINE_BYTES = 64;

/** One hardware thread as a source describes it, in operating system's numbers. */
export interface CpuFacts {
  readonly cpu: number;
  readonly package: number;
  /** Any number that the hardware threads of one physical core, and they alone, have in common. */
  readonly physical: number;
}

/** What a source knows of a machine, with CPUs in the operating system's numbers. */
export interface MachineFacts {
  readonly source: string;
  readonly cpus: readonly CpuFacts[];
  readonly nodes: readonly (Omit<NumaNode, 'cores'> & { readonly cpus: readonly number[] })[];
  readonly caches: readonly (Omit<Cache, 'cores'> & { readonly cpus: readonly number[] })[];
}

/**
 * Numbers the cores and lays out the topology. CPUs that `facts.cpus` does not list (offline, or not allowed) are
 * left out of nodes and caches; a cache that no listed CPU uses is left out altogether. Where no node is known,
 * there is one, with all cores.
 */
export function layOut(facts: MachineFacts): Topology {
  const cpus = [...facts.cpus].sort((a, b) => a.cpu - b.cpu);
  const coreOf = new Map(cpus.map(({ cpu }, id) => [cpu, id]));
  const coresOf = (list: readonly number[]): number[] =>
    list
      .map((cpu) => coreOf.get(cpu))
      .filter((id) => id !== undefined)
      .sort((a, b) => a - b);

  const nodes = [...facts.nodes]
    .sort((a, b) => a.id - b.id)
    .map(({ cpus, ...node }) => ({ ...node, cores: coresOf(cpus) }));
  if (nodes.length === 0) nodes.push({ id: 0, cores: cpus.map((_, id) => id) });
  // Where two nodes are as near to a core (high-bandwidth memory beside ordinary), the lower number is its own.
  const nodeOf = new Map(nodes.toReversed().flatMap((node) => node.cores.map((core) => [core, node.id])));

  const firstOf = new Map<number, number>();
  cpus.forEach(({ physical }, id) => {
    if (!firstOf.has(physical)) firstOf.set(physical, id);
  });
  const cores = cpus.map((facts, id): Core => ({
    id,
    cpu: facts.cpu,
    package: facts.package,
    node: nodeOf.get(id) ?? nodes[0].id,
    physical: firstOf.get(facts.physical)!,
  }));

  const packages = groupBy(cores, (core) => core.package);
  return {
    source: facts.source,
    packages: [...packages]
      .sort(([a], [b]) => a - b)
      .map(([id, members]) => ({ id, cores: members.map((core) => core.id) })),
    nodes,
    caches: facts.caches
      .map(({ cpus, ...cache }) => ({ ...cache, cores: coresOf(cpus) }))
      .filter((cache) => cache.cores.length > 0)
      .sort((a, b) => a.level - b.level || a.kind.localeCompare(b.kind) || a.cores[0] - b.cores[0]),
    cores,
  };
}
