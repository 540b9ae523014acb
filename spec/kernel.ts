/**
 * The abstract specification of the kernel: what each system call does to the abstract state
 * (spec/state.ts). Written to be read, with sets and lists; no fastpath, no bit fields, nothing that is kept twice.
 * Sections are those of the seL4 reference manual, MCS. Where this and the manual differ, docs/kernel.md says so.
 */
import { FaultType, Limit, LookupFailure, Rights, SeL4Error } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { Refills } from './refills.js';
import type { Cap, Core, Name, SchedContext, State, Thread } from './state.js';

const { Inactive, Running, BlockedOnReceive, BlockedOnSend, BlockedOnReply, BlockedOnNotification } =
  ThreadState;

/** Why a capability address leads nowhere (section 3.4). */
export interface Failure {
  readonly failure: LookupFailure;
  readonly words: readonly bigint[];
}

export const EMPTY: Cap = { type: CapType.Null, object: 0, rights: 0, bits: 0, guardSize: 0, badge: 0n };
const WORD_BITS = 64;
const MAX_WORD = 2n ** 64n - 1n;

export const messageInfo = (label: number | bigint, length: number, unwrapped = 0, caps = 0): bigint =>
  (BigInt(label) << 12n) | BigInt((unwrapped << 9) | (caps << 7) | length);
export const lengthOf = (info: bigint): number => Math.min(Number(info & 127n), Limit.MessageRegisters);
export const labelOf = (info: bigint): bigint => info >> 12n;
const extraCapsOf = (info: bigint): number => Number((info >> 7n) & 3n);

/** Threads, IPC, notifications, scheduling: what happens between threads. Invocations of objects are in invocations.ts. */
export abstract class Threads {
  /** What is to be done about who runs, when the kernel is left. */
  private decision: 'go on' | 'choose' | Name = 'go on';
  protected now = 0n;
  /** The core on which the kernel has been entered. */
  protected here = 0;
  /** Cores of which this entry has asked that they look anew who is to run, by inter-processor interrupt. */
  readonly asked = new Set<number>();
  protected extraCaps: Name[] = [];

  constructor(
    readonly state: State,
    /** Memory of users, by address: what is not there is 0. */
    readonly words = new Map<number, bigint>(),
  ) {}

  protected thread(name: Name): Thread {
    return this.state.threads.get(name)!;
  }
  protected context(name: Name): SchedContext {
    return this.state.contexts.get(name)!;
  }
  protected cap(slot: Name): Cap {
    return this.state.caps.get(slot) ?? EMPTY;
  }
  protected get core(): Core {
    return this.state.cores[this.here];
  }
  protected get current(): Name {
    return this.core.current;
  }

  // ---- System calls (section 2.2) ----

  /** Enters the kernel on a core, at a time, does what its thread asks, or what an event wants done, and leaves it. */
  enter(core: number, time: bigint, action: () => void, byEvent = false): void {
    this.here = core;
    this.now = time;
    this.asked.clear();
    if (!byEvent) this.chargeTime();
    this.releaseReady();
    const { stalled } = this.core;
    if (stalled !== undefined) {
      this.core.stalled = undefined;
      this.reschedule();
    }
    if (stalled === undefined || byEvent) action();
    else if (stalled !== 0) this.thread(stalled).redo = true;
    this.schedule();
    this.beginTime();
  }

  call(cptr: number): void {
    this.invoke(this.current, cptr, { isCall: true, blocking: true, canDonate: true });
  }
  send(cptr: number, blocking: boolean): void {
    this.invoke(this.current, cptr, { isCall: false, blocking, canDonate: false });
  }
  signal(cptr: number): void {
    this.thread(this.current).info = 0n;
    this.send(cptr, true);
  }
  recv(cptr: number, blocking: boolean, reply: number | undefined): void {
    this.receive(this.current, cptr, blocking, reply);
  }
  replyRecv(cptr: number, reply: number): void {
    const me = this.current;
    this.invoke(me, reply, { isCall: false, blocking: false, canDonate: true, receiveFollows: true });
    this.receive(me, cptr, true, reply);
  }
  nbSendRecv(dest: number, cptr: number, reply: number): void {
    const me = this.current;
    this.invoke(me, dest, { isCall: false, blocking: false, canDonate: false, receiveFollows: true });
    this.receive(me, cptr, true, reply);
  }
  yieldCore(): void {
    const me = this.current;
    this.reschedule();
    const sc = this.context(this.thread(me).sc);
    if (isAccounted(sc)) {
      Refills.charge(sc, sc.refills[0].amount);
      if (!this.isReady(sc)) return this.postpone(me);
    }
    this.enqueue(me, 'last');
  }
  userException(number: number, code: number): void {
    const me = this.current;
    this.fault(me, FaultType.UserException, [0n, BigInt(number), BigInt(code)]);
  }
  /** Another core has asked this one to look who is to run. */
  rescheduleInterrupt(): void {
    this.reschedule();
  }
  interrupt(irqSlot: Name): void {
    const cap = this.cap(irqSlot);
    if (cap.type === CapType.Notification && cap.rights & Rights.Write)
      this.sendSignal(cap.object, cap.badge);
  }

