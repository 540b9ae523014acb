/** Invocations of a TCB capability (manual sections 6.1 and 10.3). There are no page tables, so no VSpace. */
import { CapType, FRAME_DEVICE, Slot, copyCap, isNull } from '../model/cap';
import { Notification, SchedContext, TCB, ThreadState } from '../model/objects';
import { scratch } from '../model/state';
import { Invocation, Rights, SeL4Error, SizeBits } from '../api/constants';
import { invalidCapability, rangeError, returnWords } from '../api/error';
import { extraCap } from '../api/lookup';
import { getMR } from '../ipc/message';
import { deriveCap, updateCapData } from './cnode';
import { cteDeleteOne } from './delete';
import { cteInsert, isFinalCapability, sameRegionAs } from './derivation';
import { bindNotification, unbindNotification } from './notification';
import { bindThread, unbindThreadContext } from './schedcontext';
import { restart, setPriority, suspend, useBuffer, forgetStalled } from './tcb';
import { isReleased } from '../scheduler/budget';
import { isCurrent, rescheduleRequired } from '../scheduler/schedule';

const REGISTERS: u64 = 2;

/** Runs an invocation of `thread` on the TCB capability in `slot`. */
export function invokeTCB(thread: TCB, label: u32, length: u32, slot: Slot): SeL4Error {
  const tcb = changetype<TCB>(slot.object);
  switch (label) {
    case Invocation.TCBReadRegisters:
      return readRegisters(thread, length, tcb);
    case Invocation.TCBWriteRegisters:
      return writeRegisters(thread, length, tcb);
    case Invocation.TCBCopyRegisters:
      return copyRegisters(thread, length, tcb);
    case Invocation.TCBConfigure:
      return configure(thread, length, tcb);
    case Invocation.TCBSetPriority:
      return setPriorities(thread, length, tcb, true, false);
    case Invocation.TCBSetMCPriority:
      return setPriorities(thread, length, tcb, false, true);
    case Invocation.TCBSetSchedParams:
      return setSchedParams(thread, length, tcb);
    case Invocation.TCBSetTimeoutEndpoint:
      return isNull(extraCap(0))
        ? SeL4Error.TruncatedMessage
        : setHandler(extraCap(0), tcb.timeoutHandler, 1);
    case Invocation.TCBSetIPCBuffer:
      return setIPCBuffer(thread, length, tcb);
    case Invocation.TCBSetSpace:
      return setSpace(thread, length, tcb);
    case Invocation.TCBSuspend:
      suspend(tcb);
      return SeL4Error.NoError;
    case Invocation.TCBResume:
      restart(tcb);
      return SeL4Error.NoError;
    case Invocation.TCBBindNotification:
      return bind(tcb);
    case Invocation.TCBUnbindNotification:
      if (isNull(tcb.boundNotification)) return SeL4Error.IllegalOperation;
      unbindNotification(tcb);
      return SeL4Error.NoError;
    default:
      return SeL4Error.IllegalOperation;
  }
}

/** `ReadRegisters(suspend, flags, count)`: pc and program. */
function readRegisters(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  if (length < 2) return SeL4Error.TruncatedMessage;
  const flags = getMR(thread, 0);
  const count = getMR(thread, 1);
  if (count < 1 || count > REGISTERS) return rangeError(1, REGISTERS);
  if (changetype<usize>(tcb) == changetype<usize>(thread)) return SeL4Error.IllegalOperation;
  if (flags & 1) suspend(tcb);
  return returnWords(<u32>count, tcb.pc, tcb.program);
}

/**
 * `WriteRegisters(flags, count, pc, program)`: a thread has no other registers on this machine. Bit 0 of the flags
 * resumes it. Written registers end whatever the thread was at: it does not make its system call again.
 */
function writeRegisters(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  if (length < 2) return SeL4Error.TruncatedMessage;
  const flags = getMR(thread, 0);
  const count = getMR(thread, 1);
  if (<u64>length - 2 < count) return SeL4Error.TruncatedMessage;
  if (changetype<usize>(tcb) == changetype<usize>(thread)) return SeL4Error.IllegalOperation;
  suspend(tcb);
  if (count > 0) tcb.pc = <u32>getMR(thread, 2);
  if (count > 1) tcb.program = <u32>getMR(thread, 3);
  tcb.redo = 0;
  forgetStalled(tcb);
  if (flags & 1) restart(tcb);
  return SeL4Error.NoError;
}

/** Flags of CopyRegisters. */
const SUSPEND_SOURCE: u64 = 1;
const RESUME_TARGET: u64 = 2;
const TRANSFER_FRAME: u64 = 4;
const TRANSFER_INTEGER: u64 = 8;

