/**
 * Delete and revoke (manual section 3.1.5). What is deleted last takes its object with it; a CNode or TCB first
 * becomes a zombie, a capability that lists the slots still to empty, so that the work never recurses deeper than
 * one CNode: where a zombie's slot holds another CNode, the two are swapped and the inner one is emptied later.
 *
 * Both stop at preemption points and go on when they are called again: what is left to do is what is left in the slots.
 */
import { CapType, FRAME_DEVICE, Slot, ZOMBIE_TCB, isNull, setCap, slotAt } from '../model/cap';
import { Endpoint, Notification, Reply, SchedContext, TCB, TCB_SLOT_COUNT, tcbSlot } from '../model/objects';
import { irqSlot, scratch, setIrqIssued } from '../model/state';
import { cteSwap, isFinalCapability, isMDBParentOf, unlinkSlot } from './derivation';
import { cancelAllIPC } from './endpoint';
import { cancelAllSignals, unbindMaybeNotification } from './notification';
import { finaliseReply } from './reply';
import { finaliseSchedContext, unbindNotificationContext, unbindThreadContext } from './schedcontext';
import { finaliseThread } from './tcb';
import { isPreempted, preemptionPoint } from '../api/preemption';
import { maskInterrupt } from '../smp/machine';

/** Deletes the capability in a slot, and its object if it is the last. The slot is empty afterwards, unless preempted. */
export function cteDelete(slot: Slot, exposed: bool): void {
  if (finaliseSlot(slot, exposed)) emptySlot(slot);
}

/** Deletes all descendants of the slot's capability. */
export function cteRevoke(slot: Slot): void {
  for (let next = slot.next; !isNull(next) && isMDBParentOf(slot, next); next = slot.next) {
    cteDelete(next, true);
    if (isPreempted() || preemptionPoint()) return;
  }
}

/** Deletes a capability of a type that never becomes a zombie, in one step. */
export function cteDeleteOne(slot: Slot): void {
  finaliseCap(slot, isFinalCapability(slot));
  emptySlot(slot);
}

function emptySlot(slot: Slot): void {
  if (slot.empty) return;
  // Without its frame the thread has no buffer: the memory will be someone else's.
  if (slot.type == CapType.Frame && slot.badge & ~FRAME_DEVICE) changetype<TCB>(<usize>slot.badge).ipcBuffer = 0;
  const irq: i32 = slot.type == CapType.IRQHandler && isFinalCapability(slot) ? <i32>slot.object : -1;
  unlinkSlot(slot);
  if (irq >= 0) {
    setIrqIssued(irq, false);
    maskInterrupt(irq, true);
  }
}

/** Returns whether the slot's capability may now be taken out of it. */
function finaliseSlot(slot: Slot, immediate: bool): bool {
  while (!slot.empty) {
    const final = isFinalCapability(slot);
    if (!finaliseCap(slot, final) || zombieIsDone(slot)) return true;
    // A zombie in its own slot list: whoever holds the other end of the cycle empties it.
    if (!immediate && slot.object == zombieHome(slot)) return false;
    reduceZombie(slot, immediate);
    if (isPreempted() || preemptionPoint()) return false;
  }
  return true;
}

/** The object address that a zombie would have that lists this very slot first. */
function zombieHome(slot: Slot): usize {
  return slot.bits == ZOMBIE_TCB ? changetype<usize>(slot) - 64 : changetype<usize>(slot);
}

function zombieSlot(zombie: Slot, index: u32): Slot {
  return zombie.bits == ZOMBIE_TCB ? tcbSlot(zombie.object, index) : slotAt(zombie.object, index);
}

function zombieIsDone(zombie: Slot): bool {
  const left = zombie.badge;
  return left == 0 || (left == 1 && changetype<usize>(zombieSlot(zombie, 0)) == changetype<usize>(zombie));
}

function reduceZombie(slot: Slot, immediate: bool): void {
  if (immediate) {
    const object = slot.object;
    const left = <u32>slot.badge;
    cteDelete(zombieSlot(slot, left - 1), false);
    if (isPreempted()) return;
    // Deleting the last listed slot may have swapped this zombie away; if it is still here, one slot less is left.
    if (slot.object == object) slot.badge = left - 1;
  } else {
    const first = zombieSlot(slot, 0);
    cteSwap(slot, slot, first, first, scratch(3));
  }
}

/**
 * Withdraws what the capability stands for. True when slots remain to be emptied: the capability is a zombie then.
 */
function finaliseCap(slot: Slot, final: bool): bool {
  if (slot.type == CapType.Zombie) return true;
  if (!final) return false;
  const object = slot.object;
  switch (<i32>slot.type) {
    case CapType.Endpoint:
      cancelAllIPC(changetype<Endpoint>(object));
      break;
    case CapType.Notification:
      unbindNotificationContext(changetype<Notification>(object));
      unbindMaybeNotification(changetype<Notification>(object));
      cancelAllSignals(changetype<Notification>(object));
      break;
    case CapType.Reply:
      finaliseReply(changetype<Reply>(object));
      break;
    case CapType.SchedContext:
      finaliseSchedContext(changetype<SchedContext>(object));
      break;
    case CapType.CNode:
      setCap(slot, CapType.Zombie, object, slot.bits, 0, (<u64>1) << slot.bits);
      return true;
    case CapType.Thread:
      unbindThreadContext(changetype<TCB>(object));
      finaliseThread(changetype<TCB>(object));
      setCap(slot, CapType.Zombie, object, ZOMBIE_TCB, 0, TCB_SLOT_COUNT);
      return true;
    case CapType.IRQHandler:
      cteDeleteOne(irqSlot(<u32>object));
  }
  return false;
}
