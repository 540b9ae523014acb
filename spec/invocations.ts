/**
 * Invocations of kernel objects (chapter 10): what each checks, in the order in which errors win, and what it does.
 * With what capabilities are and how they are deleted (chapter 3), and untyped memory (chapter 2).
 */
import {
  Invocation,
  Limit,
  LookupFailure,
  ObjectType,
  Rights,
  SeL4Error,
  SizeBits,
} from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { rangeOf } from './abstraction.js';
import { EMPTY, Threads, isAccounted, labelOf, lengthOf, type Failure } from './kernel.js';
import { Refills } from './refills.js';
import type { Cap, Name } from './state.js';

type Result = SeL4Error | 'later' | { error: SeL4Error; words: bigint[] };

const DONE = SeL4Error.NoError;
const { IllegalOperation, TruncatedMessage, DeleteFirst, RevokeFirst } = SeL4Error;
const error = (kind: SeL4Error, ...words: (number | bigint)[]): Result => ({
  error: kind,
  words: words.map(BigInt),
});
const invalidCapability = (index: number): Result => error(SeL4Error.InvalidCapability, index);
const invalidArgument = (index: number): Result => error(SeL4Error.InvalidArgument, index);
const rangeError = (min: number, max: number | bigint): Result => error(SeL4Error.RangeError, min, max);

const failedLookup = ({ failure, words }: Failure, ofSource: boolean): Result =>
  failure === LookupFailure.None
    ? error(SeL4Error.RangeError, ...words)
    : error(SeL4Error.FailedLookup, ofSource ? 1 : 0, failure, ...words);
const missing = (bitsLeft: bigint): Failure => ({
  failure: LookupFailure.MissingCapability,
  words: [bitsLeft],
});

const TCB_SLOTS = [64, 192, 224, 256];
const ZOMBIE_TCB = 255;
const MAX_PERIOD = 3_600_000_000n;
const FAN_OUT = Limit.RetypeFanOut;

export class Kernel extends Threads {
  /** Where interrupt lines keep their notifications. */
  constructor(
    state: Threads['state'],
    readonly irqSlot: (irq: number) => Name,
  ) {
    super(state);
  }

  protected invokeObject(me: Name, slot: Name): Result {
    const { info } = this.thread(me);
    const label = labelOf(info) > 0xffffffffn ? 0 : Number(labelOf(info));
    const length = lengthOf(info);
    const arg = (index: number): bigint => this.getMR(this.thread(me), index);
    const { type, object } = this.cap(slot);
    switch (type) {
      case CapType.Untyped:
        return this.invokeUntyped(label, length, arg, slot);
      case CapType.CNode:
        return this.invokeCNode(label, length, arg, this.cap(slot));
      case CapType.Thread:
        return this.invokeThread(me, label, length, arg, object);
      case CapType.SchedContext:
        return this.invokeContext(me, label, object);
      case CapType.SchedControl:
        return this.configureContext(label, length, arg, object);
      case CapType.IRQControl:
        return this.invokeIRQControl(label, length, arg, slot);
      case CapType.IRQHandler:
        return this.invokeIRQHandler(label, object);
      case CapType.SGISignal:
        return DONE;
      case CapType.Frame:
        return IllegalOperation;
      // Memory from other clusters is Atoll's own, and none of the manual's: what is issued is not specified here.
      case CapType.UntypedControl:
        return IllegalOperation;
      default:
        return invalidCapability(0);
    }
  }

  /** The extra capability `index`, if the caller sent it. */
  private extra(index: number): { slot: Name; cap: Cap } | undefined {
    const slot = this.extraCaps[index];
    return slot === undefined ? undefined : { slot, cap: this.cap(slot) };
  }

  // ---- Capabilities (chapter 3) ----

  /** What a copy of `cap`, which stands in `slot`, may be. */
  protected derive(slot: Name, cap: Cap): Cap | SeL4Error {
    if (cap.type === CapType.Zombie || cap.type === CapType.IRQControl || cap.type === CapType.UntypedControl)
      return EMPTY;
    return cap.type === CapType.Untyped && this.childrenOf(slot).length > 0 ? RevokeFirst : cap;
  }

  private childrenOf(slot: Name): Name[] {
    return this.state.children.get(slot) ?? [];
  }
  private parentOf(slot: Name): Name {
    return [...this.state.children].find(([, children]) => children.includes(slot))?.[0] ?? 0;
  }
  private adopt(parent: Name, children: Name[], at: number, instead = 0): void {
    const all = [...this.childrenOf(parent)];
    all.splice(at, instead, ...children);
    if (all.length > 0) this.state.children.set(parent, all);
    else this.state.children.delete(parent);
  }

