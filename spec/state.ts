/**
 * The abstract state of a cluster: what a kernel is about, without how it keeps it. Objects and slots are named by where
 * they lie, which users can see, and 0 names none. Time is in nanoseconds. Objects are as retyping makes them: all zero.
 */
import { FaultType } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';

export { CapType, ThreadState };
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
/** The capability of an empty slot. */
export const EMPTY: Cap = { type: CapType.Null, object: 0, rights: 0, bits: 0, guardSize: 0, badge: 0n };

export interface Slot {
  cap: Cap;
  /** The slot of what it is derived from, or 0. */
  parent: Name;
  /** It is not a mere copy: what is derived from it is its child, and not its sibling. */
  readonly isOriginal: boolean;
}

/** What a thread waits for: the endpoint or notification `on`, or a reply. */
export interface Wait {
  readonly on: Name;
  /** What a waiting sender's capability carried. */
  readonly badge: bigint;
  readonly rights: number;
  readonly isCall: boolean;
  /** The reply object that a receiver offers, or a caller waits for. */
  readonly reply: Name;
}
export const NO_WAIT: Wait = { on: 0, badge: 0n, rights: 0, isCall: false, reply: 0 };

export class Thread {
  state: ThreadState = ThreadState.Inactive;
  wait = NO_WAIT;
  /** Waits for its budget to be replenished. */
  isPostponed = false;
  /** Whose consumed time it is to be told when it runs again: a context. */
  yieldTo: Name = 0;
  /** In the middle of a handler, or called from one. */
  underWay = false;
  priority = 0;
  mcp = 0;
  domain = 0;
  /** The core of the cluster that runs it. */
  core = 0;
  /** The fault that it waits to be answered, and why it happened: what its message says behind the program counter. */
  fault: FaultType = FaultType.NullFault;
  faultWords: bigint[] = [];
  /** Registers. */
  badge = 0n;
  info = 0n;
  mrs = [0n, 0n, 0n, 0n];
  pc = 0;
  program = 0;
  redo = false;
  buffer: Name = 0;
}

export class Notification {
  /** The badges of signals that nobody has taken. */
  signal: bigint | undefined = undefined;
  /** The thread that is bound to it. */
  thread: Name = 0;
}

export class SchedContext {
  /** The thread that has it, and the notification that lends it. */
  thread: Name = 0;
  notification: Name = 0;
  /** The reply objects of the calls along which it was lent, the last call first. */
  calls: Name[] = [];
  /** Where a thread that is bound to it runs. */
  core = 0;
  budget = 0n;
  period = 0n;
  badge = 0n;
  sporadic = false;
  maxRefills = 0;
  refills: { time: bigint; amount: bigint }[] = [];
  consumed = 0n;
}

export interface Core {
  /** Who runs: 0 is the idle thread. */
  current: Name;
  /**
   * Who ran here when another core took it away, and may be at its program still: a system call that it makes is not
   * done. 0: whoever it was, it is not to make it again.
   */
  stalled: Name | undefined;
  /** On which accounted context the core runs, and since when that is not charged yet. */
  charging: { sc: Name; since: bigint } | undefined;
}

export interface State {
  /** Those that are not empty, in preorder of the derivation tree. */
  slots: Map<Name, Slot>;
  /** In the order in which equals have their turn: of those that wait, that can run, or that lack budget. */
  threads: Map<Name, Thread>;
  notifications: Map<Name, Notification>;
  contexts: Map<Name, SchedContext>;
  cores: Core[];
  issuedIrqs: Set<number>;
  /** By interrupt line: the slot that its notification is kept in. */
  readonly irqSlots: readonly Name[];
  /** Words of users' memory, by address: one that is not there is 0. */
  memory: Map<number, bigint>;
  /** The scheduling domain whose turn it is, and when that ends; 0 where there is but one domain. */
  domain: number;
  domainEnd: bigint;
  /** By domain: how much its handlers have exceeded its turns by, that is not made good. */
  overruns: bigint[];
  /** Where there is no entry, a schedule ends; `start` is the first of that which is followed. */
  schedule: { entries: Map<number, { domain: number; duration: bigint }>; index: number; start: number };
}