  protected abstract invokeObject(
    thread: Name,
    slot: Name,
  ): SeL4Error | 'later' | { error: SeL4Error; words: bigint[] };

  private invoke(
    me: Name,
    cptr: number,
    how: { isCall: boolean; blocking: boolean; canDonate: boolean; receiveFollows?: boolean },
  ): void {
    const found = this.lookup(me, BigInt(cptr));
    if (typeof found !== 'number') {
      if (how.blocking) this.capFault(me, BigInt(cptr), false, found);
      return;
    }
    const missing = this.lookupExtraCaps(me);
    if (missing) {
      if (how.blocking) this.capFault(me, missing.cptr, false, missing);
      return;
    }
    const cap = this.cap(found);
    const { object } = cap;
    const refuse = { error: SeL4Error.InvalidCapability, words: [0n] };
    switch (cap.type) {
      case CapType.Endpoint:
        if (!(cap.rights & Rights.Write)) return this.answer(me, how.isCall, refuse);
        return this.sendIPC(me, object, cap.badge, cap.rights, how);
      case CapType.Notification:
        if (!(cap.rights & Rights.Write)) return this.answer(me, how.isCall, refuse);
        this.sendSignal(object, cap.badge);
        return this.answer(me, how.isCall, SeL4Error.NoError);
      case CapType.Reply:
        this.replyTo(me, object, (cap.rights & Rights.Grant) !== 0);
        return this.answer(me, how.isCall, SeL4Error.NoError);
      case CapType.Thread:
      case CapType.CNode:
      case CapType.SchedControl:
      case CapType.SchedContext:
        if (how.receiveFollows) return;
    }
    const result = this.invokeObject(me, found);
    if (result !== 'later') this.answer(me, how.isCall, result);
  }

  /** Section 10.1: an invocation is answered with an error as label, and its details or results as message. */
  private answer(me: Name, isCall: boolean, result: SeL4Error | { error: SeL4Error; words: bigint[] }): void {
    const thread = this.state.threads.get(me);
    if (!isCall || !thread) return;
    const { error, words } = typeof result === 'object' ? result : { error: result, words: [] };
    thread.info = messageInfo(error, this.writeMessage(thread, words));
    thread.badge = 0n;
  }

  private receive(me: Name, cptr: number, blocking: boolean, replyCptr: number | undefined): void {
    const thread = this.thread(me);
    const sc = this.context(thread.sc);
    // Section 6.1.5: here, and not in the middle of a handler, a thread stops whose budget is used up.
    if (isAccounted(sc) && !this.isReady(sc)) {
      thread.redo = true;
      if (!this.timeoutFault(me)) this.postpone(me);
      return;
    }
    const found = this.lookup(me, BigInt(cptr));
    if (typeof found !== 'number') return this.capFault(me, BigInt(cptr), true, found);
    const cap = this.cap(found);
    const missing: Failure = { failure: LookupFailure.MissingCapability, words: [0n] };
    if (cap.type === CapType.Endpoint && cap.rights & Rights.Read) {
      if (replyCptr === undefined) return this.receiveIPC(me, cap.object, blocking, 0);
      const replySlot = this.lookup(me, BigInt(replyCptr));
      if (typeof replySlot !== 'number') return this.capFault(me, BigInt(replyCptr), true, replySlot);
      const reply = this.cap(replySlot);
      if (reply.type !== CapType.Reply) return this.capFault(me, BigInt(replyCptr), true, missing);
      return this.receiveIPC(me, cap.object, blocking, reply.object);
    }
    if (cap.type === CapType.Notification && cap.rights & Rights.Read) {
      const { thread: bound } = this.state.notifications.get(cap.object)!;
      if (bound === 0 || bound === me) return this.receiveSignal(me, cap.object, blocking);
    }
    this.capFault(me, BigInt(cptr), true, missing);
  }