  /** A capability derived from the one in `source` is its child if that is an original, else its sibling. */
  protected insert(cap: Cap, source: Name, target: Name): void {
    const from = this.cap(source);
    if (cap.type === CapType.Untyped)
      this.state.caps.set(source, { ...from, badge: 1n << BigInt(from.bits) });
    const badged = cap.type === CapType.Endpoint || cap.type === CapType.Notification;
    const issued = from.type === CapType.IRQControl;
    if ((badged && cap.badge !== from.badge) || issued || cap.type === CapType.Untyped)
      this.state.originals.add(target);
    this.state.caps.set(target, cap);
    if (this.state.originals.has(source)) return this.adopt(source, [target], 0);
    const parent = this.parentOf(source);
    this.adopt(parent, [target], this.childrenOf(parent).indexOf(source) + 1);
  }

  private insertNew(cap: Cap, parent: Name, target: Name): void {
    this.state.caps.set(target, cap);
    this.state.originals.add(target);
    this.adopt(parent, [target], 0);
  }

  /** Exchanges two slots, their places in the tree included; one may be empty. */
  private swap(a: Name, b: Name, capOfA = this.cap(a), capOfB = this.cap(b)): void {
    const other = (name: Name): Name => (name === a ? b : name === b ? a : name);
    const { caps, originals, children } = this.state;
    for (const [slot, cap] of [
      [a, capOfB],
      [b, capOfA],
    ] as const) {
      if (cap.type === CapType.Null) caps.delete(slot);
      else caps.set(slot, cap);
    }
    const wasOriginal = [originals.has(a), originals.has(b)];
    for (const [slot, original] of [
      [b, wasOriginal[0]],
      [a, wasOriginal[1]],
    ] as const) {
      if (original) originals.add(slot);
      else originals.delete(slot);
    }
    this.state.children = new Map(
      [...children].map(([parent, list]) => [other(parent), list.map(other)] as const),
    );
  }

  /** Section 3.1.4: what does not fit makes no capability. */
  private withData(cap: Cap, data: bigint, preserve: boolean): Cap {
    switch (cap.type) {
      case CapType.Endpoint:
      case CapType.Notification:
        return preserve || cap.badge !== 0n ? EMPTY : { ...cap, badge: data };
      case CapType.CNode: {
        const guardSize = Number(data & 63n);
        if (guardSize + cap.bits > 64) return EMPTY;
        return { ...cap, guardSize, badge: BigInt.asUintN(guardSize, data >> 6n) };
      }
      default:
        return cap;
    }
  }

  private withRights(cap: Cap, rights: number): Cap {
    const kept = cap.type === CapType.Reply ? rights | ~Rights.Grant : rights;
    const has = [CapType.Endpoint, CapType.Notification, CapType.Frame, CapType.Reply].includes(cap.type);
    return has ? { ...cap, rights: cap.rights & kept } : cap;
  }

  /** Section 3.1.2. */
  private invokeCNode(label: number, length: number, arg: (index: number) => bigint, root: Cap): Result {
    if (label < Invocation.CNodeRevoke || label > Invocation.CNodeRotate) return IllegalOperation;
    if (length < 2) return TruncatedMessage;
    const target = this.target(root, arg(0), arg(1));
    if (typeof target !== 'number') return failedLookup(target, false);
    const cap = this.cap(target);
    const original = this.extra(0);
    switch (label) {
      case Invocation.CNodeRevoke:
        while (this.childrenOf(target).length > 0) this.delete(this.childrenOf(target)[0]);
        return DONE;
      case Invocation.CNodeDelete:
        this.delete(target);
        return DONE;
      case Invocation.CNodeCancelBadgedSends:
        if (cap.type !== CapType.Endpoint || cap.rights !== Number(Rights.All)) return IllegalOperation;
        if (cap.badge !== 0n && this.sendersWait(cap.object)) this.cancelAllIPC(cap.object, cap.badge);
        return DONE;
      case Invocation.CNodeRotate:
        return this.rotate(length, arg, target);
    }
    if (length < 4 || !original) return TruncatedMessage;
    if (cap.type !== CapType.Null) return DeleteFirst;
    const source = this.target(original.cap, arg(2), arg(3));
    if (typeof source !== 'number') return failedLookup(source, true);
    const from = this.cap(source);
    if (from.type === CapType.Null) return failedLookup(missing(arg(3)), true);
    const words = { [Invocation.CNodeCopy]: 5, [Invocation.CNodeMint]: 6, [Invocation.CNodeMutate]: 5 };
    if (length < (words[label as keyof typeof words] ?? 4)) return TruncatedMessage;
    if (label === Number(Invocation.CNodeMove) || label === Number(Invocation.CNodeMutate)) {
      const moved = label === Number(Invocation.CNodeMove) ? from : this.withData(from, arg(4), true);
      if (moved.type === CapType.Null) return IllegalOperation;
      this.swap(source, target, moved);
      return DONE;
    }
    const masked = this.withRights(from, Number(arg(4) & 255n));
    const badged = label === Number(Invocation.CNodeMint) ? this.withData(masked, arg(5), false) : masked;
    const derived = this.derive(source, badged);
    if (typeof derived === 'number') return derived;
    if (derived.type === CapType.Null) return IllegalOperation;
    this.insert(derived, source, target);
    return DONE;
  }

