/**
 * Messages (manual section 4.1): a tag, and up to 120 words, the first four in the register file and the others in
 * the IPC buffer. A thread without a buffer has the four alone.
 */
import { Limit } from '../api/constants';
import { TCB } from '../model/objects';

const LENGTH_MASK: u64 = 127;
const LABEL_SHIFT: u64 = 12;
const CAPS_SHIFT: u64 = 7;
const UNWRAPPED_SHIFT: u64 = 9;

/** Word offsets in the IPC buffer, as in `seL4_IPCBuffer`: tag, message, user data, capabilities or badges, receive slot. */
const BUFFER_MESSAGE: usize = 8;
const BUFFER_CAPS: usize = 122 * 8;
const BUFFER_RECEIVE_CNODE: usize = 125 * 8;

@inline
export function messageLength(info: u64): u32 {
  const length = <u32>(info & LENGTH_MASK);
  return length > <u32>Limit.MessageRegisters ? <u32>Limit.MessageRegisters : length;
}

@inline
export function messageLabel(info: u64): u64 {
  return info >> LABEL_SHIFT;
}

@inline
export function messageExtraCaps(info: u64): u32 {
  return <u32>(info >> CAPS_SHIFT) & 3;
}

@inline
export function messageInfo(label: u64, unwrapped: u32, caps: u32, length: u32): u64 {
  return (label << LABEL_SHIFT) | (<u64>unwrapped << UNWRAPPED_SHIFT) | (<u64>caps << CAPS_SHIFT) | length;
}

/** Address of a message register, or 0 if the thread has no such register. */
@inline
function registerAddress(tcb: TCB, index: u32): usize {
  if (index < <u32>Limit.FastMessageRegisters) return changetype<usize>(tcb) + 16 + (<usize>index << 3);
  return tcb.ipcBuffer == 0 ? 0 : tcb.ipcBuffer + BUFFER_MESSAGE + (<usize>index << 3);
}

export function getMR(tcb: TCB, index: u32): u64 {
  const address = registerAddress(tcb, index);
  return address == 0 ? 0 : load<u64>(address);
}

/** Writes a message register and returns how many a message that ends with it has. */
export function setMR(tcb: TCB, index: u32, value: u64): u32 {
  const address = registerAddress(tcb, index);
  if (address == 0) return <u32>Limit.FastMessageRegisters;
  store<u64>(address, value);
  return index + 1;
}

/** Copies the first `length` message registers; returns how many arrived. */
export function copyMRs(sender: TCB, receiver: TCB, length: u32): u32 {
  const fast = <u32>Limit.FastMessageRegisters;
  const inRegisters = length < fast ? length : fast;
  for (let i: u32 = 0; i < inRegisters; i++) store<u64>(registerAddress(receiver, i), load<u64>(registerAddress(sender, i)));
  if (length <= fast || sender.ipcBuffer == 0 || receiver.ipcBuffer == 0) return inRegisters;
  const skip = BUFFER_MESSAGE + (<usize>fast << 3);
  memory.copy(receiver.ipcBuffer + skip, sender.ipcBuffer + skip, <usize>(length - fast) << 3);
  return length;
}

/** The address in a thread's buffer of extra capability `index` when it sends, of its badge when it receives. */
@inline
export function capPointer(tcb: TCB, index: u32): usize {
  return tcb.ipcBuffer + BUFFER_CAPS + (<usize>index << 3);
}

/** Where the thread wants a transferred capability: CNode, index and depth. */
@inline
export function receiveSlotWord(tcb: TCB, word: u32): u64 {
  return load<u64>(tcb.ipcBuffer + BUFFER_RECEIVE_CNODE + (<usize>word << 3));
}
