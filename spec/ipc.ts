/** What happens between threads: endpoints, replies and faults (chapter 4, section 6.2), and notifications (chapter 5). */
import { FaultType, Rights } from '../kernel/api/constants.js';
import { TcbSlot } from './capabilities.js';
import { labelOf, messageInfo } from './messages.js';
import { Scheduling } from './scheduling.js';
import { CapType, NO_WAIT, ThreadState, type Cap, type Name, type Notification, type Wait } from './state.js';

const { Inactive, Running, BlockedOnReceive, BlockedOnSend, BlockedOnReply, BlockedOnNotification } =
  ThreadState;

/** How a message is sent (section 2.2): as a call, which waits for a reply; and as the send phase of ReplyRecv. */
export type Sending = 'call' | 'send' | 'nbSend' | 'reply';
export const isBlocking = (sending: Sending): boolean => sending === 'call' || sending === 'send';

const mayGrant = (rights: number): boolean => (rights & Rights.Grant) !== 0;
const mayBeAnswered = (rights: number): boolean => (rights & (Rights.Grant | Rights.GrantReply)) !== 0;

export class Communication extends Scheduling {
  protected notification = (name: Name): Notification => this.state.notifications.get(name)!;

  /** Section 4.2: what travels when two threads meet; `endpoint` is 0 for a reply. */
  private transfer(from: Name, endpoint: Name, badge: bigint, grant: boolean, to: Name): void {
    const [{ fault, info }, receiver] = [this.thread(from), this.thread(to)];
    const length = this.writeMessage(receiver, fault ? this.faultMessage(from) : this.sentMessage(from));
    const canTransfer = grant && receiver.buffer !== 0 && !fault;
    const [unwrapped, count] = canTransfer ? this.transferCaps(from, endpoint, to) : [0, 0];
    receiver.info = messageInfo(fault || labelOf(info), length, unwrapped, count);
    receiver.badge = badge;
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

  /** Section 6.2: calls the handler of a fault. Should the thread ever go on, it goes on with the system call that it was at. */
  protected fault(me: Name, fault: FaultType, words: bigint[]): void {
    const isTimeout = fault === FaultType.Timeout;
    const handler = me + (isTimeout ? TcbSlot.TimeoutHandler : TcbSlot.FaultHandler);
    Object.assign(this.thread(me), { redo: true, faultWords: words });
    if (this.isHandler(handler)) {
      this.thread(me).fault = fault;
      this.sendIPC(me, this.cap(handler), 'call');
    } else if (isTimeout) {
      this.postpone(me);
    } else {
      this.thread(me).state = Inactive;
    }
  }

  /** Whether a fault can be sent through the capability, and answered. */
  protected isHandler(slot: Name): boolean {
    const { type, rights } = this.cap(slot);
    return type === CapType.Endpoint && (rights & Rights.Write) !== 0 && mayBeAnswered(rights);
  }

  private faultMessage(from: Name): bigint[] {
    const { fault, pc, faultWords } = this.thread(from);
    if (fault !== FaultType.Timeout) return [BigInt(pc), ...faultWords];
    const sc = this.contextOf(from);
    return sc ? [sc.badge, this.takeConsumed(sc)] : [0n];
  }

  protected sendIPC(me: Name, { object: name, badge, rights }: Cap, sending: Sending): void {
    const wait = { ...NO_WAIT, on: name, badge, rights, isCall: sending === 'call' };
    const [to] = this.waiting(name);
    if (to === undefined || this.thread(to).state !== BlockedOnReceive)
      return isBlocking(sending) ? this.wait(me, BlockedOnSend, wait) : undefined;
    const isActive = this.contextOf(to) !== undefined;
    this.meet(me, wait, to, this.thread(to).wait.reply);
    if (sending === 'reply') this.donate(this.contextOf(me), to);
    // On a caller's time it runs at once, since the caller's handler waits for it.
    this.start(to, isActive ? 'event' : 'meeting');
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
      const { wait } = this.thread(from);
      this.meet(from, wait, me, reply);
      if (!wait.isCall) this.start(from, 'meeting');
    } else if (blocking) {
      this.wait(me, BlockedOnReceive, { ...NO_WAIT, on: name, reply });
    } else {
      this.thread(me).badge = 0n;
    }
  }

  /** Section 6.1.3: threads wait by priority, equals in the order in which they came. */
  private wait(me: Name, state: ThreadState, wait: Wait): void {
    Object.assign(this.thread(me), { state, wait });
    this.place(me, 'last');
  }

  /** One of the two has waited: the sender as `sent` says, or the receiver. */
  private meet(from: Name, { on, badge, rights, isCall }: Wait, to: Name, reply: Name): void {
    this.thread(from).wait = this.thread(to).wait = NO_WAIT;
    this.transfer(from, on, badge, mayGrant(rights), to);
    if (isCall) this.awaitReply(from, to, reply, rights);
  }

  /** A thread gives up what it waits for, and is inactive. Resumed, it makes its system call again. */
  protected cancelIPC(me: Name): void {
    const thread = this.thread(me);
    if (thread.state === Running || thread.state === Inactive) return;
    if (thread.state === BlockedOnReply) this.cutCalls(thread.wait.reply);
    Object.assign(thread, { state: Inactive, wait: NO_WAIT, redo: true, fault: FaultType.NullFault });
  }

