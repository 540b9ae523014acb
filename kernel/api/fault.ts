/** Faults (manual section 6.2): a message to the thread's fault handler, which the thread waits to be answered. */
import { Slot, isNull } from '../model/cap';
import { Endpoint, TCB, ThreadState } from '../model/objects';
import { here } from '../model/state';
import { sendIPC } from '../object/endpoint';
import { takeConsumed } from '../object/schedcontext';
import { setThreadState } from '../scheduler/schedule';
import { getMR, messageLabel, messageLength, setMR } from '../ipc/message';
import { FaultType, Limit } from './constants';
import { setLookupFailure } from './lookup';

/** The capability at `cptr` could not be found or is not of use; `inReceive` says in which phase. */
export function capFault(thread: TCB, cptr: u64, inReceive: bool): void {
  const core = here();
  thread.faultAddress = cptr;
  thread.faultInReceive = <u8>inReceive;
  thread.lookupFailure = <u8>core.lookupFailure;
  thread.lookupWord0 = core.lookupWord0;
  thread.lookupWord1 = core.lookupWord1;
  thread.lookupWord2 = core.lookupWord2;
  handleFault(thread, FaultType.CapFault);
}

/** The thread's program did what it cannot go on from. `number` and `code` are the engine's. */
export function userException(thread: TCB, number: u64, code: u64): void {
  thread.faultNumber = number;
  thread.lookupWord0 = code;
  handleFault(thread, FaultType.UserException);
}

/** The thread made a system call of a number that there is none. */
export function unknownSyscall(thread: TCB, number: u64): void {
  thread.faultNumber = number;
  handleFault(thread, FaultType.UnknownSyscall);
}

/**
 * The thread has used up its budget: false if nobody is there to be told. The time that the handler of the fault takes
 * is not the thread's.
 */
export function timeoutFault(thread: TCB): bool {
  if (thread.timeoutHandler.empty) return false;
  sendFault(thread, FaultType.Timeout, thread.timeoutHandler, false);
  return true;
}

function handleFault(thread: TCB, fault: FaultType): void {
  // Should the thread ever go on, it goes on with the system call that it was at.
  thread.redo = 1;
  if (thread.faultHandler.empty) setThreadState(thread, ThreadState.Inactive);
  else sendFault(thread, fault, thread.faultHandler, !isNull(thread.sc));
}

/** Through a handler: what is not sendable and answerable does not become one (`isHandler` in object/tcb-invocation.ts). */
function sendFault(thread: TCB, fault: FaultType, handler: Slot, canDonate: bool): void {
  thread.fault = <u8>fault;
  const endpoint = changetype<Endpoint>(handler.object);
  sendIPC(true, true, handler.badge, handler.rights, canDonate, thread, endpoint);
}

/**
 * What a system call is made with, in the order of the register file: badge, tag and four message registers. In a message
 * about an unknown call they are RISC-V's a0 to a5: behind pc, sp and ra, and before a6 and the number of the call. There
 * is no sp, ra and a6 here, so they are 0.
 */
const CALL_REGISTERS: u32 = 6;
const FIRST_CALL_REGISTER: u32 = 3;

@inline
function callRegister(thread: TCB, index: u32): u64 {
  return load<u64>(changetype<usize>(thread) + (<usize>index << 3));
}

/** Writes the message of `sender`'s fault into `receiver`'s message registers; returns its length. */
export function setFaultMessage(sender: TCB, receiver: TCB): u32 {
  if (sender.fault == FaultType.UserException) {
    setMR(receiver, 0, sender.pc);
    setMR(receiver, 1, 0);
    setMR(receiver, 2, sender.faultNumber);
    return setMR(receiver, 3, sender.lookupWord0);
  }
  if (sender.fault == FaultType.UnknownSyscall) {
    setMR(receiver, 0, sender.pc);
    setMR(receiver, 1, 0);
    setMR(receiver, 2, 0);
    for (let i: u32 = 0; i < CALL_REGISTERS; i++) setMR(receiver, FIRST_CALL_REGISTER + i, callRegister(sender, i));
    setMR(receiver, FIRST_CALL_REGISTER + CALL_REGISTERS, 0);
    return setMR(receiver, FIRST_CALL_REGISTER + CALL_REGISTERS + 1, sender.faultNumber);
  }
  if (sender.fault == FaultType.Timeout) {
    const sc = sender.sc;
    if (isNull(sc)) return setMR(receiver, 0, 0);
    setMR(receiver, 0, sc.badge);
    return setMR(receiver, 1, takeConsumed(sc));
  }
  setMR(receiver, 0, sender.pc);
  setMR(receiver, 1, sender.faultAddress);
  setMR(receiver, 2, sender.faultInReceive);
  return setLookupFailure(receiver, 3, sender.lookupFailure, sender.lookupWord0, sender.lookupWord1, sender.lookupWord2);
}

/**
 * Whether the handler's reply lets the thread go on: always after a capability fault, else on label 0. What the reply
 * brings along is where the thread goes on: its program counter; after an unknown call also the registers that a call
 * returns in, laid out as in the fault's message. Then the call has been answered, and is not made again.
 */
export function handleFaultReply(receiver: TCB, sender: TCB): bool {
  if (receiver.fault == FaultType.CapFault) return true;
  const length = sentLength(sender);
  if (length != 0) {
    receiver.pc = <u32>getMR(sender, 0);
    if (receiver.fault == FaultType.UnknownSyscall) {
      receiver.redo = 0;
      for (let i: u32 = 0; i < CALL_REGISTERS && FIRST_CALL_REGISTER + i < length; i++)
        store<u64>(changetype<usize>(receiver) + (<usize>i << 3), getMR(sender, FIRST_CALL_REGISTER + i));
    }
  }
  return messageLabel(sender.msgInfo) == 0;
}

/** How many words of its message a thread can send. */
function sentLength(sender: TCB): u32 {
  const length = messageLength(sender.msgInfo);
  const fast = <u32>Limit.FastMessageRegisters;
  return sender.ipcBuffer == 0 && length > fast ? fast : length;
}
