/**
 * A bare machine for the kernel's tests: one cluster's kernel instances over one small memory, all in one thread, and
 * no engine. A test is the processor: it makes the system calls of whichever thread is current.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Invocation, InitialSlot, Limit, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { compileKernel, instantiateKernel, type Kernel, type KernelImage } from '../../src/core/kernel.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { KernelMemory } from '../../src/core/inspect/memory.js';
import { Invoker, InvocationError, readBootInfo, type BootInformation } from '../../src/core/invocation.js';

/** The images under test: both, unless one is asked for. */
export const IMAGES = (process.env.ATOLL_IMAGES?.split(',') ?? ['unicore', 'smp']) as readonly KernelImage[];

/** Radix of a test thread's CNode; its guard fills the other bits, so that capability addresses are slot numbers. */
export const CSPACE_BITS = 6;
/** As CNode capability data: guard 0 of the bits that a CNode of `radix` leaves. */
export const guardFor = (radix: number): number => 64 - radix;
/** The line by which the harness wakes the initial thread. */
const WAKE_LINE = 63;
const BUFFER_CAPS = 122;
const BUFFER_RECEIVE = 125;
const SLOT_SIZE = 32;

/** An image as it is shipped, or its form without fastpaths, which does the same. */
export type Build = KernelImage | `${KernelImage} without fastpaths`;
export const BUILDS: readonly Build[] = IMAGES.flatMap((image) => [
  image,
  `${image} without fastpaths` as const,
]);

const modules = new Map<Build, WebAssembly.Module>();

function compiled(build: Build): WebAssembly.Module {
  const [image, isSlow] = build.split(' ') as [KernelImage, string?];
  const slowpath = new URL(`../../slowpath/${image}.wasm`, import.meta.url);
  const module =
    modules.get(build) ??
    (isSlow === undefined ? compileKernel(image) : new WebAssembly.Module(readFileSync(slowpath)));
  modules.set(build, module);
  return module;
}

export interface MachineOptions {
  readonly image?: Build;
  readonly cores?: number;
  readonly base?: number;
  readonly size?: number;
  readonly rootBits?: number;
  /** Scheduling domains. */
  readonly domains?: number;
  readonly memory?: WebAssembly.Memory;
  readonly device?: { readonly base: number; readonly size: number };
  /** In place of the image as it is, such as an instrumented one. */
  readonly instantiate?: (core: number, machine: Parameters<typeof instantiateKernel>[4]) => Kernel;
}

export interface ThreadOptions {
  readonly priority?: number;
  readonly mcp?: number;
  readonly core?: number;
  /** Without a scheduling context the thread is passive. */
  readonly passive?: boolean;
  /** False: no IPC buffer, so the message registers of the register file alone. */
  readonly buffer?: boolean;
  readonly running?: boolean;
}

export interface Message {
  readonly badge: bigint;
  readonly label: number;
  readonly words: bigint[];
  readonly extraCaps: number;
  readonly unwrapped: number;
}

export class Machine {
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  private readonly size: number;
  readonly kernels: Kernel[] = [];
  readonly info: BootInformation;
  readonly root: Thread;
  readonly masks: [irq: number, masked: boolean][] = [];
  readonly sgis: [target: number, irq: number][] = [];
  readonly ipis: number[] = [];
  /** What the kernel's clock shows, in microseconds. */
  time = 1000;
  private readonly threads = new Map<number, Thread>();
  private readonly words: BigUint64Array;
  private readonly view: DataView;
  private readonly invoker: Invoker;
  private readonly untyped: number;
  private nextSlot: number;
  readonly parkCptr: number;

