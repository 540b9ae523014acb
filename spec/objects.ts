/** Objects: what they are made of and as (chapter 2), and how they end (section 3.1.5). */
import { Limit, ObjectType, Rights, SeL4Error, SizeBits } from '../kernel/api/constants.js';
import { SLOT_BYTES, TcbSlot } from './capabilities.js';
import { refuse, refuseIf } from './errors.js';
import { Communication } from './ipc.js';
import { CapType, EMPTY, Notification, SchedContext, Thread, type Cap, type Name } from './state.js';

export type Given = Cap & { readonly slot: Name };

/** What an invocation is made by, on and with: a thread; a capability, and its object; words, extra capabilities. */
export interface Call {
  readonly me: Name;
  readonly cap: Given;
  readonly object: Name;
  readonly thread: Thread;
  readonly sc: SchedContext;
  readonly words: readonly bigint[];
  readonly caps: readonly Given[];
}

const { InvalidArgument, RangeError } = SeL4Error;
const ZOMBIE_TCB = 255;
const TCB_SLOTS = Object.values(TcbSlot);
export const READ_WRITE = Rights.Read | Rights.Write;

/** What retyping makes: a capability, and the size of an object in bits, to which users add `least` or more, if any. */
type Made = Partial<Cap> & { readonly type: CapType; readonly size: number; readonly least?: number };
const MADE: Partial<Record<ObjectType, Made>> = {
  [ObjectType.Untyped]: { type: CapType.Untyped, size: 0, least: SizeBits.MinUntyped },
  [ObjectType.TCB]: { type: CapType.Thread, size: SizeBits.TCB },
  [ObjectType.Endpoint]: { type: CapType.Endpoint, size: SizeBits.Endpoint, rights: Rights.All },
  [ObjectType.Notification]: { type: CapType.Notification, size: SizeBits.Notification, rights: READ_WRITE },
  [ObjectType.CapTable]: { type: CapType.CNode, size: SizeBits.Slot, least: 1 },
  [ObjectType.SchedContext]: { type: CapType.SchedContext, size: 0, least: SizeBits.MinSchedContext },
  [ObjectType.Reply]: { type: CapType.Reply, size: SizeBits.Reply, rights: Rights.Grant },
  [ObjectType.SmallPage]: { type: CapType.Frame, size: SizeBits.SmallPage, bits: 12, rights: READ_WRITE },
  [ObjectType.LargePage]: { type: CapType.Frame, size: SizeBits.LargePage, bits: 21, rights: READ_WRITE },
};

export class Objects extends Communication {
  /** Section 2.4: `Untyped_Retype`. */
  protected retype({ cap: untyped, words, caps: [root] }: Call): void {
    const [type, userBits, index, depth, offset, count] = words;
    const { size: baseBits, least, ...made } = MADE[Number(type) as ObjectType] ?? refuse(InvalidArgument, 0);
    const bits = least === undefined ? 0 : Number(userBits);
    const isTooLarge = userBits >= 64n || baseBits + bits > SizeBits.MaxUntyped;
    refuseIf(isTooLarge, RangeError, 0, SizeBits.MaxUntyped);
    refuseIf(userBits < (least ?? 0), InvalidArgument, 1);
    const node = depth === 0n ? root : this.cap(this.target(root, index, depth));
    this.mustBeThere(node.type === CapType.CNode, depth, false);
    const slots = 1n << BigInt(node.bits);
    refuseIf(offset >= slots, RangeError, 0, slots - 1n);
    refuseIf(count < 1n || count > BigInt(Limit.RetypeFanOut), RangeError, 1, Limit.RetypeFanOut);
    refuseIf(count > slots - offset, RangeError, 1, slots - offset);
    const place = (_: unknown, i: number): Name => node.object + SLOT_BYTES * (Number(offset) + i);
    const targets = Array.from({ length: Number(count) }, place);
    targets.forEach(this.mustBeEmpty);
    const size = 2 ** (baseBits + bits);
    const isFresh = this.childrenOf(untyped.slot).length === 0;
    const watermark = isFresh ? 0 : Number(untyped.badge);
    const left = 2 ** untyped.bits - watermark;
    refuseIf(Math.floor(left / size) < targets.length, SeL4Error.NotEnoughMemory, left);
    const isDevice = untyped.rights !== 0;
    const needsKernel = made.type !== CapType.Untyped && made.type !== CapType.Frame;
    refuseIf(isDevice && needsKernel, InvalidArgument, 1);
    // Section 2.4.1: memory that nobody uses any more is cleared.
    const { memory } = this.state;
    const end = untyped.object + Number(untyped.badge);
    if (isFresh && !isDevice)
      for (const at of memory.keys()) if (at >= untyped.object && at < end) memory.delete(at);
    const first = Math.ceil((untyped.object + watermark) / size) * size;
    const used = first + targets.length * size - untyped.object;
    this.setCap(untyped.slot, { ...this.cap(untyped.slot), badge: BigInt(used) });
    const mark = !isDevice ? {} : made.type === CapType.Untyped ? { rights: 1 } : { badge: 1n };
    targets.forEach((target, i) => {
      const object = first + i * size;
      this.insert({ ...EMPTY, bits, ...made, object, ...mark }, untyped.slot, target, true);
      this.create(made.type, object);
    });
  }

