/**
 * Kernel memory, read from outside: the objects of one cluster as they lie there (kernel/model). For checkers and tests;
 * nothing that runs a system depends on it. What is read must be at rest: no core of the cluster is in the kernel.
 */
import { Limit } from '../../../kernel/api/constants.js';

/** Types of capabilities, as `CapType` in kernel/model/cap.ts. */
export enum CapType {
  Null,
  Untyped,
  Endpoint,
  Notification,
  Reply,
  CNode,
  Thread,
  SchedContext,
  Frame,
  Zombie,
  SchedControl,
  IRQControl,
  IRQHandler,
  SGISignal,
  UntypedControl,
  Domain,
}

export enum ThreadState {
  Inactive,
  Running,
  BlockedOnReceive,
  BlockedOnSend,
  BlockedOnReply,
  BlockedOnNotification,
  Idle,
}

export enum Queued {
  Nowhere,
  Ready,
  Held,
  Release,
}

const CORES = 8192 + 128;
const SCHEDULE = 6144;
const CORE_BYTES = 4096;
const IRQ_SLOTS = 2048;
const IRQ_ISSUED = IRQ_SLOTS + 32 * Limit.Interrupts;
const QUEUES = 384;
const ZOMBIE_TCB = 255;
const TCB_SLOTS = [64, 192, 224, 256];

export interface Slot {
  readonly at: number;
  readonly type: CapType;
  readonly rights: number;
  readonly bits: number;
  readonly guardSize: number;
  readonly object: number;
  readonly badge: bigint;
  readonly prev: number;
  readonly next: number;
  readonly revocable: boolean;
  readonly firstBadged: boolean;
  readonly span: number;
}

export type Thread = ReturnType<KernelMemory['thread']>;
export type SchedContext = ReturnType<KernelMemory['schedContext']>;

export class KernelMemory {
  private readonly words: Uint32Array;
  private readonly view: DataView;

  constructor(
    memory: ArrayBufferLike,
    /** Physical address and size of the cluster's partition. */
    readonly base: number,
    readonly size: number,
    readonly cores: number,
    /** Physical address of the initial thread's TCB (bootinfo). */
    readonly initialTCB: number,
  ) {
    this.words = new Uint32Array(memory);
    this.view = new DataView(memory);
  }

  u8(address: number): number {
    return this.view.getUint8(address);
  }
  u32(address: number): number {
    return this.words[address >>> 2];
  }
  u64(address: number): bigint {
    return this.view.getBigUint64(address, true);
  }

  slot(at: number): Slot {
    const mdb = this.u8(at + 24);
    return {
      at,
      type: this.u8(at),
      rights: this.u8(at + 1),
      bits: this.u8(at + 2),
      guardSize: this.u8(at + 3),
      object: this.u32(at + 4),
      badge: this.u64(at + 8),
      prev: this.u32(at + 16),
      next: this.u32(at + 20),
      revocable: (mdb & 1) !== 0,
      firstBadged: (mdb & 2) !== 0,
      span: this.u32(at + 28),
    };
  }

  /** How many scheduling domains the kernel was booted with. */
  get domains(): number {
    return this.u32(this.base + 76);
  }

  /** The entries of the domain schedule, without its end markers. */
  schedule(): Map<number, { domain: number; duration: bigint }> {
    const entries = new Map<number, { domain: number; duration: bigint }>();
    for (let index = 0; index <= (Limit.DomainSchedule as number); index++) {
      const at = this.base + SCHEDULE + 8 * index;
      if ((this.u32(at) | this.u32(at + 4)) === 0) continue;
      const entry = this.u64(at);
      entries.set(index, { domain: Number(entry >> 56n), duration: BigInt.asUintN(56, entry) });
    }
    return entries;
  }

  /** A core, or the ready threads of a scheduling domain. */
  core(core: number) {
    const at = this.base + CORES + core * CORE_BYTES;
    return {
      current: this.u32(at),
      action: this.u32(at + 4),
      floor: this.u32(at + 8),
      timed: this.u32(at + 12),
      stalled: this.u32(at + 48),
      idle: this.u32(at + 60),
      releaseHead: this.u32(at + 64),
      sc: this.u32(at + 68),
      charged: this.u64(at + 72),
      domain: this.u32(at + 156),
      scheduleIndex: this.u32(at + 160),
      scheduleStart: this.u32(at + 164),
      domainEnd: this.u64(at + 168),
      overrun: this.u64(at + 176),
      ready: (priority: number) =>
        ((this.u64(at + 16 + 8 * (priority >> 6)) >> BigInt(priority & 63)) & 1n) !== 0n,
      head: (priority: number) => this.u32(at + QUEUES + 8 * priority),
      tail: (priority: number) => this.u32(at + QUEUES + 8 * priority + 4),
    };
  }

  irqSlot(irq: number): number {
    return this.base + IRQ_SLOTS + 32 * irq;
  }
  irqIsIssued(irq: number): boolean {
    return this.u8(this.base + IRQ_ISSUED + irq) !== 0;
  }

