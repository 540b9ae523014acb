/**
 * Reply objects (manual section 4.2.4). Where a scheduling context travels along a chain of calls, the reply objects
 * of the chain form a stack: its top is the context's `reply`; replying pops it and sends the context back.
 */
import { Endpoint, Reply, SchedContext, TCB, ThreadState } from '../model/objects';
import { isNull, none } from '../model/cap';
import { FaultType } from '../api/constants';
import { goOn, wakeUp } from '../scheduler/budget';
import { setThreadState } from '../scheduler/schedule';
import { doIPCTransfer } from '../ipc/transfer';
import { handleFaultReply } from '../api/fault';
import { cancelIPC } from './endpoint';
import { donate } from './schedcontext';

/** `caller` waits for `reply`, which `callee` holds, and lends its scheduling context if the callee has none. */
export function replyPush(caller: TCB, callee: TCB, reply: Reply, canDonate: bool): void {
  const sc = caller.sc;
  reply.caller = caller;
  caller.reply = reply;
  setThreadState(caller, ThreadState.BlockedOnReply);
  if (canDonate && !isNull(sc) && isNull(callee.sc)) {
    const previous = sc.reply;
    reply.prev = previous;
    if (!isNull(previous)) {
      previous.next = reply;
      previous.sc = none<SchedContext>();
    }
    reply.sc = sc;
    sc.reply = reply;
    donate(sc, callee);
  }
}

/** Ends the wait for `reply`, the top of its stack or in none: the caller gets its scheduling context back. */
function replyPop(reply: Reply, caller: TCB): void {
  const sc = reply.sc;
  if (!isNull(sc)) {
    const previous = reply.prev;
    sc.reply = previous;
    if (!isNull(previous)) {
      previous.sc = sc;
      previous.next = none<Reply>();
    }
    reply.prev = none<Reply>();
    reply.sc = none<SchedContext>();
    if (isNull(caller.sc)) donate(sc, caller);
  }
  replyUnlink(reply, caller);
}

/** Takes a reply object that someone waits for out of its stack, wherever it stands there. */
export function replyRemove(reply: Reply, caller: TCB): void {
  if (!isNull(reply.sc)) {
    replyPop(reply, caller);
  } else {
    unstack(reply);
    replyUnlink(reply, caller);
  }
}

/** As `replyRemove` when it is the caller that goes away: the context stays where it has been lent. */
export function replyRemoveCaller(caller: TCB): void {
  const reply = caller.reply;
  if (!isNull(reply.sc)) {
    reply.sc.reply = none<Reply>();
    reply.sc = none<SchedContext>();
  }
  unstack(reply);
  replyUnlink(reply, caller);
}

/** Cuts the stack at a reply object: the calls before it no longer get the context back. */
function unstack(reply: Reply): void {
  if (!isNull(reply.next)) reply.next.prev = none<Reply>();
  if (!isNull(reply.prev)) reply.prev.next = none<Reply>();
  reply.prev = none<Reply>();
  reply.next = none<Reply>();
}

/**
 * Whoever calls this sets the thread's next state. It is not made inactive on the way: its engine, on another core,
 * reads the state at any time, and unwinds the handler of a thread that it finds inactive.
 */
export function replyUnlink(reply: Reply, tcb: TCB): void {
  reply.caller = none<TCB>();
  tcb.reply = none<Reply>();
}

/** Answers the caller, or the faulted thread, that waits for `reply`; does nothing if nobody waits. */
export function doReplyTransfer(sender: TCB, reply: Reply, grant: bool): void {
  const receiver = reply.caller;
  if (isNull(receiver) || receiver.state != ThreadState.BlockedOnReply) return;
  replyRemove(reply, receiver);
  if (receiver.fault == FaultType.NullFault) {
    doIPCTransfer(sender, none<Endpoint>(), 0, grant, receiver);
    setThreadState(receiver, ThreadState.Running);
    goOn(receiver);
  } else {
    const restart = handleFaultReply(receiver, sender);
    receiver.fault = <u8>FaultType.NullFault;
    setThreadState(receiver, restart ? ThreadState.Running : ThreadState.Inactive);
    wakeUp(receiver);
  }
}

/** The reply object is no more: whoever waits for it is left inactive, whoever offered it receives no longer. */
export function finaliseReply(reply: Reply): void {
  const tcb = reply.caller;
  if (isNull(tcb)) return;
  if (tcb.state == ThreadState.BlockedOnReply) {
    replyRemove(reply, tcb);
    tcb.redo = 1;
    setThreadState(tcb, ThreadState.Inactive);
  } else {
    cancelIPC(tcb);
  }
}
