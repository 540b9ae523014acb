/** Scheduling contexts (manual section 6.1): bound to a thread or a notification, lent along calls. */
import { Notification, Reply, SchedContext, TCB } from '../model/objects';
import { isNull, none } from '../model/cap';
import { cluster, coreState } from '../model/state';
import { SeL4Error } from '../api/constants';
import { messageInfo, setMR } from '../ipc/message';
import { wakeUp } from '../scheduler/budget';
import { isCurrent, isUnlimited, removeFromScheduling, rescheduleRequired } from '../scheduler/schedule';

/** In a microsecond, the unit of the interface. */
export const NANOSECONDS: u64 = 1000;

/** Microseconds of time that the context has been charged since this was last asked. */
export function takeConsumed(sc: SchedContext): u64 {
  const consumed = sc.consumed / NANOSECONDS;
  sc.consumed = 0;
  return consumed;
}

/** The thread that yielded runs again, or has waited enough: its call of YieldTo is answered. */
export function completeYieldTo(tcb: TCB): void {
  tcb.msgInfo = messageInfo(SeL4Error.NoError, 0, 0, setMR(tcb, 0, takeConsumed(tcb.yieldTo)));
  tcb.badge = 0;
  tcb.yielding = 0;
  tcb.yieldTo.yieldFrom = none<TCB>();
}

/** Moves a scheduling context to a thread that has none, away from whoever has it. */
export function donate(sc: SchedContext, to: TCB): void {
  if (!isNull(sc.tcb)) release(sc);
  sc.tcb = to;
  to.sc = sc;
  to.hasTime = <u8>isUnlimited(sc);
}

/** Takes the context from its thread, which cannot run without. */
function release(sc: SchedContext): void {
  const from = sc.tcb;
  removeFromScheduling(from);
  from.sc = none<SchedContext>();
  from.hasTime = 0;
  sc.tcb = none<TCB>();
  if (isCurrent(from)) rescheduleRequired();
}

export function bindThread(sc: SchedContext, tcb: TCB): void {
  tcb.sc = sc;
  tcb.hasTime = <u8>isUnlimited(sc);
  tcb.core = <u16>sc.core;
  sc.tcb = tcb;
  wakeUp(tcb);
}

export function unbindThread(sc: SchedContext): void {
  if (!isNull(sc.tcb)) release(sc);
}

export function unbindThreadContext(tcb: TCB): void {
  if (!isNull(tcb.sc)) unbindThread(tcb.sc);
}

export function unbindNotification(sc: SchedContext): void {
  if (isNull(sc.notification)) return;
  sc.notification.sc = none<SchedContext>();
  sc.notification = none<Notification>();
}

export function unbindNotificationContext(notification: Notification): void {
  if (!isNull(notification.sc)) unbindNotification(notification.sc);
}

/** A thread without time that is woken by a notification runs on the notification's context. */
export function maybeDonateContext(tcb: TCB, notification: Notification): void {
  const sc = notification.sc;
  if (isNull(tcb.sc) && !isNull(sc) && isNull(sc.tcb)) donate(sc, tcb);
}

/** A thread that waits gives the context that it had from the notification back. */
export function maybeReturnContext(notification: Notification, tcb: TCB): void {
  const sc = notification.sc;
  if (!isNull(sc) && changetype<usize>(sc) == changetype<usize>(tcb.sc)) release(sc);
}

/** Nobody has the context, nor gets it back from a call along which it was lent. */
export function unbindAll(sc: SchedContext): void {
  unbindThread(sc);
  unbindNotification(sc);
  if (isNull(sc.reply)) return;
  sc.reply.sc = none<SchedContext>();
  sc.reply = none<Reply>();
}

export function finaliseSchedContext(sc: SchedContext): void {
  unbindAll(sc);
  if (!isNull(sc.yieldFrom)) completeYieldTo(sc.yieldFrom);
  for (let core: u32 = 0; core < cluster().cores; core++) {
    const state = coreState(core);
    if (changetype<usize>(state.sc) == changetype<usize>(sc)) state.sc = none<SchedContext>();
  }
}