  thread(at: number) {
    return {
      at,
      ipcBuffer: this.u32(at + 60),
      state: this.u8(at + 96) as ThreadState,
      fault: this.u8(at + 97),
      hasTime: this.u8(at + 98) !== 0,
      priority: this.u8(at + 99),
      reply: this.u32(at + 100),
      sc: this.u32(at + 104),
      blockedOn: this.u32(at + 108),
      endpointNext: this.u32(at + 112),
      endpointPrev: this.u32(at + 116),
      core: this.view.getUint16(at + 120, true),
      queued: this.u8(at + 122) as Queued,
      yielding: this.u8(at + 123) !== 0,
      boundNotification: this.u32(at + 124),
      queueNext: this.u32(at + 128),
      queuePrev: this.u32(at + 132),
      sendBadge: this.u64(at + 136),
      sendRights: this.u8(at + 144),
      sendIsCall: this.u8(at + 145) !== 0,
      mcp: this.u8(at + 146),
      domain: this.u8(at + 149),
      underWay: this.u8(at + 150) !== 0,
      yieldTo: this.u32(at + 320),
    };
  }

  /** An endpoint, or what a notification has in common with one. */
  queue(at: number) {
    return { at, head: this.u32(at), tail: this.u32(at + 4) };
  }

  notification(at: number) {
    return {
      ...this.queue(at),
      active: this.u32(at + 8) !== 0,
      bound: this.u32(at + 12),
      badge: this.u64(at + 16),
      sc: this.u32(at + 24),
    };
  }

  reply(at: number) {
    return {
      at,
      prev: this.u32(at),
      next: this.u32(at + 4),
      sc: this.u32(at + 8),
      caller: this.u32(at + 12),
    };
  }

  schedContext(at: number) {
    const refillMax = this.u32(at + 16);
    const head = this.u32(at + 20);
    const count = this.u32(at + 24);
    const refill = (index: number) => {
      const place = at + 64 + 16 * ((head + index) % refillMax);
      return { time: this.u64(place), amount: this.u64(place + 8) };
    };
    return {
      at,
      tcb: this.u32(at),
      reply: this.u32(at + 4),
      notification: this.u32(at + 8),
      core: this.view.getUint16(at + 12, true),
      refillMax,
      refills: refillMax === 0 ? [] : Array.from({ length: count }, (_, index) => refill(index)),
      yieldFrom: this.u32(at + 28),
      budget: this.u64(at + 32),
      period: this.u64(at + 40),
      badge: this.u64(at + 48),
    };
  }

  /** Calls `visit` with each slot that a capability's object consists of: those of a CNode or TCB, or those left of a zombie. */
  private eachSlotOf({ type, object, bits, badge }: Slot, visit: (at: number) => void): void {
    if (type !== CapType.Thread && type !== CapType.CNode && type !== CapType.Zombie) return;
    const left = type === CapType.Zombie ? Number(badge) : Infinity;
    if (type === CapType.Thread || (type === CapType.Zombie && bits === ZOMBIE_TCB)) {
      for (let index = 0; index < TCB_SLOTS.length && index < left; index++) visit(object + TCB_SLOTS[index]);
    } else {
      const count = Math.min(2 ** bits, left);
      for (let index = 0; index < count; index++) visit(object + 32 * index);
    }
  }

  /**
   * All slots that hold a capability. They are found from the initial thread, the interrupts' slots and whoever runs,
   * through CNodes and TCBs, and along the derivation lists: so even those are found that no thread can reach.
   */
  allSlots(): Map<number, Slot> {
    const found = new Map<number, Slot>();
    const open: number[] = [];
    const visit = (at: number): void => {
      if (at === 0 || this.u8(at) === CapType.Null || found.has(at)) return;
      found.set(at, this.slot(at));
      open.push(at);
    };
    for (let irq = 0; irq < (Limit.Interrupts as number); irq++) visit(this.irqSlot(irq));
    const roots = [
      this.initialTCB,
      ...Array.from({ length: this.cores }, (_, core) => this.core(core).current),
    ];
    for (const tcb of roots) for (const offset of TCB_SLOTS) visit(tcb + offset);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const slot = found.get(at)!;
      visit(slot.prev);
      visit(slot.next);
      this.eachSlotOf(slot, visit);
    }
    return found;
  }
}

/** Size in bytes of the memory that a capability is to; 0 where it is to none. */
export function objectSize({ type, bits }: Slot): number {
  switch (type) {
    case CapType.Untyped:
    case CapType.Frame:
    case CapType.SchedContext:
      return 2 ** bits;
    case CapType.Endpoint:
      return 16;
    case CapType.Notification:
      return 64;
    case CapType.Reply:
      return 32;
    case CapType.CNode:
      return 32 * 2 ** bits;
    case CapType.Thread:
      return 1024;
    case CapType.Zombie:
      return bits === ZOMBIE_TCB ? 1024 : 32 * 2 ** bits;
    default:
      return 0;
  }
}