/**
 * `CopyRegisters(flags)` with the source as extra capability. The frame is where the thread stands: `pc`, `program`, and
 * whether it makes its system call again. The integer registers are what a system call is made with.
 */
function copyRegisters(thread: TCB, length: u32, target: TCB): SeL4Error {
  const cap = extraCap(0);
  if (length < 1 || isNull(cap)) return SeL4Error.TruncatedMessage;
  if (cap.type != CapType.Thread) return invalidCapability(1);
  const flags = getMR(thread, 0);
  const source = changetype<TCB>(cap.object);
  if (flags & SUSPEND_SOURCE) suspend(source);
  if (flags & RESUME_TARGET) restart(target);
  if (flags & TRANSFER_FRAME) {
    target.pc = source.pc;
    target.program = source.program;
    target.redo = source.redo;
    forgetStalled(target);
  }
  if (flags & TRANSFER_INTEGER)
    memory.copy(changetype<usize>(target), changetype<usize>(source), offsetof<TCB>('pc'));
  if (isCurrent(target)) rescheduleRequired();
  return SeL4Error.NoError;
}

/** `Configure(cspace_root_data, buffer)` with extra capabilities (cspace_root, bufferFrame). */
function configure(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  const root = extraCap(0);
  const frame = extraCap(1);
  if (length < 2 || isNull(root) || isNull(frame)) return SeL4Error.TruncatedMessage;
  const buffer = getMR(thread, 1);
  const invalid = checkBuffer(buffer, frame);
  if (invalid != SeL4Error.NoError) return invalid;
  const cap = scratch(1);
  if (!isRoot(tcb, root, getMR(thread, 0), cap)) return SeL4Error.IllegalOperation;
  const error = replaceRoot(tcb, root, cap);
  return error == SeL4Error.NoError ? replaceBuffer(tcb, buffer, frame) : error;
}

/** `SetSpace(cspace_root_data)` with extra capabilities (fault_ep, cspace_root). */
function setSpace(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  const handler = extraCap(0);
  const root = extraCap(1);
  if (length < 1 || isNull(handler) || isNull(root)) return SeL4Error.TruncatedMessage;
  const cap = scratch(1);
  if (!isRoot(tcb, root, getMR(thread, 0), cap)) return SeL4Error.IllegalOperation;
  if (!isHandler(handler)) return invalidCapability(1);
  const error = replaceRoot(tcb, root, cap);
  return error == SeL4Error.NoError ? setHandler(handler, tcb.faultHandler, 1) : error;
}

/** `SetIPCBuffer(buffer)` with the frame as extra capability; address 0 takes the buffer away. */
function setIPCBuffer(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  const frame = extraCap(0);
  if (length < 1 || isNull(frame)) return SeL4Error.TruncatedMessage;
  const buffer = getMR(thread, 0);
  const invalid = checkBuffer(buffer, frame);
  return invalid == SeL4Error.NoError ? replaceBuffer(tcb, buffer, frame) : invalid;
}

/** The buffer's address is physical here: aligned, and inside a frame that may be written. */
function checkBuffer(buffer: u64, frame: Slot): SeL4Error {
  if (buffer == 0) return SeL4Error.NoError;
  const writable = (frame.rights & (<u8>(Rights.Read | Rights.Write))) == <u8>(Rights.Read | Rights.Write);
  if (frame.type != CapType.Frame || !writable || frame.badge & FRAME_DEVICE) return SeL4Error.IllegalOperation;
  if (buffer & (((<u64>1) << SizeBits.IPCBuffer) - 1)) return SeL4Error.AlignmentError;
  const end = <u64>frame.object + ((<u64>1) << frame.bits);
  return buffer < frame.object || buffer >= end ? SeL4Error.IllegalOperation : SeL4Error.NoError;
}

function replaceBuffer(tcb: TCB, buffer: u64, frame: Slot): SeL4Error {
  cteDeleteOne(tcb.bufferSlot);
  if (buffer == 0) return SeL4Error.NoError;
  const error = replace(frame, frame, tcb.bufferSlot);
  if (error == SeL4Error.NoError) useBuffer(tcb, <usize>buffer);
  return error;
}

/** Whether the capability can be the root of the thread's capability space, with its guard; it is left in `cap` then. */
function isRoot(tcb: TCB, root: Slot, data: u64, cap: Slot): bool {
  copyCap(root, cap);
  if (data != 0) updateCapData(false, data, cap);
  // To delete the last capability to a CNode deletes all that is in it, perhaps this very TCB.
  return cap.type == CapType.CNode && (tcb.ctable.empty || !isFinalCapability(tcb.ctable));
}

