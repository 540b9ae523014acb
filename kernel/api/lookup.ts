/** Capability lookup (manual section 3.3): capability addresses resolved through CNodes with guards. */
import { CapType, Slot, WORD_BITS, isNull, none, slotAt } from '../model/cap';
import { TCB } from '../model/objects';
import { here } from '../model/state';
import { capPointer, messageExtraCaps, setMR } from '../ipc/message';
import { LookupFailure } from './constants';

function fail(reason: LookupFailure): Slot {
  here().lookupFailure = reason;
  return none<Slot>();
}

/** The words are what the manual lists for the failure. */
function failAt(reason: LookupFailure, word0: u64, word1: u64): Slot {
  here().lookupWord0 = word0;
  here().lookupWord1 = word1;
  return fail(reason);
}

@inline
function lowBits(value: u64, bits: u32): u64 {
  return bits >= WORD_BITS ? value : value & (((<u64>1) << bits) - 1);
}

/**
 * The slot at a capability address of `depth` bits below the CNode capability `root`. With `partly`, as for
 * a thread's own capabilities, a lookup may end at a capability that is no CNode before all bits are used; otherwise
 * the address must be used up. Null on failure, with the reason in the core's state.
 */
export function resolveAddress(root: Slot, cptr: u64, depth: u32, partly: bool): Slot {
  if (root.type != CapType.CNode) return fail(LookupFailure.InvalidRoot);
  let cnode = root;
  let left = depth;
  while (true) {
    const guardBits = <u32>cnode.guardSize;
    const level = guardBits + cnode.bits;
    const guard = guardBits == 0 || left < guardBits ? 0 : lowBits(cptr >> (left - guardBits), guardBits);
    if (left < guardBits || guard != cnode.badge) {
      here().lookupWord2 = guardBits;
      return failAt(LookupFailure.GuardMismatch, left, cnode.badge);
    }
    if (level > left) return failAt(LookupFailure.DepthMismatch, left, level);
    const slot = slotAt(cnode.object, <u32>lowBits(cptr >> (left - level), cnode.bits));
    left -= level;
    if (left == 0) return slot;
    if (slot.type != CapType.CNode) return partly ? slot : failAt(LookupFailure.DepthMismatch, left, 0);
    cnode = slot;
  }
}

/** The thread's capability at an address, or null. */
export function lookupCap(thread: TCB, cptr: u64): Slot {
  const root = thread.ctable;
  if (cptr < <u64>root.span) return slotAt(root.object, <u32>cptr);
  return resolveAddress(root, cptr, WORD_BITS, true);
}

/** The slot that a CNode invocation names. A depth of 1 to 64 bits, or a range error (lookup failure `None`). */
export function lookupTargetSlot(root: Slot, index: u64, depth: u64): Slot {
  if (root.type != CapType.CNode) return fail(LookupFailure.InvalidRoot);
  if (depth < 1 || depth > WORD_BITS) return failAt(LookupFailure.None, 1, WORD_BITS);
  return resolveAddress(root, index, <u32>depth, false);
}

/** As `lookupTargetSlot`, below a CNode that is itself named by an address. */
export function lookupSlotForCNode(thread: TCB, cnode: u64, index: u64, depth: u64): Slot {
  const root = lookupCap(thread, cnode);
  return isNull(root) ? root : lookupTargetSlot(root, index, depth);
}

/**
 * Writes why a lookup failed into message registers, from register `at` on, as fault messages and error replies have
 * it: the failure, then its words (`LookupFailure`; manual section 3.4). Returns the message's length.
 */
export function setLookupFailure(thread: TCB, at: u32, failure: u32, word0: u64, word1: u64, word2: u64): u32 {
  const length = setMR(thread, at, failure);
  if (failure < <u32>LookupFailure.MissingCapability) return length;
  if (failure == LookupFailure.MissingCapability) return setMR(thread, at + 1, word0);
  setMR(thread, at + 1, word0);
  if (failure == LookupFailure.DepthMismatch) return setMR(thread, at + 2, word1);
  setMR(thread, at + 2, word1);
  return setMR(thread, at + 3, word2);
}

/** Looks up the extra capabilities that a thread sends; false if one cannot be found. Read them with `extraCap`. */
export function lookupExtraCaps(thread: TCB): bool {
  const core = here();
  core.extra0 = none<Slot>();
  core.extra1 = none<Slot>();
  core.extra2 = none<Slot>();
  if (thread.ipcBuffer == 0) return true;
  const count = messageExtraCaps(thread.msgInfo);
  for (let i: u32 = 0; i < count; i++) {
    const cptr = load<u64>(capPointer(thread, i));
    const slot = lookupCap(thread, cptr);
    if (isNull(slot)) {
      thread.faultAddress = cptr;
      return false;
    }
    if (i == 0) core.extra0 = slot;
    else if (i == 1) core.extra1 = slot;
    else core.extra2 = slot;
  }
  return true;
}

/** Extra capability `index` of the running call, or null. */
export function extraCap(index: u32): Slot {
  const core = here();
  return index == 0 ? core.extra0 : index == 1 ? core.extra1 : core.extra2;
}