  private sendersWait(endpoint: Name): boolean {
    const { queue } = this.state.endpoints.get(endpoint)!;
    return queue.length > 0 && this.thread(queue[0]).state === ThreadState.BlockedOnSend;
  }

  private rotate(length: number, arg: (index: number) => bigint, target: Name): Result {
    const [pivotRoot, sourceRoot] = [this.extra(0), this.extra(1)];
    if (length < 8 || !pivotRoot || !sourceRoot) return TruncatedMessage;
    const source = this.target(sourceRoot.cap, arg(6), arg(7));
    if (typeof source !== 'number') return failedLookup(source, true);
    const pivot = this.target(pivotRoot.cap, arg(3), arg(4));
    if (typeof pivot !== 'number') return failedLookup(pivot, false);
    if (pivot === source || pivot === target) return IllegalOperation;
    if (source !== target && this.cap(target).type !== CapType.Null) return DeleteFirst;
    if (this.cap(source).type === CapType.Null) return failedLookup(missing(arg(7)), true);
    if (this.cap(pivot).type === CapType.Null) return failedLookup(missing(arg(4)), false);
    const changed = (slot: Name, data: bigint): Cap =>
      data === 0n ? this.cap(slot) : this.withData(this.cap(slot), data, true);
    const [newSource, newPivot] = [changed(source, arg(5)), changed(pivot, arg(2))];
    if (newSource.type === CapType.Null || newPivot.type === CapType.Null) return IllegalOperation;
    if (source === target) {
      this.swap(source, pivot, newSource, newPivot);
    } else {
      this.swap(pivot, target, newPivot);
      this.swap(source, pivot, newSource);
    }
    return DONE;
  }

  // ---- Deletion (section 3.1.5) ----

  /** Whether it is the last capability to its object. */
  private isFinal(slot: Name): boolean {
    const { type, object, bits } = this.cap(slot);
    return ![...this.state.caps].some(
      ([other, cap]) => other !== slot && cap.type === type && cap.object === object && cap.bits === bits,
    );
  }

  private delete(slot: Name): void {
    if (this.finalise(slot, true)) this.empty(slot);
  }

  private empty(slot: Name): void {
    const cap = this.cap(slot);
    if (cap.type === CapType.Null) return;
    const backed = this.state.threads.get(Number(cap.badge));
    if (cap.type === CapType.Frame && cap.badge > 1n && backed) backed.buffer = 0;
    if (cap.type === CapType.IRQHandler && this.isFinal(slot)) this.state.issuedIrqs.delete(cap.object);
    const parent = this.parentOf(slot);
    this.adopt(parent, this.childrenOf(slot), this.childrenOf(parent).indexOf(slot), 1);
    this.state.children.delete(slot);
    this.state.caps.delete(slot);
    this.state.originals.delete(slot);
  }

  /**
   * Ends the object of a last capability. Of a CNode or TCB it first becomes a zombie, whose slots are emptied, last one
   * first. Where such a slot holds the last capability to another CNode or TCB (`exposed` is false then), that one is
   * not emptied too: its zombie moves into its own first slot, out of reach, until its untyped memory is revoked.
   */
  private finalise(slot: Name, exposed: boolean): boolean {
    for (;;) {
      if (this.cap(slot).type === CapType.Null) return true;
      const zombie = this.endObject(slot);
      if (!zombie) return true;
      const home = zombie.object + (zombie.bits === ZOMBIE_TCB ? 64 : 0);
      if (zombie.badge === 0n || (zombie.badge === 1n && home === slot)) return true;
      if (!exposed && home === slot) return false;
      if (!exposed) {
        this.swap(slot, home);
        continue;
      }
      const last = Number(zombie.badge) - 1;
      const inner = zombie.bits === ZOMBIE_TCB ? zombie.object + TCB_SLOTS[last] : zombie.object + 32 * last;
      if (this.finalise(inner, false)) this.empty(inner);
      const now = this.cap(slot);
      if (now.type === CapType.Zombie && now.object === zombie.object && now.badge === zombie.badge)
        this.state.caps.set(slot, { ...now, badge: now.badge - 1n });
    }
  }

