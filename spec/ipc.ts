/** What happens between threads: endpoints, replies and faults (chapter 4, section 6.2), and notifications (chapter 5). */
import { FaultType, Rights } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { TcbSlot } from './capabilities.js';
import { labelOf, messageInfo } from './messages.js';
import { unblock } from './refills.js';
import { Scheduling, isAccounted } from './scheduling.js';
import {
  NOTHING_SENT,
  type Cap,
  type Name,
  type Notification,
  type SchedContext,
  type Send,
} from './state.js';

const { Inactive, Running, BlockedOnReceive, BlockedOnSend, BlockedOnReply, BlockedOnNotification } =
  ThreadState;

/** How a message is sent (section 2.2): as a call, which waits for a reply; and as the send phase of ReplyRecv. */
export type Sending = 'call' | 'send' | 'nbSend' | 'reply';
export const isBlocking = (sending: Sending): boolean => sending === 'call' || sending === 'send';

const mayGrant = (rights: number): boolean => (rights & Rights.Grant) !== 0;
const mayBeAnswered = (rights: number): boolean => (rights & (Rights.Grant | Rights.GrantReply)) !== 0;

export class Communication extends Scheduling {
  protected notification = (name: Name): Notification => this.state.notifications.get(name)!;

  // ---- What travels when two threads meet (section 4.2) ----

  /** `endpoint` is 0 for a reply. */
  private transfer(from: Name, endpoint: Name, badge: bigint, grant: boolean, to: Name): void {
    const [sender, receiver] = [this.thread(from), this.thread(to)];
    receiver.badge = badge;
    if (sender.fault !== 0) {
      receiver.info = messageInfo(sender.fault, this.writeMessage(receiver, this.faultMessage(from)));
      return;
    }
    const length = this.writeMessage(receiver, this.sentMessage(sender));
    const [unwrapped, count] =
      grant && receiver.buffer !== 0 ? this.transferCaps(from, endpoint, to) : [0, 0];
    receiver.info = messageInfo(labelOf(sender.info), length, unwrapped, count);
  }

  /**
   * Section 4.2.2: a capability to the very endpoint that the message goes through arrives unwrapped, as its badge; one
   * other arrives in the slot that the receiver names. Returns which were unwrapped, and how many have arrived.
   */
  private transferCaps(from: Name, endpoint: Name, to: Name): [unwrapped: number, count: number] {
    let [unwrapped, count] = [0, 0];
    let slot = this.receiveSlot(to);
    try {
      for (const source of this.extraCaps(from)) {
        const cap = this.cap(source);
        if (cap.type === CapType.Endpoint && cap.object === endpoint) {
          this.writeUnwrappedBadge(to, count, cap.badge);
          unwrapped |= 1 << count;
        } else {
          if (slot === 0) break;
          this.insertCopy(this.derive(source, cap), source, slot);
          slot = 0;
        }
        count++;
      }
    } catch {
      // What cannot be found or derived ends the transfer, and the message goes without.
    }
    return [unwrapped, count];
  }

  // ---- Faults (section 6.2) ----

  /** Should the thread ever go on, it goes on with the system call that it was at. */
  protected fault(me: Name, fault: FaultType, words: bigint[]): void {
    if (!this.tell(me, TcbSlot.FaultHandler, fault, words)) this.thread(me).state = Inactive;
  }

  /** Tells the handler of a fault, as a call does; false if there is none. */
  protected tell(me: Name, handler: number, fault: FaultType, words: bigint[]): boolean {
    const thread = this.thread(me);
    const isTold = this.isHandler(me + handler);
    Object.assign(thread, { redo: true, faultWords: words });
    if (isTold) thread.fault = fault;
    if (isTold) this.sendIPC(me, this.cap(me + handler), 'call');
    return isTold;
  }

  /** Whether a fault can be sent through the capability, and answered. */
  protected isHandler(slot: Name): boolean {
    const { type, rights } = this.cap(slot);
    return type === CapType.Endpoint && (rights & Rights.Write) !== 0 && mayBeAnswered(rights);
  }

  private faultMessage(from: Name): bigint[] {
    const { fault, pc, faultWords } = this.thread(from);
    if (fault !== Number(FaultType.Timeout)) return [BigInt(pc), ...faultWords];
    const sc = this.contextOf(from);
    return sc ? [sc.badge, this.takeConsumed(sc)] : [0n];
  }

  // ---- Endpoints (section 4.2) ----

