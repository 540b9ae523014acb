/**
 * The questions of the fastpaths, each answered by one load. A slot's first word is its type, rights, size bits and
 * guard size, a byte each from the lowest (see `Slot`).
 */
import { CapType, Slot, none, slotAt } from '../model/cap';
import { TCB } from '../model/objects';
import { Limit, Rights } from '../api/constants';

const TYPE_MASK: u32 = 0xff;
const RIGHTS_SHIFT: u32 = 8;
const WORD_BITS: u32 = 64;

@inline
function firstWord(slot: Slot): u32 {
  return load<u32>(changetype<usize>(slot));
}

/** Whether the thread's message is one for a fastpath: short, without capabilities. */
@inline
export function isShort(thread: TCB): bool {
  const tag = load<u32>(changetype<usize>(thread) + offsetof<TCB>('msgInfo'));
  return (tag & 0xfff) <= <u32>Limit.FastMessageRegisters;
}

/** The slot at `cptr` where one CNode with a guard of zeros is the whole capability space; else null. */
@inline
export function lookupFast(thread: TCB, cptr: u32): Slot {
  const root = thread.ctable;
  const word = firstWord(root);
  const radix = (word >> 16) & 0xff;
  if ((word & TYPE_MASK) != CapType.CNode || radix + (word >> 24) != WORD_BITS || root.badge != 0) return none<Slot>();
  return cptr >> radix ? none<Slot>() : slotAt(root.object, cptr);
}

/** Whether it is an endpoint capability through which a call can be made. */
@inline
export function isCallable(cap: Slot): bool {
  const word = firstWord(cap);
  return (
    (word & (TYPE_MASK | (<u32>Rights.Write << RIGHTS_SHIFT))) == (CapType.Endpoint | (<u32>Rights.Write << RIGHTS_SHIFT)) &&
    (word & (<u32>(Rights.Grant | Rights.GrantReply) << RIGHTS_SHIFT)) != 0
  );
}

/** Whether it is an endpoint capability through which a message can be received. */
@inline
export function isReceivable(cap: Slot): bool {
  const mask = TYPE_MASK | (<u32>Rights.Read << RIGHTS_SHIFT);
  return (firstWord(cap) & mask) == (CapType.Endpoint | (<u32>Rights.Read << RIGHTS_SHIFT));
}

@inline
export function isReply(cap: Slot): bool {
  return (firstWord(cap) & TYPE_MASK) == CapType.Reply;
}
