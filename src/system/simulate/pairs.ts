/** Kernels, mostly on the simulated machine, and on each core a client that is about to call a server. */
import {
  InitialSlot,
  InterruptLine,
  Invocation,
  ObjectType,
  Register,
  Rights,
  SizeBits,
} from '../../../kernel/api/constants.js';
import { Invoker, readBootInfo } from '../../core/invocation.js';
import {
  NO_DEVICES,
  compileKernel,
  instantiateKernel,
  type Kernel,
  type KernelImage,
} from '../../core/kernel.js';
import type { SimulatedMachine } from '../../machine/simulated/machine.js';
import { ObjectAllocator, ROOT_CNODE } from '../initialiser/objects.js';

/** Slots in the client's and the server's CNode. */
export const ENDPOINT = 1;
export const REPLY = 2;
const CNODE_RADIX = 4;
const CLIENT_PRIORITY = 1;
const SERVER_PRIORITY = 2;

/** Bytes of a cache line, in which more than one endpoint or reply object has room. */
const LINE_BYTES = 64;
const ENDPOINTS_A_LINE = LINE_BYTES >> SizeBits.Endpoint;
const REPLIES_A_LINE = LINE_BYTES >> SizeBits.Reply;

/** Instructions of a program's stub around a system call, besides the registers: libsel4's, about a dozen. */
const STUB_INSTRUCTIONS = 12;

export interface Pair {
  readonly kernel: Kernel;
  /** Physical addresses of the TCBs, which are also the programs' handles. */
  readonly client: number;
  readonly server: number;
}

export interface PairsOptions {
  readonly image: KernelImage;
  /** Physical address of the cluster's partition, and its size in bytes: {@link partitionSize}. */
  readonly base: number;
  readonly size: number;
  readonly cores: number;
  /**
   * How many neighbouring pairs have their endpoints in one cache line, and their reply objects in others: 1, or up to
   * 4, as they lie when a root task makes them one after the other.
   */
  readonly packed?: number;
  /** Further pairs on each core, ready but never chosen. */
  readonly pairsPerCore?: number;
}

const modules = new Map<KernelImage, WebAssembly.Module>();

/** A power of two, enough for a cluster's kernel and {@link bootPairs}. */
export function partitionSize(cores: number, pairsPerCore = 1): number {
  const bytes =
    32 * 1024 + cores * (8 * 1024 + pairsPerCore * 5 * 1024) + (32 << rootBits(cores, pairsPerCore));
  return 2 ** Math.ceil(Math.log2(bytes));
}

function rootBits(cores: number, pairsPerCore: number): number {
  const slotsAPair = 16;
  return Math.ceil(Math.log2(128 + cores * (1 + pairsPerCore * slotsAPair)));
}

/** Boots one cluster on a simulated machine, which takes no virtual time. */
export function bootPairs(machine: SimulatedMachine, options: PairsOptions): Pair[] {
  const { image } = options;
  let module = modules.get(image);
  if (module === undefined) modules.set(image, (module = compileKernel(image, true)));
  return bootPairsOf(module, machine.memory, options, { simulation: machine.instrumentation });
}

/** Boots one cluster. On each core, its server waits and its client is current. `imports`: those of the image, besides a kernel's. */
export function bootPairsOf(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  options: Omit<PairsOptions, 'image'>,
  imports?: Readonly<Record<string, object>>,
): Pair[] {
  const { base, size, cores, packed = 1, pairsPerCore = 1 } = options;
  const kernels = Array.from({ length: cores }, (_, core) =>
    instantiateKernel(module, memory, base, core, NO_DEVICES, imports),
  );
  const bits = rootBits(cores, pairsPerCore);
  const info = readBootInfo(memory.buffer, kernels[0].boot(size, cores, 0, 0, bits));
  const invoker = new Invoker(kernels[0], memory.buffer, info.initialTCB);
  const objects = new ObjectAllocator(invoker, info);

  const thread = (core: number, priority: number): { cnode: number; tcb: number } => {
    const tcb = objects.make(ObjectType.TCB);
    const context = objects.make(ObjectType.SchedContext, 1, SizeBits.MinSchedContext).slot;
    const cnode = objects.make(ObjectType.CapTable, 1, CNODE_RADIX).slot;
    const configure = Invocation.SchedControlConfigureFlags;
    invoker.call(InitialSlot.FirstSchedControl + core, configure, [1000, 1000, 0, 0, 0], [context]);
    invoker.call(tcb.slot, Invocation.TCBSetSpace, [64 - CNODE_RADIX], [0, cnode]);
    const parameters = Invocation.TCBSetSchedParams;
    invoker.call(tcb.slot, parameters, [priority, priority], [InitialSlot.ThreadTCB, context, 0]);
    const resume = 1;
    invoker.call(tcb.slot, Invocation.TCBWriteRegisters, [resume, 2, 0, tcb.address]);
    return { cnode, tcb: tcb.address };
  };
  const sleep = objects.make(ObjectType.Notification).slot;
  let endpoints = 0;
  let replies = 0;
  const pairs: Pair[] = [];
  for (let index = 0; index < cores * pairsPerCore; index++) {
    const core = index % cores;
    const place = index % packed;
    if (place === 0) endpoints = objects.make(ObjectType.Endpoint, ENDPOINTS_A_LINE).slot;
    if (place % REPLIES_A_LINE === 0) replies = objects.make(ObjectType.Reply, REPLIES_A_LINE).slot;
    const client = thread(core, CLIENT_PRIORITY);
    const server = thread(core, SERVER_PRIORITY);
    const give = (cnode: number, slot: number, from: number): void =>
      invoker.copy(cnode, slot, CNODE_RADIX, ROOT_CNODE, from, 64, Rights.All);
    give(client.cnode, ENDPOINT, endpoints + place);
    give(server.cnode, ENDPOINT, endpoints + place);
    give(server.cnode, REPLY, replies + (place % REPLIES_A_LINE));
    pairs.push({ kernel: kernels[core], client: client.tcb, server: server.tcb });
  }
  kernels[0].wait(sleep);
  kernels.forEach((kernel, core) => {
    if (core > 0) kernel.interrupt(InterruptLine.Reschedule);
    // The servers of this core, which come first by their priority.
    for (let pair = 0; pair < pairsPerCore; pair++) kernel.recv(ENDPOINT, REPLY);
  });
  return pairs.slice(0, cores);
}

/** What a client or server does before it enters the kernel: takes its message, and writes another of four words. */
export function writeMessage(machine: SimulatedMachine, tcb: number): void {
  const { words } = machine;
  const info = (tcb + Register.MsgInfo) / 4;
  const first = (tcb + Register.MR0) / 4;
  machine.touch(tcb + Register.MR0, 32, false);
  words[info] = 4;
  words[info + 1] = 0;
  words[first]++;
  machine.touch(tcb + Register.MsgInfo, 40, true);
  machine.execute(STUB_INSTRUCTIONS);
}

/** How many messages client and server have written, as the client has it from the last: each has counted on. */
export function messagesCounted(machine: SimulatedMachine, { client }: Pair): number {
  return machine.words[(client + Register.MR0) / 4];
}

export function call(pair: Pair): void {
  pair.kernel.call(ENDPOINT, pair.client);
}

export function replyRecv(pair: Pair): void {
  pair.kernel.replyRecv(ENDPOINT, REPLY, pair.server);
}