  /**
   * Section 3.1.5: an endpoint's or notification's end, or `CNode_CancelBadgedSends` for those who send with one badge.
   * Whoever waits makes its system call again, and finds out; whoever waits with a fault is left inactive.
   */
  protected cancelAll(name: Name, badge?: bigint): void {
    const waiting = this.waiting(name);
    for (const me of waiting) {
      const { fault, state, wait } = this.thread(me);
      if (badge !== undefined && wait.badge !== badge) continue;
      this.cancelIPC(me);
      if (!fault) this.start(me, state === BlockedOnSend ? 'meeting' : 'event');
    }
    if (waiting.length > 0) this.reschedule();
  }

  /** Section 4.2.4: who offers a reply object, or waits to be answered through it; or 0. */
  holderOf = (reply: Name): Name =>
    this.threadsThat(({ wait }) => reply !== 0 && wait.reply === reply)[0] ?? 0;

  /** The caller waits for a reply, if there may be one, and lends its scheduling context to a callee that has none. */
  private awaitReply(caller: Name, callee: Name, reply: Name, rights: number): void {
    const thread = this.thread(caller);
    if (reply === 0 || !mayBeAnswered(rights))
      return void Object.assign(thread, { state: Inactive, redo: true });
    Object.assign(thread, { state: BlockedOnReply, wait: { ...NO_WAIT, reply } });
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
    const { reply } = this.thread(caller).wait;
    const lent = this.contextWhere(({ calls }) => calls[0] === reply);
    if (!lent) this.cutCalls(reply);
    lent?.calls.shift();
    this.donate(lent, caller);
    this.thread(caller).wait = NO_WAIT;
  }

  protected replyTo(me: Name, reply: Name, rights: number): void {
    const to = this.holderOf(reply);
    if (to === 0 || this.thread(to).state !== BlockedOnReply) return;
    this.endCall(to);
    if (this.thread(to).fault !== FaultType.NullFault) return this.replyToFault(me, to);
    this.transfer(me, 0, 0n, mayGrant(rights), to);
    this.start(to, 'answer');
  }

  /** Section 6.2: the answer says whether the thread goes on, and where; after an unknown call also what that returns. */
  private replyToFault(me: Name, to: Name): void {
    const receiver = this.thread(to);
    const { fault, badge, info } = receiver;
    const always = fault === FaultType.CapFault;
    const [pc, , , ...registers] = this.sentMessage(me);
    if (!always && pc !== undefined) receiver.pc = Number(BigInt.asUintN(32, pc));
    if (fault === FaultType.UnknownSyscall && pc !== undefined) {
      const [newBadge = badge, newInfo = info, ...mrs] = registers.slice(0, 6);
      mrs.push(...receiver.mrs.slice(mrs.length));
      Object.assign(receiver, { badge: newBadge, info: newInfo, mrs, redo: false });
    }
    Object.assign(receiver, { fault: FaultType.NullFault, state: Inactive });
    if (always || labelOf(this.thread(me).info) === 0n) this.start(to, 'event');
  }

  /** The reply object is no more: whoever waits for it is left inactive, whoever offered it receives no longer. */
  protected endReply(reply: Name): void {
    const me = this.holderOf(reply);
    if (me === 0) return;
    if (this.thread(me).state !== BlockedOnReply) return this.cancelIPC(me);
    this.endCall(me);
    Object.assign(this.thread(me), { state: Inactive, redo: true });
  }

  /** Chapter 5: the first that waits gets the signal, or the bound thread if it waits to receive; else it is there to be taken. */
  protected sendSignal(name: Name, badge: bigint): void {
    const notification = this.notification(name);
    const { signal, thread: bound } = notification;
    const boundReceives = signal === undefined && this.state.threads.get(bound)?.state === BlockedOnReceive;
    const [to] = [...this.waiting(name), ...(boundReceives ? [bound] : [])];
    if (to === undefined) return void (notification.signal = (signal ?? 0n) | badge);
    this.cancelIPC(to);
    Object.assign(this.thread(to), { badge, redo: false });
    this.lendContext(to, name);
    this.start(to, 'event');
  }

  protected receiveSignal(me: Name, name: Name, blocking: boolean): void {
    if (this.notification(name).signal !== undefined) return this.takeSignal(me, name);
    if (!blocking) return void (this.thread(me).badge = 0n);
    this.returnContext(me, name);
    this.wait(me, BlockedOnNotification, { ...NO_WAIT, on: name });
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
  protected contextFor = (name: Name) => this.contextWhere(({ notification }) => notification === name);
  /** The notification that is bound to a thread, or 0 (section 5.3). */
  protected boundTo = (me: Name): Name =>
    [...this.state.notifications].find(([, { thread }]) => thread === me)?.[0] ?? 0;

  /** Sections 6.1.1 to 6.1.3: threads. */
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
    this.start(me, 'event');
  }

  protected setPriority(me: Name, priority: number): void {
    this.thread(me).priority = priority;
    if (this.thread(me).wait.on !== 0) this.place(me, 'last');
    else this.reconsider(me);
  }
}
