/**
 * `atoll bench kernel`: what does not depend on the computer. The images of the simulated machine report each access to
 * memory and count instructions, so the figures are exact and always the same.
 */
import { readFileSync } from 'node:fs';
import { InitialSlot, Invocation, ObjectType, Rights, SizeBits } from '../../kernel/api/constants.js';
import { Invoker, readBootInfo } from '../../src/core/invocation.js';
import {
  NO_DEVICES,
  compileKernel,
  instantiateKernel,
  type Kernel,
  type KernelImage,
} from '../../src/core/kernel.js';
import type { Instrumentation } from '../../src/machine/simulated/machine.js';
import { sharedMemory } from '../../src/machine/shared-memory.js';
import { ObjectAllocator, ROOT_CNODE } from '../../src/system/initialiser/objects.js';

export interface KernelFigures {
  /** Distinct 64-byte lines of the kernel's memory that a fastpath touches, `unicore`. */
  readonly call_fastpath_lines: number;
  readonly reply_recv_fastpath_lines: number;
  /** The same of `smp`, with its lock. */
  readonly smp_call_fastpath_lines: number;
  readonly smp_reply_recv_fastpath_lines: number;
  /** Instructions of both fastpaths together, `unicore`. */
  readonly fastpath_pair_instructions: number;
  /** The longest kernel entry of a hostile workload with a tree of 100,000 capabilities, and with one of 2,000. */
  readonly longest_entry_instructions: number;
  readonly longest_entry_instructions_2000: number;
  /** Bytes of the images. */
  readonly unicore_bytes: number;
  readonly smp_bytes: number;
}

export interface KernelReport extends KernelFigures {
  readonly targets: Readonly<
    Record<
      | 'call_fastpath_lines'
      | 'reply_recv_fastpath_lines'
      | 'smp_call_fastpath_lines'
      | 'smp_reply_recv_fastpath_lines'
      | 'unicore_bytes'
      | 'smp_bytes',
      { readonly at_most: number; readonly met: boolean }
    >
  > & { readonly longest_entry_does_not_grow: { readonly met: boolean } };
}

const BASE = 2 ** 20;
const LINE_BITS = 6;
const MOST_LINES = 10;
const MOST_BYTES = 48 * 1024;
/** Bytes that one instruction of a bulk operation moves. */
const BULK_BYTES = 32;

const CNODE_RADIX = 4;
const ENDPOINT = 1;
const REPLY = 2;

export function kernelBenchmark(): KernelReport {
  const unicore = fastpaths('unicore');
  const smp = fastpaths('smp');
  const figures: KernelFigures = {
    call_fastpath_lines: unicore.call.lines,
    reply_recv_fastpath_lines: unicore.replyRecv.lines,
    smp_call_fastpath_lines: smp.call.lines,
    smp_reply_recv_fastpath_lines: smp.replyRecv.lines,
    fastpath_pair_instructions: unicore.call.instructions + unicore.replyRecv.instructions,
    longest_entry_instructions: longestEntry(100_000),
    longest_entry_instructions_2000: longestEntry(2000),
    unicore_bytes: sizeOf('unicore'),
    smp_bytes: sizeOf('smp'),
  };
  const atMost = (figure: number, limit: number) => ({ at_most: limit, met: figure <= limit });
  return {
    ...figures,
    targets: {
      call_fastpath_lines: atMost(figures.call_fastpath_lines, MOST_LINES),
      reply_recv_fastpath_lines: atMost(figures.reply_recv_fastpath_lines, MOST_LINES),
      smp_call_fastpath_lines: atMost(figures.smp_call_fastpath_lines, MOST_LINES),
      smp_reply_recv_fastpath_lines: atMost(figures.smp_reply_recv_fastpath_lines, MOST_LINES),
      unicore_bytes: atMost(figures.unicore_bytes, MOST_BYTES),
      smp_bytes: atMost(figures.smp_bytes, MOST_BYTES),
      longest_entry_does_not_grow: {
        met: figures.longest_entry_instructions <= figures.longest_entry_instructions_2000,
      },
    },
  };
}

function sizeOf(image: KernelImage): number {
  return readFileSync(new URL(`../../kernel/${image}.wasm`, import.meta.url)).length;
}

interface Entry {
  readonly lines: number;
  readonly instructions: number;
}

/** A booted kernel whose entries are watched one by one. */
class Watched {
  readonly kernel: Kernel;
  readonly invoker: Invoker;
  readonly objects: ObjectAllocator;
  /** The longest entry so far, in instructions. */
  longest = 0;
  private instructions = 0;
  private readonly lines = new Set<number>();