  // ---- Capability addresses (section 3.3) ----

  protected lookup(me: Name, cptr: bigint): Name | Failure {
    return this.resolve(this.cap(me + 64), cptr, WORD_BITS, true);
  }

  /** The slot at an address of `depth` bits below a CNode; `partly`: the walk may end at what is no CNode. */
  protected resolve(root: Cap, cptr: bigint, depth: number, partly: boolean): Name | Failure {
    if (root.type !== CapType.CNode) return { failure: LookupFailure.InvalidRoot, words: [] };
    let node = root;
    for (let left = depth; ;) {
      const guardSize = node.guardSize;
      const guard = guardSize > left ? 0n : BigInt.asUintN(guardSize, cptr >> BigInt(left - guardSize));
      if (guardSize > left || guard !== node.badge)
        return { failure: LookupFailure.GuardMismatch, words: [BigInt(left), node.badge, BigInt(guardSize)] };
      const level = guardSize + node.bits;
      if (level > left) return { failure: LookupFailure.DepthMismatch, words: [BigInt(left), BigInt(level)] };
      left -= level;
      const slot = node.object + 32 * Number(BigInt.asUintN(node.bits, cptr >> BigInt(left)));
      if (left === 0) return slot;
      const next = this.cap(slot);
      if (next.type !== CapType.CNode)
        return partly ? slot : { failure: LookupFailure.DepthMismatch, words: [BigInt(left), 0n] };
      node = next;
    }
  }

  /** The slot that an invocation names below a CNode (section 3.1.2). */
  protected target(root: Cap, index: bigint, depth: bigint): Name | Failure {
    if (root.type !== CapType.CNode) return { failure: LookupFailure.InvalidRoot, words: [] };
    if (depth < 1n || depth > 64n) return { failure: LookupFailure.None, words: [1n, 64n] };
    return this.resolve(root, index, Number(depth), false);
  }

  private lookupExtraCaps(me: Name): (Failure & { cptr: bigint }) | undefined {
    const { info, buffer } = this.thread(me);
    this.extraCaps = [];
    for (let i = 0; buffer !== 0 && i < extraCapsOf(info); i++) {
      const cptr = this.word(buffer + 8 * (122 + i));
      const slot = this.lookup(me, cptr);
      if (typeof slot !== 'number') return { ...slot, cptr };
      this.extraCaps.push(slot);
    }
    return undefined;
  }

  // ---- Messages (section 4.1) ----

  protected word(address: number): bigint {
    return this.words.get(address) ?? 0n;
  }
  protected getMR({ mrs, buffer }: Thread, index: number): bigint {
    return index < 4 ? mrs[index] : buffer === 0 ? 0n : this.word(buffer + 8 + 8 * index);
  }
  /** Writes as many words of a message as the thread has registers for, and returns how many. */
  private writeMessage(thread: Thread, words: readonly bigint[]): number {
    const fit = thread.buffer === 0 ? words.slice(0, 4) : words;
    fit.forEach((word, index) => {
      if (index < 4) thread.mrs[index] = word;
      else this.words.set(thread.buffer + 8 + 8 * index, word);
    });
    return fit.length;
  }

  /** Section 4.2: what travels when two threads meet. `endpoint` is 0 for a reply. */
  private transfer(from: Name, endpoint: Name, badge: bigint, grant: boolean, to: Name): void {
    const sender = this.thread(from);
    const receiver = this.thread(to);
    receiver.badge = badge;
    if (sender.fault !== 0) {
      receiver.info = messageInfo(sender.fault, this.writeMessage(receiver, this.faultMessage(sender)));
      return;
    }
    const { info } = sender;
    const sent = Array.from({ length: lengthOf(info) }, (_, index) => this.getMR(sender, index));
    const length = this.writeMessage(receiver, sender.buffer === 0 ? sent.slice(0, 4) : sent);
    let unwrapped = 0;
    let count = 0;
    if (grant && extraCapsOf(info) > 0 && !this.lookupExtraCaps(from) && receiver.buffer !== 0) {
      let target = this.receiveSlot(to);
      for (const source of this.extraCaps) {
        const cap = this.cap(source);
        if (cap.type === CapType.Endpoint && cap.object === endpoint) {
          this.words.set(receiver.buffer + 8 * (122 + count), cap.badge);
          unwrapped |= 1 << count++;
          continue;
        }
        const derived = this.derive(source, cap);
        if (target === 0 || typeof derived === 'number' || derived.type === CapType.Null) break;
        this.insert(derived, source, target);
        target = 0;
        count++;
      }
    }
    receiver.info = messageInfo(labelOf(info), length, unwrapped, count);
  }

