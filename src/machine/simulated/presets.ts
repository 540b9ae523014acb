/**
 * Machines that are described well enough in public to be simulated. Latencies are less the L1's own, which is part of an
 * instruction's cost. Sources:
 * - kernel entry on Arm: l4re.org, performance overview: what an IPC between address spaces costs more than one inside
 *   (A76 137, Neoverse-N1 142, A53 129 cycles), and half a null system call there and back (70, 71, 115).
 * - kernel entry on x86: seL4's whole IPC on Haswell is 301 cycles (trustworthy.systems, comparative performance).
 * - L2 and L3 of AMD Zen and Intel's server: AnandTech 14694 (L1 4, L2 12 to 14, L3 34 to 46 cycles).
 * - the ring: 7-cpu.com, Ivy Bridge (L3 26 to 34 cycles by slice, 2 a step); a line that another core modified: 75 cycles
 *   on Nehalem, 40 ns on Broadwell-EP (Intel forum 700477).
 * - a shared L2: the founding message's dozen cycles a line. The mesh of 1,024: a router of three stages and a link a hop.
 * All other figures are estimates of the same order; `--latency` replaces them.
 */
import { TopologyError, layOut, type CpuFacts, type MachineFacts } from '../topology/topology.js';
import { topologyFromFile } from '../topology/hwloc.js';
import {
  checkModel,
  type Interconnect,
  type Latencies,
  type MachineModel,
  type TransactionCosts,
} from './model.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Estimates: begin and commit together about what the atomics of an uncontended lock cost, an abort about what a refilled
 * pipeline and a restored register file do. What is written must stay in the L1 of 32 KiB, what is read in the L2, as
 * in Intel's implementation. These figures are used for all machines, also those that have no transactions.
 */
const TSX: TransactionCosts = {
  begin: 20,
  commit: 25,
  abort: 150,
  attempts: 5,
  writeLines: 512,
  readLines: 4096,
};

