/** Invocations of scheduling contexts and of SchedControl (manual sections 6.1.5 and 10.3). */
import { CapType, Slot, isNull } from '../model/cap';
import { Notification, SchedContext, TCB } from '../model/objects';
import { here } from '../model/state';
import { Invocation, SeL4Error } from '../api/constants';
import { invalidCapability, rangeError } from '../api/error';
import { extraCap } from '../api/lookup';
import { getMR, setMR } from '../ipc/message';
import {
  isActive,
  isCurrent,
  possibleSwitchTo,
  removeFromScheduling,
  rescheduleRequired,
} from '../scheduler/schedule';
import { bindContext } from './notification';
import { bindThread, unbindNotification, unbindThread } from './schedcontext';
import { isBlocked } from './tcb-invocation';

/** Longest period, in microseconds (manual: `seL4_MaxPeriod`, here an hour). */
const MAX_PERIOD: u64 = 3600 * 1000 * 1000;
const MIN_BUDGET: u64 = 1;
const MIN_REFILLS: u64 = 2;

export function invokeSchedContext(thread: TCB, label: u32, slot: Slot): SeL4Error {
  const sc = changetype<SchedContext>(slot.object);
  switch (label) {
    case Invocation.SchedContextBind:
      return bind(sc);
    case Invocation.SchedContextUnbind:
      if (!isNull(sc.tcb) && isCurrent(sc.tcb)) return SeL4Error.IllegalOperation;
      unbindThread(sc);
      unbindNotification(sc);
      return SeL4Error.NoError;
    case Invocation.SchedContextUnbindObject:
      return unbindObject(sc);
    case Invocation.SchedContextConsumed:
      here().resultLength = setMR(thread, 0, sc.consumed);
      sc.consumed = 0;
      return SeL4Error.NoError;
    default:
      return SeL4Error.IllegalOperation;
  }
}

function bind(sc: SchedContext): SeL4Error {
  const cap = extraCap(0);
  if (isNull(cap)) return SeL4Error.TruncatedMessage;
  if (!isNull(sc.tcb) || !isNull(sc.notification)) return SeL4Error.IllegalOperation;
  if (cap.type == CapType.Thread) {
    const tcb = changetype<TCB>(cap.object);
    if (!isNull(tcb.sc)) return SeL4Error.IllegalOperation;
    if (isBlocked(tcb) && !isActive(sc)) return SeL4Error.IllegalOperation;
    bindThread(sc, tcb);
    return SeL4Error.NoError;
  }
  if (cap.type == CapType.Notification) {
    const notification = changetype<Notification>(cap.object);
    if (!isNull(notification.sc)) return SeL4Error.IllegalOperation;
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
  if (cap.type != CapType.SchedContext) return invalidCapability(1);
  const budget = getMR(thread, 0);
  const period = getMR(thread, 1);
  const extraRefills = getMR(thread, 2);
  if (budget < MIN_BUDGET || budget > MAX_PERIOD) return rangeError(MIN_BUDGET, MAX_PERIOD);
  if (period < MIN_BUDGET || period > MAX_PERIOD) return rangeError(MIN_BUDGET, MAX_PERIOD);
  if (budget > period) return rangeError(MIN_BUDGET, period);
  const maxRefills = (((<u64>1) << cap.bits) - offsetof<SchedContext>()) >> 4;
  if (extraRefills > maxRefills - MIN_REFILLS) return rangeError(0, maxRefills - MIN_REFILLS);
  const sc = changetype<SchedContext>(cap.object);
  const tcb = sc.tcb;
  if (!isNull(tcb)) removeFromScheduling(tcb);
  sc.core = <u32>slot.object;
  sc.budget = budget;
  sc.period = period;
  sc.badge = getMR(thread, 3);
  sc.refillMax = <u32>(extraRefills + MIN_REFILLS);
  if (!isNull(tcb)) {
    tcb.core = <u16>sc.core;
    tcb.hasTime = 1;
    possibleSwitchTo(tcb);
    if (isCurrent(tcb)) rescheduleRequired();
  }
  return SeL4Error.NoError;
}