  /** The empty slot that a receiver names in its buffer, or 0. */
  private receiveSlot(me: Name): Name {
    const [cnode, index, depth] = [125, 126, 127].map((word) => this.word(this.thread(me).buffer + 8 * word));
    const root = this.lookup(me, cnode);
    const slot = typeof root === 'number' ? this.target(this.cap(root), index, depth) : root;
    return typeof slot === 'number' && this.cap(slot).type === CapType.Null ? slot : 0;
  }

  protected abstract derive(slot: Name, cap: Cap): Cap | SeL4Error;
  protected abstract insert(cap: Cap, source: Name, target: Name): void;

  // ---- Faults (section 6.2) ----

  private capFault(me: Name, cptr: bigint, inReceive: boolean, { failure, words }: Failure): void {
    this.fault(me, FaultType.CapFault, [cptr, inReceive ? 1n : 0n, BigInt(failure), ...words]);
  }

  private fault(me: Name, fault: FaultType, words: bigint[]): void {
    const thread = this.thread(me);
    thread.redo = true;
    thread.faultWords = words;
    if (this.isHandler(me + 224)) this.sendFault(me, fault, me + 224, thread.sc !== 0);
    else this.setState(me, Inactive);
  }

  private timeoutFault(me: Name): boolean {
    if (this.isHandler(me + 256)) this.sendFault(me, FaultType.Timeout, me + 256, false);
    return this.thread(me).fault !== 0;
  }

  protected isHandler(slot: Name): boolean {
    const { type, rights } = this.cap(slot);
    const answerable = (rights & (Rights.Grant | Rights.GrantReply)) !== 0;
    return type === CapType.Endpoint && (rights & Rights.Write) !== 0 && answerable;
  }

  private sendFault(me: Name, fault: FaultType, handler: Name, canDonate: boolean): void {
    this.thread(me).fault = fault;
    const { object, badge, rights } = this.cap(handler);
    this.sendIPC(me, object, badge, rights, { blocking: true, isCall: false, canDonate });
  }

  private faultMessage(sender: Thread): bigint[] {
    if (sender.fault !== Number(FaultType.Timeout)) return [BigInt(sender.pc), ...sender.faultWords];
    const sc = this.context(sender.sc);
    return sc ? [sc.badge, this.takeConsumed(sc)] : [0n];
  }

  // ---- Endpoints (chapter 4) ----

  private sendIPC(
    me: Name,
    name: Name,
    badge: bigint,
    rights: number,
    { blocking, isCall, canDonate }: { blocking: boolean; isCall: boolean; canDonate: boolean },
  ): void {
    const thread = this.thread(me);
    const { queue } = this.state.endpoints.get(name)!;
    if (queue.length === 0 || this.thread(queue[0]).state !== BlockedOnReceive) {
      if (!blocking) return;
      thread.send = { badge, rights, isCall };
      this.wait(me, name, queue, BlockedOnSend);
      return;
    }
    const to = queue.shift()!;
    const receiver = this.thread(to);
    const active = receiver.sc !== 0;
    receiver.waitsFor = 0;
    this.transfer(me, name, badge, (rights & Rights.Grant) !== 0, to);
    const reply = receiver.reply;
    this.unlinkReply(to);
    if (isCall || thread.fault !== 0) this.awaitReply(me, to, reply, rights, canDonate);
    else if (canDonate && !active && thread.sc !== 0) this.donate(thread.sc, to);
    this.setState(to, Running);
    if (active) this.wakeUp(to);
    else this.possibleSwitchTo(to);
  }

  /** Waiting threads stand by priority, equals in the order in which they came. */
  private wait(me: Name, name: Name, queue: Name[], state: ThreadState): void {
    const { priority } = this.thread(me);
    this.thread(me).waitsFor = name;
    this.setState(me, state);
    const before = queue.findIndex((other) => this.thread(other).priority < priority);
    queue.splice(before < 0 ? queue.length : before, 0, me);
  }

  private queueOf(name: Name): Name[] {
    return (this.state.endpoints.get(name) ?? this.state.notifications.get(name)!).queue;
  }

  private leaveQueue(me: Name): void {
    const thread = this.thread(me);
    const queue = this.queueOf(thread.waitsFor);
    queue.splice(queue.indexOf(me), 1);
    thread.waitsFor = 0;
    thread.send = { badge: 0n, rights: 0, isCall: false };
  }

