/**
 * The topology region: the machine's shape, for programs that are granted it (docs/topology-region.md).
 *
 * Here are the layout and its reader, which runs in programs and outside alike; `machine/topology/region.ts` writes it.
 */
import type { Cache, CacheKind, Core, NumaNode, Package } from './machine/topology/topology.js';

/** The first word: the bytes `ATOL`. All numbers are little-endian. */
export const MAGIC = 0x4c4f5441;
/** The second word. It changes when a reader of the old layout would misread the new one. */
export const VERSION = 1;

export type FieldType = 'i32' | 'u64' | 'f32' | 'f64';

/**
 * The tables in the order of the header, and the types of a record's fields, each aligned to its size. A set of cores is
 * two fields: index of its first in `lists`, and how many. The last two are matrices: a record is a row of fields of
 * the one type.
 */
export const TABLES = {
  /** Identifier, cores. */
  packages: ['i32', 'i32', 'i32'],
  /** Identifier, cores, 0, bytes of memory. */
  nodes: ['i32', 'i32', 'i32', 'i32', 'u64'],
  /** Level, index in {@link CACHE_KINDS}, bytes of a line, cores, 0, bytes. */
  caches: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'u64'],
  /** The operating system's CPU, package, node, the lowest of its hardware-thread siblings, cluster. */
  cores: ['i32', 'i32', 'i32', 'i32', 'i32'],
  /** Identifier, index in {@link KERNELS}, cores. */
  clusters: ['i32', 'i32', 'i32', 'i32'],
  /** Cluster, 0, physical address, bytes. */
  memory: ['i32', 'i32', 'u64', 'u64'],
  /** Core. */
  lists: ['i32'],
  /** By node and node, in the order of `nodes`: as ACPI's SLIT has it, NaN where not known. */
  distances: ['f64'],
  /** By core and core: nanoseconds that a line takes there and back, NaN where not known. */
  lineRoundTrips: ['f32'],
} as const satisfies Record<string, readonly FieldType[]>;

export type TableName = keyof typeof TABLES;
/** The annotation lets a bundler leave all of this out of programs that do not read a topology. */
export const TABLE_NAMES = /* @__PURE__ */ Object.keys(TABLES) as readonly TableName[];

/** Four words: magic, version, bytes of all, 0. Then four for each table: offset, records, bytes of a record, 0. */
export const HEADER_BYTES = 160;

export const CACHE_KINDS: readonly CacheKind[] = ['data', 'instruction', 'unified'];
/** What runs on a cluster. The first: no kernel, since it has no domain. */
export const KERNELS = [undefined, 'unicore', 'smp'] as const;
/** In a field for a cluster. */
export const NO_CLUSTER = -1;
/** In a field of 64 bits; NaN outside of the region. */
export const UNKNOWN = 0xffff_ffff_ffff_ffffn;

export interface VisibleCore extends Core {
  /** The {@link VisibleCluster.id}; undefined where `--clusters` leaves the core out. */
  readonly cluster: number | undefined;
}

export interface VisibleCluster {
  readonly id: number;
  readonly cores: readonly number[];
  /** Its kernel's image; undefined where none was booted, since no domain is there. */
  readonly kernel: (typeof KERNELS)[number];
}

/** A range of physical memory. */
export interface MemoryRange {
  /** Whose partition it is; undefined for the regions that clusters share, which lie outside of all partitions. */
  readonly cluster: number | undefined;
  readonly base: number;
  /** Bytes. */
  readonly size: number;
}

/** The machine that a system runs on. Cores are named by their `id`, which is what a description's `cpu` names. */
export interface MachineTopology {
  readonly packages: readonly Package[];
  readonly nodes: readonly NumaNode[];
  /** Empty where the machine hides its caches. */
  readonly caches: readonly Cache[];
  /** `cores[i].id === i`. */
  readonly cores: readonly VisibleCore[];
  readonly clusters: readonly VisibleCluster[];
  readonly memory: readonly MemoryRange[];
  /**
   * Nanoseconds that a cache line takes from one core to another and back, as measured when the system was started.
   * 0 from a core to itself; NaN where it was not measured. Allocates nothing.
   * @throws RangeError when there is no such core.
   */
  readonly lineRoundTrip: (from: number, to: number) => number;
}

/**
 * Reads a topology: in a program from `pd.region(symbol)`, elsewhere from the region's bytes. Takes a copy of them.
 * @throws RangeError when they are no topology, are damaged, or have a version that this reader does not know.
 */
