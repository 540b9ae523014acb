/** Systems and machines for tests of the planner. */
import type { Topology } from '../../../src/machine/topology/index.js';
import { parseSystem, type SystemDescription } from '../../../src/system/description/index.js';

/** A machine of cores `perCluster` of which share an L2, all of them an L3, with no line cost measured. */
export function machineOf(cores: number, perCluster: number): Topology {
  const ids = Array.from({ length: cores }, (_, id) => id);
  const l2s = Array.from({ length: cores / perCluster }, (_, l2) =>
    ids.slice(l2 * perCluster, (l2 + 1) * perCluster),
  );
  return {
    source: 'a test',
    packages: [{ id: 0, cores: ids }],
    nodes: [{ id: 0, cores: ids }],
    caches: [
      ...l2s.map((cores) => ({ level: 2, kind: 'unified' as const, lineBytes: 64, cores })),
      { level: 3, kind: 'unified', lineBytes: 64, cores: ids },
    ],
    cores: ids.map((id) => ({ id, cpu: id, package: 0, node: 0, physical: id })),
  };
}

export function parse(content: string): SystemDescription {
  return parseSystem(`<system>${content}</system>`, { file: 'test.system', arch: 'aarch64' });
}
