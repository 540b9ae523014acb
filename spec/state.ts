/**
 * The abstract state of a cluster: what a kernel is about, without how it keeps it. Objects and slots are
 * named by where they lie, which users can see, and 0 names none. Time is in nanoseconds.
 */
import type { CapType, ThreadState } from '../src/core/inspect/memory.js';

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
  /** The endpoint or notification at which it waits. */
  waitsFor: Name;
  reply: Name;
  sc: Name;
  notification: Name;
  priority: number;
  mcp: number;
  /** The core of the cluster that runs it. */
  core: number;
  fault: number;
  yieldTo: Name;
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
  queue: Name[];
  thread: Name;
  sc: Name;
}

export interface Endpoint {
  /** Threads that wait to send, or to receive (all of them the same), the next one first. */
  queue: Name[];
}

export interface Refill {
  time: bigint;
  amount: bigint;
}

export interface SchedContext {
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
  refills: Refill[];
  consumed: bigint;
  yieldFrom: Name;
}

export interface Core {
  /** Who runs: 0 is the idle thread. */
  current: Name;
  /** Threads that can run and do not, by priority, in the order in which they will. */
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
  endpoints: Map<Name, Endpoint>;
  notifications: Map<Name, Notification>;
  /** By reply object: who waits for it, or offers it. */
  replies: Map<Name, Name>;
  contexts: Map<Name, SchedContext>;
  cores: Core[];
  issuedIrqs: Set<number>;
}