  constructor(image: KernelImage, size: number, rootBits: number) {
    const memory = sharedMemory(BASE + size);
    const touch = (address: number, bytes: number): void => {
      const last = ((address >>> 0) + bytes - 1) >>> LINE_BITS;
      for (let line = address >>> LINE_BITS; line <= last; line++) this.lines.add(line);
    };
    const access = (address: number, bytes: number, _ready: number, executed: number): number => {
      this.instructions += executed;
      touch(address, bytes);
      return 0;
    };
    const lock = (address: number): number => {
      touch(address, 4);
      return 0;
    };
    const simulation: Instrumentation = {
      recent: 0,
      read: access,
      write: access,
      range: (_address, bytes) => (this.instructions += bytes / BULK_BYTES),
      execute: (executed) => (this.instructions += executed),
      lockLoad: lock,
      lockStore: lock,
      lockExchange: lock,
    };
    const machine = { ...NO_DEVICES, now: () => 0 };
    const kernel = instantiateKernel(compileKernel(image, true), memory, BASE, 0, machine, {
      simulation,
    });
    const info = readBootInfo(memory.buffer, kernel.boot(size, 1, 0, 0, rootBits));
    this.kernel = { ...kernel, call: (cptr, thread) => this.watch(() => kernel.call(cptr, thread)) };
    this.invoker = new Invoker(this.kernel, memory.buffer, info.initialTCB);
    this.objects = new ObjectAllocator(this.invoker, info);
  }

  private watch(enter: () => number): number {
    this.instructions = 0;
    const next = enter();
    this.longest = Math.max(this.longest, this.instructions);
    return next;
  }

  /** What one entry touches and executes. */
  measure(enter: (kernel: Kernel) => number): Entry {
    this.lines.clear();
    this.watch(() => enter(this.kernel));
    return { lines: this.lines.size, instructions: this.instructions };
  }
}

/** A client that calls a server, and its reply. */
function fastpaths(image: KernelImage): { readonly call: Entry; readonly replyRecv: Entry } {
  const watched = new Watched(image, 2 ** 20, 8);
  const { kernel, invoker, objects } = watched;
  const endpoint = objects.make(ObjectType.Endpoint).slot;
  const thread = (priority: number): { cnode: number; tcb: number } => {
    const tcb = objects.make(ObjectType.TCB);
    const context = objects.make(ObjectType.SchedContext, 1, SizeBits.MinSchedContext).slot;
    const cnode = objects.make(ObjectType.CapTable, 1, CNODE_RADIX).slot;
    const configure = Invocation.SchedControlConfigureFlags;
    invoker.call(InitialSlot.FirstSchedControl, configure, [1000, 1000, 0, 0, 0], [context]);
    invoker.call(tcb.slot, Invocation.TCBSetSpace, [64 - CNODE_RADIX], [0, cnode]);
    const parameters = Invocation.TCBSetSchedParams;
    invoker.call(tcb.slot, parameters, [priority, priority], [InitialSlot.ThreadTCB, context, 0]);
    invoker.copy(cnode, ENDPOINT, CNODE_RADIX, ROOT_CNODE, endpoint, 64, Rights.All);
    invoker.call(tcb.slot, Invocation.TCBWriteRegisters, [1, 2, 0, priority]);
    return { cnode, tcb: tcb.address };
  };
  const client = thread(1);
  const server = thread(2);
  const reply = objects.make(ObjectType.Reply).slot;
  invoker.copy(server.cnode, REPLY, CNODE_RADIX, ROOT_CNODE, reply, 64, Rights.All);
  kernel.wait(objects.make(ObjectType.Notification).slot);
  kernel.recv(ENDPOINT, REPLY);
  const call = (): Entry => watched.measure((entered) => entered.call(ENDPOINT, client.tcb));
  const replyRecv = (): Entry => watched.measure((entered) => entered.replyRecv(ENDPOINT, REPLY, server.tcb));
  call();
  replyRecv();
  return { call: call(), replyRecv: replyRecv() };
}

/** Everything that could take long: a tree of so many capabilities built, revoked and deleted, and memory cleared. */
function longestEntry(capabilities: number): number {
  const watched = new Watched('unicore', 2 ** 24, 12);
  const { invoker, objects } = watched;
  const radix = Math.ceil(Math.log2(capabilities));
  const memory = objects.make(ObjectType.Untyped, 1, radix + SizeBits.Slot);
  const retype = (type: ObjectType, bits: number, slot: number, count = 1): void =>
    invoker.retype(memory.slot, type, bits, ROOT_CNODE, slot, count);
  const cnode = objects.slots(1);
  retype(ObjectType.CapTable, radix, cnode);
  const endpoint = objects.make(ObjectType.Endpoint).slot;
  const fill = (): void => {
    // Each badged capability is derived from the endpoint's, and every second copied again from the one before.
    for (let slot = 0; slot < capabilities; slot++) {
      if (slot % 2 === 0) invoker.mint(cnode, slot, radix, ROOT_CNODE, endpoint, 64, Rights.All, slot + 1);
      else invoker.copy(cnode, slot, radix, cnode, slot - 1, radix, Rights.All);
    }
  };
  fill();
  invoker.call(ROOT_CNODE, Invocation.CNodeRevoke, [endpoint, 64]);
  fill();
  invoker.call(ROOT_CNODE, Invocation.CNodeDelete, [cnode, 64]);
  // What the CNode was made of is cleared, and as many objects made as one call can.
  retype(ObjectType.Endpoint, 0, objects.slots(256), 256);
  invoker.call(ROOT_CNODE, Invocation.CNodeRevoke, [memory.slot, 64]);
  return watched.longest;
}
