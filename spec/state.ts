/**
 * The abstract state of a cluster: what a kernel is about, without how it keeps it. Objects and slots are
 * named by where they lie, which users can see, and 0 names none. Time is in nanoseconds.
 */
import { CapType, ThreadState } from '../src/core/inspect/memory.js';

export type Name = number;

export interface Cap {
  readonly type: CapType;
  readonly object: Name;
  readonly rights: number;
  readonly bits: number;
  readonly guardSize: number;
  /** Or guard of a CNode, watermark of an untyped, slots left of a zombie, the thread whose buffer a frame backs. */
  readonly badge: bigint;
}

export interface Thread {
  state: ThreadState;
  priority: number;
  mcp: number;
  /** The core of the cluster that runs it. */
  core: number;
  fault: number;
  /** Whose consumed time it is to be told when it runs again: a context. */
  yieldTo: Name;
  domain: number;
  /** In the middle of a handler, or called from one. */
  underWay: boolean;
  /** What a waiting sender's capability carried. */
  send: { badge: bigint; rights: number; isCall: boolean };
  /** Registers. */
  badge: bigint;
  info: bigint;
  mrs: bigint[];
  pc: number;
  program: number;
  redo: boolean;
  buffer: Name;
  /** Why its last fault happened, in words of the fault message behind the program counter. */
  faultWords: bigint[];
}

export interface Notification {
  active: boolean;
  badge: bigint;
  /** Threads that wait, the next one first. */
  queue: Name[];
  /** The thread that is bound to it. */
  thread: Name;
}

export interface SchedContext {
  /** The thread that has it, and the notification that lends it. */
  thread: Name;
  notification: Name;
  /** The reply objects of the calls along which it was lent, the last call first. */
  calls: Name[];
  /** Where a thread that is bound to it runs. */
  core: number;
  budget: bigint;
  period: bigint;
  badge: bigint;
  sporadic: boolean;
  maxRefills: number;
  refills: { time: bigint; amount: bigint }[];
  consumed: bigint;
}

export interface Core {
  /** Who runs: 0 is the idle thread. */
  current: Name;
  /** Threads that can run and do not, by 256 times their domain plus priority, in the order in which they will. */
  ready: Map<number, Name[]>;
  /** Threads that wait for their budget, by when it is replenished. */
  release: Name[];
  /**
   * Who ran here when another core took it away, and may be at its program still: a system call that it makes is not
   * done. 0: whoever it was, it is not to make it again.
   */
  stalled: Name | undefined;
  /** On which accounted context the core runs, and since when that is not charged yet. */
  charging: { sc: Name; since: bigint } | undefined;
}

export interface State {
  /** What slots hold; an empty slot is not there. */
  caps: Map<Name, Cap>;
  /** The derivation tree: the children of each slot's capability, newest first; those of 0 have no parent. */
  children: Map<Name, Name[]>;
  /** Slots whose capability is not a mere copy: what is derived from it is its child, and not its sibling. */
  originals: Set<Name>;
  threads: Map<Name, Thread>;
  /** Who waits to send, or to receive (all of them the same), the next one first. */
  endpoints: Map<Name, Name[]>;
  notifications: Map<Name, Notification>;
  /** By reply object: who waits for it, or offers it. */
  replies: Map<Name, Name>;
  contexts: Map<Name, SchedContext>;
  cores: Core[];
  issuedIrqs: Set<number>;
  /** The scheduling domain whose turn it is, and when that ends; 0 where there is but one domain. */
  domain: number;
  domainEnd: bigint;
  /** By domain: how much its handlers have exceeded its turns by, that is not made good. */
  overruns: bigint[];
  /** Where there is no entry, a schedule ends; `start` is the first of that which is followed. */
  schedule: { entries: Map<number, { domain: number; duration: bigint }>; index: number; start: number };
}

/** The capability of an empty slot. */
export const EMPTY: Cap = { type: CapType.Null, object: 0, rights: 0, bits: 0, guardSize: 0, badge: 0n };
export const NOTHING_SENT: Thread['send'] = { badge: 0n, rights: 0, isCall: false };

// Objects as they are made (section 2.4): all zero.

export const newThread = (): Thread => ({
  ...{ state: ThreadState.Inactive, priority: 0, mcp: 0, core: 0, fault: 0, domain: 0, underWay: false },
  ...{ faultWords: [], yieldTo: 0, send: NOTHING_SENT, badge: 0n, info: 0n, mrs: [0n, 0n, 0n, 0n] },
  ...{ pc: 0, program: 0, redo: false, buffer: 0 },
});
export const newNotification = (): Notification => ({ active: false, badge: 0n, queue: [], thread: 0 });
export const newContext = (): SchedContext => ({
  ...{ thread: 0, notification: 0, calls: [], core: 0, budget: 0n, period: 0n, badge: 0n, sporadic: false },
  ...{ maxRefills: 0, refills: [], consumed: 0n },
});