  /** What a last capability leaves behind: a zombie where there are slots to be emptied. */
  private endObject(slot: Name): Cap | undefined {
    const cap = this.cap(slot);
    if (cap.type === CapType.Zombie) return cap;
    if (!this.isFinal(slot)) return undefined;
    const { object } = cap;
    switch (cap.type) {
      case CapType.Endpoint:
        this.cancelAllIPC(object);
        this.state.endpoints.delete(object);
        return undefined;
      case CapType.Notification: {
        const { sc, thread } = this.state.notifications.get(object)!;
        if (sc !== 0) this.context(sc).notification = 0;
        if (thread !== 0) this.thread(thread).notification = 0;
        this.cancelAllSignals(object);
        this.state.notifications.delete(object);
        return undefined;
      }
      case CapType.Reply:
        this.finaliseReply(object);
        this.state.replies.delete(object);
        return undefined;
      case CapType.SchedContext: {
        const { notification, yieldFrom } = this.context(object);
        this.takeContext(object);
        if (notification !== 0) this.state.notifications.get(notification)!.sc = 0;
        if (yieldFrom !== 0) this.completeYieldTo(yieldFrom);
        this.forgetCharging(object);
        this.state.contexts.delete(object);
        return undefined;
      }
      case CapType.IRQHandler:
        this.deleteOne(this.irqSlot(object));
        return undefined;
      case CapType.Thread: {
        const { sc, notification } = this.thread(object);
        if (sc !== 0) this.takeContext(sc);
        if (notification !== 0) this.state.notifications.get(notification)!.thread = 0;
        this.suspend(object);
        this.forgetStalled(object);
        this.state.threads.delete(object);
        return this.becomeZombie(slot, ZOMBIE_TCB, TCB_SLOTS.length);
      }
      case CapType.CNode:
        return this.becomeZombie(slot, cap.bits, 2 ** cap.bits);
      default:
        return undefined;
    }
  }

  private becomeZombie(slot: Name, bits: number, slots: number): Cap {
    const zombie = {
      ...EMPTY,
      type: CapType.Zombie,
      object: this.cap(slot).object,
      bits,
      badge: BigInt(slots),
    };
    this.state.caps.set(slot, zombie);
    return zombie;
  }

  /** Of what never becomes a zombie. */
  private deleteOne(slot: Name): void {
    if (this.cap(slot).type !== CapType.Null) this.endObject(slot);
    this.empty(slot);
  }

  // ---- Untyped memory (chapter 2) ----

  private invokeUntyped(label: number, length: number, arg: (index: number) => bigint, slot: Name): Result {
    if (label !== Number(Invocation.UntypedRetype)) return IllegalOperation;
    const root = this.extra(0);
    if (length < 6 || !root) return TruncatedMessage;
    const type = Number(arg(0)) as ObjectType;
    if (arg(0) >= BigInt(ObjectType.Count)) return invalidArgument(0);
    if (arg(1) >= 64n) return rangeError(0, SizeBits.MaxUntyped);
    const userBits = Number(arg(1));
    const made = CREATES[type](userBits);
    const size = rangeOf(made);
    if (size > 2 ** SizeBits.MaxUntyped) return rangeError(0, SizeBits.MaxUntyped);
    const least = {
      [ObjectType.CapTable]: 1,
      [ObjectType.Untyped]: SizeBits.MinUntyped,
      [ObjectType.SchedContext]: SizeBits.MinSchedContext,
    };
    if (userBits < Number(least[type as keyof typeof least] ?? 0)) return invalidArgument(1);
    const node = arg(3) === 0n ? root.slot : this.target(root.cap, arg(2), arg(3));
    if (typeof node !== 'number') return failedLookup(node, false);
    const cnode = this.cap(node);
    if (cnode.type !== CapType.CNode) return failedLookup(missing(arg(3)), false);
    const slots = 1n << BigInt(cnode.bits);
    const [offset, count] = [arg(4), arg(5)];
    if (offset >= slots) return rangeError(0, slots - 1n);
    if (count < 1n || count > BigInt(FAN_OUT)) return rangeError(1, FAN_OUT);
    if (count > slots - offset) return rangeError(1, slots - offset);
    const targets = Array.from({ length: Number(count) }, (_, i) => cnode.object + 32 * (Number(offset) + i));
    if (targets.some((target) => this.cap(target).type !== CapType.Null)) return DeleteFirst;
    const untyped = this.cap(slot);
    const reset = this.childrenOf(slot).length === 0;
    const watermark = reset ? 0 : Number(untyped.badge);
    const left = 2 ** untyped.bits - watermark;
    if (Math.floor(left / size) < Number(count)) return error(SeL4Error.NotEnoughMemory, left);
    const device = untyped.rights !== 0;
    if (device && made.type !== CapType.Untyped && made.type !== CapType.Frame) return invalidArgument(1);
    if (reset && !device)
      for (const at of this.words.keys())
        if (at >= untyped.object && at < untyped.object + Number(untyped.badge)) this.words.delete(at);
    const first = Math.ceil((untyped.object + watermark) / size) * size;
    const end = first + Number(count) * size - untyped.object;
    this.state.caps.set(slot, { ...untyped, badge: BigInt(end) });
    targets.forEach((target, index) => {
      const object = first + index * size;
      const marks = device ? (made.type === CapType.Untyped ? { rights: 1 } : { badge: 1n }) : {};
      this.insertNew({ ...made, object, ...marks }, slot, target);
      this.createObject(made.type, object);
    });
    return DONE;
  }