interface Shape {
  readonly title: string;
  readonly packages: number;
  readonly coresPerPackage: number;
  /** Bytes, and how many cores in a row share it. */
  readonly l1: number;
  readonly l2: { readonly bytes: number; readonly cores: number };
  readonly l3?: { readonly bytes: number; readonly cores: number };
  readonly interconnect: Interconnect;
  readonly latencies: MachineModel['latencies'];
  readonly core: MachineModel['core'];
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'cortex-a72': {
    title: 'Arm Cortex-A72 class: 4 cores that share an L2',
    packages: 1,
    coresPerPackage: 4,
    l1: 32 * KIB,
    l2: { bytes: 2 * MIB, cores: 4 },
    interconnect: { kind: 'flat' },
    latencies: {
      l2: 15,
      l3: 0,
      sharedL2: 17,
      sharedL3: 0,
      package: 150,
      machine: 0,
      hop: 0,
      memory: 200,
      remoteMemory: 200,
    },
    core: { megahertz: 1500, cyclesPerInstruction: 0.7, kernelEntry: 207, atomic: 8 },
  },
  'cortex-a53': {
    title: 'Arm Cortex-A53 class: 8 cores, two clusters of 4 that each share an L2',
    packages: 1,
    coresPerPackage: 8,
    l1: 32 * KIB,
    l2: { bytes: 512 * KIB, cores: 4 },
    interconnect: { kind: 'flat' },
    latencies: {
      l2: 12,
      l3: 0,
      sharedL2: 14,
      sharedL3: 0,
      package: 110,
      machine: 0,
      hop: 0,
      memory: 150,
      remoteMemory: 150,
    },
    core: { megahertz: 1200, cyclesPerInstruction: 1.1, kernelEntry: 244, atomic: 8 },
  },
  'ampere-altra': {
    title: 'Ampere Altra: 80 cores with private L2 on a mesh',
    packages: 1,
    coresPerPackage: 80,
    l1: 64 * KIB,
    l2: { bytes: MIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 80 },
    interconnect: { kind: 'mesh', width: 10 },
    latencies: {
      l2: 7,
      l3: 50,
      sharedL2: 0,
      sharedL3: 80,
      package: 80,
      machine: 0,
      hop: 3,
      memory: 300,
      remoteMemory: 300,
    },
    core: { megahertz: 3000, cyclesPerInstruction: 0.5, kernelEntry: 213, atomic: 8 },
  },
  'intel-client': {
    title: 'Intel client: 8 cores around a ring, an L3 slice at each',
    packages: 1,
    coresPerPackage: 8,
    l1: 32 * KIB,
    l2: { bytes: 256 * KIB, cores: 1 },
    l3: { bytes: 16 * MIB, cores: 8 },
    interconnect: { kind: 'ring' },
    latencies: {
      l2: 8,
      l3: 30,
      sharedL2: 0,
      sharedL3: 55,
      package: 55,
      machine: 0,
      hop: 2,
      memory: 230,
      remoteMemory: 230,
    },
    core: { megahertz: 3600, cyclesPerInstruction: 0.4, kernelEntry: 200, atomic: 18 },
  },
  'intel-server': {
    title: 'Intel server: 2 packages of 28 cores, each on a mesh',
    packages: 2,
    coresPerPackage: 28,
    l1: 32 * KIB,
    l2: { bytes: MIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 28 },
    interconnect: { kind: 'mesh', width: 6 },
    latencies: {
      l2: 10,
      l3: 50,
      sharedL2: 0,
      sharedL3: 90,
      package: 90,
      machine: 290,
      hop: 3,
      memory: 220,
      remoteMemory: 370,
    },
    core: { megahertz: 2700, cyclesPerInstruction: 0.4, kernelEntry: 200, atomic: 18 },
  },
  'amd-epyc': {
    title: 'AMD EPYC: 2 packages of 64 cores in complexes of 8 that share an L3',
    packages: 2,
    coresPerPackage: 64,
    l1: 32 * KIB,
    l2: { bytes: 512 * KIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 8 },
    interconnect: { kind: 'flat' },
    latencies: {
      l2: 8,
      l3: 42,
      sharedL2: 0,
      sharedL3: 75,
      package: 300,
      machine: 650,
      hop: 0,
      memory: 320,
      remoteMemory: 600,
    },
    core: { megahertz: 2450, cyclesPerInstruction: 0.4, kernelEntry: 200, atomic: 16 },
  },
  'mesh-1024': {
    title: 'synthetic: 1,024 cores with private L2 on a mesh of 32 by 32',
    packages: 1,
    coresPerPackage: 1024,
    l1: 32 * KIB,
    l2: { bytes: 256 * KIB, cores: 1 },
    interconnect: { kind: 'mesh', width: 32 },
    latencies: {
      l2: 10,
      l3: 0,
      sharedL2: 0,
      sharedL3: 0,
      package: 80,
      machine: 0,
      hop: 4,
      memory: 300,
      remoteMemory: 300,
    },
    core: { megahertz: 2000, cyclesPerInstruction: 0.7, kernelEntry: 207, atomic: 8 },
  },
};

/** The names of all presets. */
export const PRESETS: readonly string[] = Object.keys(SHAPES);

/** @throws TopologyError when there is no such preset. */
export function preset(name: string): MachineModel {
  const shape = Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined;
  if (shape === undefined)
    throw new TopologyError(`there is no preset '${name}'; there are ${PRESETS.join(', ')}`);
  const { title, interconnect, latencies, core } = shape;
  const topology = layOut(factsOf(`${name}: ${title}`, shape));
  return checkModel({ name, topology, interconnect, latencies, core, transactions: TSX });
}

/** What is assumed of a machine of which only the topology is known: middling figures, by distance. */
const ASSUMED: Pick<MachineModel, 'interconnect' | 'latencies' | 'core'> = {
  interconnect: { kind: 'flat' },
  latencies: {
    l2: 10,
    l3: 40,
    sharedL2: 17,
    sharedL3: 70,
    package: 150,
    machine: 400,
    hop: 0,
    memory: 250,
    remoteMemory: 400,
  },
  core: { megahertz: 2500, cyclesPerInstruction: 0.6, kernelEntry: 200, atomic: 12 },
};

/**
 * A machine to simulate: a preset, or an hwloc XML file's topology with assumed costs.
 * @param latencies replace what the preset or the assumption says.
 * @throws TopologyError when there is neither preset nor file, or a latency is not as it must be.
 */
export function simulatedModel(spec: string, latencies: Partial<Latencies> = {}): MachineModel {
  const model: MachineModel = spec.endsWith('.xml')
    ? { name: spec, topology: topologyFromFile(spec), ...ASSUMED, transactions: TSX }
    : preset(spec);
  return checkModel({ ...model, latencies: { ...model.latencies, ...latencies } });
}

function factsOf(source: string, shape: Shape): MachineFacts {
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