  constructor(options: MachineOptions = {}) {
    const base = options.base ?? 1 << 20;
    const size = options.size ?? 4 << 20;
    const cores = options.cores ?? 1;
    this.base = base;
    this.size = size;
    this.memory =
      options.memory ??
      new WebAssembly.Memory({ initial: (base + size) >> 16, maximum: (base + size) >> 16, shared: true });
    this.words = new BigUint64Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    const module = options.instantiate ? undefined : compiled(options.image ?? 'unicore');
    for (let core = 0; core < cores; core++) {
      const machine = {
        maskInterrupt: (irq: number, masked: number) => {
          if (irq !== WAKE_LINE) this.masks.push([irq, masked !== 0]);
        },
        sendSGI: (target: number, irq: number) => this.sgis.push([target, irq]),
        sendIPI: (target: number) => {
          assert.notEqual(target, core, 'a core has no need to interrupt itself');
          this.ipis.push(target);
        },
        now: () => Math.round(this.time * 1000),
      };
      this.kernels.push(
        options.instantiate?.(core, machine) ?? instantiateKernel(module!, this.memory, base, core, machine),
      );
    }
    const device = options.device ?? { base: 0, size: 0 };
    const { rootBits = 10, domains } = options;
    const address = this.kernels[0].boot(size, cores, device.base, device.size, rootBits, domains);
    assert.notEqual(address, 0, 'the kernel boots');
    this.info = readBootInfo(this.memory.buffer, address);
    this.nextSlot = this.info.emptyStart;
    this.root = new Thread(this, InitialSlot.ThreadTCB, this.info.initialTCB, 1);
    this.threads.set(1, this.root);
    this.view.setUint32(this.info.initialTCB + Register.Program, 1, true);
    this.invoker = new Invoker(this.kernels[0], this.memory.buffer, this.info.initialTCB);
    this.untyped = this.info.untypeds
      .filter(({ device }) => !device)
      .reduce((a, b) => (b.sizeBits > a.sizeBits ? b : a)).cptr;
    this.parkCptr = this.create(ObjectType.Notification);
    this.handler(WAKE_LINE, this.parkCptr);
  }

  /** The cluster's memory as a checker sees it. */
  image(): KernelMemory {
    return new KernelMemory(
      this.memory.buffer,
      this.base,
      this.size,
      this.kernels.length,
      this.info.initialTCB,
    );
  }

  get largestUntyped(): number {
    return this.untyped;
  }

  /** An empty slot of the initial thread's CNode. */
  slot(): number {
    return this.nextSlot++;
  }

  /** Makes an invocation as the initial thread, which must be current or asleep. Returns the reply's words. */
  invoke(
    cptr: number,
    label: Invocation,
    words: readonly (number | bigint)[] = [],
    caps: readonly number[] = [],
  ): bigint[] {
    if (this.current() === this.root) return this.invoker.call(cptr, label, words, caps);
    this.wake();
    try {
      return this.invoker.call(cptr, label, words, caps);
    } finally {
      this.sleep();
    }
  }

  /** The initial thread waits, so that others can run. */
  sleep(): void {
    this.kernels[0].wait(this.parkCptr);
  }

  wake(): void {
    this.kernels[0].interrupt(WAKE_LINE);
    assert.equal(this.current(), this.root, 'the initial thread runs before all others');
  }

  /** The slot of a handler for an interrupt line, which signals a notification. */
  handler(line: number, notification: number): number {
    const handler = this.slot();
    const words = [line, handler, 64];
    this.invoke(InitialSlot.IRQControl, Invocation.IRQIssueIRQHandler, words, [InitialSlot.CNode]);
    this.invoke(handler, Invocation.IRQSetIRQHandler, [], [notification]);
    return handler;
  }

  create(type: ObjectType, bits = 0, untyped = this.untyped): number {
    const slot = this.slot();
    this.invoke(untyped, Invocation.UntypedRetype, [type, bits, 0, 0, slot, 1], [InitialSlot.CNode]);
    return slot;
  }

  mint(cnode: number, slot: number, source: number, rights = Rights.All, badge: number | bigint = 0): void {
    const depth = cnode === (InitialSlot.CNode as number) ? 64 : CSPACE_BITS;
    const label = badge === 0 ? Invocation.CNodeCopy : Invocation.CNodeMint;
    const words = [slot, depth, source, 64, rights, badge].slice(0, badge === 0 ? 5 : 6);
    this.invoke(cnode, label, words, [InitialSlot.CNode]);
  }

  /** Mints into a new slot of the initial thread's CNode. */
  derive(source: number, rights = Rights.All, badge: number | bigint = 0): number {
    const slot = this.slot();
    this.mint(InitialSlot.CNode, slot, source, rights, badge);
    return slot;
  }

  /** Deletes, and looks at what is left. */
  delete(slot: number): void {
    this.invoke(InitialSlot.CNode, Invocation.CNodeDelete, [slot, 64]);
    checkInvariants(this.image());
  }

  revoke(slot: number): void {
    this.invoke(InitialSlot.CNode, Invocation.CNodeRevoke, [slot, 64]);
    checkInvariants(this.image());
  }