  private createObject(type: CapType, at: Name): void {
    const { threads, endpoints, notifications, replies, contexts } = this.state;
    switch (type) {
      case CapType.Thread:
        threads.set(at, {
          ...{
            state: ThreadState.Inactive,
            waitsFor: 0,
            reply: 0,
            sc: 0,
            notification: 0,
            priority: 0,
            mcp: 0,
          },
          ...{
            core: 0,
            fault: 0,
            yieldTo: 0,
            send: { badge: 0n, rights: 0, isCall: false },
            badge: 0n,
            info: 0n,
          },
          ...{ mrs: [0n, 0n, 0n, 0n], pc: 0, program: 0, redo: false, buffer: 0, faultWords: [] },
        });
        break;
      case CapType.Endpoint:
        endpoints.set(at, { queue: [] });
        break;
      case CapType.Notification:
        notifications.set(at, { active: false, badge: 0n, queue: [], thread: 0, sc: 0 });
        break;
      case CapType.Reply:
        replies.set(at, 0);
        break;
      case CapType.SchedContext:
        contexts.set(at, {
          ...{ thread: 0, notification: 0, calls: [], budget: 0n, period: 0n, badge: 0n, sporadic: false },
          ...{ core: 0, maxRefills: 0, refills: [], consumed: 0n, yieldFrom: 0 },
        });
    }
  }

  // ---- Threads (section 6.1) ----