  private awaitReply(caller: Name, callee: Name, reply: Name, rights: number, canDonate: boolean): void {
    const thread = this.thread(caller);
    if (reply === 0 || !(rights & (Rights.Grant | Rights.GrantReply))) {
      thread.redo = true;
      this.setState(caller, Inactive);
      return;
    }
    const { sc } = thread;
    this.state.replies.set(reply, caller);
    thread.reply = reply;
    this.setState(caller, BlockedOnReply);
    if (canDonate && sc !== 0 && this.thread(callee).sc === 0) {
      this.context(sc).calls.unshift(reply);
      this.donate(sc, callee);
    }
  }

  private receiveIPC(me: Name, name: Name, blocking: boolean, reply: Name): void {
    const thread = this.thread(me);
    const before = reply === 0 ? 0 : this.state.replies.get(reply)!;
    if (before !== 0 && before !== me) this.cancelIPC(before);
    const { notification } = thread;
    if (notification !== 0) {
      if (this.state.notifications.get(notification)!.active) return this.takeSignal(me, notification);
      if (blocking) this.returnContext(me, notification);
    }
    const { queue } = this.state.endpoints.get(name)!;
    if (queue.length === 0 || this.thread(queue[0]).state !== BlockedOnSend) {
      if (!blocking) {
        thread.badge = 0n;
        return;
      }
      thread.reply = reply;
      if (reply !== 0) this.state.replies.set(reply, me);
      this.wait(me, name, queue, BlockedOnReceive);
      return;
    }
    const from = queue[0];
    const sender = this.thread(from);
    const { badge, rights, isCall } = sender.send;
    this.leaveQueue(from);
    this.transfer(from, name, badge, (rights & Rights.Grant) !== 0, me);
    if (isCall || sender.fault !== 0) {
      const canDonate = sender.sc !== 0 && sender.fault !== Number(FaultType.Timeout);
      this.awaitReply(from, me, reply, rights, canDonate);
    } else {
      this.setState(from, Running);
      this.possibleSwitchTo(from);
    }
  }

  /** A thread gives up what it waits for, and is inactive. */
  protected cancelIPC(me: Name): void {
    const thread = this.thread(me);
    switch (thread.state) {
      case BlockedOnSend:
      case BlockedOnReceive:
        this.leaveQueue(me);
        this.unlinkReply(me);
        break;
      case BlockedOnNotification:
        this.leaveQueue(me);
        break;
      case BlockedOnReply:
        this.cutCalls(thread.reply);
        this.unlinkReply(me);
        break;
      default:
        return;
    }
    thread.redo = true;
    thread.fault = 0;
    this.setState(me, Inactive);
  }

  /** Section 3.1.5: an endpoint's end, or `CNode_CancelBadgedSends` for those with one badge. */
  protected cancelAllIPC(name: Name, badge?: bigint): void {
    for (const waiting of [...this.state.endpoints.get(name)!.queue]) {
      const thread = this.thread(waiting);
      const receives = thread.state === BlockedOnReceive;
      if (badge !== undefined && (receives || thread.send.badge !== badge)) continue;
      this.leaveQueue(waiting);
      this.unlinkReply(waiting);
      if (thread.fault !== 0) {
        thread.fault = 0;
        this.setState(waiting, Inactive);
      } else {
        thread.redo = true;
        this.setState(waiting, Running);
        if (receives) this.wakeUp(waiting);
        else this.possibleSwitchTo(waiting);
      }
    }
    this.reschedule();
  }

  // ---- Replies (section 4.2.4) ----

  private unlinkReply(me: Name): void {
    const thread = this.thread(me);
    if (thread.reply !== 0) this.state.replies.set(thread.reply, 0);
    thread.reply = 0;
  }

  /** Those calls of a chain that this one and earlier ones made no longer get the context back. */
  private cutCalls(reply: Name): void {
    for (const sc of this.state.contexts.values()) {
      const at = sc.calls.indexOf(reply);
      if (at >= 0) sc.calls.splice(at);
    }
  }

  /** Ends a wait for a reply. Where it was for the last call of a chain, the context goes back to the caller. */
  private endCall(reply: Name): void {
    const caller = this.state.replies.get(reply)!;
    const lent = [...this.state.contexts].find(([, { calls }]) => calls[0] === reply);
    if (lent) {
      lent[1].calls.shift();
      if (this.thread(caller).sc === 0) this.donate(lent[0], caller);
    } else {
      this.cutCalls(reply);
    }
    this.unlinkReply(caller);
  }