  schedContext(core = 0): number {
    const sc = this.create(ObjectType.SchedContext, 7);
    this.invoke(
      InitialSlot.FirstSchedControl + core,
      Invocation.SchedControlConfigureFlags,
      [1000, 1000, 0, 0, 0],
      [sc],
    );
    return sc;
  }

  thread(options: ThreadOptions = {}): Thread {
    const tcb = this.create(ObjectType.TCB);
    const cspace = this.create(ObjectType.CapTable, CSPACE_BITS);
    const program = this.threads.size + 1;
    const thread = new Thread(this, tcb, this.objectAt(tcb), program, cspace);
    this.threads.set(program, thread);
    if (options.buffer ?? true) {
      const frame = this.create(ObjectType.SmallPage);
      thread.frame = frame;
      this.invoke(tcb, Invocation.TCBSetIPCBuffer, [this.objectAt(frame)], [frame]);
    }
    this.invoke(tcb, Invocation.TCBSetSpace, [guardFor(CSPACE_BITS)], [0, cspace]);
    const sc = this.schedContext(options.core ?? 0);
    thread.schedContext = sc;
    const priority = options.priority ?? 100;
    const mcp = options.mcp ?? 0;
    this.invoke(tcb, Invocation.TCBSetSchedParams, [mcp, priority], [InitialSlot.ThreadTCB, sc, 0]);
    if (options.passive) this.invoke(sc, Invocation.SchedContextUnbind);
    const resume = (options.running ?? true) ? 1 : 0;
    this.invoke(tcb, Invocation.TCBWriteRegisters, [resume, 2, 0, program]);
    return thread;
  }

  /** Who runs on a core; undefined when it is idle. */
  current(core = 0): Thread | undefined {
    const tcb = this.kernels[core].currentTCB();
    return [...this.threads.values()].find((thread) => thread.tcb === tcb);
  }

  threadOf(program: number): Thread | undefined {
    return this.threads.get(program);
  }

  /** The address of the object to which a slot of the initial thread's CNode holds a capability. */
  objectAt(slot: number): number {
    return this.u32(this.slotAddress(slot) + 4);
  }

  slotAddress(slot: number, cnode = this.u32(this.info.initialTCB + 64 + 4)): number {
    return cnode + slot * SLOT_SIZE;
  }

  isEmpty(slot: number): boolean {
    return this.view.getUint8(this.slotAddress(slot)) === 0;
  }

  u32(address: number): number {
    return this.view.getUint32(address, true);
  }

  u64(address: number): bigint {
    return this.words[address / 8];
  }

  setU64(address: number, value: bigint): void {
    this.words[address / 8] = value;
  }

  setU32(address: number, value: number): void {
    this.view.setUint32(address, value, true);
  }

  u8(address: number): number {
    return this.view.getUint8(address);
  }
}

export class Thread {
  frame = 0;
  schedContext = 0;
  /** Hidden, so that a failed assertion prints a thread and not the machine. */
  readonly #machine: Machine;

  constructor(
    machine: Machine,
    /** The initial thread's capability to the TCB. */
    readonly cptr: number,
    /** Physical address of the TCB. */
    readonly tcb: number,
    readonly program: number,
    /** The initial thread's capability to the thread's CNode. */
    readonly cspace: number = InitialSlot.CNode,
  ) {
    this.#machine = machine;
  }

  /** Gives the thread a capability: a copy of the initial thread's at `source`, in slot `slot` of its CNode. */
  give(slot: number, source: number, rights = Rights.All, badge: number | bigint = 0): this {
    this.#machine.mint(this.cspace, slot, source, rights, badge);
    return this;
  }

  /** Whether slot `slot` of the thread's CNode is empty. */
  isEmpty(slot: number): boolean {
    const cnode = this.#machine.u32(this.tcb + 64 + 4);
    return this.#machine.u8(this.#machine.slotAddress(slot, cnode)) === 0;
  }

  private get kernel(): Kernel {
    const kernel = this.#machine.kernels.find((one) => one.currentTCB() === this.tcb);
    assert.ok(kernel, 'a thread that makes a system call runs');
    return kernel;
  }

  get redo(): boolean {
    return this.#machine.u32(this.tcb + Register.Redo) !== 0;
  }

  clearRedo(): void {
    this.#machine.setU32(this.tcb + Register.Redo, 0);
  }

  get ipcBuffer(): number {
    return this.#machine.u32(this.tcb + Register.IPCBuffer);
  }