  private invokeThread(
    me: Name,
    label: number,
    length: number,
    arg: (index: number) => bigint,
    name: Name,
  ): Result {
    const thread = this.thread(name);
    const [first, second, third] = [this.extra(0), this.extra(1), this.extra(2)];
    const authority = first?.cap;
    switch (label) {
      case Invocation.TCBReadRegisters:
        if (length < 2) return TruncatedMessage;
        if (arg(1) < 1n || arg(1) > 2n) return rangeError(1, 2);
        if (name === me) return IllegalOperation;
        if (arg(0) & 1n) this.suspend(name);
        return error(DONE, ...[thread.pc, thread.program].slice(0, Number(arg(1))));
      case Invocation.TCBWriteRegisters:
        if (length < 2 || BigInt(length - 2) < arg(1)) return TruncatedMessage;
        if (name === me) return IllegalOperation;
        this.suspend(name);
        if (arg(1) > 0n) thread.pc = Number(BigInt.asUintN(32, arg(2)));
        if (arg(1) > 1n) thread.program = Number(BigInt.asUintN(32, arg(3)));
        thread.redo = false;
        this.forgetStalled(name);
        if (arg(0) & 1n) this.resume(name);
        return DONE;
      case Invocation.TCBConfigure: {
        if (length < 2 || !first || !second) return TruncatedMessage;
        const invalid = this.checkBuffer(arg(1), second.cap);
        return invalid ?? this.setRoot(name, first.slot, arg(0)) ?? this.setBuffer(name, arg(1), second.slot);
      }
      case Invocation.TCBSetSpace:
        if (length < 1 || !first || !second) return TruncatedMessage;
        if (!this.isHandlerOrEmpty(first.slot)) return invalidCapability(1);
        return this.setRoot(name, second.slot, arg(0)) ?? this.setHandler(first.slot, name + 224);
      case Invocation.TCBSetIPCBuffer:
        if (length < 1 || !first) return TruncatedMessage;
        return this.checkBuffer(arg(0), first.cap) ?? this.setBuffer(name, arg(0), first.slot);
      case Invocation.TCBSetTimeoutEndpoint:
        if (!first) return TruncatedMessage;
        return this.isHandlerOrEmpty(first.slot)
          ? this.setHandler(first.slot, name + 256)
          : invalidCapability(1);
      case Invocation.TCBSetPriority:
      case Invocation.TCBSetMCPriority: {
        if (length < 1 || !authority) return TruncatedMessage;
        if (authority.type !== CapType.Thread) return invalidCapability(1);
        const { mcp } = this.thread(authority.object);
        if (arg(0) > BigInt(mcp)) return rangeError(0, mcp);
        if (label === Number(Invocation.TCBSetMCPriority)) thread.mcp = Number(arg(0));
        else this.setPriority(name, Number(arg(0)));
        return DONE;
      }
      case Invocation.TCBSetSchedParams: {
        if (length < 2 || !authority || !second || !third) return TruncatedMessage;
        if (authority.type !== CapType.Thread) return invalidCapability(1);
        const { mcp } = this.thread(authority.object);
        if (arg(0) > BigInt(mcp) || arg(1) > BigInt(mcp)) return rangeError(0, mcp);
        const sc = second.cap.type === CapType.SchedContext ? this.context(second.cap.object) : undefined;
        if (sc) {
          if (thread.sc !== 0 || sc.thread !== 0 || sc.notification !== 0) return IllegalOperation;
          if (isBlocked(thread.state) && !this.isReleased(sc)) return IllegalOperation;
        } else if (second.cap.type !== CapType.Null) {
          return invalidCapability(2);
        } else if (name === this.current) {
          return IllegalOperation;
        }
        if (!this.isHandlerOrEmpty(third.slot)) return invalidCapability(3);
        this.setHandler(third.slot, name + 224);
        thread.mcp = Number(arg(0));
        this.setPriority(name, Number(arg(1)));
        if (sc) this.bindContext(second.cap.object, name);
        else if (thread.sc !== 0) this.takeContext(thread.sc);
        return DONE;
      }
      case Invocation.TCBSuspend:
        this.suspend(name);
        return DONE;
      case Invocation.TCBResume:
        this.resume(name);
        return DONE;
      case Invocation.TCBBindNotification: {
        if (!authority) return TruncatedMessage;
        const notification = this.state.notifications.get(authority.object);
        if (thread.notification !== 0 || authority.type !== CapType.Notification) return IllegalOperation;
        if (!(authority.rights & Rights.Read) || notification!.queue.length > 0 || notification!.thread !== 0)
          return IllegalOperation;
        notification!.thread = name;
        thread.notification = authority.object;
        return DONE;
      }
      case Invocation.TCBUnbindNotification:
        if (thread.notification === 0) return IllegalOperation;
        this.state.notifications.get(thread.notification)!.thread = 0;
        thread.notification = 0;
        return DONE;
      default:
        return IllegalOperation;
    }
  }

  private isHandlerOrEmpty(slot: Name): boolean {
    return this.cap(slot).type === CapType.Null || this.isHandler(slot);
  }

  private checkBuffer(buffer: bigint, { type, rights, badge, object, bits }: Cap): Result | undefined {
    if (buffer === 0n) return undefined;
    const usable = Rights.Read | Rights.Write;
    if (type !== CapType.Frame || (rights & usable) !== usable || badge & 1n) return IllegalOperation;
    if (buffer % 1024n !== 0n) return SeL4Error.AlignmentError;
    return buffer < BigInt(object) || buffer >= BigInt(object + 2 ** bits) ? IllegalOperation : undefined;
  }

  private setBuffer(name: Name, buffer: bigint, frame: Name): Result {
    const slot = name + 192;
    this.delete(slot);
    if (buffer === 0n) return DONE;
    const failed = this.replace(this.cap(frame), frame, slot);
    if (failed) return failed;
    this.thread(name).buffer = Number(buffer);
    this.state.caps.set(slot, { ...this.cap(slot), badge: BigInt(name) });
    return DONE;
  }