function replaceRoot(tcb: TCB, root: Slot, cap: Slot): SeL4Error {
  // Not the last one to its CNode (`isRoot`): no zombie is left.
  cteDeleteOne(tcb.ctable);
  return replace(cap, root, tcb.ctable);
}

/** Puts a copy of `source`'s capability (as `cap` has it) into one of a TCB's own slots, emptied before. */
function replace(cap: Slot, source: Slot, target: Slot): SeL4Error {
  const derived = scratch(0);
  const error = deriveCap(source, cap, derived);
  if (error != SeL4Error.NoError) return error;
  // Deleting what the TCB held may have deleted the source's capability too.
  if (sameRegionAs(derived, source)) cteInsert(derived, source, target);
  return SeL4Error.NoError;
}

/** Whether faults can be sent through the capability and answered, or none are to be sent. */
function isHandler(cap: Slot): bool {
  if (cap.type == CapType.Null) return true;
  return (
    cap.type == CapType.Endpoint &&
    (cap.rights & (<u8>Rights.Write)) != 0 &&
    (cap.rights & (<u8>(Rights.Grant | Rights.GrantReply))) != 0
  );
}

function setHandler(handler: Slot, target: Slot, argument: u32): SeL4Error {
  if (!isHandler(handler)) return invalidCapability(argument);
  cteDeleteOne(target);
  return handler.empty ? SeL4Error.NoError : replace(handler, handler, target);
}

/** The authority's maximum controlled priority bounds what can be set (manual section 6.1.3). */
function setPriorities(thread: TCB, length: u32, tcb: TCB, priority: bool, mcp: bool): SeL4Error {
  const authority = extraCap(0);
  if (length < 1 || isNull(authority)) return SeL4Error.TruncatedMessage;
  if (authority.type != CapType.Thread) return invalidCapability(1);
  const value = getMR(thread, 0);
  const limit = <u64>changetype<TCB>(authority.object).mcp;
  if (value > limit) return rangeError(0, limit);
  if (mcp) tcb.mcp = <u8>value;
  if (priority) setPriority(tcb, <u8>value);
  return SeL4Error.NoError;
}

/** `SetSchedParams(mcp, priority)` with extra capabilities (authority, sched_context, fault_ep). */
function setSchedParams(thread: TCB, length: u32, tcb: TCB): SeL4Error {
  const authority = extraCap(0);
  const context = extraCap(1);
  const handler = extraCap(2);
  if (length < 2 || isNull(authority) || isNull(context) || isNull(handler))
    return SeL4Error.TruncatedMessage;
  if (authority.type != CapType.Thread) return invalidCapability(1);
  const limit = <u64>changetype<TCB>(authority.object).mcp;
  const mcp = getMR(thread, 0);
  const priority = getMR(thread, 1);
  if (mcp > limit || priority > limit) return rangeError(0, limit);
  if (context.type == CapType.SchedContext) {
    const sc = changetype<SchedContext>(context.object);
    if (!isNull(tcb.sc) || !isNull(sc.tcb)) return SeL4Error.IllegalOperation;
    if (isBlocked(tcb) && !isReleased(sc)) return SeL4Error.IllegalOperation;
  } else if (context.type == CapType.Null) {
    if (isCurrent(tcb)) return SeL4Error.IllegalOperation;
  } else {
    return invalidCapability(2);
  }
  if (!isHandler(handler)) return invalidCapability(3);
  const error = setHandler(handler, tcb.faultHandler, 3);
  if (error != SeL4Error.NoError) return error;
  tcb.mcp = <u8>mcp;
  setPriority(tcb, <u8>priority);
  if (context.type == CapType.SchedContext) bindThread(changetype<SchedContext>(context.object), tcb);
  else unbindThreadContext(tcb);
  return SeL4Error.NoError;
}

export function isBlocked(tcb: TCB): bool {
  return (
    tcb.state == ThreadState.BlockedOnReceive ||
    tcb.state == ThreadState.BlockedOnSend ||
    tcb.state == ThreadState.BlockedOnNotification ||
    tcb.state == ThreadState.BlockedOnReply
  );
}

function bind(tcb: TCB): SeL4Error {
  const cap = extraCap(0);
  if (isNull(cap)) return SeL4Error.TruncatedMessage;
  if (!isNull(tcb.boundNotification)) return SeL4Error.IllegalOperation;
  if (cap.type != CapType.Notification) return SeL4Error.IllegalOperation;
  const notification = changetype<Notification>(cap.object);
  if (!(cap.rights & (<u8>Rights.Read))) return SeL4Error.IllegalOperation;
  if (!isNull(notification.head) || !isNull(notification.bound)) return SeL4Error.IllegalOperation;
  bindNotification(tcb, notification);
  return SeL4Error.NoError;
}
