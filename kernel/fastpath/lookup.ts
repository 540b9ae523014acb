/**
 * The questions of the fastpaths. Each is answered without a branch of its own, as a word that is 0 for "yes", so that
 * a fastpath asks several at once: what differs from the usual case is or-ed together, and one branch tells.
 *
 * A slot's first word is its type, rights, size bits and guard size, a byte each from the lowest (see `Slot`).
 */
import { CapType, Slot, slotAt } from '../model/cap';
import { TCB } from '../model/objects';
import { Rights } from '../api/constants';

const TYPE_MASK: u32 = 0xff;
const RIGHTS_SHIFT: u32 = 8;
const WORD_BITS: u32 = 64;

@inline
function firstWord(slot: Slot): u32 {
  return load<u32>(changetype<usize>(slot));
}

/** The message's length, with its extra capabilities as higher bits: at most 4 for a fastpath. */
@inline
export function shortLength(thread: TCB): u32 {
  return load<u32>(changetype<usize>(thread) + offsetof<TCB>('msgInfo')) & 0xfff;
}

/** 0 if one CNode with a guard of zeros is the whole capability space, and has a slot at `cptr`. */
@inline
export function notFlat(thread: TCB, cptr: u32): u64 {
  const root = thread.ctable;
  const word = firstWord(root);
  const radix = (word >> 16) & 0xff;
  return <u64>(((word & TYPE_MASK) ^ CapType.CNode) | ((radix + (word >> 24)) ^ WORD_BITS) | (cptr >> radix)) | root.badge;
}

/** The slot at `cptr` of such a capability space. */
@inline
export function flatSlot(thread: TCB, cptr: u32): Slot {
  return slotAt(thread.ctable.object, cptr);
}

/** 0 if it is an endpoint capability with the right to send. */
@inline
export function notSendable(cap: Slot): u32 {
  const want = CapType.Endpoint | (<u32>Rights.Write << RIGHTS_SHIFT);
  return (firstWord(cap) & (TYPE_MASK | (<u32>Rights.Write << RIGHTS_SHIFT))) ^ want;
}

/** Not 0 if a call through the capability may be answered. */
@inline
export function answerable(cap: Slot): u32 {
  return firstWord(cap) & (<u32>(Rights.Grant | Rights.GrantReply) << RIGHTS_SHIFT);
}

/** 0 if it is an endpoint capability with the right to receive. */
@inline
export function notReceivable(cap: Slot): u32 {
  const want = CapType.Endpoint | (<u32>Rights.Read << RIGHTS_SHIFT);
  return (firstWord(cap) & (TYPE_MASK | (<u32>Rights.Read << RIGHTS_SHIFT))) ^ want;
}

/** 0 if it is a reply capability. */
@inline
export function notReply(cap: Slot): u32 {
  return (firstWord(cap) & TYPE_MASK) ^ CapType.Reply;
}