  private setRoot(name: Name, root: Name, data: bigint): Result | undefined {
    const cap = data === 0n ? this.cap(root) : this.withData(this.cap(root), data, false);
    if (cap.type !== CapType.CNode) return IllegalOperation;
    if (this.cap(name + 64).type !== CapType.Null && this.isFinal(name + 64)) return IllegalOperation;
    this.delete(name + 64);
    return this.replace(cap, root, name + 64);
  }

  private setHandler(handler: Name, target: Name): Result {
    const empty = this.cap(handler).type === CapType.Null;
    this.delete(target);
    return empty ? DONE : (this.replace(this.cap(handler), handler, target) ?? DONE);
  }

  /** Puts a copy into a TCB's own slot, unless what was there took the source with it. */
  private replace(cap: Cap, source: Name, target: Name): Result | undefined {
    const derived = this.derive(source, cap);
    if (typeof derived === 'number') return derived;
    if (
      this.cap(source).object === derived.object &&
      this.cap(source).type === derived.type &&
      derived.type !== CapType.Null
    )
      this.insert(derived, source, target);
    return undefined;
  }

  // ---- Scheduling contexts (section 6.1.5) ----

  private bindContext(name: Name, thread: Name): void {
    this.context(name).thread = thread;
    this.thread(thread).sc = name;
    this.thread(thread).core = this.context(name).core;
    this.wakeUp(thread);
  }

  private invokeContext(me: Name, label: number, name: Name): Result {
    const sc = this.context(name);
    const extra = this.extra(0)?.cap;
    const object = extra?.object ?? 0;
    switch (label) {
      case Invocation.SchedContextBind:
        if (!extra) return TruncatedMessage;
        if (sc.thread !== 0 || sc.notification !== 0) return IllegalOperation;
        if (extra.type === CapType.Thread) {
          const { sc: other, state } = this.thread(object);
          if (other !== 0 || (isBlocked(state) && !this.isReleased(sc))) return IllegalOperation;
          this.bindContext(name, object);
          return DONE;
        }
        if (extra.type !== CapType.Notification) return invalidCapability(1);
        if (this.state.notifications.get(object)!.sc !== 0) return IllegalOperation;
        this.state.notifications.get(object)!.sc = name;
        sc.notification = object;
        return DONE;
      case Invocation.SchedContextUnbind:
        if (sc.thread !== 0 && sc.thread === this.current) return IllegalOperation;
        this.takeContext(name);
        this.unbindNotification(name);
        return DONE;
      case Invocation.SchedContextUnbindObject:
        if (!extra) return TruncatedMessage;
        if (extra.type === CapType.Thread) {
          if (sc.thread !== object || sc.thread === this.current) return IllegalOperation;
          this.takeContext(name);
          return DONE;
        }
        if (extra.type !== CapType.Notification) return invalidCapability(1);
        if (sc.notification !== object) return IllegalOperation;
        this.unbindNotification(name);
        return DONE;
      case Invocation.SchedContextConsumed:
        return error(DONE, this.takeConsumed(sc));
      case Invocation.SchedContextYieldTo: {
        if (sc.thread === 0 || sc.thread === me) return IllegalOperation;
        if (this.thread(sc.thread).priority > this.thread(me).mcp) return IllegalOperation;
        const consumed = this.yieldTo(me, name);
        return consumed === 'later' ? consumed : error(DONE, consumed);
      }
      default:
        return IllegalOperation;
    }
  }

  private unbindNotification(name: Name): void {
    const { notification } = this.context(name);
    if (notification !== 0) this.state.notifications.get(notification)!.sc = 0;
    this.context(name).notification = 0;
  }

  private configureContext(
    label: number,
    length: number,
    arg: (index: number) => bigint,
    core: number,
  ): Result {
    if (label !== Number(Invocation.SchedControlConfigureFlags)) return IllegalOperation;
    const extra = this.extra(0)?.cap;
    if (length < 5 || !extra) return TruncatedMessage;
    const [budget, period, extraRefills] = [arg(0), arg(1), arg(2)];
    if (budget > MAX_PERIOD || period > MAX_PERIOD || budget < 1n || period < 1n)
      return rangeError(1, MAX_PERIOD);
    if (budget > period) return rangeError(1, period);
    if (extra.type !== CapType.SchedContext) return invalidCapability(1);
    const most = BigInt((2 ** extra.bits - 64) / 16 - 2);
    if (extraRefills > most) return rangeError(0, most);
    const sc = this.context(extra.object);
    const { thread } = sc;
    if (thread !== 0) this.removeFromScheduling(thread);
    const inUse =
      core === sc.core &&
      sc.maxRefills !== 0 &&
      thread !== 0 &&
      this.thread(thread).state === ThreadState.Running;
    const before = sc.refills[0] ?? { time: 0n, amount: sc.budget };
    Object.assign(sc, {
      ...{ budget: budget * 1000n, period: period * 1000n, badge: arg(3), sporadic: (arg(4) & 1n) !== 0n },
      ...{ maxRefills: Number(extraRefills) + 2, core },
    });
    sc.refills = [];
    if (isAccounted(sc)) {
      // What was used lately still counts.
      const time = inUse && before.time > this.now ? before.time : this.now;
      const amount = inUse && before.amount < sc.budget ? before.amount : sc.budget;
      sc.refills = [{ time, amount }];
      if (amount < sc.budget) Refills.add(sc, time + sc.period, sc.budget - amount);
    }
    if (thread === 0) return DONE;
    this.thread(thread).core = core;
    this.wakeUp(thread);
    if (thread === this.current) this.reschedule();
    return DONE;
  }

