/**
 * The capability derivation tree (manual section 3.1.5): one doubly linked list over all slots, in preorder.
 * What must hold: a capability's descendants follow it directly, and `isMDBParentOf` is true of it and each of them.
 */
import {
  Slot,
  CapType,
  MDB_FIRST_BADGED,
  MDB_REVOCABLE,
  clearCap,
  copyCap,
  isNull,
  objectBits,
} from '../model/cap';
import { SeL4Error } from '../api/constants';

/** Whether capability `b` is to the object of `a`, to a part of its memory, or comes of its authority. */
export function sameRegionAs(a: Slot, b: Slot): bool {
  switch (<i32>a.type) {
    case CapType.Untyped:
    case CapType.Frame: {
      if (a.type == CapType.Frame && b.type != CapType.Frame) return false;
      const bits = objectBits(b);
      if (bits == 0) return false;
      const aTop = <u64>a.object + ((<u64>1) << a.bits) - 1;
      const bTop = <u64>b.object + ((<u64>1) << bits) - 1;
      return a.object <= b.object && bTop <= aTop;
    }
    case CapType.Endpoint:
    case CapType.Notification:
    case CapType.Reply:
    case CapType.Thread:
    case CapType.SchedContext:
    case CapType.SchedControl:
    case CapType.Domain:
    case CapType.IRQHandler:
    case CapType.CNode:
      return b.type == a.type && b.object == a.object;
    case CapType.IRQControl:
      return b.type == CapType.IRQHandler || b.type == CapType.SGISignal;
    case CapType.UntypedControl:
      // What was made of the memory that it issued follows in the list too.
      return objectBits(b) != 0;
    case CapType.SGISignal:
      return b.type == a.type && b.object == a.object && b.badge == a.badge;
    default:
      return false;
  }
}

/** Whether both are capabilities to one object, so that neither alone is the last. */
function sameObjectAs(a: Slot, b: Slot): bool {
  // Of the control capabilities there is one each.
  const isAlone = a.type == CapType.Untyped || a.type == CapType.IRQControl || a.type == CapType.UntypedControl;
  return !isAlone && sameRegionAs(a, b);
}

export function isMDBParentOf(a: Slot, b: Slot): bool {
  if (!(a.mdb & MDB_REVOCABLE)) return false;
  if (!sameRegionAs(a, b)) return false;
  switch (<i32>a.type) {
    case CapType.Endpoint:
    case CapType.Notification:
      return a.badge == 0 || (a.badge == b.badge && !(b.mdb & MDB_FIRST_BADGED));
    case CapType.SGISignal:
      // Another for the same line may have been issued before.
      return !(b.mdb & MDB_FIRST_BADGED);
    default:
      return true;
  }
}

/** Whether no other capability to the slot's object is left. */
export function isFinalCapability(slot: Slot): bool {
  if (!isNull(slot.prev) && sameObjectAs(slot.prev, slot)) return false;
  return isNull(slot.next) || !sameObjectAs(slot, slot.next);
}

/** An untyped with children may be neither copied nor retyped afresh. */
export function ensureNoChildren(slot: Slot): SeL4Error {
  return !isNull(slot.next) && isMDBParentOf(slot, slot.next) ? SeL4Error.RevokeFirst : SeL4Error.NoError;
}

/** Whether a capability just derived from `source` can be the parent of others. */
function isCapRevocable(derived: Slot, source: Slot): bool {
  switch (<i32>derived.type) {
    case CapType.Endpoint:
    case CapType.Notification:
      return derived.badge != source.badge;
    case CapType.IRQHandler:
    case CapType.SGISignal:
      return source.type == CapType.IRQControl;
    case CapType.Untyped:
      return true;
    default:
      return false;
  }
}

/** Puts `cap`, derived from the capability in `source`, into the empty slot `target`. */
export function cteInsert(cap: Slot, source: Slot, target: Slot): void {
  const revocable = isCapRevocable(cap, source);
  // A copy of an untyped leaves nothing for the original to retype: both would make objects of the same memory.
  if (source.type == CapType.Untyped) source.badge = (<u64>1) << source.bits;
  copyCap(cap, target);
  linkAfter(source, target);
  target.mdb = revocable ? MDB_REVOCABLE | MDB_FIRST_BADGED : 0;
}

/** Puts the capability to a new object into `target`, as a child of `parent`. */
export function insertNewCap(parent: Slot, cap: Slot, target: Slot): void {
  copyCap(cap, target);
  linkAfter(parent, target);
  target.mdb = MDB_REVOCABLE | MDB_FIRST_BADGED;
}

function linkAfter(source: Slot, target: Slot): void {
  target.prev = source;
  target.next = source.next;
  if (!isNull(source.next)) source.next.prev = target;
  source.next = target;
}

/** Moves `cap` (the capability in `source`, perhaps changed) to the empty slot `target`. */
export function cteMove(cap: Slot, source: Slot, target: Slot): void {
  copyCap(cap, target);
  target.prev = source.prev;
  target.next = source.next;
  target.mdb = source.mdb;
  relink(target);
  clearCap(source);
}

/** Exchanges two slots; `a` and `b` are the capabilities that they hold, perhaps changed. */
export function cteSwap(a: Slot, slotA: Slot, b: Slot, slotB: Slot, temporary: Slot): void {
  copyCap(a, temporary);
  copyCap(b, slotA);
  copyCap(temporary, slotB);

  const prev = slotA.prev;
  const next = slotA.next;
  const mdb = slotA.mdb;
  const aBeforeB = changetype<usize>(next) == changetype<usize>(slotB);
  const bBeforeA = changetype<usize>(slotB.next) == changetype<usize>(slotA);
  const otherPrev = slotB.prev;
  const otherNext = slotB.next;
  const otherMdb = slotB.mdb;

  slotA.prev = aBeforeB ? slotB : otherPrev;
  slotA.next = bBeforeA ? slotB : otherNext;
  slotA.mdb = otherMdb;
  slotB.prev = bBeforeA ? slotA : prev;
  slotB.next = aBeforeB ? slotA : next;
  slotB.mdb = mdb;
  relink(slotA);
  relink(slotB);
}

function relink(slot: Slot): void {
  if (!isNull(slot.prev)) slot.prev.next = slot;
  if (!isNull(slot.next)) slot.next.prev = slot;
}

/** Takes an object's last trace out of a slot: the capability and its place in the tree. */
export function unlinkSlot(slot: Slot): void {
  if (!isNull(slot.prev)) slot.prev.next = slot.next;
  if (!isNull(slot.next)) {
    slot.next.prev = slot.prev;
    slot.next.mdb |= slot.mdb & MDB_FIRST_BADGED;
  }
  clearCap(slot);
}