  private replyTo(me: Name, reply: Name, grant: boolean): void {
    const to = this.state.replies.get(reply)!;
    if (to === 0 || this.thread(to).state !== BlockedOnReply) return;
    this.endCall(reply);
    const receiver = this.thread(to);
    if (receiver.fault === 0) {
      this.transfer(me, 0, 0n, grant, to);
      this.setState(to, Running);
      const sc = this.context(receiver.sc);
      if (isAccounted(sc) && sc.sporadic) Refills.unblock(sc, this.now);
      this.possibleSwitchTo(to);
      return;
    }
    const { info, mrs } = this.thread(me);
    const always = receiver.fault === Number(FaultType.CapFault);
    if (!always && lengthOf(info) > 0) receiver.pc = Number(BigInt.asUintN(32, mrs[0]));
    receiver.fault = 0;
    this.setState(to, always || labelOf(info) === 0n ? Running : Inactive);
    this.wakeUp(to);
  }

  protected finaliseReply(reply: Name): void {
    const waiting = this.state.replies.get(reply)!;
    if (waiting === 0) return;
    if (this.thread(waiting).state !== BlockedOnReply) return this.cancelIPC(waiting);
    this.endCall(reply);
    this.thread(waiting).redo = true;
    this.setState(waiting, Inactive);
  }

  // ---- Notifications (chapter 5) ----

  private sendSignal(name: Name, badge: bigint): void {
    const notification = this.state.notifications.get(name)!;
    const { thread: bound, queue } = notification;
    if (notification.active) {
      notification.badge |= badge;
    } else if (queue.length > 0) {
      const to = queue[0];
      this.leaveQueue(to);
      this.deliver(name, to, badge);
    } else if (bound !== 0 && this.thread(bound).state === BlockedOnReceive) {
      this.cancelIPC(bound);
      this.thread(bound).redo = false;
      this.deliver(name, bound, badge);
    } else {
      notification.active = true;
      notification.badge = badge;
    }
  }

  private deliver(name: Name, to: Name, badge: bigint): void {
    this.thread(to).badge = badge;
    this.lendContext(to, name);
    this.setState(to, Running);
    this.wakeUp(to);
  }

  private receiveSignal(me: Name, name: Name, blocking: boolean): void {
    const notification = this.state.notifications.get(name)!;
    if (notification.active) return this.takeSignal(me, name);
    if (!blocking) {
      this.thread(me).badge = 0n;
      return;
    }
    this.returnContext(me, name);
    this.wait(me, name, notification.queue, BlockedOnNotification);
  }

  private takeSignal(me: Name, name: Name): void {
    const notification = this.state.notifications.get(name)!;
    this.thread(me).badge = notification.badge;
    notification.active = false;
    notification.badge = 0n;
    this.lendContext(me, name);
  }

  protected cancelAllSignals(name: Name): void {
    const { queue } = this.state.notifications.get(name)!;
    if (queue.length === 0) return;
    for (const waiting of [...queue]) {
      this.leaveQueue(waiting);
      this.thread(waiting).redo = true;
      this.setState(waiting, Running);
      this.wakeUp(waiting);
    }
    this.reschedule();
  }

  /** Section 6.1.7: a passive thread that a notification wakes runs on the notification's context. */
  private lendContext(me: Name, name: Name): void {
    const { sc } = this.state.notifications.get(name)!;
    if (this.thread(me).sc === 0 && sc !== 0 && this.context(sc).thread === 0) this.donate(sc, me);
  }
  private returnContext(me: Name, name: Name): void {
    const { sc } = this.state.notifications.get(name)!;
    if (sc !== 0 && this.thread(me).sc === sc) this.takeContext(sc);
  }

  // ---- Threads and scheduling contexts (section 6.1) ----

  protected suspend(me: Name): void {
    this.cancelIPC(me);
    if (this.thread(me).yieldTo !== 0) this.completeYieldTo(me);
    this.setState(me, Inactive);
    this.removeFromScheduling(me);
  }

  protected resume(me: Name): void {
    const thread = this.thread(me);
    if (thread.state === Running) return;
    this.cancelIPC(me);
    thread.fault = 0;
    this.setState(me, Running);
    this.wakeUp(me);
  }

