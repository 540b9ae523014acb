/** What travels when two threads meet: a message and perhaps capabilities, or a fault (manual section 4.2). */
import { Endpoint, TCB } from '../model/objects';
import { CapType, Slot, isNull, none } from '../model/cap';
import { here, scratch } from '../model/state';
import { FaultType, Limit, SeL4Error } from '../api/constants';
import { setFaultMessage } from '../api/fault';
import { lookupExtraCaps, extraCap, lookupSlotForCNode } from '../api/lookup';
import { cteInsert } from '../object/derivation';
import { deriveCap } from '../object/cnode';
import {
  capPointer,
  copyMRs,
  messageExtraCaps,
  messageInfo,
  messageLabel,
  messageLength,
  receiveSlotWord,
} from './message';

/** `endpoint` is null for a reply. With `grant` the sender's extra capabilities go along. */
export function doIPCTransfer(sender: TCB, endpoint: Endpoint, badge: u64, grant: bool, receiver: TCB): void {
  receiver.badge = badge;
  if (sender.fault != FaultType.NullFault) {
    const length = setFaultMessage(sender, receiver);
    receiver.msgInfo = messageInfo(sender.fault, 0, 0, length);
    return;
  }
  const info = sender.msgInfo;
  const length = copyMRs(sender, receiver, messageLength(info));
  if (grant && messageExtraCaps(info) != 0 && lookupExtraCaps(sender)) {
    receiver.msgInfo = transferCaps(info, length, endpoint, receiver);
  } else {
    receiver.msgInfo = messageInfo(messageLabel(info), 0, 0, length);
  }
}

/**
 * Transfers the extra capabilities that `lookupExtraCaps` has found. One to the very endpoint that the message goes
 * through arrives unwrapped, as its badge; one other arrives in the receiver's receive slot.
 */
function transferCaps(info: u64, length: u32, endpoint: Endpoint, receiver: TCB): u64 {
  let unwrapped: u32 = 0;
  let count: u32 = 0;
  if (receiver.ipcBuffer == 0) return messageInfo(messageLabel(info), 0, 0, length);
  let target = receiveSlot(receiver);
  for (; count < <u32>Limit.ExtraCaps; count++) {
    const source = extraCap(count);
    if (isNull(source)) break;
    if (source.type == CapType.Endpoint && source.object == changetype<usize>(endpoint)) {
      store<u64>(capPointer(receiver, count), source.badge);
      unwrapped |= 1 << count;
      continue;
    }
    if (isNull(target)) break;
    const derived = scratch(0);
    if (deriveCap(source, source, derived) != SeL4Error.NoError || derived.type == CapType.Null) break;
    cteInsert(derived, source, target);
    target = none<Slot>();
  }
  return messageInfo(messageLabel(info), unwrapped, count, length);
}

/** The empty slot that the receiver names for transferred capabilities, or null. */
function receiveSlot(receiver: TCB): Slot {
  const failure = here().lookupFailure;
  const slot = lookupSlotForCNode(
    receiver,
    receiveSlotWord(receiver, 0),
    receiveSlotWord(receiver, 1),
    receiveSlotWord(receiver, 2),
  );
  here().lookupFailure = failure;
  return !isNull(slot) && slot.empty ? slot : none<Slot>();
}