  // ---- Interrupts (chapter 7) ----

  private invokeIRQControl(
    label: number,
    length: number,
    arg: (index: number) => bigint,
    slot: Name,
  ): Result {
    const root = this.extra(0);
    const isHandler = label === Number(Invocation.IRQIssueIRQHandler);
    if (!isHandler && label !== Number(Invocation.IRQIssueSGISignal)) return IllegalOperation;
    const at = isHandler ? 1 : 2;
    if (length < at + 2 || !root) return TruncatedMessage;
    const irq = Number(arg(0));
    if (arg(0) < 1n || arg(0) >= BigInt(Limit.Interrupts)) return rangeError(1, Limit.Interrupts - 1);
    if (isHandler && this.state.issuedIrqs.has(irq)) return RevokeFirst;
    const target = this.target(root.cap, arg(at), arg(at + 1));
    if (typeof target !== 'number') return failedLookup(target, false);
    if (this.cap(target).type !== CapType.Null) return DeleteFirst;
    const type = isHandler ? CapType.IRQHandler : CapType.SGISignal;
    this.insert({ ...EMPTY, type, object: irq, badge: isHandler ? 0n : arg(1) }, slot, target);
    if (isHandler) this.state.issuedIrqs.add(irq);
    return DONE;
  }

  private invokeIRQHandler(label: number, irq: number): Result {
    const slot = this.irqSlot(irq);
    switch (label) {
      case Invocation.IRQAckIRQ:
        return DONE;
      case Invocation.IRQSetIRQHandler: {
        const extra = this.extra(0);
        if (!extra) return TruncatedMessage;
        if (extra.cap.type !== CapType.Notification || !(extra.cap.rights & Rights.Write))
          return invalidCapability(0);
        this.deleteOne(slot);
        this.insert(this.cap(extra.slot), extra.slot, slot);
        return DONE;
      }
      case Invocation.IRQClearIRQHandler:
        this.deleteOne(slot);
        return DONE;
      default:
        return IllegalOperation;
    }
  }
}

const isBlocked = (state: ThreadState): boolean =>
  state >= ThreadState.BlockedOnReceive && state <= ThreadState.BlockedOnNotification;

/** What retyping makes, by the type of object (chapter 2): a capability with all rights, to be placed. */
const CREATES: Record<ObjectType, (bits: number) => Cap> = {
  [ObjectType.Untyped]: (bits) => ({ ...EMPTY, type: CapType.Untyped, bits }),
  [ObjectType.TCB]: () => ({ ...EMPTY, type: CapType.Thread }),
  [ObjectType.Endpoint]: () => ({ ...EMPTY, type: CapType.Endpoint, rights: Rights.All }),
  [ObjectType.Notification]: () => ({
    ...EMPTY,
    type: CapType.Notification,
    rights: Rights.Read | Rights.Write,
  }),
  [ObjectType.CapTable]: (bits) => ({ ...EMPTY, type: CapType.CNode, bits }),
  [ObjectType.SchedContext]: (bits) => ({ ...EMPTY, type: CapType.SchedContext, bits }),
  [ObjectType.Reply]: () => ({ ...EMPTY, type: CapType.Reply, rights: Rights.Grant }),
  [ObjectType.SmallPage]: () => ({
    ...EMPTY,
    type: CapType.Frame,
    bits: 12,
    rights: Rights.Read | Rights.Write,
  }),
  [ObjectType.LargePage]: () => ({
    ...EMPTY,
    type: CapType.Frame,
    bits: 21,
    rights: Rights.Read | Rights.Write,
  }),
  [ObjectType.Count]: () => EMPTY,
};
