/** Interrupts (manual chapter 7), and the interrupt-sending capability of the IPI API's RFC. */
import { CapType, Slot, isNull, setCap } from '../model/cap';
import { Notification, TCB } from '../model/objects';
import { SMP, irqIsIssued, irqSlot, scratch, setIrqIssued } from '../model/state';
import { Invocation, InterruptLine, Limit, Rights, SeL4Error } from '../api/constants';
import { failedLookup, invalidCapability, rangeError } from '../api/error';
import { extraCap, lookupTargetSlot } from '../api/lookup';
import { getMR } from '../ipc/message';
import { maskInterrupt } from '../smp/machine';
import { rescheduleRequired } from '../scheduler/schedule';
import { cteDeleteOne } from './delete';
import { cteInsert } from './derivation';
import { sendSignal } from './notification';

/**
 * `IRQControl_Get(irq, index, depth)` and `IRQControl_IssueSGISignal(irq, target, index, depth)`, each with the root
 * of the CNode as extra capability. The second names an interrupt of another core of the machine, by its number.
 */
export function invokeIRQControl(thread: TCB, label: u32, length: u32, slot: Slot): SeL4Error {
  const root = extraCap(0);
  if (label == Invocation.IRQIssueIRQHandler) {
    if (length < 3 || isNull(root)) return SeL4Error.TruncatedMessage;
    const irq = getMR(thread, 0);
    if (irq <= <u64>InterruptLine.Reschedule || irq >= <u64>Limit.Interrupts)
      return rangeError(1, Limit.Interrupts - 1);
    if (irqIsIssued(<u32>irq)) return SeL4Error.RevokeFirst;
    const target = lookupTargetSlot(root, getMR(thread, 1), getMR(thread, 2));
    if (isNull(target)) return failedLookup(false);
    if (!target.empty) return SeL4Error.DeleteFirst;
    const cap = scratch(0);
    setCap(cap, CapType.IRQHandler, <usize>irq);
    cteInsert(cap, slot, target);
    setIrqIssued(<u32>irq, true);
    return SeL4Error.NoError;
  }
  if (label == Invocation.IRQIssueSGISignal) {
    if (length < 4 || isNull(root)) return SeL4Error.TruncatedMessage;
    const irq = getMR(thread, 0);
    if (irq <= <u64>InterruptLine.Reschedule || irq >= <u64>Limit.Interrupts)
      return rangeError(1, Limit.Interrupts - 1);
    const target = lookupTargetSlot(root, getMR(thread, 2), getMR(thread, 3));
    if (isNull(target)) return failedLookup(false);
    if (!target.empty) return SeL4Error.DeleteFirst;
    const cap = scratch(0);
    setCap(cap, CapType.SGISignal, <usize>irq, 0, 0, getMR(thread, 1));
    cteInsert(cap, slot, target);
    return SeL4Error.NoError;
  }
  return SeL4Error.IllegalOperation;
}

export function invokeIRQHandler(label: u32, slot: Slot): SeL4Error {
  const irq = <u32>slot.object;
  switch (label) {
    case Invocation.IRQAckIRQ:
      maskInterrupt(irq, false);
      return SeL4Error.NoError;
    case Invocation.IRQSetIRQHandler: {
      const notification = extraCap(0);
      if (isNull(notification)) return SeL4Error.TruncatedMessage;
      if (notification.type != CapType.Notification || !(notification.rights & (<u8>Rights.Write)))
        return invalidCapability(0);
      cteDeleteOne(irqSlot(irq));
      cteInsert(notification, notification, irqSlot(irq));
      maskInterrupt(irq, false);
      return SeL4Error.NoError;
    }
    case Invocation.IRQClearIRQHandler:
      cteDeleteOne(irqSlot(irq));
      return SeL4Error.NoError;
    default:
      return SeL4Error.IllegalOperation;
  }
}

/** An interrupt has come. The line stays masked until its handler acknowledges it. */
export function handleInterrupt(irq: u32): void {
  if (SMP && irq == InterruptLine.Reschedule) {
    rescheduleRequired();
    return;
  }
  if (irq >= <u32>Limit.Interrupts) return;
  maskInterrupt(irq, true);
  const cap = irqSlot(irq);
  if (cap.type == CapType.Notification && cap.rights & (<u8>Rights.Write)) {
    sendSignal(changetype<Notification>(cap.object), cap.badge);
  }
}
