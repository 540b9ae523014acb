/**
 * Machines that are described well enough in public to be simulated. Latencies are less the L1's own (3 or 4 cycles),
 * which is part of an instruction's cost. What is not in this list is an estimate of the same order, and says so beside
 * it; `--latency` and machine files replace it. No figure is chosen by what comes out of the simulation.
 *
 * [c2c] github.com/nviennot/core-to-core-latency, README: medians of a line passed on by compare-and-exchange, one way.
 *       A core's line costs what was measured, less the exchange itself, the L1 and the hops that the model adds; a test
 *       holds the presets to it (coherence.test.ts). In cycles at the clock that all cores sustain:
 *         Intel Core i9-9900K     4.7 GHz   21 ns
 *         Intel Xeon 8275CL       3.6 GHz   47 ns in a package, 134 ns between two
 *         AMD EPYC 7R13 (Milan)   3.6 GHz   23 ns in a complex, 107 ns in a package, 197 ns between two
 *         AWS Graviton2           2.5 GHz   47 ns; Neoverse N1 on Arm's CMN-600 as Altra is, of which there is none
 * [l4re] l4re.org, performance overview: what an IPC between address spaces costs more than one inside (A76 137,
 *       Neoverse-N1 142, A53 129 cycles), and half a null system call there and back (70, 71, 115): a kernel entry.
 * [sel4] trustworthy.systems, comparative performance: seL4's whole IPC on Haswell is 301 cycles, of which about 200
 *       remain for entering and leaving where the kernel's own instructions are counted.
 * [rome] anandtech.com/show/14694, page 7: L1 4 cycles; L2 12 to 14; L3 34 on Rome, 46 on a Xeon 8280; 122 ns to
 *       Rome's memory. [milan] anandtech.com/show/16529, page 4: Milan's L3, 46 cycles.
 * [7cpu] 7-cpu.com: Skylake L2 12, L3 42 cycles, memory 42 cycles and 51 ns; a step on the ring 2 cycles (Ivy Bridge);
 *       Cortex-A53 L1 3, L2 15 cycles; Cortex-A15, of whose L2 the A72's is a descendant, L1 4, L2 21.
 * [scu] Arm's Cortex-A53 reference manual, 7.3.3: a snoop that finds the line in an L1 is answered 3 cycles later than
 *       one that finds it in the L2; as long as an access of that L1 takes.
 * [altra] anandtech.com/show/16979, page 3: four cores at each crosspoint of the mesh.
 * [mesh] Intel's mesh: a tile down 1 cycle, a tile across 2, of a clock of 2.4 GHz: 1.5 on average, 2.25 at 3.6 GHz.
 * The founding message has a dozen cycles a line through a shared L2. On a Raspberry Pi 4, issue 44 of [c2c] has 90 ns one
 *       way between two A72: by pairs of exclusives that fail and are tried again. It is dearer there than here.
 * [llvm] `MicroOpBufferSize` in LLVM's scheduling models: A53 0, A57 (used for the A72) and Neoverse-N1 128, Skylake 224,
 *       Zen 3 256: how many instructions may be under way, 0 where they execute in order.
 * [a72] Arm's Cortex-A72 reference manual, 6.4: up to six lines may be on their way. The others' fill buffers are estimates:
 *       12 for Skylake, of which sources have 10 or 12, and 24 for Zen 3.
 * [gharachorloo] "Two Techniques to Enhance the Performance of Memory Consistency Models", 1991: what comes after an
 *       operation that orders memory can be fetched before that is done. Measured on a Xeon of the Sapphire Rapids
 *       generation: of lines that another core wrote last, an exchange and a load by turns take 11 ns each, where one
 *       that waits for the one before takes 79. So it is for x86 here; Arm's cores are taken to wait for acquire.
 * [epiphany] Linley Newsletter, 25 October 2016, of the Epiphany-V, a mesh of 32 by 32 cores: an extremely simple core,
 *       which issues two instructions and has five stages. So here a core on such a mesh is taken to execute in order.
 */