  protected sendIPC(me: Name, { object: name, badge, rights }: Cap, sending: Sending): void {
    const [thread, send] = [this.thread(me), { badge, rights, isCall: sending === 'call' }];
    const [to] = this.waiting(name);
    if (to === undefined || this.thread(to).state !== BlockedOnReceive) {
      if (!isBlocking(sending)) return;
      thread.send = send;
      return this.wait(me, name, BlockedOnSend);
    }
    const isActive = this.contextOf(to) !== undefined;
    this.meet(me, send, name, to, this.thread(to).reply);
    if (sending === 'reply') this.donate(this.contextOf(me), to);
    // On a caller's time it runs at once, since the caller's handler waits for it.
    if (isActive) this.start(to);
    else this.goOn(to);
  }

  protected receiveIPC(me: Name, name: Name, blocking: boolean, reply: Name): void {
    // A reply object serves one caller: whoever still waits for it is given up.
    const before = this.holderOf(reply);
    if (before !== 0 && before !== me) this.cancelIPC(before);
    const bound = this.boundTo(me);
    if (this.notification(bound)?.signal !== undefined) return this.takeSignal(me, bound);
    if (bound !== 0 && blocking) this.returnContext(me, bound);
    const [from] = this.waiting(name);
    if (from !== undefined && this.thread(from).state === BlockedOnSend) {
      const { send } = this.thread(from);
      this.meet(from, send, name, me, reply);
      if (!send.isCall) this.goOn(from);
    } else if (blocking) {
      this.thread(me).reply = reply;
      this.wait(me, name, BlockedOnReceive);
    } else {
      this.thread(me).badge = 0n;
    }
  }

  /** Section 6.1.3: threads wait by priority, equals in the order in which they came. */
  private wait(me: Name, name: Name, state: ThreadState): void {
    Object.assign(this.thread(me), { state, waitsFor: name });
    this.placeLast(me);
  }

  /** One of the two has waited, the receiver with a reply object. */
  private meet(from: Name, send: Send, endpoint: Name, to: Name, reply: Name): void {
    Object.assign(this.thread(from), { waitsFor: 0, send: NOTHING_SENT });
    Object.assign(this.thread(to), { waitsFor: 0, reply: 0 });
    this.transfer(from, endpoint, send.badge, mayGrant(send.rights), to);
    if (send.isCall) this.awaitReply(from, to, reply, send.rights);
  }

  /** A thread gives up what it waits for, and is inactive. Resumed, it makes its system call again. */
  protected cancelIPC(me: Name): void {
    const thread = this.thread(me);
    if (thread.state === Running || thread.state === Inactive) return;
    if (thread.state === BlockedOnReply) this.cutCalls(thread.reply);
    Object.assign(thread, {
      state: Inactive,
      waitsFor: 0,
      send: NOTHING_SENT,
      reply: 0,
      redo: true,
      fault: 0,
    });
  }

  /**
   * Section 3.1.5: an endpoint's or notification's end, or `CNode_CancelBadgedSends` for those who send with one badge.
   * Whoever waits makes its system call again, and finds out; whoever waits with a fault is left inactive.
   */
  protected cancelAll(name: Name, badge?: bigint): void {
    const waiting = this.waiting(name);
    for (const me of waiting) {
      const { fault, state, send } = this.thread(me);
      if (badge !== undefined && send.badge !== badge) continue;
      this.cancelIPC(me);
      if (fault !== 0) continue;
      if (state === BlockedOnSend) this.goOn(me);
      else this.start(me);
    }
    if (waiting.length > 0) this.reschedule();
  }

  // ---- Replies (section 4.2.4) ----

  /** Who offers a reply object, or waits to be answered through it; or 0. */
  holderOf = (reply: Name): Name =>
    this.threadsThat((thread) => reply !== 0 && thread.reply === reply)[0] ?? 0;

  /** The caller waits for a reply, if there may be one, and lends its scheduling context to a callee that has none. */
  private awaitReply(caller: Name, callee: Name, reply: Name, rights: number): void {
    const thread = this.thread(caller);
    if (reply === 0 || !mayBeAnswered(rights))
      return void Object.assign(thread, { state: Inactive, redo: true });
    Object.assign(thread, { state: BlockedOnReply, reply });
    this.thread(callee).underWay = thread.underWay;
    // What has used up its budget has nothing to lend (section 6.2.7).
    const sc = thread.fault === FaultType.Timeout ? undefined : this.contextOf(caller);
    if (this.donate(sc, callee)) sc?.calls.unshift(reply);
  }

  /** The calls of a chain up to this one no longer get the context back. */
  private cutCalls(reply: Name): void {
    const calls = this.contextWhere(({ calls }) => calls.includes(reply))?.calls;
    calls?.splice(calls.indexOf(reply));
  }

  /** Ends a wait for a reply. Where it was for the last call of a chain, the context goes back to the caller. */
  private endCall(caller: Name): void {
    const thread = this.thread(caller);
    const lent = this.contextWhere(({ calls }) => calls[0] === thread.reply);
    if (!lent) this.cutCalls(thread.reply);
    lent?.calls.shift();
    this.donate(lent, caller);
    thread.reply = 0;
  }

