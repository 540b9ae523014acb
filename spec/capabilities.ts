/**
 * Capabilities (chapter 3): the slots that hold them, the addresses that lead there, and the tree that says what has been
 * derived from what.
 */
import { LookupFailure, Rights, SeL4Error } from '../kernel/api/constants.js';
import { LookupError, refuse, refuseIf } from './errors.js';
import { CapType, EMPTY, type Cap, type Name, type Slot, type State } from './state.js';

/** Where a TCB has slots of its own: the root of its capability space, buffer, fault and timeout handler. */
export const TcbSlot = { Root: 64, Buffer: 192, FaultHandler: 224, TimeoutHandler: 256 };
export const SLOT_BYTES = 32;
const WORD_BITS = 64;
const { Null, Endpoint, Notification, Reply, CNode, Untyped, Frame, Zombie, IRQControl } = CapType;

export class Capabilities {
  constructor(readonly state: State) {}

  protected cap = (slot: Name): Cap => this.state.slots.get(slot)?.cap ?? EMPTY;
  protected isEmpty = (slot: Name): boolean => !this.state.slots.has(slot);

  /** Section 3.3: the slot at an address of a thread's capability space. */
  protected lookup = (me: Name, address: bigint): Name =>
    this.resolve(this.cap(me + TcbSlot.Root), address, WORD_BITS, true);

  /** The slot at an address of `depth` bits below a CNode; `partly`: the walk may end at what is no CNode. */
  private resolve(root: Cap, address: bigint, depth: number, partly: boolean): Name {
    const { type, object, bits, guardSize, badge: guard } = root;
    if (type !== CNode) throw new LookupError(address, LookupFailure.InvalidRoot);
    if (guardSize > depth || BigInt.asUintN(guardSize, address >> BigInt(depth - guardSize)) !== guard)
      throw new LookupError(address, LookupFailure.GuardMismatch, depth, guard, guardSize);
    const left = depth - guardSize - bits;
    if (left < 0) throw new LookupError(address, LookupFailure.DepthMismatch, depth, guardSize + bits);
    const slot = object + SLOT_BYTES * Number(BigInt.asUintN(bits, address >> BigInt(left)));
    const next = this.cap(slot);
    if (left === 0 || (partly && next.type !== CNode)) return slot;
    if (next.type !== CNode) throw new LookupError(address, LookupFailure.DepthMismatch, left, 0);
    return this.resolve(next, address, left, partly);
  }

  /** The slot that an invocation names below a CNode (section 3.1.2), to take something from it or to put it there. */
  protected target(root: Cap, index: bigint, depth: bigint, isSource = false): Name {
    try {
      refuseIf(root.type === CNode && (depth < 1n || depth > 64n), SeL4Error.RangeError, 1, WORD_BITS);
      return this.resolve(root, index, Number(depth), false);
    } catch (thrown) {
      if (!(thrown instanceof LookupError)) throw thrown;
      const [, ...failure] = thrown.words;
      return refuse(SeL4Error.FailedLookup, Number(isSource), ...failure);
    }
  }
  protected mustBeEmpty = (slot: Name): void => refuseIf(!this.isEmpty(slot), SeL4Error.DeleteFirst);
  protected mustBeThere(isThere: boolean, depth: bigint, isSource: boolean): void {
    const details = [Number(isSource), LookupFailure.MissingCapability, depth];
    refuseIf(!isThere, SeL4Error.FailedLookup, ...details);
  }

  /** Section 3.1.4: what a copy of `cap`, which stands in `slot`, may be. */
  protected derive(slot: Name, cap: Cap): Cap {
    refuseIf(
      [Null, Zombie, IRQControl, CapType.UntypedControl].includes(cap.type),
      SeL4Error.IllegalOperation,
    );
    refuseIf(cap.type === Untyped && this.childrenOf(slot).length > 0, SeL4Error.RevokeFirst);
    return cap;
  }

  /** With a badge or a guard. A badge can be set once, and by a copy alone. */
  protected withData(cap: Cap, data: bigint, isCopy: boolean): Cap {
    if (cap.type === Endpoint || cap.type === Notification) {
      refuseIf(!isCopy || cap.badge !== 0n, SeL4Error.IllegalOperation);
      return { ...cap, badge: data };
    }
    if (cap.type !== CNode) return cap;
    const guardSize = Number(data & 63n);
    refuseIf(guardSize + cap.bits > WORD_BITS, SeL4Error.IllegalOperation);
    return { ...cap, guardSize, badge: BigInt.asUintN(guardSize, data >> 6n) };
  }

  protected withRights(cap: Cap, rights: number): Cap {
    if (cap.type === Reply) return { ...cap, rights: cap.rights & (rights | ~Rights.Grant) };
    const hasRights = cap.type === Endpoint || cap.type === Notification || cap.type === Frame;
    return hasRights ? { ...cap, rights: cap.rights & rights } : cap;
  }

  /** Section 3.1.5: what has been derived of a slot's capability. */
  protected childrenOf = (parent: Name): Name[] =>
    [...this.state.slots].filter(([, each]) => each.parent === parent).map(([slot]) => slot);
  protected setCap = (slot: Name, cap: Cap): unknown => (this.state.slots.get(slot)!.cap = cap);

  /** Fills a slot with what is derived from an original, as its child; or from a mere copy, as its sibling. */
  protected insert(cap: Cap, source: Name, slot: Name, isOriginal: boolean): void {
    const slots = [...this.state.slots];
    const at = slots.findIndex(([each]) => each === source);
    const [, from] = slots[at];
    const parent = from.isOriginal ? source : from.parent;
    this.state.slots = new Map(slots.toSpliced(at + 1, 0, [slot, { cap, parent, isOriginal }]));
  }

  protected insertCopy(cap: Cap, source: Name, slot: Name): void {
    const from = this.cap(source);
    const isBadged = (cap.type === Endpoint || cap.type === Notification) && cap.badge !== from.badge;
    // A copy of untyped memory leaves nothing for the original to retype: both would make objects of the same memory.
    if (cap.type === Untyped) this.setCap(source, { ...from, badge: 1n << BigInt(from.bits) });
    this.insert(cap, source, slot, isBadged || cap.type === Untyped);
  }

  /** Exchanges two slots, their places in the tree included; one may be empty. */
  protected swap(a: Name, b: Name, capOfA = this.cap(a), capOfB = this.cap(b)): void {
    const other = (slot: Name): Name => (slot === a ? b : slot === b ? a : slot);
    for (const each of this.state.slots.values()) each.parent = other(each.parent);
    this.state.slots = new Map([...this.state.slots].map(([slot, each]) => [other(slot), each]));
    if (!this.isEmpty(b)) this.setCap(b, capOfA);
    if (!this.isEmpty(a)) this.setCap(a, capOfB);
  }

  /** Empties a slot: what was derived from its capability moves up to its parent. */
  protected remove(slot: Name): void {
    const { parent } = this.state.slots.get(slot)!;
    this.state.slots.delete(slot);
    for (const each of this.state.slots.values()) if (each.parent === slot) each.parent = parent;
  }

  protected isFinal(slot: Name): boolean {
    const { type, object, bits } = this.cap(slot);
    const isToo = ([other, { cap }]: [Name, Slot]): boolean =>
      other !== slot && cap.type === type && cap.object === object && cap.bits === bits;
    return ![...this.state.slots].some(isToo);
  }
}