  private register(index: number): number {
    return index < (Limit.FastMessageRegisters as number)
      ? this.tcb + Register.MR0 + 8 * index
      : this.ipcBuffer + 8 + 8 * index;
  }

  /** Writes a message as the thread's program would. */
  compose(words: readonly (number | bigint)[], label = 0, caps: readonly number[] = []): void {
    const machine = this.#machine;
    words.forEach((word, index) => machine.setU64(this.register(index), BigInt(word)));
    caps.forEach((cap, index) => machine.setU64(this.ipcBuffer + 8 * (BUFFER_CAPS + index), BigInt(cap)));
    machine.setU64(
      this.tcb + Register.MsgInfo,
      (BigInt(label) << 12n) | BigInt((caps.length << 7) | words.length),
    );
  }

  /** Names the slot of the thread's own CNode in which a transferred capability is to arrive. */
  receiveInto(slot: number, root: number): void {
    [root, slot, CSPACE_BITS].forEach((word, index) =>
      this.#machine.setU64(this.ipcBuffer + 8 * (BUFFER_RECEIVE + index), BigInt(word)),
    );
  }

  get badge(): bigint {
    return this.#machine.u64(this.tcb + Register.Badge);
  }

  /** What the thread finds in its registers and buffer. */
  get message(): Message {
    const info = this.#machine.u64(this.tcb + Register.MsgInfo);
    return {
      badge: this.badge,
      label: Number(info >> 12n),
      unwrapped: Number((info >> 9n) & 7n),
      extraCaps: Number((info >> 7n) & 3n),
      words: Array.from({ length: Number(info & 127n) }, (_, index) =>
        this.#machine.u64(this.register(index)),
      ),
    };
  }

  /** The badge that an unwrapped capability arrived as. */
  unwrappedBadge(index: number): bigint {
    return this.#machine.u64(this.ipcBuffer + 8 * (BUFFER_CAPS + index));
  }

  // The system calls. Each returns the thread that is current on this core then; undefined is the idle thread.

  call(cptr: number, words: readonly (number | bigint)[] = [], label = 0, caps: readonly number[] = []) {
    this.compose(words, label, caps);
    return this.#machine.threadOf(this.kernel.call(cptr, this.tcb));
  }
  replyRecv(
    cptr: number,
    reply: number,
    words: readonly (number | bigint)[] = [],
    label = 0,
    caps: readonly number[] = [],
  ) {
    this.compose(words, label, caps);
    return this.#machine.threadOf(this.kernel.replyRecv(cptr, reply, this.tcb));
  }
  send(cptr: number, words: readonly (number | bigint)[] = [], label = 0, caps: readonly number[] = []) {
    this.compose(words, label, caps);
    return this.#machine.threadOf(this.kernel.send(cptr));
  }
  nbSend(cptr: number, words: readonly (number | bigint)[] = []) {
    this.compose(words);
    return this.#machine.threadOf(this.kernel.nbSend(cptr));
  }
  recv(cptr: number, reply: number) {
    return this.#machine.threadOf(this.kernel.recv(cptr, reply));
  }
  nbRecv(cptr: number, reply: number) {
    return this.#machine.threadOf(this.kernel.nbRecv(cptr, reply));
  }
  wait(cptr: number) {
    return this.#machine.threadOf(this.kernel.wait(cptr));
  }
  nbWait(cptr: number) {
    return this.#machine.threadOf(this.kernel.nbWait(cptr));
  }
  signal(cptr: number) {
    return this.#machine.threadOf(this.kernel.signal(cptr, this.tcb));
  }
  yieldCore() {
    return this.#machine.threadOf(this.kernel.yieldCore());
  }
  unknownSyscall(number: number) {
    return this.#machine.threadOf(this.kernel.unknownSyscall(number));
  }
  fault(number: number, code: number) {
    return this.#machine.threadOf(this.kernel.fault(number, code));
  }
}

/** Asserts that the kernel refuses with this error, and with these details where they are given. */
export function refuses(action: () => unknown, error: number, details?: readonly (number | bigint)[]): void {
  assert.throws(action, (thrown: unknown) => {
    assert.ok(thrown instanceof InvocationError, String(thrown));
    assert.equal(thrown.error, error, thrown.message);
    if (details) assert.deepEqual(thrown.details, details.map(BigInt), thrown.message);
    return true;
  });
}
