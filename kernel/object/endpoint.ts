/** Endpoints: send and receive (manual chapter 4). Whoever waits, waits by priority, equals first in, first out. */
import {
  Endpoint,
  Notification,
  Reply,
  TCB,
  ThreadState,
  WaitQueue,
} from '../model/objects';
import { Slot, isNull, none } from '../model/cap';
import { SMP } from '../model/state';
import { FaultType, Rights } from '../api/constants';
import { doIPCTransfer } from '../ipc/transfer';
import { wakeUp } from '../scheduler/budget';
import { possibleSwitchTo, rescheduleRequired, setThreadState } from '../scheduler/schedule';
import { cancelSignal, completeSignal } from './notification';
import { replyPush, replyRemoveCaller, replyUnlink } from './reply';
import { donate, maybeReturnContext } from './schedcontext';

/** Whether threads wait at an endpoint, in this state: to send, or to receive. */
@inline
export function isAwaitedBy(endpoint: Endpoint, state: ThreadState): bool {
  return !isNull(endpoint.head) && endpoint.head.state == state;
}

/** Puts a thread into an endpoint's or notification's queue, behind all of its priority or above. */
export function queueAppend(queue: WaitQueue, tcb: TCB): void {
  let before = queue.tail;
  let after = none<TCB>();
  while (!isNull(before) && before.priority < tcb.priority) {
    after = before;
    before = before.endpointPrev;
  }
  tcb.endpointPrev = before;
  tcb.endpointNext = after;
  if (isNull(before)) queue.head = tcb;
  else before.endpointNext = tcb;
  if (isNull(after)) queue.tail = tcb;
  else after.endpointPrev = tcb;
}

/** Makes a thread the only one in a queue where there was none, or none (null) where there was but one, by one store. */
@inline
export function setOnly(queue: WaitQueue, tcb: TCB): void {
  store<u64>(changetype<usize>(queue), <u64>changetype<usize>(tcb) | (<u64>changetype<usize>(tcb) << 32));
}

/** Takes a thread out of a queue. */
export function queueRemove(queue: WaitQueue, tcb: TCB): void {
  if (isNull(tcb.endpointPrev)) queue.head = tcb.endpointNext;
  else tcb.endpointPrev.endpointNext = tcb.endpointNext;
  if (isNull(tcb.endpointNext)) queue.tail = tcb.endpointPrev;
  else tcb.endpointNext.endpointPrev = tcb.endpointPrev;
  tcb.endpointPrev = none<TCB>();
  tcb.endpointNext = none<TCB>();
}

/**
 * Sends from `thread` to an endpoint. `rights` are those of the capability that it sends through.
 * A fault is sent as a call is: then the thread waits for a reply.
 */
export function sendIPC(
  blocking: bool,
  isCall: bool,
  badge: u64,
  rights: u8,
  canDonate: bool,
  thread: TCB,
  endpoint: Endpoint,
): void {
  if (!isAwaitedBy(endpoint, ThreadState.BlockedOnReceive)) {
    if (!blocking) return;
    thread.blockedOn = changetype<usize>(endpoint);
    thread.sendBadge = badge;
    thread.sendRights = rights;
    thread.sendIsCall = <u8>isCall;
    setThreadState(thread, ThreadState.BlockedOnSend);
    queueAppend(endpoint, thread);
    return;
  }
  const receiver = endpoint.head;
  const active = !isNull(receiver.sc);
  queueRemove(endpoint, receiver);
  doIPCTransfer(thread, endpoint, badge, (rights & (<u8>Rights.Grant)) != 0, receiver);
  const reply = receiver.reply;
  if (!isNull(reply)) replyUnlink(reply, receiver);
  if (isCall) {
    awaitReply(thread, receiver, reply, rights, canDonate);
  } else if (canDonate && isNull(receiver.sc)) {
    donate(thread.sc, receiver);
  }
  setThreadState(receiver, ThreadState.Running);
  // On a caller's time it runs at once, since the caller's handler waits for it.
  if (active) wakeUp(receiver);
  else possibleSwitchTo(receiver);
}

/** The caller waits for the callee's reply, if the callee offered a reply object and the caller may be answered. */
function awaitReply(caller: TCB, callee: TCB, reply: Reply, rights: u8, canDonate: bool): void {
  if (!isNull(reply) && rights & (<u8>(Rights.Grant | Rights.GrantReply))) {
    if (!SMP) callee.underWay = caller.underWay;
    replyPush(caller, callee, reply, canDonate);
  } else {
    caller.redo = 1;
    setThreadState(caller, ThreadState.Inactive);
  }
}

