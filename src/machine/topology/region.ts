/** Writes the topology region, whose layout and reader are `src/topology-region.ts`. */
import {
  CACHE_KINDS,
  FIELD_BYTES,
  type FieldType,
  HEADER_BYTES,
  KERNELS,
  MAGIC,
  type MemoryRange,
  NO_CLUSTER,
  TABLES,
  TABLE_NAMES,
  type TableName,
  UNKNOWN,
  VERSION,
  type VisibleCluster,
  recordBytes,
} from '../../topology-region.js';
import type { Topology } from './topology.js';

/** Offsets are multiples of it, so that every field is aligned to its size. */
const ALIGNMENT = 8;

/** The region's bytes. How many there are depends only on how many of each thing the machine has. */
export function writeTopology(
  topology: Topology,
  clusters: readonly VisibleCluster[],
  memory: readonly MemoryRange[],
): Uint8Array {
  const tables = fieldsOf(topology, clusters, memory);
  const offsets = new Map<TableName, number>();
  let end = HEADER_BYTES;
  for (const name of TABLE_NAMES) {
    offsets.set(name, end);
    const bytes = tables[name].length * recordBytes(name, tables[name].length);
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  [MAGIC, VERSION, end].forEach((word, index) => view.setUint32(4 * index, word, true));
  TABLE_NAMES.forEach((name, index) => {
    const types: readonly FieldType[] = TABLES[name];
    const records = tables[name];
    let at = offsets.get(name)!;
    const stride = recordBytes(name, records.length);
    [at, records.length, stride].forEach((word, field) =>
      view.setUint32(16 + 16 * index + 4 * field, word, true),
    );
    for (const record of records) {
      record.forEach((value, field) => {
        const type = types[field % types.length];
        WRITE[type](view, at, value);
        at += FIELD_BYTES[type];
      });
    }
  });
  return bytes;
}

function fieldsOf(
  topology: Topology,
  clusters: readonly VisibleCluster[],
  memory: readonly MemoryRange[],
): Record<TableName, readonly (readonly number[])[]> {
  const { packages, nodes, caches, cores, lineCost } = topology;
  const lists: number[][] = [];
  const set = (members: readonly number[]): [number, number] => {
    const first = lists.length;
    for (const core of members) lists.push([core]);
    return [first, members.length];
  };
  const clusterOf = new Map(clusters.flatMap(({ id, cores }) => cores.map((core) => [core, id])));
  return {
    packages: packages.map(({ id, cores }) => [id, ...set(cores)]),
    nodes: nodes.map(({ id, cores, memoryBytes = NaN }) => [id, ...set(cores), 0, memoryBytes]),
    caches: caches.map(({ level, kind, lineBytes, cores, sizeBytes = NaN }) => [
      ...[level, CACHE_KINDS.indexOf(kind), lineBytes],
      ...[...set(cores), 0, sizeBytes],
    ]),
    cores: cores.map(({ id, cpu, package: packageId, node, physical }) => [
      ...[cpu, packageId, node, physical, clusterOf.get(id) ?? NO_CLUSTER],
    ]),
    clusters: clusters.map(({ id, cores, kernel }) => [id, KERNELS.indexOf(kernel), ...set(cores)]),
    memory: memory.map(({ cluster = NO_CLUSTER, base, size }) => [cluster, 0, base, size]),
    lists,
    distances: nodes.some(({ distances }) => distances)
      ? nodes.map(({ distances }) => distances ?? nodes.map(() => NaN))
      : [],
    lineRoundTrips: lineCost?.map((row) => row.map((oneWay) => 2 * oneWay)) ?? [],
  };
}

const WRITE: Readonly<Record<FieldType, (view: DataView, at: number, value: number) => void>> = {
  i32: (view, at, value) => view.setInt32(at, value, true),
  u64: (view, at, value) => view.setBigUint64(at, Number.isNaN(value) ? UNKNOWN : BigInt(value), true),
  f32: (view, at, value) => view.setFloat32(at, value, true),
  f64: (view, at, value) => view.setFloat64(at, value, true),
};