  protected setPriority(me: Name, priority: number): void {
    const thread = this.thread(me);
    this.dequeue(me);
    thread.priority = priority;
    if (thread.waitsFor !== 0) {
      const { waitsFor, state } = thread;
      const queue = this.queueOf(waitsFor);
      queue.splice(queue.indexOf(me), 1);
      this.wait(me, waitsFor, queue, state);
    } else if (thread.state === Running) {
      if (me === this.current) this.reschedule();
      else this.possibleSwitchTo(me);
    }
  }

  protected donate(sc: Name, to: Name): void {
    if (this.context(sc).thread !== 0) this.takeContext(sc);
    this.context(sc).thread = to;
    this.thread(to).sc = sc;
  }

  protected takeContext(sc: Name): void {
    const context = this.context(sc);
    const from = context.thread;
    if (from === 0) return;
    this.removeFromScheduling(from);
    this.thread(from).sc = 0;
    context.thread = 0;
    if (from === this.current) this.reschedule();
  }

  protected takeConsumed(sc: SchedContext): bigint {
    const microseconds = sc.consumed / 1000n;
    sc.consumed = 0n;
    return microseconds;
  }

  /** `SchedContext_YieldTo` (section 6.1.8): who yielded is told what the other has consumed, when it runs again. */
  protected yieldTo(me: Name, name: Name): 'later' | bigint {
    const sc = this.context(name);
    const to = sc.thread;
    if (sc.yieldFrom !== 0) this.completeYieldTo(sc.yieldFrom);
    if (this.isSchedulable(to)) {
      this.dequeue(to);
      if (this.thread(to).core === this.here && this.thread(to).priority >= this.thread(me).priority) {
        this.thread(me).yieldTo = name;
        sc.yieldFrom = me;
        this.reschedule();
        this.enqueue(me, 'first');
        this.enqueue(to, 'first');
        return 'later';
      }
      if (this.coreOf(to).current !== to) this.enqueue(to, 'first');
    }
    return this.takeConsumed(sc);
  }

  protected completeYieldTo(me: Name): void {
    const thread = this.thread(me);
    const sc = this.context(thread.yieldTo);
    thread.info = messageInfo(SeL4Error.NoError, this.writeMessage(thread, [this.takeConsumed(sc)]));
    thread.badge = 0n;
    thread.yieldTo = 0;
    sc.yieldFrom = 0;
  }

  // ---- Scheduling (sections 6.1.3 and 6.1.5) ----

  protected isReady(sc: SchedContext): boolean {
    return sc.refills[0].time <= this.now;
  }

  /** Whether a context gives its thread time at this moment. */
  protected isReleased(sc: SchedContext): boolean {
    return sc.maxRefills !== 0 && (!isAccounted(sc) || this.isReady(sc));
  }

  protected isSchedulable(me: Name): boolean {
    const thread = this.state.threads.get(me);
    if (thread?.state !== Running || this.coreOf(me).release.includes(me)) return false;
    return thread.sc !== 0 && this.context(thread.sc).maxRefills !== 0;
  }

  private coreOf(me: Name): Core {
    return this.state.cores[this.thread(me).core];
  }

  protected setState(me: Name, state: ThreadState): void {
    this.thread(me).state = state;
    if (me === this.current && this.decision === 'go on' && !this.isSchedulable(me)) this.reschedule();
  }

  protected reschedule(): void {
    if (typeof this.decision === 'number' && this.isSchedulable(this.decision))
      this.enqueue(this.decision, 'first');
    this.decision = 'choose';
  }

  /** Lets a thread compete that can run from now on. */
  protected possibleSwitchTo(me: Name): void {
    if (!this.isSchedulable(me)) return;
    const { core, priority } = this.thread(me);
    if (core !== this.here) {
      const { current } = this.coreOf(me);
      if (current !== me) this.enqueue(me, 'first');
      if (current === me || current === 0 || priority > this.thread(current).priority) this.asked.add(core);
    } else if (me === this.current) {
      return;
    } else if (this.decision === 'go on') {
      this.decision = me;
    } else {
      this.reschedule();
      this.enqueue(me, 'first');
    }
  }

  /** Lets a thread compete that an event starts: when its budget is replenished, if that is used up. */
  protected wakeUp(me: Name): void {
    const { state, sc: name } = this.thread(me);
    const sc = this.context(name);
    if (state !== Running) return;
    if (isAccounted(sc)) {
      if (sc.sporadic) Refills.unblock(sc, this.now);
      if (!this.isReady(sc)) return this.postpone(me);
    }
    this.possibleSwitchTo(me);
  }

