export { protectionDomain } from './program.js';
export type {
  Channel,
  Child,
  Msginfo,
  Program,
  ProgramFactory,
  ProtectionDomain,
  RegionArray,
  RegionArrayConstructor,
} from './program.js';