/** Receives for `thread` through the endpoint capability `cap`, offering `reply` (or null) to a caller. */
export function receiveIPC(thread: TCB, cap: Slot, blocking: bool, reply: Reply): void {
  const endpoint = changetype<Endpoint>(cap.object);
  // A reply object serves one caller: whoever still waits for it is given up.
  if (
    !isNull(reply) &&
    !isNull(reply.caller) &&
    changetype<usize>(reply.caller) != changetype<usize>(thread)
  ) {
    cancelIPC(reply.caller);
  }
  const notification = thread.boundNotification;
  if (!isNull(notification)) {
    if (notification.active) {
      completeSignal(notification, thread);
      return;
    }
    // Wait passively: whoever wakes the thread brings time along.
    if (blocking) maybeReturnContext(notification, thread);
  }
  if (!isAwaitedBy(endpoint, ThreadState.BlockedOnSend)) {
    if (!blocking) {
      thread.badge = 0;
      return;
    }
    thread.blockedOn = changetype<usize>(endpoint);
    thread.reply = reply;
    if (!isNull(reply)) reply.caller = thread;
    setThreadState(thread, ThreadState.BlockedOnReceive);
    queueAppend(endpoint, thread);
    return;
  }
  const sender = endpoint.head;
  queueRemove(endpoint, sender);
  doIPCTransfer(sender, endpoint, sender.sendBadge, (sender.sendRights & (<u8>Rights.Grant)) != 0, thread);
  if (sender.sendIsCall) {
    const canDonate = !isNull(sender.sc) && sender.fault != FaultType.Timeout;
    awaitReply(sender, thread, reply, sender.sendRights, canDonate);
  } else {
    setThreadState(sender, ThreadState.Running);
    possibleSwitchTo(sender);
  }
}

/**
 * Takes a thread out of whatever it waits for and leaves it inactive. If that was a system call, the thread makes it
 * again when it is resumed; a fault's message is simply lost.
 */
export function cancelIPC(tcb: TCB): void {
  switch (<i32>tcb.state) {
    case ThreadState.BlockedOnSend:
    case ThreadState.BlockedOnReceive: {
      const reply = tcb.reply;
      queueRemove(changetype<Endpoint>(tcb.blockedOn), tcb);
      if (!isNull(reply)) replyUnlink(reply, tcb);
      break;
    }
    case ThreadState.BlockedOnNotification:
      cancelSignal(tcb, changetype<Notification>(tcb.blockedOn));
      break;
    case ThreadState.BlockedOnReply:
      replyRemoveCaller(tcb);
      break;
    default:
      return;
  }
  tcb.redo = 1;
  tcb.fault = <u8>FaultType.NullFault;
  setThreadState(tcb, ThreadState.Inactive);
}

/** The endpoint is no more: senders and receivers make their calls again and find that out. */
export function cancelAllIPC(endpoint: Endpoint): void {
  if (!isNull(endpoint.head)) cancelSendersOf(endpoint, 0, false);
}

/** Cancels the sends through capabilities with this badge (manual, `CNode_CancelBadgedSends`). */
export function cancelBadgedSends(endpoint: Endpoint, badge: u64): void {
  if (isAwaitedBy(endpoint, ThreadState.BlockedOnSend)) cancelSendersOf(endpoint, badge, true);
}

function cancelSendersOf(endpoint: Endpoint, badge: u64, onlyBadge: bool): void {
  const receivers = isAwaitedBy(endpoint, ThreadState.BlockedOnReceive);
  let thread = endpoint.head;
  while (!isNull(thread)) {
    const next = thread.endpointNext;
    if (!onlyBadge || thread.sendBadge == badge) {
      const faulted = thread.fault != FaultType.NullFault;
      queueRemove(endpoint, thread);
      if (!isNull(thread.reply)) replyUnlink(thread.reply, thread);
      if (faulted) {
        thread.fault = <u8>FaultType.NullFault;
        setThreadState(thread, ThreadState.Inactive);
      } else {
        thread.redo = 1;
        setThreadState(thread, ThreadState.Running);
        if (receivers) wakeUp(thread);
        else possibleSwitchTo(thread);
      }
    }
    thread = next;
  }
  rescheduleRequired();
}

/** Keeps a queue in order when a waiting thread's priority changes. */
export function reorderQueue(queue: WaitQueue, tcb: TCB): void {
  queueRemove(queue, tcb);
  queueAppend(queue, tcb);
}