  private postpone(me: Name): void {
    this.removeFromScheduling(me);
    this.awaitBudget(me);
    if (me === this.current) this.reschedule();
    const { core } = this.thread(me);
    if (core !== this.here && this.coreOf(me).release[0] === me) this.asked.add(core);
  }
  private awaitBudget(me: Name): void {
    const timeOf = (name: Name): bigint => this.context(this.thread(name).sc).refills[0].time;
    const others = this.coreOf(me).release.filter((name) => name !== me);
    const later = others.findIndex((other) => timeOf(other) > timeOf(me));
    this.coreOf(me).release = others.toSpliced(later < 0 ? others.length : later, 0, me);
  }

  /** One that runs on another core cannot be cut short there: its core is told, and does not do what it asks for next. */
  protected removeFromScheduling(me: Name): void {
    this.dequeue(me);
    const core = this.coreOf(me);
    core.release = core.release.filter((name) => name !== me);
    if (this.decision === me) this.decision = 'choose';
    if (core === this.core || core.current !== me) return;
    core.current = 0;
    core.stalled = me;
    this.asked.add(this.thread(me).core);
  }
  /** What a thread was at on the core from which it was taken away, it does not do again. */
  protected forgetStalled(me: Name): void {
    for (const core of this.state.cores) if (core.stalled === me) core.stalled = 0;
  }

  protected enqueue(me: Name, where: 'first' | 'last'): void {
    const { priority } = this.thread(me);
    const { ready, release } = this.coreOf(me);
    const queue = ready.get(priority) ?? [];
    if (queue.includes(me) || release.includes(me)) return;
    if (where === 'first') queue.unshift(me);
    else queue.push(me);
    ready.set(priority, queue);
  }

  protected dequeue(me: Name): void {
    const { priority } = this.thread(me);
    const { ready } = this.coreOf(me);
    const queue = (ready.get(priority) ?? []).filter((name) => name !== me);
    if (queue.length > 0) ready.set(priority, queue);
    else ready.delete(priority);
  }

  private schedule(): void {
    const { decision, core } = this;
    this.decision = 'go on';
    if (decision === 'go on') return;
    const couldGoOn = this.isSchedulable(this.current);
    const priority = couldGoOn ? this.thread(this.current).priority : -1;
    if (couldGoOn) this.enqueue(this.current, 'first');
    if (typeof decision === 'number') {
      const candidate = this.thread(decision).priority;
      if (candidate >= Math.max(-1, ...core.ready.keys()) && candidate !== priority) {
        core.current = decision;
        return;
      }
      this.enqueue(decision, couldGoOn && candidate === priority ? 'last' : 'first');
    }
    core.current = core.ready.get(Math.max(-1, ...core.ready.keys()))?.[0] ?? 0;
    if (core.current !== 0) this.dequeue(core.current);
  }

  protected forgetCharging(name: Name): void {
    for (const core of this.state.cores) if (core.charging?.sc === name) core.charging = undefined;
  }

  private chargeTime(): void {
    const { charging } = this.core;
    if (!charging) return;
    const sc = this.context(charging.sc);
    const usage = this.now - charging.since;
    charging.since = this.now;
    if (usage === 0n) return;
    sc.consumed += usage;
    if (!isAccounted(sc)) return;
    Refills.charge(sc, usage);
    // One that another core took away may wait by now, and waits longer then.
    if (sc.thread !== 0 && this.coreOf(sc.thread).release.includes(sc.thread)) this.awaitBudget(sc.thread);
  }

  private releaseReady(): void {
    const { release } = this.core;
    while (release.length > 0 && this.isReady(this.context(this.thread(release[0]).sc)))
      this.possibleSwitchTo(release.shift()!);
  }

  private beginTime(): void {
    const { current } = this;
    if (current !== 0 && this.thread(current).yieldTo !== 0) this.completeYieldTo(current);
    const name = current === 0 ? 0 : this.thread(current).sc;
    const sc = this.context(name);
    const { charging } = this.core;
    if (charging?.sc === name && isAccounted(sc)) return;
    this.chargeTime();
    this.core.charging = undefined;
    if (!isAccounted(sc)) return;
    if (!sc.sporadic) Refills.unblock(sc, this.now);
    this.core.charging = { sc: name, since: this.now };
  }
}

/** Whether a context gives less than all the time of its core; also asked of a thread without one. */
export function isAccounted(sc: SchedContext | undefined): sc is SchedContext {
  return sc !== undefined && sc.maxRefills !== 0 && sc.budget < sc.period;
}

export { MAX_WORD, WORD_BITS };
