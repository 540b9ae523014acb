/**
 * The kernel's objects, as they lie in physical memory. They are made by retyping untyped memory and by nothing
 * else; fresh memory is zero, and all zero is the initial state of every object here.
 */
import { Slot } from './cap';

export const enum ThreadState {
  Inactive = 0,
  Running = 1,
  BlockedOnReceive = 2,
  BlockedOnSend = 3,
  BlockedOnReply = 4,
  BlockedOnNotification = 5,
  Idle = 6,
}

/** Where a thread is queued, by the links `queueNext` and `queuePrev`. */
export const enum Queued {
  Nowhere = 0,
  /** In the ready queue of its core and priority. */
  Ready = 1,
  /** Nowhere, and kept out of all queues: see `hold` in scheduler/schedule.ts. */
  Held = 2,
  /** In its core's release queue, until its budget is replenished. */
  Release = 3,
}

/**
 * A thread. Its first cache line is its register file, which the engine reads and writes as a processor would.
 * The second holds all else that a fastpath needs: those two lines are all that an IPC touches of a thread.
 */
@unmanaged
export class TCB {
  // Line 0: the register file. Offsets are `Register` in api/constants.ts.
  badge: u64;
  msgInfo: u64;
  mr0: u64;
  mr1: u64;
  mr2: u64;
  mr3: u64;
  pc: u32;
  redo: u32;
  program: u32;
  ipcBuffer: usize;

  // Line 1: the capability space's root (a slot of 32 bytes), and the thread's state.
  ctable0: u64;
  ctable1: u64;
  ctable2: u64;
  ctable3: u64;
  // The four bytes that a fastpath reads as one, see `summary`, and stores together with `reply`.
  state: u8;
  /** Not 0 while a fault of the thread awaits its reply: a `FaultType`. */
  fault: u8;
  /** 1 exactly when `sc` gives time that needs no accounting (`isUnlimited`). Here, a fastpath need not look there. */
  hasTime: u8;
  priority: u8;
  /** While blocked on receive: the reply object offered; while blocked on reply: the one that will answer. */
  reply: Reply;
  sc: SchedContext;
  /** While blocked: the endpoint or notification in whose queue the thread is. */
  blockedOn: usize;
  /** Its neighbours in that queue; null in no queue. */
  endpointNext: TCB;
  endpointPrev: TCB;
  /** The core whose kernel instance runs the thread. */
  core: u16;
  /** Which queue the thread is in: a `Queued`. */
  queued: u8;
  /** Not 0 while the thread waits for `yieldTo`'s thread to have run. */
  yielding: u8;
  boundNotification: Notification;

  // Line 2: what only slow paths need.
  queueNext: TCB;
  queuePrev: TCB;
  /** While blocked on send: what the sending capability carried. */
  sendBadge: u64;
  sendRights: u8;
  sendIsCall: u8;
  mcp: u8;
  faultInReceive: u8;
  lookupFailure: u8;
  /** The scheduling domain; only in clusters of one core. */
  domain: u8;
  /** 1 while it is in the middle of a handler, or called from one: see scheduler/domain.ts. */
  underWay: u8;
  unused: u8;
  faultAddress: u64;
  lookupWord0: u64;
  lookupWord1: u64;
  lookupWord2: u64;
  faultNumber: u64;

  // Line 3: the remaining capabilities. Offsets are the constants below. Line 4:

  /** While `yielding`: the context whose thread runs first; its `yieldFrom` is this thread. */
  @inline get yieldTo(): SchedContext {
    return changetype<SchedContext>(load<usize>(changetype<usize>(this) + TCB_YIELD_TO));
  }
  @inline set yieldTo(sc: SchedContext) {
    store<usize>(changetype<usize>(this) + TCB_YIELD_TO, changetype<usize>(sc));
  }