export function readTopology(region: Uint8Array): MachineTopology {
  const bytes = region.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkHeader(view);
  const lists = records(view, 'lists').map(([core]) => core);
  const coresAt = (first: number, count: number): number[] => lists.slice(first, first + count);
  const clusterOf = (cluster: number): number | undefined => (cluster === NO_CLUSTER ? undefined : cluster);
  const distances = records(view, 'distances');
  const cores = records(view, 'cores').map(([cpu, packageId, node, physical, cluster], id) => ({
    ...{ id, cpu, package: packageId, node, physical },
    cluster: clusterOf(cluster),
  }));
  const costs = place(view, 'lineRoundTrips');

  return {
    packages: records(view, 'packages').map(([id, ...set]) => ({ id, cores: coresAt(set[0], set[1]) })),
    nodes: records(view, 'nodes').map(([id, first, count, , memoryBytes], index) => ({
      ...{ id, cores: coresAt(first, count) },
      ...(Number.isNaN(memoryBytes) ? {} : { memoryBytes }),
      ...(index >= distances.length || distances[index].some(Number.isNaN)
        ? {}
        : { distances: distances[index] }),
    })),
    caches: records(view, 'caches').map(([level, kind, lineBytes, first, count, , sizeBytes]) => ({
      ...{ level, kind: CACHE_KINDS[kind], lineBytes, cores: coresAt(first, count) },
      ...(Number.isNaN(sizeBytes) ? {} : { sizeBytes }),
    })),
    cores,
    clusters: records(view, 'clusters').map(([id, kernel, first, count]) => ({
      ...{ id, cores: coresAt(first, count), kernel: KERNELS[kernel] },
    })),
    memory: records(view, 'memory').map(([cluster, , base, size]) => ({
      ...{ cluster: clusterOf(cluster), base, size },
    })),
    lineRoundTrip: (from, to) => {
      if (cores[from] === undefined || cores[to] === undefined)
        throw new RangeError(`there is no such core: cores are 0 to ${cores.length - 1}`);
      if (from === to) return 0;
      return costs.count === 0 ? NaN : view.getFloat32(costs.offset + from * costs.stride + 4 * to, true);
    },
  };
}

function checkHeader(view: DataView): void {
  if (view.byteLength < HEADER_BYTES || view.getUint32(0, true) !== MAGIC)
    throw new RangeError('these bytes are no topology');
  const version = view.getUint32(4, true);
  if (version !== VERSION)
    throw new RangeError(`the topology has version ${version}; this reader knows version ${VERSION}`);
}

/** Where a table is. @throws RangeError unless all of it is there. */
function place(view: DataView, name: TableName): { offset: number; count: number; stride: number } {
  const at = 16 + 16 * TABLE_NAMES.indexOf(name);
  const [offset, count, stride] = [0, 4, 8].map((field) => view.getUint32(at + field, true));
  if (stride < recordBytes(name, count) || offset + count * stride > view.byteLength)
    throw new RangeError(`the topology is damaged: its table '${name}' does not fit`);
  return { offset, count, stride };
}

/** A table's records, each an array of its fields. */
function records(view: DataView, name: TableName): number[][] {
  const { offset, count, stride } = place(view, name);
  const types = isMatrix(name) ? new Array<FieldType>(count).fill(TABLES[name][0]) : TABLES[name];
  return Array.from({ length: count }, (_, index) => {
    let at = offset + index * stride;
    return types.map((type) => {
      const value = READ[type](view, at);
      at += FIELD_BYTES[type];
      return value;
    });
  });
}

const READ: Readonly<Record<FieldType, (view: DataView, at: number) => number>> = {
  i32: (view, at) => view.getInt32(at, true),
  u64: (view, at) => {
    const value = view.getBigUint64(at, true);
    return value === UNKNOWN ? NaN : Number(value);
  },
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
};

export const FIELD_BYTES: Readonly<Record<FieldType, number>> = { i32: 4, u64: 8, f32: 4, f64: 8 };

export function isMatrix(name: TableName): boolean {
  return name === 'distances' || name === 'lineRoundTrips';
}

/** Bytes of a table's record; `columns` is a matrix's. */
export function recordBytes(name: TableName, columns: number): number {
  const types: readonly FieldType[] = TABLES[name];
  if (isMatrix(name)) return columns * FIELD_BYTES[types[0]];
  return types.reduce((bytes, type) => bytes + FIELD_BYTES[type], 0);
}