  protected replyTo(me: Name, reply: Name, rights: number): void {
    const to = this.holderOf(reply);
    if (to === 0 || this.thread(to).state !== BlockedOnReply) return;
    this.endCall(to);
    if (this.thread(to).fault !== FaultType.NullFault) return this.replyToFault(me, to);
    this.transfer(me, 0, 0n, mayGrant(rights), to);
    const sc = this.contextOf(to);
    if (isAccounted(sc) && sc.sporadic) unblock(sc, this.now);
    this.goOn(to);
  }

  /** Section 6.2: the answer says whether the thread goes on, and where; after an unknown call also what that returns. */
  private replyToFault(me: Name, to: Name): void {
    const [sender, receiver] = [this.thread(me), this.thread(to)];
    const { fault, badge, info } = receiver;
    const always = fault === FaultType.CapFault;
    const [pc, , , ...registers] = this.sentMessage(sender);
    if (!always && pc !== undefined) receiver.pc = Number(BigInt.asUintN(32, pc));
    if (fault === FaultType.UnknownSyscall && pc !== undefined) {
      const [newBadge = badge, newInfo = info, ...mrs] = registers.slice(0, 6);
      Object.assign(receiver, { badge: newBadge, info: newInfo, redo: false });
      mrs.forEach((word, index) => (receiver.mrs[index] = word));
    }
    Object.assign(receiver, { fault: FaultType.NullFault, state: Inactive });
    if (always || labelOf(sender.info) === 0n) this.start(to);
  }

  /** The reply object is no more: whoever waits for it is left inactive, whoever offered it receives no longer. */
  protected endReply(reply: Name): void {
    const me = this.holderOf(reply);
    if (me === 0) return;
    if (this.thread(me).state !== BlockedOnReply) return this.cancelIPC(me);
    this.endCall(me);
    Object.assign(this.thread(me), { state: Inactive, redo: true });
  }

  // ---- Notifications (chapter 5) ----

  /** The first that waits gets the signal, or the bound thread if it waits to receive; else it is there to be taken. */
  protected sendSignal(name: Name, badge: bigint): void {
    const notification = this.notification(name);
    const { signal, thread: bound } = notification;
    const boundReceives = signal === undefined && this.state.threads.get(bound)?.state === BlockedOnReceive;
    const [to] = [...this.waiting(name), ...(boundReceives ? [bound] : [])];
    if (to === undefined) return void (notification.signal = (signal ?? 0n) | badge);
    this.cancelIPC(to);
    Object.assign(this.thread(to), { badge, redo: false });
    this.lendContext(to, name);
    this.start(to);
  }

  protected receiveSignal(me: Name, name: Name, blocking: boolean): void {
    if (this.notification(name).signal !== undefined) return this.takeSignal(me, name);
    if (!blocking) return void (this.thread(me).badge = 0n);
    this.returnContext(me, name);
    this.wait(me, name, BlockedOnNotification);
  }

  private takeSignal(me: Name, name: Name): void {
    this.thread(me).badge = this.notification(name).signal!;
    this.notification(name).signal = undefined;
    this.lendContext(me, name);
  }

  /** Section 6.1.7: a passive thread that a notification wakes runs on the notification's context, until it waits. */
  private lendContext(me: Name, name: Name): void {
    const sc = this.contextFor(name);
    if (sc?.thread === 0) this.donate(sc, me);
  }
  private returnContext(me: Name, name: Name): void {
    const sc = this.contextFor(name);
    if (sc?.thread === me) this.takeContext(sc);
  }
  protected contextFor = (name: Name): SchedContext | undefined =>
    this.contextWhere(({ notification }) => notification === name);
  /** The notification that is bound to a thread, or 0 (section 5.3). */
  protected boundTo(me: Name): Name {
    for (const [name, { thread }] of this.state.notifications) if (thread === me) return name;
    return 0;
  }

  // ---- Threads (sections 6.1.1 to 6.1.3) ----

  protected suspend(me: Name): void {
    this.cancelIPC(me);
    this.completeYieldTo(me);
    this.removeFromScheduling(me);
    Object.assign(this.thread(me), { state: Inactive, underWay: false });
  }

  protected resume(me: Name): void {
    if (this.thread(me).state === Running) return;
    this.cancelIPC(me);
    this.thread(me).fault = FaultType.NullFault;
    this.start(me);
  }

  protected setPriority(me: Name, priority: number): void {
    const thread = this.thread(me);
    thread.priority = priority;
    if (thread.waitsFor !== 0) this.placeLast(me);
    else this.reconsider(me);
  }
}
