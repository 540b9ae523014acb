/** The slow paths of the system calls (manual section 2.2, MCS): Call, Send, Recv and their variants. */
import { CapType, Slot, isNull, none } from '../model/cap';
import { Endpoint, Notification, Reply, TCB } from '../model/objects';
import { SMP, here } from '../model/state';
import { receiveIPC, sendIPC } from '../object/endpoint';
import { receiveSignal, sendSignal } from '../object/notification';
import { doReplyTransfer } from '../object/reply';
import { invokeCNode } from '../object/cnode';
import { invokeDomain } from '../object/domain';
import { invokeIRQControl, invokeIRQHandler } from '../object/interrupt';
import { invokeSchedContext, invokeSchedControl } from '../object/schedcontext-invocation';
import { invokeTCB } from '../object/tcb-invocation';
import { invokeUntyped } from '../object/untyped';
import { invokeUntypedControl } from '../object/untyped-control';
import { messageInfo, messageLabel, messageLength, setMR } from '../ipc/message';
import { isExhausted, postpone } from '../scheduler/budget';
import { sendSGI } from '../smp/machine';
import { Invocation, LookupFailure, Rights, SeL4Error } from './constants';
import { DEFERRED, setErrorMessage } from './error';
import { capFault, timeoutFault } from './fault';
import { beginWork, isPreempted } from './preemption';
import { lookupCap, lookupExtraCaps } from './lookup';

/**
 * Send, NBSend and Call: an invocation of the capability at `cptr`. `firstPhase`: a receive of the same thread follows,
 * so the invocation must not be one that can stop or end the thread.
 */
export function handleInvocation(
  thread: TCB,
  cptr: u64,
  isCall: bool,
  blocking: bool,
  canDonate: bool,
  firstPhase: bool,
): void {
  const cap = lookupCap(thread, cptr);
  if (isNull(cap)) {
    // The manual: a non-blocking send that fails does so silently.
    if (blocking) capFault(thread, cptr, false);
    return;
  }
  if (!lookupExtraCaps(thread)) {
    if (blocking) capFault(thread, thread.faultAddress, false);
    return;
  }
  here().resultLength = 0;
  switch (<i32>cap.type) {
    case CapType.Endpoint:
      if (!(cap.rights & (<u8>Rights.Write))) return invocationFailed(thread, isCall);
      sendIPC(blocking, isCall, cap.badge, cap.rights, canDonate, thread, changetype<Endpoint>(cap.object));
      return;
    case CapType.Notification:
      if (!(cap.rights & (<u8>Rights.Write))) return invocationFailed(thread, isCall);
      sendSignal(changetype<Notification>(cap.object), cap.badge);
      return invocationDone(thread, SeL4Error.NoError, isCall);
    case CapType.Reply:
      doReplyTransfer(thread, changetype<Reply>(cap.object), (cap.rights & (<u8>Rights.Grant)) != 0);
      return invocationDone(thread, SeL4Error.NoError, isCall);
    case CapType.SGISignal:
      sendSGI(<u32>cap.badge, <u32>cap.object);
      return invocationDone(thread, SeL4Error.NoError, isCall);
    case CapType.Thread:
    case CapType.CNode:
    case CapType.SchedControl:
    case CapType.SchedContext:
    case CapType.Domain:
      if (firstPhase) return;
  }
  beginWork();
  const error = invokeObject(thread, cap);
  if (isPreempted()) thread.redo = 1;
  else if (error != DEFERRED) invocationDone(thread, error, isCall);
}

function invokeObject(thread: TCB, cap: Slot): SeL4Error {
  const word = messageLabel(thread.msgInfo);
  const label: u32 = word > u32.MAX_VALUE ? Invocation.Invalid : <u32>word;
  const length = messageLength(thread.msgInfo);
  switch (<i32>cap.type) {
    case CapType.Untyped:
      return invokeUntyped(thread, label, length, cap);
    case CapType.CNode:
      return invokeCNode(thread, label, length, cap);
    case CapType.Thread:
      return invokeTCB(thread, label, length, cap);
    case CapType.SchedContext:
      return invokeSchedContext(thread, label, cap);
    case CapType.SchedControl:
      return invokeSchedControl(thread, label, length, cap);
    case CapType.IRQControl:
      return invokeIRQControl(thread, label, length, cap);
    case CapType.IRQHandler:
      return invokeIRQHandler(label, cap);
    case CapType.UntypedControl:
      return invokeUntypedControl(thread, label, length, cap);
    case CapType.Domain:
      return SMP ? SeL4Error.IllegalOperation : invokeDomain(thread, label, length);
    case CapType.Frame:
      return SeL4Error.IllegalOperation;
    default:
      here().errorWord0 = 0;
      return SeL4Error.InvalidCapability;
  }
}

function invocationFailed(thread: TCB, isCall: bool): void {
  here().errorWord0 = 0;
  invocationDone(thread, SeL4Error.InvalidCapability, isCall);
}

/** Answers a call of the kernel itself. A thread that its own invocation stopped gets its answer all the same. */
function invocationDone(thread: TCB, error: SeL4Error, isCall: bool): void {
  if (!isCall) return;
  const length = error == SeL4Error.NoError ? setResult(thread) : setErrorMessage(thread, error);
  thread.msgInfo = messageInfo(error, 0, 0, length);
  thread.badge = 0;
}

function setResult(thread: TCB): u32 {
  const core = here();
  if (core.resultLength > 0) setMR(thread, 0, core.errorWord0);
  if (core.resultLength > 1) setMR(thread, 1, core.errorWord1);
  return core.resultLength;
}

/** Recv, NBRecv, Wait and NBWait. `replyCptr` names the reply object to offer; Wait and NBWait offer none. */
export function handleRecv(thread: TCB, cptr: u64, blocking: bool, canReply: bool, replyCptr: u64): void {
  if (!SMP) thread.underWay = 0;
  if (here().timed != 0 && isExhausted(thread)) {
    // It makes its system call when it has time again.
    thread.redo = 1;
    if (!timeoutFault(thread)) postpone(thread);
    return;
  }
  const cap = lookupCap(thread, cptr);
  if (isNull(cap)) return capFault(thread, cptr, true);
  if (cap.type == CapType.Endpoint && cap.rights & (<u8>Rights.Read)) {
    let reply = none<Reply>();
    if (canReply) {
      const replyCap = lookupCap(thread, replyCptr);
      if (isNull(replyCap)) return capFault(thread, replyCptr, true);
      if (replyCap.type != CapType.Reply) return missingCapFault(thread, replyCptr);
      reply = changetype<Reply>(replyCap.object);
    }
    return receiveIPC(thread, cap, blocking, reply);
  }
  if (cap.type == CapType.Notification && cap.rights & (<u8>Rights.Read)) {
    const bound = changetype<Notification>(cap.object).bound;
    if (isNull(bound) || changetype<usize>(bound) == changetype<usize>(thread))
      return receiveSignal(thread, cap, blocking);
  }
  missingCapFault(thread, cptr);
}

function missingCapFault(thread: TCB, cptr: u64): void {
  const core = here();
  core.lookupFailure = LookupFailure.MissingCapability;
  core.lookupWord0 = 0;
  capFault(thread, cptr, true);
}
