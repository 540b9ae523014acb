/** Scheduling contexts (manual section 6.1): bound to a thread or a notification, lent along calls. */
import { Notification, Reply, SchedContext, TCB } from '../model/objects';
import { isNull, none } from '../model/cap';
import { isActive, isCurrent, possibleSwitchTo, removeFromScheduling, rescheduleRequired } from '../scheduler/schedule';

/** Moves a scheduling context to a thread that has none, away from whoever has it. */
export function donate(sc: SchedContext, to: TCB): void {
  if (!isNull(sc.tcb)) release(sc);
  sc.tcb = to;
  to.sc = sc;
  to.hasTime = isActive(sc) ? 1 : 0;
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
  tcb.hasTime = isActive(sc) ? 1 : 0;
  tcb.core = <u16>sc.core;
  sc.tcb = tcb;
  possibleSwitchTo(tcb);
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

export function finaliseSchedContext(sc: SchedContext): void {
  unbindThread(sc);
  unbindNotification(sc);
  const reply = sc.reply;
  if (!isNull(reply)) {
    reply.sc = none<SchedContext>();
    sc.reply = none<Reply>();
  }
  sc.refillMax = 0;
}
