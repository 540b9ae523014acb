/** Objects: what they are made of and as (chapter 2), and how they end (section 3.1.5). */
import { Limit, ObjectType, Rights, SeL4Error, SizeBits } from '../kernel/api/constants.js';
import { CapType } from '../src/core/inspect/memory.js';
import { SLOT_BYTES, TcbSlot } from './capabilities.js';
import { refuse, refuseIf } from './errors.js';
import { Communication } from './ipc.js';
import { EMPTY, newContext, newNotification, newThread, type Cap, type Name } from './state.js';

/** What an invocation is made with: its words, the slots of its extra capabilities, and the slot that it is made on. */
export interface Call {
  readonly me: Name;
  readonly slot: Name;
  /** The object of the capability in that slot. */
  readonly object: Name;
  readonly words: readonly bigint[];
  readonly caps: readonly Name[];
}

const ZOMBIE_TCB = 255;
const TCB_SLOTS = Object.values(TcbSlot);
const READ_WRITE = Rights.Read | Rights.Write;

/** What retyping makes, by the type of object (chapter 2): a capability with all rights, and the size of the object. */
const CREATES: Partial<
  Record<ObjectType, (bits: number) => [made: Partial<Cap> & { type: CapType }, sizeBits: number]>
> = {
  [ObjectType.Untyped]: (bits) => [{ type: CapType.Untyped, bits }, bits],
  [ObjectType.TCB]: () => [{ type: CapType.Thread }, SizeBits.TCB],
  [ObjectType.Endpoint]: () => [{ type: CapType.Endpoint, rights: Rights.All }, SizeBits.Endpoint],
  [ObjectType.Notification]: () => [
    { type: CapType.Notification, rights: READ_WRITE },
    SizeBits.Notification,
  ],
  [ObjectType.CapTable]: (bits) => [{ type: CapType.CNode, bits }, bits + SizeBits.Slot],
  [ObjectType.SchedContext]: (bits) => [{ type: CapType.SchedContext, bits }, bits],
  [ObjectType.Reply]: () => [{ type: CapType.Reply, rights: Rights.Grant }, SizeBits.Reply],
  [ObjectType.SmallPage]: () => [{ type: CapType.Frame, bits: 12, rights: READ_WRITE }, SizeBits.SmallPage],
  [ObjectType.LargePage]: () => [{ type: CapType.Frame, bits: 21, rights: READ_WRITE }, SizeBits.LargePage],
};
/** The least size that a user may choose. */
const LEAST: Partial<Record<ObjectType, number>> = {
  [ObjectType.CapTable]: 1,
  [ObjectType.Untyped]: SizeBits.MinUntyped,
  [ObjectType.SchedContext]: SizeBits.MinSchedContext,
};

export class Objects extends Communication {
  /** Where interrupt lines keep their notifications. */
  constructor(
    state: Communication['state'],
    readonly irqSlot: (irq: number) => Name,
  ) {
    super(state);
  }

  // ---- Untyped memory (section 2.4) ----

  /** `Untyped_Retype`. */
  protected retype({ slot, words, caps: [root] }: Call): void {
    const [type, userBits, index, depth, offset, count] = words;
    const creates = CREATES[Number(type) as ObjectType] ?? refuse(SeL4Error.InvalidArgument, 0);
    const [made, sizeBits] = creates(userBits < 64n ? Number(userBits) : Infinity);
    refuseIf(
      userBits >= 64n || sizeBits > Number(SizeBits.MaxUntyped),
      SeL4Error.RangeError,
      0,
      SizeBits.MaxUntyped,
    );
    refuseIf(userBits < (LEAST[Number(type) as ObjectType] ?? 0), SeL4Error.InvalidArgument, 1);
    const node = this.cap(depth === 0n ? root : this.target(this.cap(root), index, depth));
    this.mustBeThere(node.type === CapType.CNode, depth, false);
    const slots = 1n << BigInt(node.bits);
    refuseIf(offset >= slots, SeL4Error.RangeError, 0, slots - 1n);
    refuseIf(count < 1n || count > BigInt(Limit.RetypeFanOut), SeL4Error.RangeError, 1, Limit.RetypeFanOut);
    refuseIf(count > slots - offset, SeL4Error.RangeError, 1, slots - offset);
    const place = (i: number): Name => node.object + SLOT_BYTES * (Number(offset) + i);
    const targets = Array.from({ length: Number(count) }, (_, i) => place(i));
    for (const target of targets) this.mustBeEmpty(target);
    const untyped = this.cap(slot);
    const size = 2 ** sizeBits;
    const isFresh = this.childrenOf(slot).length === 0;
    const watermark = isFresh ? 0 : Number(untyped.badge);
    const left = 2 ** untyped.bits - watermark;
    refuseIf(Math.floor(left / size) < Number(count), SeL4Error.NotEnoughMemory, left);
    const isDevice = untyped.rights !== 0;
    const needsKernel = made.type !== CapType.Untyped && made.type !== CapType.Frame;
    refuseIf(isDevice && needsKernel, SeL4Error.InvalidArgument, 1);
    // Section 2.4.1: memory that nobody uses any more is cleared.
    const end = untyped.object + Number(untyped.badge);
    if (isFresh && !isDevice)
      for (const at of this.words.keys()) if (at >= untyped.object && at < end) this.words.delete(at);
    const first = Math.ceil((untyped.object + watermark) / size) * size;
    const used = first + Number(count) * size - untyped.object;
    this.state.caps.set(slot, { ...untyped, badge: BigInt(used) });
    const mark = !isDevice ? {} : made.type === CapType.Untyped ? { rights: 1 } : { badge: 1n };
    targets.forEach((target, i) => {
      const object = first + i * size;
      this.insertChild({ ...EMPTY, ...made, object, ...mark }, slot, target, true);
      this.create(made.type, object);
    });
  }

