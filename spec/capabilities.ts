/**
 * Capabilities (chapter 3): the slots that hold them, the addresses that lead there, and the tree that says what has been
 * derived from what.
 */
import { LookupFailure, Rights, SeL4Error } from '../kernel/api/constants.js';
import { CapType } from '../src/core/inspect/memory.js';
import { LookupError, Refusal, refuse, refuseIf } from './errors.js';
import { EMPTY, type Cap, type Name, type State } from './state.js';

/** Where a TCB has slots of its own: the root of its capability space, buffer, fault and timeout handler. */
export const TcbSlot = { Root: 64, Buffer: 192, FaultHandler: 224, TimeoutHandler: 256 };
export const SLOT_BYTES = 32;
const WORD_BITS = 64;
const { Endpoint, Notification, CNode, Untyped, Frame, Reply, Zombie, IRQControl, UntypedControl } = CapType;

export class Capabilities {
  constructor(readonly state: State) {}

  protected cap = (slot: Name): Cap => this.state.caps.get(slot) ?? EMPTY;
  protected isEmpty = (slot: Name): boolean => !this.state.caps.has(slot);

  // ---- Addresses (section 3.3) ----

  /** The slot at an address of a thread's capability space. */
  protected lookup = (me: Name, address: bigint): Name =>
    this.resolve(this.cap(me + TcbSlot.Root), address, WORD_BITS, true);

  /** The slot at an address of `depth` bits below a CNode; `partly`: the walk may end at what is no CNode. */
  private resolve(root: Cap, address: bigint, depth: number, partly: boolean): Name {
    if (root.type !== CNode) throw new LookupError(address, LookupFailure.InvalidRoot);
    let { object, bits, guardSize, badge: guard } = root;
    for (let left = depth; ;) {
      if (guardSize > left || BigInt.asUintN(guardSize, address >> BigInt(left - guardSize)) !== guard)
        throw new LookupError(address, LookupFailure.GuardMismatch, left, guard, guardSize);
      if (guardSize + bits > left)
        throw new LookupError(address, LookupFailure.DepthMismatch, left, guardSize + bits);
      left -= guardSize + bits;
      const slot = object + SLOT_BYTES * Number(BigInt.asUintN(bits, address >> BigInt(left)));
      const next = this.cap(slot);
      if (left === 0 || (partly && next.type !== CNode)) return slot;
      if (next.type !== CNode) throw new LookupError(address, LookupFailure.DepthMismatch, left, 0);
      ({ object, bits, guardSize, badge: guard } = next);
    }
  }

  /** The slot that an invocation names below a CNode (section 3.1.2), to take something from it or to put it there. */
  protected target(root: Cap, index: bigint, depth: bigint, isSource = false): Name {
    try {
      if (root.type === CNode && (depth < 1n || depth > 64n)) refuse(SeL4Error.RangeError, 1, WORD_BITS);
      return this.resolve(root, index, Number(depth), false);
    } catch (thrown) {
      if (!(thrown instanceof LookupError)) throw thrown;
      throw new Refusal(SeL4Error.FailedLookup, Number(isSource), ...thrown.words);
    }
  }
  protected mustBeEmpty = (slot: Name): void => refuseIf(!this.isEmpty(slot), SeL4Error.DeleteFirst);
  protected mustBeThere(isThere: boolean, depth: bigint, isSource: boolean): void {
    const details = [Number(isSource), LookupFailure.MissingCapability, depth];
    refuseIf(!isThere, SeL4Error.FailedLookup, ...details);
  }

  // ---- What can be made of a capability (section 3.1.4) ----

  /** What a copy of `cap`, which stands in `slot`, may be: empty where there can be none. */
  protected derive(slot: Name, cap: Cap): Cap {
    if (cap.type === Zombie || cap.type === IRQControl || cap.type === UntypedControl) return EMPTY;
    refuseIf(cap.type === Untyped && this.childrenOf(slot).length > 0, SeL4Error.RevokeFirst);
    return cap;
  }

