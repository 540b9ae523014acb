/** Machines all of whose packages are alike: what presets and machine files describe. */
import type { CpuFacts, MachineFacts } from '../topology/topology.js';

export interface Layout {
  readonly packages: number;
  readonly coresPerPackage: number;
  /** Bytes, and how many cores in a row share it. */
  readonly l1: number;
  readonly l2: { readonly bytes: number; readonly cores: number };
  readonly l3?: { readonly bytes: number; readonly cores: number };
}

/** `source`: for people. Each package is a node. */
export function factsOf(source: string, shape: Layout): MachineFacts {
  const { packages, coresPerPackage } = shape;
  const count = packages * coresPerPackage;
  const cpus = Array.from({ length: count }, (_, cpu): CpuFacts => ({
    cpu,
    package: Math.floor(cpu / coresPerPackage),
    physical: cpu,
  }));
  const groups = (size: number): number[][] =>
    Array.from({ length: count / size }, (_, group) =>
      Array.from({ length: size }, (_, index) => group * size + index),
    );
  const caches = (level: number, sizeBytes: number, cores: number): MachineFacts['caches'] =>
    groups(cores).map((cpus) => ({
      level,
      kind: level === 1 ? ('data' as const) : ('unified' as const),
      sizeBytes,
      lineBytes: 64,
      cpus,
    }));
  return {
    source,
    cpus,
    nodes: groups(coresPerPackage).map((cpus, id) => ({ id, cpus })),
    caches: [
      ...caches(1, shape.l1, 1),
      ...caches(2, shape.l2.bytes, shape.l2.cores),
      ...(shape.l3 ? caches(3, shape.l3.bytes, shape.l3.cores) : []),
    ],
  };
}