  private create(type: CapType, at: Name): void {
    const { threads, endpoints, notifications, replies, contexts } = this.state;
    if (type === CapType.Thread) threads.set(at, newThread());
    if (type === CapType.Endpoint) endpoints.set(at, []);
    if (type === CapType.Notification) notifications.set(at, newNotification());
    if (type === CapType.Reply) replies.set(at, 0);
    if (type === CapType.SchedContext) contexts.set(at, newContext());
  }

  // ---- Deletion (section 3.1.5) ----

  protected delete(slot: Name): void {
    if (this.finalise(slot, true)) this.empty(slot);
  }

  private empty(slot: Name): void {
    if (this.isEmpty(slot)) return;
    const { type, object, badge } = this.cap(slot);
    const backed = badge > 1n ? this.state.threads.get(Number(badge)) : undefined;
    if (type === CapType.Frame && backed) backed.buffer = 0;
    if (type === CapType.IRQHandler && this.isFinal(slot)) this.state.issuedIrqs.delete(object);
    this.remove(slot);
  }

  /** Deletes what never becomes a zombie. */
  protected deleteOne(slot: Name): void {
    if (!this.isEmpty(slot)) this.endObject(slot);
    this.empty(slot);
  }

  /**
   * Ends the object of a last capability. Of a CNode or TCB it first becomes a zombie, whose slots are emptied, last one
   * first. Where such a slot holds the last capability to another CNode or TCB (`exposed` is false then), that one is
   * not emptied too: its zombie moves into its own first slot, out of reach, until its untyped memory is revoked.
   */
  private finalise(slot: Name, exposed: boolean): boolean {
    while (!this.isEmpty(slot)) {
      this.endObject(slot);
      const { type, object, bits, badge: left } = this.cap(slot);
      if (type !== CapType.Zombie) return true;
      const at = (index: number): Name =>
        object + (bits === ZOMBIE_TCB ? TCB_SLOTS[index] : SLOT_BYTES * index);
      if (left === 0n || (left === 1n && at(0) === slot)) return true;
      if (exposed) {
        const inner = at(Number(left) - 1);
        if (this.finalise(inner, false)) this.empty(inner);
        const now = this.cap(slot);
        if (now.type === type && now.object === object && now.badge === left)
          this.state.caps.set(slot, { ...now, badge: left - 1n });
      } else if (at(0) === slot) {
        return false;
      } else {
        this.swap(slot, at(0));
      }
    }
    return true;
  }

  /** Undoes what a last capability's object was in; a zombie is left where there are slots to be emptied. */
  private endObject(slot: Name): void {
    const { type, object, bits } = this.cap(slot);
    if (type === CapType.Zombie || !this.isFinal(slot)) return;
    const { endpoints, notifications, replies, contexts, threads, cores, caps } = this.state;
    const becomeZombie = (kind: number, slots: number): unknown =>
      caps.set(slot, { ...EMPTY, type: CapType.Zombie, object, bits: kind, badge: BigInt(slots) });
    if (type === CapType.Endpoint) this.cancelAllIPC(object);
    if (type === CapType.Reply) this.endReply(object);
    if (type === CapType.IRQHandler) this.deleteOne(this.irqSlot(object));
    if (type === CapType.CNode) becomeZombie(bits, 2 ** bits);
    if (type === CapType.Notification) {
      for (const sc of contexts.values()) if (sc.notification === object) sc.notification = 0;
      this.cancelAllSignals(object);
    }
    if (type === CapType.SchedContext) {
      this.takeContext(contexts.get(object));
      this.completeYieldsTo(object);
      for (const core of cores) if (core.charging?.sc === object) core.charging = undefined;
    }
    if (type === CapType.Thread) {
      this.takeContext(this.contextOf(object));
      for (const bound of notifications.values()) if (bound.thread === object) bound.thread = 0;
      this.suspend(object);
      this.forgetStalled(object);
      becomeZombie(ZOMBIE_TCB, TCB_SLOTS.length);
    }
    for (const objects of [endpoints, notifications, replies, contexts, threads]) objects.delete(object);
  }
}