  /** With a badge or a guard. A badge can be set once, and by a copy alone; what does not fit makes no capability. */
  protected withData(cap: Cap, data: bigint, isCopy: boolean): Cap {
    if (cap.type === Endpoint || cap.type === Notification)
      return isCopy && cap.badge === 0n ? { ...cap, badge: data } : EMPTY;
    if (cap.type !== CNode) return cap;
    const guardSize = Number(data & 63n);
    if (guardSize + cap.bits > WORD_BITS) return EMPTY;
    return { ...cap, guardSize, badge: BigInt.asUintN(guardSize, data >> 6n) };
  }

  protected withRights(cap: Cap, rights: number): Cap {
    if (cap.type === Reply) return { ...cap, rights: cap.rights & (rights | ~Rights.Grant) };
    const hasRights = cap.type === Endpoint || cap.type === Notification || cap.type === Frame;
    return hasRights ? { ...cap, rights: cap.rights & rights } : cap;
  }

  // ---- The derivation tree (section 3.1.5) ----

  protected childrenOf = (slot: Name): Name[] => this.state.children.get(slot) ?? [];
  private parentOf(slot: Name): Name {
    for (const [parent, children] of this.state.children) if (children.includes(slot)) return parent;
    return 0;
  }
  private setChildren(parent: Name, children: Name[]): void {
    if (children.length > 0) this.state.children.set(parent, children);
    else this.state.children.delete(parent);
  }
  private put(slot: Name, cap: Cap, isOriginal: boolean): void {
    const { caps, originals } = this.state;
    if (cap.type === CapType.Null) caps.delete(slot);
    else caps.set(slot, cap);
    if (isOriginal) originals.add(slot);
    else originals.delete(slot);
  }

  /** The capability to a new object, or one that is derived from an original, is a child. */
  protected insertChild(cap: Cap, parent: Name, slot: Name, isOriginal: boolean): void {
    this.put(slot, cap, isOriginal);
    this.setChildren(parent, [slot, ...this.childrenOf(parent)]);
  }

  /** A capability that is derived from a mere copy is its sibling. */
  protected insert(cap: Cap, source: Name, slot: Name): void {
    const from = this.cap(source);
    // A copy of untyped memory leaves nothing for the original to retype: both would make objects of the same memory.
    if (cap.type === Untyped) this.state.caps.set(source, { ...from, badge: 1n << BigInt(from.bits) });
    const isBadged = (cap.type === Endpoint || cap.type === Notification) && cap.badge !== from.badge;
    const isOriginal = isBadged || from.type === IRQControl || cap.type === Untyped;
    if (this.state.originals.has(source)) return this.insertChild(cap, source, slot, isOriginal);
    const parent = this.parentOf(source);
    const siblings = this.childrenOf(parent);
    this.put(slot, cap, isOriginal);
    this.setChildren(parent, siblings.toSpliced(siblings.indexOf(source) + 1, 0, slot));
  }

  /** Exchanges two slots, their places in the tree included; one may be empty. */
  protected swap(a: Name, b: Name, capOfA = this.cap(a), capOfB = this.cap(b)): void {
    const other = (slot: Name): Name => (slot === a ? b : slot === b ? a : slot);
    const [wasA, wasB] = [a, b].map((slot) => this.state.originals.has(slot));
    this.put(a, capOfB, wasB);
    this.put(b, capOfA, wasA);
    const { children } = this.state;
    this.state.children = new Map([...children].map(([slot, list]) => [other(slot), list.map(other)]));
  }

  /** Empties a slot: what was derived from its capability moves up to its parent. */
  protected remove(slot: Name): void {
    const parent = this.parentOf(slot);
    const siblings = this.childrenOf(parent);
    this.setChildren(parent, siblings.toSpliced(siblings.indexOf(slot), 1, ...this.childrenOf(slot)));
    this.state.children.delete(slot);
    this.put(slot, EMPTY, false);
  }

  /** Whether it is the last capability to its object. */
  protected isFinal(slot: Name): boolean {
    const { type, object, bits } = this.cap(slot);
    for (const [other, cap] of this.state.caps)
      if (other !== slot && cap.type === type && cap.object === object && cap.bits === bits) return false;
    return true;
  }
}
