/** Notifications (manual chapter 5): a word of flags that signals set, waits read and clear, and threads wait for. */
import { Notification, SchedContext, TCB, ThreadState } from '../model/objects';
import { Slot, isNull, none } from '../model/cap';
import { wakeUp } from '../scheduler/budget';
import { rescheduleRequired, setThreadState } from '../scheduler/schedule';
import { cancelIPC, queueAppend, queueRemove } from './endpoint';
import { maybeDonateContext, maybeReturnContext } from './schedcontext';

export function sendSignal(notification: Notification, badge: u64): void {
  const waiting = notification.head;
  const bound = notification.bound;
  if (!isNull(waiting)) {
    queueRemove(notification, waiting);
    deliver(notification, waiting, badge);
  } else if (!notification.active && !isNull(bound) && bound.state == ThreadState.BlockedOnReceive) {
    cancelIPC(bound);
    bound.redo = 0;
    deliver(notification, bound, badge);
  } else {
    notification.badge |= badge;
    notification.active = 1;
  }
}

function deliver(notification: Notification, tcb: TCB, badge: u64): void {
  tcb.badge = badge;
  maybeDonateContext(tcb, notification);
  setThreadState(tcb, ThreadState.Running);
  wakeUp(tcb);
}

export function receiveSignal(thread: TCB, cap: Slot, blocking: bool): void {
  const notification = changetype<Notification>(cap.object);
  if (notification.active) {
    completeSignal(notification, thread);
  } else if (blocking) {
    thread.blockedOn = changetype<usize>(notification);
    maybeReturnContext(notification, thread);
    setThreadState(thread, ThreadState.BlockedOnNotification);
    queueAppend(notification, thread);
  } else {
    thread.badge = 0;
  }
}

/** Takes what was signalled; the notification must be active. */
export function completeSignal(notification: Notification, tcb: TCB): void {
  tcb.badge = notification.badge;
  notification.active = 0;
  notification.badge = 0;
  maybeDonateContext(tcb, notification);
}

export function cancelSignal(tcb: TCB, notification: Notification): void {
  queueRemove(notification, tcb);
}

/** The notification is no more: whoever waits makes the call again and finds that out. */
export function cancelAllSignals(notification: Notification): void {
  if (isNull(notification.head)) return;
  while (!isNull(notification.head)) {
    const thread = notification.head;
    queueRemove(notification, thread);
    thread.redo = 1;
    setThreadState(thread, ThreadState.Running);
    wakeUp(thread);
  }
  rescheduleRequired();
}

export function bindNotification(tcb: TCB, notification: Notification): void {
  notification.bound = tcb;
  tcb.boundNotification = notification;
}

export function unbindNotification(tcb: TCB): void {
  const notification = tcb.boundNotification;
  if (isNull(notification)) return;
  notification.bound = none<TCB>();
  tcb.boundNotification = none<Notification>();
}

export function unbindMaybeNotification(notification: Notification): void {
  if (!isNull(notification.bound)) unbindNotification(notification.bound);
}

export function bindContext(notification: Notification, sc: SchedContext): void {
  notification.sc = sc;
  sc.notification = notification;
}
