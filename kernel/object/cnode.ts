/** CNode invocations (manual section 3.1.2 and chapter 10), and what it takes to derive a capability. */
import { CapType, Slot, WORD_BITS, clearCap, copyCap, isNull, maskRights, setGuard } from '../model/cap';
import { Endpoint, TCB } from '../model/objects';
import { scratch } from '../model/state';
import { Invocation, Rights, SeL4Error } from '../api/constants';
import { failedLookup, missingCapability } from '../api/error';
import { extraCap, lookupTargetSlot } from '../api/lookup';
import { getMR } from '../ipc/message';
import { cteDelete, cteRevoke } from './delete';
import { cteInsert, cteMove, cteSwap, ensureNoChildren } from './derivation';
import { cancelBadgedSends } from './endpoint';

const GUARD_SIZE_BITS: u64 = 6;

/**
 * What a copy of `cap` (the capability in `slot`, perhaps with fewer rights) may be, left in `derived`: null where
 * there can be no copy.
 */
export function deriveCap(slot: Slot, cap: Slot, derived: Slot): SeL4Error {
  copyCap(cap, derived);
  switch (<i32>cap.type) {
    case CapType.Zombie:
    case CapType.IRQControl:
    case CapType.UntypedControl:
      clearCap(derived);
      return SeL4Error.NoError;
    case CapType.Untyped:
      return ensureNoChildren(slot);
    default:
      return SeL4Error.NoError;
  }
}

/** Sets a badge or a guard. A badge can be set once; `preserve` (Mutate) keeps even an unset one. */
export function updateCapData(preserve: bool, data: u64, cap: Slot): void {
  switch (<i32>cap.type) {
    case CapType.Endpoint:
    case CapType.Notification:
      if (!preserve && cap.badge == 0) cap.badge = data;
      else clearCap(cap);
      break;
    case CapType.CNode: {
      const guardSize = <u32>(data & 63);
      if (guardSize + cap.bits > WORD_BITS) {
        clearCap(cap);
      } else {
        setGuard(cap, guardSize, (data >> GUARD_SIZE_BITS) & (((<u64>1) << guardSize) - 1));
      }
    }
  }
}

/** Runs a CNode invocation of `thread` on the CNode capability `cap`. */
export function invokeCNode(thread: TCB, label: u32, length: u32, cap: Slot): SeL4Error {
  if (label < <u32>Invocation.CNodeRevoke || label > <u32>Invocation.CNodeRotate)
    return SeL4Error.IllegalOperation;
  if (length < 2) return SeL4Error.TruncatedMessage;
  const target = lookupTargetSlot(cap, getMR(thread, 0), getMR(thread, 1));
  if (isNull(target)) return failedLookup(false);
  switch (label) {
    case Invocation.CNodeRevoke:
      cteRevoke(target);
      return SeL4Error.NoError;
    case Invocation.CNodeDelete:
      cteDelete(target, true);
      return SeL4Error.NoError;
    case Invocation.CNodeCancelBadgedSends:
      if (!hasCancelSendRights(target)) return SeL4Error.IllegalOperation;
      if (target.badge != 0) cancelBadgedSends(changetype<Endpoint>(target.object), target.badge);
      return SeL4Error.NoError;
    case Invocation.CNodeRotate:
      return rotate(thread, length, target);
    default:
      return copyOrMove(thread, label, length, target);
  }
}

function hasCancelSendRights(cap: Slot): bool {
  return cap.type == CapType.Endpoint && (cap.rights & (<u8>Rights.All)) == <u8>Rights.All;
}

function copyOrMove(thread: TCB, label: u32, length: u32, target: Slot): SeL4Error {
  const root = extraCap(0);
  if (length < 4 || isNull(root)) return SeL4Error.TruncatedMessage;
  if (!target.empty) return SeL4Error.DeleteFirst;
  const depth = getMR(thread, 3);
  const source = lookupTargetSlot(root, getMR(thread, 2), depth);
  if (isNull(source)) return failedLookup(true);
  if (source.empty) return missingCapability(true, depth);

  const cap = scratch(0);
  copyCap(source, cap);
  let move = false;
  let error = SeL4Error.NoError;
  switch (label) {
    case Invocation.CNodeCopy:
      if (length < 5) return SeL4Error.TruncatedMessage;
      maskRights(cap, <u8>getMR(thread, 4));
      error = deriveCap(source, cap, cap);
      break;
    case Invocation.CNodeMint:
      if (length < 6) return SeL4Error.TruncatedMessage;
      maskRights(cap, <u8>getMR(thread, 4));
      updateCapData(false, getMR(thread, 5), cap);
      error = deriveCap(source, cap, cap);
      break;
    case Invocation.CNodeMove:
      move = true;
      break;
    case Invocation.CNodeMutate:
      if (length < 5) return SeL4Error.TruncatedMessage;
      updateCapData(true, getMR(thread, 4), cap);
      move = true;
  }
  if (error != SeL4Error.NoError) return error;
  if (cap.empty) return SeL4Error.IllegalOperation;
  if (move) cteMove(cap, source, target);
  else cteInsert(cap, source, target);
  return SeL4Error.NoError;
}

/** Moves pivot to target and source to pivot, in one step; source and target may be one slot. */
function rotate(thread: TCB, length: u32, target: Slot): SeL4Error {
  const pivotRoot = extraCap(0);
  const sourceRoot = extraCap(1);
  if (length < 8 || isNull(pivotRoot) || isNull(sourceRoot)) return SeL4Error.TruncatedMessage;
  const pivotData = getMR(thread, 2);
  const pivotDepth = getMR(thread, 4);
  const sourceData = getMR(thread, 5);
  const sourceDepth = getMR(thread, 7);
  const source = lookupTargetSlot(sourceRoot, getMR(thread, 6), sourceDepth);
  if (isNull(source)) return failedLookup(true);
  const pivot = lookupTargetSlot(pivotRoot, getMR(thread, 3), pivotDepth);
  if (isNull(pivot)) return failedLookup(false);
  if (
    changetype<usize>(pivot) == changetype<usize>(source) ||
    changetype<usize>(pivot) == changetype<usize>(target)
  ) {
    return SeL4Error.IllegalOperation;
  }
  const exchange = changetype<usize>(source) == changetype<usize>(target);
  if (!exchange && !target.empty) return SeL4Error.DeleteFirst;
  if (source.empty) return missingCapability(true, sourceDepth);
  if (pivot.empty) return missingCapability(false, pivotDepth);
  const newSource = scratch(0);
  const newPivot = scratch(1);
  copyCap(source, newSource);
  copyCap(pivot, newPivot);
  updateCapData(true, sourceData, newSource);
  updateCapData(true, pivotData, newPivot);
  if (newSource.empty || newPivot.empty) return SeL4Error.IllegalOperation;
  if (exchange) {
    cteSwap(newSource, source, newPivot, pivot, scratch(2));
  } else {
    cteMove(newPivot, pivot, target);
    cteMove(newSource, source, pivot);
  }
  return SeL4Error.NoError;
}
