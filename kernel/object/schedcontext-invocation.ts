/** Invocations of scheduling contexts and of SchedControl (manual sections 6.1.5 and 10.3). */
import { CapType, Slot, isNull } from '../model/cap';
import { Notification, Refill, SchedContext, TCB } from '../model/objects';
import { SMP, coreState } from '../model/state';
import { Invocation, SeL4Error } from '../api/constants';
import { DEFERRED, invalidCapability, rangeError, returnWords } from '../api/error';
import { extraCap } from '../api/lookup';
import { getMR } from '../ipc/message';
import { isReleased, now, wakeUp } from '../scheduler/budget';
import { dequeue, enqueueHead } from '../scheduler/queue';
import { MIN_BUDGET, refillNew, refillUpdate } from '../scheduler/refill';
import {
  isActive,
  isCurrent,
  isRunnable,
  isSchedulable,
  isUnlimited,
  removeFromScheduling,
  rescheduleRequired,
} from '../scheduler/schedule';
import { bindContext } from './notification';
import { NANOSECONDS, bindThread, completeYieldTo, takeConsumed, unbindAll, unbindNotification, unbindThread } from './schedcontext';
import { isBlocked } from './tcb-invocation';

/** Longest and shortest period and budget, in microseconds: an hour is the longest. */
const MAX_PERIOD: u64 = 3600 * 1000 * 1000;
const MIN_PERIOD: u64 = MIN_BUDGET / NANOSECONDS;
const MIN_REFILLS: u64 = 2;
/** `seL4_SchedContext_Sporadic`, a flag. */
const SPORADIC: u64 = 1;

export function invokeSchedContext(thread: TCB, label: u32, slot: Slot): SeL4Error {
  const sc = changetype<SchedContext>(slot.object);
  switch (label) {
    case Invocation.SchedContextBind:
      return bind(sc);
    case Invocation.SchedContextUnbind:
      if (!isNull(sc.tcb) && isCurrent(sc.tcb)) return SeL4Error.IllegalOperation;
      unbindAll(sc);
      return SeL4Error.NoError;
    case Invocation.SchedContextUnbindObject:
      return unbindObject(sc);
    case Invocation.SchedContextConsumed:
      return returnWords(1, takeConsumed(sc));
    case Invocation.SchedContextYieldTo:
      return yieldTo(thread, sc);
    default:
      return SeL4Error.IllegalOperation;
  }
}

/**
 * Lets the context's thread run first, if it can and is no less urgent; returns what it has consumed then. On another
 * core it is the first of its equals, unless it runs there already.
 */
function yieldTo(thread: TCB, sc: SchedContext): SeL4Error {
  const tcb = sc.tcb;
  if (isNull(tcb) || changetype<usize>(tcb) == changetype<usize>(thread)) return SeL4Error.IllegalOperation;
  if (tcb.priority > thread.mcp) return SeL4Error.IllegalOperation;
  if (!isNull(sc.yieldFrom)) completeYieldTo(sc.yieldFrom);
  if (isSchedulable(tcb)) {
    const runs = SMP && changetype<usize>(coreState(tcb.core).current) == changetype<usize>(tcb);
    if (tcb.core != thread.core || tcb.priority < thread.priority) {
      dequeue(tcb);
      if (!runs) enqueueHead(tcb);
    } else {
      thread.yieldTo = sc;
      thread.yielding = 1;
      sc.yieldFrom = thread;
      if (!SMP) thread.underWay = 0;
      rescheduleRequired();
      dequeue(tcb);
      enqueueHead(thread);
      enqueueHead(tcb);
      return DEFERRED;
    }
  }
  return returnWords(1, takeConsumed(sc));
}