  private create(type: CapType, at: Name): void {
    const { threads, notifications, contexts } = this.state;
    if (type === CapType.Thread) threads.set(at, new Thread());
    if (type === CapType.Notification) notifications.set(at, new Notification());
    if (type === CapType.SchedContext) contexts.set(at, new SchedContext());
  }

  /**
   * Section 3.1.5: empties a slot, and ends the object of a last capability. Of a CNode or TCB it first becomes a zombie,
   * whose slots are emptied, last one first. Where such a slot holds the last capability to another CNode or TCB
   * (`exposed` is false then), that one is not emptied too: its zombie moves into its own first slot, out of reach, until
   * its untyped memory is revoked.
   */
  protected delete(slot: Name, exposed = true): void {
    while (!this.isEmpty(slot)) {
      this.endObject(slot);
      const zombie = this.cap(slot);
      const { type, object, bits, badge } = zombie;
      const at = (index: number) => object + (bits === ZOMBIE_TCB ? TCB_SLOTS[index] : SLOT_BYTES * index);
      const left = type === CapType.Zombie ? Number(badge) : 0;
      if (left === 0 || (left === 1 && at(0) === slot)) return this.remove(slot);
      if (!exposed && at(0) === slot) return;
      if (!exposed) {
        this.swap(slot, at(0));
      } else {
        this.delete(at(left - 1), false);
        if (this.cap(slot) === zombie) this.setCap(slot, { ...zombie, badge: badge - 1n });
      }
    }
  }

  /** Undoes what a last capability's object was in; a zombie is left where there are slots to be emptied. */
  private endObject(slot: Name): void {
    const { notifications, contexts, threads, cores, irqSlots, issuedIrqs } = this.state;
    const { type, object, bits, badge } = this.cap(slot);
    const backed = threads.get(Number(badge));
    if (type === CapType.Frame && backed) backed.buffer = 0;
    // What has been made of memory stays.
    if ([CapType.Zombie, CapType.Untyped, CapType.Frame].includes(type) || !this.isFinal(slot)) return;
    const becomeZombie = (kind: number, slots: number): unknown =>
      this.setCap(slot, { ...EMPTY, type: CapType.Zombie, object, bits: kind, badge: BigInt(slots) });
    if (type === CapType.Endpoint || type === CapType.Notification) this.cancelAll(object);
    if (type === CapType.Reply) this.endReply(object);
    if (type === CapType.IRQHandler) issuedIrqs.delete(object);
    if (type === CapType.IRQHandler) this.delete(irqSlots[object]);
    if (type === CapType.CNode) becomeZombie(bits, 2 ** bits);
    if (type === CapType.SchedContext) {
      this.takeContext(contexts.get(object));
      this.completeYieldsTo(object);
    }
    if (type === CapType.Thread) {
      this.takeContext(this.contextOf(object));
      this.suspend(object);
      this.forgetStalled(object);
      becomeZombie(ZOMBIE_TCB, TCB_SLOTS.length);
    }
    // Nothing is bound to what is no more.
    for (const sc of contexts.values()) if (sc.notification === object) sc.notification = 0;
    for (const bound of notifications.values()) if (bound.thread === object) bound.thread = 0;
    for (const core of cores) if (core.charging?.sc === object) core.charging = undefined;
    for (const objects of [notifications, contexts, threads]) objects.delete(object);
  }
}