import { TopologyError, layOut } from '../topology/topology.js';
import { topologyFromFile } from '../topology/hwloc.js';
import { factsOf, type Layout } from './layout.js';
import { readMachineFile } from './machine-file.js';
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
 * Measured on a Xeon of the Sapphire Rapids generation, in loops: a transaction that reads the lock and commits takes 50
 * cycles, one that aborts at once 184, of which the beginning is about 25. What is written must stay in the L1 of 32 KiB,
 * what is read in the L2, as in Intel's implementation; whoever was aborted so often, be it since another took the lock,
 * takes the lock, as in Intel's sample code. These figures are used for all machines, also those without transactions.
 */
const TSX: TransactionCosts = {
  begin: 25,
  commit: 25,
  abort: 159,
  attempts: 5,
  writeLines: 512,
  readLines: 4096,
};

interface Shape extends Layout {
  readonly title: string;
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
    // [7cpu] for an A15's L2, and 4 for a snoop: as long as its L1 takes, as in [scu]. Further away: estimates.
    latencies: {
      l2: 17,
      l3: 0,
      sharedL2: 21,
      sharedL3: 0,
      package: 150,
      machine: 0,
      hop: 0,
      memory: 200,
      remoteMemory: 200,
    },
    // [l4re] of the A76: 137 + 70; [llvm]; [a72]. Estimated: three instructions wide, and an exclusive pair.
    core: {
      megahertz: 1500,
      cyclesPerInstruction: 0.7,
      kernelEntry: 207,
      atomic: 8,
      window: 128,
      misses: 6,
      atomicsStall: 1,
    },
  },
  'cortex-a53': {
    title: 'Arm Cortex-A53 class: 8 cores, two clusters of 4 that each share an L2',
    packages: 1,
    coresPerPackage: 8,
    l1: 32 * KIB,
    l2: { bytes: 512 * KIB, cores: 4 },
    interconnect: { kind: 'flat' },
    // [7cpu] for the L2, and [scu] for a snoop. Between clusters and to memory, through Arm's CCI: estimates.
    latencies: {
      l2: 12,
      l3: 0,
      sharedL2: 15,
      sharedL3: 0,
      package: 110,
      machine: 0,
      hop: 0,
      memory: 150,
      remoteMemory: 150,
    },
    // [l4re]: 129 + 115; [llvm]. Two wide, and three lines at a time: estimates.
    core: {
      megahertz: 1200,
      cyclesPerInstruction: 1.1,
      kernelEntry: 244,
      atomic: 8,
      window: 0,
      misses: 3,
      atomicsStall: 1,
    },
  },
  'ampere-altra': {
    title: 'Ampere Altra: 80 cores with private L2 on a mesh',
    packages: 1,
    coresPerPackage: 80,
    l1: 64 * KIB,
    l2: { bytes: MIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 80 },
    // [altra]
    interconnect: { kind: 'mesh', width: 5, coresPerStop: 4 },
    // [c2c]: 47 ns are 118 cycles; less 8, 4 and 8.6 hops of 3 these are 80. Hop, L3 and memory (100 ns) are estimates.
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
    // [l4re]: 142 + 71; [llvm]. Four wide, and 20 lines at a time: estimates.
    core: {
      megahertz: 3000,
      cyclesPerInstruction: 0.5,
      kernelEntry: 213,
      atomic: 8,
      window: 128,
      misses: 20,
      atomicsStall: 1,
    },
  },
  'intel-client': {
    title: 'Intel client: 8 cores around a ring, an L3 slice at each',
    packages: 1,
    coresPerPackage: 8,
    l1: 32 * KIB,
    l2: { bytes: 256 * KIB, cores: 1 },
    l3: { bytes: 16 * MIB, cores: 8 },
    interconnect: { kind: 'ring' },
    // [c2c]: 21 ns are 99 cycles; less 18, 4 and 6.3 hops these are 64. [7cpu]: the L3's 42 less 4 and 4 hops of 2 on
    // average; memory 42 + 51 ns at 4 GHz.
    latencies: {
      l2: 8,
      l3: 30,
      sharedL2: 0,
      sharedL3: 64,
      package: 64,
      machine: 0,
      hop: 2,
      memory: 242,
      remoteMemory: 242,
    },
    // [sel4]; [llvm]. Four wide and more: an estimate. An exchange: Agner Fog's instruction tables, 18 to 20.
    core: {
      megahertz: 4700,
      cyclesPerInstruction: 0.4,
      kernelEntry: 200,
      atomic: 18,
      window: 224,
      misses: 12,
      atomicsStall: 0,
    },
  },
  'intel-server': {
    title: 'Intel server: 2 packages of 28 cores, each on a mesh',
    packages: 2,
    coresPerPackage: 28,
    l1: 32 * KIB,
    l2: { bytes: MIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 28 },
    interconnect: { kind: 'mesh', width: 6 },
    // [rome] for L2, and the L3's 46 less 4 and 7 hops; [mesh] a hop; [c2c]: 47 ns are 169 cycles, less 18, 4 and 10.4
    // hops 124; 134 ns are 482, less 18, 4 and 20.3 hops 415. Memory, 80 and 137 ns, is an estimate.
    latencies: {
      l2: 10,
      l3: 26,
      sharedL2: 0,
      sharedL3: 124,
      package: 124,
      machine: 415,
      hop: 2.25,
      memory: 288,
      remoteMemory: 493,
    },
    core: {
      megahertz: 3600,
      cyclesPerInstruction: 0.4,
      kernelEntry: 200,
      atomic: 18,
      window: 224,
      misses: 12,
      atomicsStall: 0,
    },
  },
  'amd-epyc': {
    title: 'AMD EPYC: 2 packages of 64 cores in complexes of 8 that share an L3',
    packages: 2,
    coresPerPackage: 64,
    l1: 32 * KIB,
    l2: { bytes: 512 * KIB, cores: 1 },
    l3: { bytes: 32 * MIB, cores: 8 },
    interconnect: { kind: 'flat' },
    // [rome] for L2, [milan] for L3; [c2c]: 83, 385 and 709 cycles, less 16 and 4. [rome] for memory, 122 ns, and as much
    // more for another package's as for its cores' lines: 90 ns.
    latencies: {
      l2: 8,
      l3: 42,
      sharedL2: 0,
      sharedL3: 63,
      package: 365,
      machine: 689,
      hop: 0,
      memory: 435,
      remoteMemory: 760,
    },
    core: {
      megahertz: 3600,
      cyclesPerInstruction: 0.4,
      kernelEntry: 200,
      atomic: 16,
      window: 256,
      misses: 24,
      atomicsStall: 0,
    },
  },
  'mesh-1024': {
    title: 'synthetic: 1,024 cores with private L2 on a mesh of 32 by 32',
    packages: 1,
    coresPerPackage: 1024,
    l1: 32 * KIB,
    l2: { bytes: 256 * KIB, cores: 1 },
    interconnect: { kind: 'mesh', width: 32 },
    // There is none: a core as the A72 but in order, [epiphany], what a line costs without its way as on Altra, a hop too.
    latencies: {
      l2: 10,
      l3: 0,
      sharedL2: 0,
      sharedL3: 0,
      package: 80,
      machine: 0,
      hop: 3,
      memory: 300,
      remoteMemory: 300,
    },
    core: {
      megahertz: 2000,
      cyclesPerInstruction: 0.7,
      kernelEntry: 207,
      atomic: 8,
      window: 0,
      misses: 3,
      atomicsStall: 1,
    },
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
const ASSUMED: Pick<MachineModel, 'interconnect' | 'latencies' | 'core' | 'transactions'> = {
  interconnect: { kind: 'flat' },
  transactions: TSX,
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
  core: {
    megahertz: 2500,
    cyclesPerInstruction: 0.6,
    kernelEntry: 200,
    atomic: 12,
    window: 128,
    misses: 10,
    atomicsStall: 1,
  },
};

/**
 * A machine to simulate: a preset, a machine file (.json), or an hwloc XML file's topology with assumed costs.
 * @param latencies replace what the preset, the file or the assumption says.
 * @throws TopologyError when there is neither preset nor file, or a figure is not as it must be.
 */
export function simulatedModel(spec: string, latencies: Partial<Latencies> = {}): MachineModel {
  const { interconnect, transactions } = ASSUMED;
  const model = spec.endsWith('.json')
    ? readMachineFile(spec, presetOrHwloc, { interconnect, transactions })
    : presetOrHwloc(spec);
  return checkModel({ ...model, latencies: { ...model.latencies, ...latencies } });
}

function presetOrHwloc(spec: string): MachineModel {
  return spec.endsWith('.xml') ? { name: spec, topology: topologyFromFile(spec), ...ASSUMED } : preset(spec);
}