  /** State, fault, `hasTime` and priority, a byte each from the lowest: see `summaryOf`. */
  @inline get summary(): u32 {
    return load<u32>(changetype<usize>(this) + offsetof<TCB>('state'));
  }
  /** One store, of what a thread that waits changes as it runs, or one that runs as it waits. */
  @inline setSummary(word: u32, reply: Reply): void {
    store<u64>(changetype<usize>(this) + offsetof<TCB>('state'), <u64>word | (<u64>changetype<usize>(reply) << 32));
  }

  @inline get ctable(): Slot {
    return changetype<Slot>(changetype<usize>(this) + TCB_CTABLE);
  }
  @inline get bufferSlot(): Slot {
    return changetype<Slot>(changetype<usize>(this) + TCB_SLOTS);
  }
  @inline get faultHandler(): Slot {
    return changetype<Slot>(changetype<usize>(this) + TCB_SLOTS + 32);
  }
  @inline get timeoutHandler(): Slot {
    return changetype<Slot>(changetype<usize>(this) + TCB_SLOTS + 64);
  }
}
const TCB_CTABLE: usize = 64;
const TCB_SLOTS: usize = 192;
const TCB_YIELD_TO: usize = 320;

/** The three lower bytes of the `summary` of a thread in `state` that has no fault, and time that needs no accounting. */
@inline
export function summaryOf(state: ThreadState): u32 {
  return state | SUMMARY_HAS_TIME;
}
const SUMMARY_HAS_TIME: u32 = 1 << 16;
export const SUMMARY_STATUS: u32 = 0xffffff;

/** Capability slots inside a TCB: the root of its capability space, buffer, fault and timeout handler. */
export const TCB_SLOT_COUNT: u32 = 4;

@inline
export function tcbSlot(tcb: usize, index: u32): Slot {
  return index == 0
    ? changetype<Slot>(tcb + TCB_CTABLE)
    : changetype<Slot>(tcb + TCB_SLOTS + (<usize>(index - 1) << 5));
}

/** Threads that wait, by priority. */
@unmanaged
export class WaitQueue {
  head: TCB;
  tail: TCB;
}

/** An endpoint (16 bytes): threads that wait to send, or threads that wait to receive, as the state of each says. */
@unmanaged
export class Endpoint extends WaitQueue {}

/** A notification (64 bytes): a word of flags, or the threads that wait for it. */
@unmanaged
export class Notification extends WaitQueue {
  /** Not 0 while `badge` has what nobody has waited for. */
  active: u32;
  bound: TCB;
  badge: u64;
  sc: SchedContext;
}

/**
 * A reply object (32 bytes): the caller that waits for it. Where the caller's scheduling context went along with
 * the call, the objects of one chain of calls are linked: `prev` leads to the call before, `next` to the call
 * after, and the last call's `next` is empty while `sc` is the context whose `reply` it is.
 */
@unmanaged
export class Reply {
  prev: Reply;
  next: Reply;
  sc: SchedContext;
  caller: TCB;
}

/**
 * A scheduling context (128 bytes or more): the right to run on a core for `budget` in each `period`, as a sporadic
 * server. Its refills follow it in memory, a ring of at most `refillMax` (scheduler/refill.ts). Times are nanoseconds.
 */
@unmanaged
export class SchedContext {
  tcb: TCB;
  /** The last call along which the context was donated. */
  reply: Reply;
  notification: Notification;
  core: u16;
  /** Whether budget counts as given from when the thread wakes (1), or from when it runs (0). */
  sporadic: u8;
  unused: u8;
  /** Not 0 once SchedControl has configured it. */
  refillMax: u32;
  refillHead: u32;
  refillCount: u32;
  /** The thread that yields to this one's; it is told what has been consumed when it runs again. */
  yieldFrom: TCB;
  budget: u64;
  period: u64;
  badge: u64;
  consumed: u64;
}

/** A part of a budget: `amount` may be used from `time` on. */
@unmanaged
export class Refill {
  time: u64;
  amount: u64;
}
