/**
 * Capabilities, and the slots that hold them (manual chapter 3).
 *
 * A slot is 32 bytes: a capability of two words, and its node in the capability derivation tree. The tree is kept
 * as seL4 keeps it, as one doubly linked list in preorder; whether a slot descends from the one before it follows
 * from the capabilities themselves (`isMDBParentOf` in object/cnode.ts).
 */
import { Rights, SizeBits } from '../api/constants';

/** Types of capabilities. The kernel's own numbers: no user sees them. */
export const enum CapType {
  Null = 0,
  Untyped = 1,
  Endpoint = 2,
  Notification = 3,
  Reply = 4,
  CNode = 5,
  Thread = 6,
  SchedContext = 7,
  Frame = 8,
  /** What remains of a CNode or TCB while its slots are deleted: no right, just the list of slots left. */
  Zombie = 9,
  SchedControl = 10,
  IRQControl = 11,
  IRQHandler = 12,
  SGISignal = 13,
  UntypedControl = 14,
  Domain = 15,
}

/** Bits of a capability address. */
export const WORD_BITS: u32 = 64;

/** Bits of `Slot.mdb`. */
export const MDB_REVOCABLE: u8 = 1;
export const MDB_FIRST_BADGED: u8 = 2;

@unmanaged
export class Slot {
  type: u8;
  /** `Rights` of an endpoint, notification, reply or frame; for an untyped, 1 means device memory. */
  rights: u8;
  /** Size bits of an untyped or frame, radix of a CNode; for a zombie, whose slots it lists (`ZombieKind`). */
  bits: u8;
  /** Guard size of a CNode. */
  guardSize: u8;
  /** Physical address of the object; core of a SchedControl; number of an interrupt line. */
  object: usize;
  /** Badge; guard of a CNode; for a frame, `FRAME_DEVICE` or the TCB whose IPC buffer this very capability backs; watermark of an untyped in bytes; slots left of a zombie; target of an SGISignal. */
  badge: u64;
  prev: Slot;
  next: Slot;
  mdb: u8;
  unused0: u8;
  unused1: u16;
  /**
   * How many capability addresses, from 0, a CNode capability resolves by itself: its slots, where a guard of zeros covers
   * all the bits that its radix leaves. 0 for any other. A lookup below it needs no walk.
   */
  span: u32;

  @inline get empty(): bool {
    return this.type == CapType.Null;
  }
}

/** Badge of a frame of device memory, which no kernel loads or stores. A frame in a TCB's buffer slot is never one. */
export const FRAME_DEVICE: u64 = 1;

/** Which slots a zombie lists. Any other value is the radix of a CNode. */
export const ZOMBIE_TCB: u8 = 255;

@inline
export function slotAt(cnode: usize, index: u32): Slot {
  return changetype<Slot>(cnode + (<usize>index << SizeBits.Slot));
}

@inline
export function isNull<T>(object: T): bool {
  return changetype<usize>(object) == 0;
}

@inline
export function none<T>(): T {
  return changetype<T>(<usize>0);
}

/** Copies the capability (not its place in the derivation tree). */
@inline
export function copyCap(from: Slot, to: Slot): void {
  const source = changetype<usize>(from);
  const target = changetype<usize>(to);
  store<u64>(target, load<u64>(source));
  store<u64>(target, load<u64>(source, 8), 8);
  to.span = from.span;
}

@inline
export function clearCap(slot: Slot): void {
  store<u64>(changetype<usize>(slot), 0);
  store<u64>(changetype<usize>(slot), 0, 8);
  slot.span = 0;
}

export function setCap(slot: Slot, type: CapType, object: usize, bits: u8 = 0, rights: u8 = 0, badge: u64 = 0): void {
  slot.type = <u8>type;
  slot.rights = rights;
  slot.bits = bits;
  slot.guardSize = 0;
  slot.object = object;
  slot.badge = badge;
  slot.span = 0;
}

/** Gives a CNode capability a guard of so many bits. */
export function setGuard(cnode: Slot, size: u32, guard: u64): void {
  cnode.guardSize = <u8>size;
  cnode.badge = guard;
  cnode.span = size + cnode.bits == WORD_BITS && guard == 0 ? (<u32>1) << cnode.bits : 0;
}

/** Intersects a capability's rights with `rights` (manual section 3.1.4); other types carry no rights. */
export function maskRights(cap: Slot, rights: u8): void {
  switch (<i32>cap.type) {
    case CapType.Endpoint:
    case CapType.Notification:
    case CapType.Frame:
      cap.rights &= rights;
      break;
    case CapType.Reply:
      cap.rights &= rights | ~(<u8>Rights.Grant);
  }
}

/** Size of the object, in bits, for capabilities to memory; 0 for all others. */
export function objectBits(cap: Slot): u8 {
  switch (<i32>cap.type) {
    case CapType.Untyped:
    case CapType.Frame:
    case CapType.SchedContext:
      return cap.bits;
    case CapType.Endpoint:
      return <u8>SizeBits.Endpoint;
    case CapType.Notification:
      return <u8>SizeBits.Notification;
    case CapType.Reply:
      return <u8>SizeBits.Reply;
    case CapType.CNode:
      return cap.bits + <u8>SizeBits.Slot;
    case CapType.Thread:
      return <u8>SizeBits.TCB;
    case CapType.Zombie:
      return cap.bits == ZOMBIE_TCB ? <u8>SizeBits.TCB : cap.bits + <u8>SizeBits.Slot;
    default:
      return 0;
  }
}
