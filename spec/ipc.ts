/** What happens between threads: endpoints, replies and faults (chapter 4, section 6.2), and notifications (chapter 5). */
import { FaultType, Rights } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { TcbSlot } from './capabilities.js';
import type { LookupError } from './errors.js';
import { labelOf, messageInfo } from './messages.js';
import { Refills } from './refills.js';
import { Scheduling, isAccounted } from './scheduling.js';
import { NOTHING_SENT, type Cap, type Name, type Notification, type SchedContext } from './state.js';

const { Inactive, Running, BlockedOnReceive, BlockedOnSend, BlockedOnReply, BlockedOnNotification } =
  ThreadState;

/** How a message is sent: whether the sender waits, for a receiver and for a reply, and lends its scheduling context. */
export interface Sending {
  readonly isCall: boolean;
  readonly blocking: boolean;
  readonly canDonate: boolean;
}

const mayBeAnswered = (rights: number): boolean => (rights & (Rights.Grant | Rights.GrantReply)) !== 0;

export class Communication extends Scheduling {
  protected extraCaps: Name[] = [];

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
    if (this.extraCapAddresses(this.thread(from)).length === 0) return [unwrapped, count];
    try {
      this.lookupExtraCaps(from);
      let slot = this.receiveSlot(to);
      for (const source of this.extraCaps) {
        const cap = this.cap(source);
        if (cap.type === CapType.Endpoint && cap.object === endpoint) {
          this.writeUnwrappedBadge(this.thread(to), count, cap.badge);
          unwrapped |= 1 << count;
        } else {
          const derived = this.derive(source, cap);
          if (slot === 0 || derived.type === CapType.Null) break;
          this.insert(derived, source, slot);
          slot = 0;
        }
        count++;
      }
    } catch {
      // What cannot be found or derived ends the transfer, and the message goes without.
    }
    return [unwrapped, count];
  }

  /** Finds the capabilities that a thread sends along. */
  protected lookupExtraCaps(me: Name): void {
    this.extraCaps = [];
    for (const address of this.extraCapAddresses(this.thread(me)))
      this.extraCaps.push(this.lookup(me, address));
  }

  // ---- Faults (section 6.2) ----

  protected capFault = (me: Name, { address, words }: LookupError, inReceive: boolean): void =>
    this.fault(me, FaultType.CapFault, [address, inReceive ? 1n : 0n, ...words]);

  /** Should the thread ever go on, it goes on with the system call that it was at. */
  protected fault(me: Name, fault: FaultType, words: bigint[]): void {
    const thread = this.thread(me);
    Object.assign(thread, { redo: true, faultWords: words });
    if (this.isHandler(me + TcbSlot.FaultHandler)) this.sendFault(me, fault, me + TcbSlot.FaultHandler, true);
    else this.setState(me, Inactive);
  }

  /** Section 6.2.7; false where nobody is there to be told. */
  protected timeoutFault(me: Name): boolean {
    const handler = me + TcbSlot.TimeoutHandler;
    if (this.isHandler(handler)) this.sendFault(me, FaultType.Timeout, handler, false);
    return this.isHandler(handler);
  }

  /** Whether a fault can be sent through the capability, and answered. */
  protected isHandler(slot: Name): boolean {
    const { type, rights } = this.cap(slot);
    return type === CapType.Endpoint && (rights & Rights.Write) !== 0 && mayBeAnswered(rights);
  }

  private sendFault(me: Name, fault: FaultType, handler: Name, canDonate: boolean): void {
    this.thread(me).fault = fault;
    this.sendIPC(me, this.cap(handler), { blocking: true, isCall: true, canDonate });
  }

  private faultMessage(from: Name): bigint[] {
    const { fault, pc, faultWords } = this.thread(from);
    if (fault !== Number(FaultType.Timeout)) return [BigInt(pc), ...faultWords];
    const sc = this.contextOf(from);
    return sc ? [sc.badge, this.takeConsumed(sc)] : [0n];
  }

  // ---- Endpoints (section 4.2) ----

  protected sendIPC(me: Name, { object: name, badge, rights }: Cap, sending: Sending): void {
    const { isCall, blocking, canDonate } = sending;
    const thread = this.thread(me);
    const queue = this.state.endpoints.get(name)!;
    const [to] = queue;
    if (to === undefined || this.thread(to).state !== BlockedOnReceive) {
      if (!blocking) return;
      thread.send = { badge, rights, isCall };
      return this.wait(me, queue, BlockedOnSend);
    }
    const [reply, isActive] = [this.replyOf(to), this.contextOf(to) !== undefined];
    this.leaveQueue(to);
    this.transfer(me, name, badge, (rights & Rights.Grant) !== 0, to);
    this.setReply(reply, 0);
    if (isCall) this.awaitReply(me, to, reply, rights, canDonate);
    else if (canDonate && !isActive) this.lend(me, to);
    this.setState(to, Running);
    // On a caller's time it runs at once, since the caller's handler waits for it.
    if (isActive) this.wakeUp(to);
    else this.possibleSwitchTo(to);
  }

  protected receiveIPC(me: Name, name: Name, blocking: boolean, reply: Name): void {
    // A reply object serves one caller: whoever still waits for it is given up.
    const before = this.state.replies.get(reply) ?? 0;
    if (before !== 0 && before !== me) this.cancelIPC(before);
    const bound = this.boundTo(me);
    if (bound !== 0) {
      if (this.notification(bound).active) return this.takeSignal(me, bound);
      if (blocking) this.returnContext(me, bound);
    }
    const queue = this.state.endpoints.get(name)!;
    const [from] = queue;
    if (from === undefined || this.thread(from).state !== BlockedOnSend) {
      if (!blocking) return void (this.thread(me).badge = 0n);
      this.setReply(reply, me);
      return this.wait(me, queue, BlockedOnReceive);
    }
    const { fault, send } = this.thread(from);
    this.leaveQueue(from);
    this.transfer(from, name, send.badge, (send.rights & Rights.Grant) !== 0, me);
    if (send.isCall)
      return this.awaitReply(from, me, reply, send.rights, fault !== Number(FaultType.Timeout));
    this.setState(from, Running);
    this.possibleSwitchTo(from);
  }

  private queueOf(me: Name): Name[] | undefined {
    const notifications = [...this.state.notifications.values()].map(({ queue }) => queue);
    return [...this.state.endpoints.values(), ...notifications].find((queue) => queue.includes(me));
  }

  /** Section 6.1.3: waiting threads stand by priority, equals in the order in which they came. */
  private wait(me: Name, queue: Name[], state: ThreadState): void {
    const { priority } = this.thread(me);
    this.setState(me, state);
    const before = queue.findIndex((other) => this.thread(other).priority < priority);
    queue.splice(before < 0 ? queue.length : before, 0, me);
  }

  private leaveQueue(me: Name, queue = this.queueOf(me)!): void {
    queue.splice(queue.indexOf(me), 1);
    this.thread(me).send = NOTHING_SENT;
  }

  /** A thread gives up what it waits for, and is inactive. Resumed, it makes its system call again. */
  protected cancelIPC(me: Name): void {
    const thread = this.thread(me);
    if (thread.state === Running || thread.state === Inactive) return;
    if (thread.state === BlockedOnReply) this.cutCalls(this.replyOf(me));
    else this.leaveQueue(me);
    this.setReply(this.replyOf(me), 0);
    Object.assign(thread, { redo: true, fault: 0 });
    this.setState(me, Inactive);
  }

  /** Section 3.1.5: an endpoint's end, or `CNode_CancelBadgedSends` for those who send with one badge. */
  protected cancelAllIPC(name: Name, badge?: bigint): void {
    for (const waiting of [...this.state.endpoints.get(name)!])
      if (badge === undefined || this.thread(waiting).send.badge === badge) this.cancelWait(waiting);
    this.reschedule();
  }

  /** Whoever waits makes its system call again, and finds out; whoever waits with a fault is left inactive. */
  private cancelWait(me: Name): void {
    const { fault, state } = this.thread(me);
    this.cancelIPC(me);
    if (fault !== 0) return;
    this.setState(me, Running);
    if (state === BlockedOnSend) this.possibleSwitchTo(me);
    else this.wakeUp(me);
  }

  // ---- Replies (section 4.2.4) ----

  /** The reply object that a thread offers, or for which it waits. */
  private replyOf(me: Name): Name {
    for (const [reply, waiting] of this.state.replies) if (waiting === me) return reply;
    return 0;
  }
  private setReply(reply: Name, me: Name): void {
    if (reply !== 0) this.state.replies.set(reply, me);
  }

  /** The caller waits for a reply, if there may be one, and lends its scheduling context to a callee that has none. */
  private awaitReply(caller: Name, callee: Name, reply: Name, rights: number, canDonate: boolean): void {
    if (reply === 0 || !mayBeAnswered(rights)) {
      this.thread(caller).redo = true;
      return this.setState(caller, Inactive);
    }
    this.thread(callee).underWay = this.thread(caller).underWay;
    this.setReply(reply, caller);
    this.setState(caller, BlockedOnReply);
    if (canDonate && !this.contextOf(callee)) this.lend(caller, callee)?.calls.unshift(reply);
  }
  private lend(from: Name, to: Name): SchedContext | undefined {
    const sc = this.contextOf(from);
    if (sc) this.donate(sc, to);
    return sc;
  }

  /** The calls of a chain up to this one no longer get the context back. */
  private cutCalls(reply: Name): void {
    for (const { calls } of this.state.contexts.values())
      if (calls.includes(reply)) calls.splice(calls.indexOf(reply));
  }

  /** Ends a wait for a reply. Where it was for the last call of a chain, the context goes back to the caller. */
  private endCall(reply: Name, caller: Name): void {
    const lent = [...this.state.contexts.values()].find(({ calls }) => calls[0] === reply);
    if (!lent) this.cutCalls(reply);
    lent?.calls.shift();
    if (lent && !this.contextOf(caller)) this.donate(lent, caller);
    this.setReply(reply, 0);
  }

  protected replyTo(me: Name, reply: Name, grant: boolean): void {
    const to = this.state.replies.get(reply)!;
    if (to === 0 || this.thread(to).state !== BlockedOnReply) return;
    this.endCall(reply, to);
    const receiver = this.thread(to);
    if (receiver.fault !== 0) return this.replyToFault(me, to);
    this.transfer(me, 0, 0n, grant, to);
    this.setState(to, Running);
    // It goes on with its handler, even where its budget is used up.
    const sc = this.contextOf(to);
    if (isAccounted(sc) && sc.sporadic) Refills.unblock(sc, this.now);
    this.possibleSwitchTo(to);
  }

  /** Section 6.2: the answer says whether the thread goes on, and where; after an unknown call also what that returns. */
  private replyToFault(me: Name, to: Name): void {
    const [sender, receiver] = [this.thread(me), this.thread(to)];
    const { fault, badge, info } = receiver;
    const always = fault === Number(FaultType.CapFault);
    const [pc, , , ...registers] = this.sentMessage(sender);
    if (!always && pc !== undefined) receiver.pc = Number(BigInt.asUintN(32, pc));
    if (fault === Number(FaultType.UnknownSyscall) && pc !== undefined) {
      const [newBadge = badge, newInfo = info, ...mrs] = registers.slice(0, 6);
      Object.assign(receiver, { badge: newBadge, info: newInfo, redo: false });
      mrs.forEach((word, index) => (receiver.mrs[index] = word));
    }
    receiver.fault = 0;
    this.setState(to, always || labelOf(sender.info) === 0n ? Running : Inactive);
    this.wakeUp(to);
  }

  /** The reply object is no more: whoever waits for it is left inactive, whoever offered it receives no longer. */
  protected endReply(reply: Name): void {
    const waiting = this.state.replies.get(reply)!;
    if (waiting === 0) return;
    if (this.thread(waiting).state !== BlockedOnReply) return this.cancelIPC(waiting);
    this.endCall(reply, waiting);
    this.thread(waiting).redo = true;
    this.setState(waiting, Inactive);
  }

  // ---- Notifications (chapter 5) ----

  /** The first that waits gets the signal, or the bound thread if it waits to receive; else it is there to be taken. */
  protected sendSignal(name: Name, badge: bigint): void {
    const notification = this.notification(name);
    const { active, thread: bound, queue } = notification;
    const boundReceives = !active && bound !== 0 && this.thread(bound).state === BlockedOnReceive;
    const to = queue.length > 0 ? queue[0] : boundReceives ? bound : 0;
    if (to === 0)
      return void Object.assign(notification, { active: true, badge: notification.badge | badge });
    this.cancelIPC(to);
    Object.assign(this.thread(to), { badge, redo: false });
    this.lendContext(to, name);
    this.setState(to, Running);
    this.wakeUp(to);
  }

  protected receiveSignal(me: Name, name: Name, blocking: boolean): void {
    if (this.notification(name).active) return this.takeSignal(me, name);
    if (!blocking) return void (this.thread(me).badge = 0n);
    this.returnContext(me, name);
    this.wait(me, this.notification(name).queue, BlockedOnNotification);
  }

  private takeSignal(me: Name, name: Name): void {
    const notification = this.notification(name);
    this.thread(me).badge = notification.badge;
    Object.assign(notification, { active: false, badge: 0n });
    this.lendContext(me, name);
  }

  /** Section 3.1.5: a notification's end. */
  protected cancelAllSignals(name: Name): void {
    const queue = [...this.notification(name).queue];
    for (const waiting of queue) this.cancelWait(waiting);
    if (queue.length > 0) this.reschedule();
  }

  /** Section 6.1.7: a passive thread that a notification wakes runs on the notification's context, until it waits. */
  private lendContext(me: Name, name: Name): void {
    const sc = this.contextFor(name);
    if (sc?.thread === 0 && !this.contextOf(me)) this.donate(sc, me);
  }
  private returnContext(me: Name, name: Name): void {
    const sc = this.contextFor(name);
    if (sc?.thread === me) this.takeContext(sc);
  }
  protected contextFor = (notification: Name): SchedContext | undefined =>
    [...this.state.contexts.values()].find((sc) => sc.notification === notification);
  /** The notification that is bound to a thread, or 0 (section 5.3). */
  protected boundTo(me: Name): Name {
    for (const [name, { thread }] of this.state.notifications) if (thread === me) return name;
    return 0;
  }

  // ---- Threads (sections 6.1.1 to 6.1.3) ----

  protected suspend(me: Name): void {
    this.cancelIPC(me);
    this.completeYieldTo(me);
    this.setState(me, Inactive);
    this.removeFromScheduling(me);
    this.thread(me).underWay = false;
  }

  protected resume(me: Name): void {
    if (this.thread(me).state === Running) return;
    this.cancelIPC(me);
    this.thread(me).fault = 0;
    this.setState(me, Running);
    this.wakeUp(me);
  }

  protected setPriority(me: Name, priority: number): void {
    const thread = this.thread(me);
    const [{ state, send }, queue] = [thread, this.queueOf(me)];
    this.dequeue(me);
    thread.priority = priority;
    if (queue) {
      this.leaveQueue(me, queue);
      thread.send = send;
      this.wait(me, queue, state);
    } else if (state === Running) {
      if (me === this.current) this.reschedule();
      else this.possibleSwitchTo(me);
    }
  }
}
