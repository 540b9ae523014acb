export { MemoryAnswer, MemoryRequest } from './memory-request.js';
export { protectionDomain } from './program.js';
export { readTopology } from './topology-region.js';
export type {
  Channel,
  Child,
  Msginfo,
  Program,
  ProgramFactory,
  ProtectionDomain,
  RegionArray,
  RegionArrayConstructor,
  Ring,
} from './program.js';
export type { MachineTopology, MemoryRange, VisibleCluster, VisibleCore } from './topology-region.js';
export type { Cache, CacheKind, Core, NumaNode, Package } from './machine/topology/topology.js';