function bind(sc: SchedContext): SeL4Error {
  const cap = extraCap(0);
  if (isNull(cap)) return SeL4Error.TruncatedMessage;
  if (cap.type == CapType.Thread) {
    const tcb = changetype<TCB>(cap.object);
    if (!isNull(sc.tcb) || !isNull(tcb.sc)) return SeL4Error.IllegalOperation;
    if (isBlocked(tcb) && !isReleased(sc)) return SeL4Error.IllegalOperation;
    bindThread(sc, tcb);
    return SeL4Error.NoError;
  }
  if (cap.type == CapType.Notification) {
    const notification = changetype<Notification>(cap.object);
    if (!isNull(sc.notification) || !isNull(notification.sc)) return SeL4Error.IllegalOperation;
    bindContext(notification, sc);
    return SeL4Error.NoError;
  }
  return invalidCapability(1);
}

function unbindObject(sc: SchedContext): SeL4Error {
  const cap = extraCap(0);
  if (isNull(cap)) return SeL4Error.TruncatedMessage;
  if (cap.type == CapType.Thread) {
    if (isNull(sc.tcb) || changetype<usize>(sc.tcb) != cap.object) return SeL4Error.IllegalOperation;
    if (isCurrent(sc.tcb)) return SeL4Error.IllegalOperation;
    unbindThread(sc);
    return SeL4Error.NoError;
  }
  if (cap.type == CapType.Notification) {
    if (isNull(sc.notification) || changetype<usize>(sc.notification) != cap.object)
      return SeL4Error.IllegalOperation;
    unbindNotification(sc);
    return SeL4Error.NoError;
  }
  return invalidCapability(1);
}

/** `ConfigureFlags(budget, period, extra_refills, badge, flags)`, microseconds, with the context as extra capability. */
export function invokeSchedControl(thread: TCB, label: u32, length: u32, slot: Slot): SeL4Error {
  if (label != Invocation.SchedControlConfigureFlags) return SeL4Error.IllegalOperation;
  const cap = extraCap(0);
  if (length < 5 || isNull(cap)) return SeL4Error.TruncatedMessage;
  const budget = getMR(thread, 0);
  const period = getMR(thread, 1);
  if (budget > MAX_PERIOD || period > MAX_PERIOD) return rangeError(MIN_PERIOD, MAX_PERIOD);
  if (budget < MIN_PERIOD || period < MIN_PERIOD) return rangeError(MIN_PERIOD, MAX_PERIOD);
  if (budget > period) return rangeError(MIN_PERIOD, period);
  if (cap.type != CapType.SchedContext) return invalidCapability(1);
  const extraRefills = getMR(thread, 2);
  const maxRefills = (((<u64>1) << cap.bits) - offsetof<SchedContext>()) / offsetof<Refill>();
  if (extraRefills > maxRefills - MIN_REFILLS) return rangeError(0, maxRefills - MIN_REFILLS);
  const sc = changetype<SchedContext>(cap.object);
  sc.badge = getMR(thread, 3);
  sc.sporadic = <u8>(getMR(thread, 4) & SPORADIC);
  configure(sc, <u16>slot.object, budget * NANOSECONDS, period * NANOSECONDS, <u32>(extraRefills + MIN_REFILLS));
  return SeL4Error.NoError;
}

function configure(sc: SchedContext, core: u16, budget: u64, period: u64, refills: u32): void {
  const tcb = sc.tcb;
  if (!isNull(tcb)) removeFromScheduling(tcb);
  const inUse = core == sc.core && isActive(sc) && !isNull(tcb) && isRunnable(tcb);
  sc.core = core;
  sc.budget = budget;
  sc.period = period;
  // What is not accounted needs no clock.
  const time = budget == period ? 0 : now();
  if (inUse && budget != period) refillUpdate(sc, refills, time);
  else refillNew(sc, refills, time);
  if (isNull(tcb)) return;
  tcb.core = core;
  tcb.hasTime = <u8>isUnlimited(sc);
  wakeUp(tcb);
  if (isCurrent(tcb)) rescheduleRequired();
}
