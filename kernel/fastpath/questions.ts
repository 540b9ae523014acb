/**
 * The questions of the fastpaths. Each is answered without a branch of its own, as a word that is 0 for "yes", so that
 * a fastpath asks several at once: what differs from the usual case is or-ed together, and one branch tells.
 *
 * A slot's first word is its type, rights, size bits and guard size, a byte each from the lowest (see `Slot`).
 */
import { CapType, Slot } from '../model/cap';
import { Notification, TCB } from '../model/objects';
import { Rights } from '../api/constants';

const TYPE_MASK: u32 = 0xff;
const RIGHTS_SHIFT: u32 = 8;

@inline
function firstWord(slot: Slot): u32 {
  return load<u32>(changetype<usize>(slot));
}

/** 0 if it is a capability of that type with that right. */
@inline
function lacks(cap: Slot, type: CapType, right: Rights): u32 {
  const asked = <u32>right << RIGHTS_SHIFT;
  return (firstWord(cap) & (TYPE_MASK | asked)) ^ (type | asked);
}

/** The message's length, with its extra capabilities as higher bits: at most 4 for a fastpath. */
@inline
export function shortLength(thread: TCB): u32 {
  return load<u32>(changetype<usize>(thread) + offsetof<TCB>('msgInfo')) & 0xfff;
}

/** 0 if it is an endpoint capability with the right to send. */
@inline
export function notSendable(cap: Slot): u32 {
  return lacks(cap, CapType.Endpoint, Rights.Write);
}

/** Not 0 if a call through the capability may be answered. */
@inline
export function answerable(cap: Slot): u32 {
  return firstWord(cap) & (<u32>(Rights.Grant | Rights.GrantReply) << RIGHTS_SHIFT);
}

/** 0 if it is an endpoint capability with the right to receive. */
@inline
export function notReceivable(cap: Slot): u32 {
  return lacks(cap, CapType.Endpoint, Rights.Read);
}

/** 0 if it is a notification capability with the right to signal. */
@inline
export function notSignallable(cap: Slot): u32 {
  return lacks(cap, CapType.Notification, Rights.Write);
}

/** 0 if it is a notification capability with the right to wait. */
@inline
export function notAwaitable(cap: Slot): u32 {
  return lacks(cap, CapType.Notification, Rights.Read);
}

/** 0 if it is a reply capability. */
@inline
export function notReply(cap: Slot): u32 {
  return (firstWord(cap) & TYPE_MASK) ^ CapType.Reply;
}

/** Whether a notification has something for who waits, or lends a scheduling context. */
@inline
export function isOfUse(notification: Notification): bool {
  return (notification.active | changetype<usize>(notification.sc)) != 0;
}
