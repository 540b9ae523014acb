/** What happens between threads: endpoints, replies and faults (chapter 4, section 6.2), and notifications (chapter 5). */
import { FaultType, Rights } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { TcbSlot } from './capabilities.js';
import type { LookupError } from './errors.js';
import { labelOf, lengthOf, messageInfo } from './messages.js';
import { Refills } from './refills.js';
import { Scheduling, isAccounted } from './scheduling.js';
import { NOTHING_SENT, type Cap, type Name, type Notification, type Thread } from './state.js';

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

  protected notification(name: Name): Notification {
    return this.state.notifications.get(name)!;
  }

  // ---- What travels when two threads meet (section 4.2) ----

  /** `endpoint` is 0 for a reply. */
  private transfer(from: Name, endpoint: Name, badge: bigint, grant: boolean, to: Name): void {
    const [sender, receiver] = [this.thread(from), this.thread(to)];
    receiver.badge = badge;
    if (sender.fault !== 0) {
      receiver.info = messageInfo(sender.fault, this.writeMessage(receiver, this.faultMessage(sender)));
      return;
    }
    const sent = this.readMessage(sender).slice(0, sender.buffer === 0 ? 4 : undefined);
    const length = this.writeMessage(receiver, sent);
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

  protected capFault(me: Name, { address, words }: LookupError, inReceive: boolean): void {
    this.fault(me, FaultType.CapFault, [address, inReceive ? 1n : 0n, ...words]);
  }

  /** Should the thread ever go on, it goes on with the system call that it was at. */
  protected fault(me: Name, fault: FaultType, words: bigint[]): void {
    const thread = this.thread(me);
    Object.assign(thread, { redo: true, faultWords: words });
    if (this.isHandler(me + TcbSlot.FaultHandler))
      this.sendFault(me, fault, me + TcbSlot.FaultHandler, thread.sc !== 0);
    else this.setState(me, Inactive);
  }

  /** Section 6.2.7; false where nobody is there to be told. */
  protected timeoutFault(me: Name): boolean {
    const hasHandler = this.isHandler(me + TcbSlot.TimeoutHandler);
    if (hasHandler) this.sendFault(me, FaultType.Timeout, me + TcbSlot.TimeoutHandler, false);
    return hasHandler;
  }

  /** Whether a fault can be sent through the capability, and answered. */
  protected isHandler(slot: Name): boolean {
    const { type, rights } = this.cap(slot);
    return type === CapType.Endpoint && (rights & Rights.Write) !== 0 && mayBeAnswered(rights);
  }

  private sendFault(me: Name, fault: FaultType, handler: Name, canDonate: boolean): void {
    this.thread(me).fault = fault;
    this.sendIPC(me, this.cap(handler), { blocking: true, isCall: false, canDonate });
  }

  private faultMessage(sender: Thread): bigint[] {
    if (sender.fault !== Number(FaultType.Timeout)) return [BigInt(sender.pc), ...sender.faultWords];
    const sc = this.context(sender.sc);
    return sc ? [sc.badge, this.takeConsumed(sc)] : [0n];
  }

  // ---- Endpoints (section 4.2) ----

  protected sendIPC(me: Name, { object: name, badge, rights }: Cap, sending: Sending): void {
    const { isCall, blocking, canDonate } = sending;
    const thread = this.thread(me);
    const { queue } = this.state.endpoints.get(name)!;
    if (queue.length === 0 || this.thread(queue[0]).state !== BlockedOnReceive) {
      if (!blocking) return;
      thread.send = { badge, rights, isCall };
      return this.wait(me, name, BlockedOnSend);
    }
    const to = queue[0];
    const { reply, sc } = this.thread(to);
    this.leaveQueue(to);
    this.transfer(me, name, badge, (rights & Rights.Grant) !== 0, to);
    this.unlinkReply(to);
    if (isCall || thread.fault !== 0) this.awaitReply(me, to, reply, rights, canDonate);
    else if (canDonate && sc === 0 && thread.sc !== 0) this.donate(thread.sc, to);
    this.setState(to, Running);
    // On a caller's time it runs at once, since the caller's handler waits for it.
    if (sc !== 0) this.wakeUp(to);
    else this.possibleSwitchTo(to);
  }

  protected receiveIPC(me: Name, name: Name, blocking: boolean, reply: Name): void {
    const thread = this.thread(me);
    // A reply object serves one caller: whoever still waits for it is given up.
    const before = this.state.replies.get(reply) ?? 0;
    if (before !== 0 && before !== me) this.cancelIPC(before);
    if (thread.notification !== 0) {
      if (this.notification(thread.notification).active) return this.takeSignal(me, thread.notification);
      if (blocking) this.returnContext(me, thread.notification);
    }
    const [from] = this.state.endpoints.get(name)!.queue;
    if (from === undefined || this.thread(from).state !== BlockedOnSend) {
      if (!blocking) return void (thread.badge = 0n);
      this.linkReply(me, reply);
      return this.wait(me, name, BlockedOnReceive);
    }
    const { fault, sc, send } = this.thread(from);
    this.leaveQueue(from);
    this.transfer(from, name, send.badge, (send.rights & Rights.Grant) !== 0, me);
    if (send.isCall || fault !== 0) {
      const canDonate = sc !== 0 && fault !== Number(FaultType.Timeout);
      return this.awaitReply(from, me, reply, send.rights, canDonate);
    }
    this.setState(from, Running);
    this.possibleSwitchTo(from);
  }

  private queueOf(name: Name): Name[] {
    return (this.state.endpoints.get(name) ?? this.notification(name)).queue;
  }

  /** Section 6.1.3: waiting threads stand by priority, equals in the order in which they came. */
  protected wait(me: Name, name: Name, state: ThreadState): void {
    const { priority } = this.thread(me);
    this.thread(me).waitsFor = name;
    this.setState(me, state);
    const queue = this.queueOf(name);
    const before = queue.findIndex((other) => this.thread(other).priority < priority);
    queue.splice(before < 0 ? queue.length : before, 0, me);
  }

  protected leaveQueue(me: Name): void {
    const thread = this.thread(me);
    const queue = this.queueOf(thread.waitsFor);
    queue.splice(queue.indexOf(me), 1);
    Object.assign(thread, { waitsFor: 0, send: NOTHING_SENT });
  }

  /** A thread gives up what it waits for, and is inactive. Resumed, it makes its system call again. */
  protected cancelIPC(me: Name): void {
    const thread = this.thread(me);
    if (thread.waitsFor !== 0) this.leaveQueue(me);
    else if (thread.state === BlockedOnReply) this.cutCalls(thread.reply);
    else return;
    this.unlinkReply(me);
    Object.assign(thread, { redo: true, fault: 0 });
    this.setState(me, Inactive);
  }

  /** Section 3.1.5: an endpoint's end, or `CNode_CancelBadgedSends` for those who send with one badge. */
  protected cancelAllIPC(name: Name, badge?: bigint): void {
    for (const waiting of [...this.state.endpoints.get(name)!.queue]) {
      const thread = this.thread(waiting);
      const receives = thread.state === BlockedOnReceive;
      if (badge !== undefined && thread.send.badge !== badge) continue;
      this.leaveQueue(waiting);
      this.unlinkReply(waiting);
      if (thread.fault !== 0) {
        thread.fault = 0;
        this.setState(waiting, Inactive);
        continue;
      }
      thread.redo = true;
      this.setState(waiting, Running);
      if (receives) this.wakeUp(waiting);
      else this.possibleSwitchTo(waiting);
    }
    this.reschedule();
  }

  // ---- Replies (section 4.2.4) ----

  private linkReply(me: Name, reply: Name): void {
    this.thread(me).reply = reply;
    if (reply !== 0) this.state.replies.set(reply, me);
  }
  private unlinkReply(me: Name): void {
    const { reply } = this.thread(me);
    if (reply !== 0) this.state.replies.set(reply, 0);
    this.thread(me).reply = 0;
  }

  /** The caller waits for a reply, if there may be one, and lends its scheduling context to a callee that has none. */
  private awaitReply(caller: Name, callee: Name, reply: Name, rights: number, canDonate: boolean): void {
    const { sc } = this.thread(caller);
    if (reply === 0 || !mayBeAnswered(rights)) {
      this.thread(caller).redo = true;
      return this.setState(caller, Inactive);
    }
    this.linkReply(caller, reply);
    this.setState(caller, BlockedOnReply);
    if (!canDonate || sc === 0 || this.thread(callee).sc !== 0) return;
    this.context(sc).calls.unshift(reply);
    this.donate(sc, callee);
  }

  /** The calls of a chain up to this one no longer get the context back. */
  private cutCalls(reply: Name): void {
    for (const { calls } of this.state.contexts.values())
      if (calls.includes(reply)) calls.splice(calls.indexOf(reply));
  }

  /** Ends a wait for a reply. Where it was for the last call of a chain, the context goes back to the caller. */
  private endCall(reply: Name, caller: Name): void {
    const lent = [...this.state.contexts].find(([, { calls }]) => calls[0] === reply);
    if (lent === undefined) {
      this.cutCalls(reply);
    } else {
      lent[1].calls.shift();
      if (this.thread(caller).sc === 0) this.donate(lent[0], caller);
    }
    this.unlinkReply(caller);
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
    const sc = this.context(receiver.sc);
    if (isAccounted(sc) && sc.sporadic) Refills.unblock(sc, this.now);
    this.possibleSwitchTo(to);
  }

  /** Section 6.2: the answer says whether the thread goes on, and where. */
  private replyToFault(me: Name, to: Name): void {
    const [{ info, mrs }, receiver] = [this.thread(me), this.thread(to)];
    const always = receiver.fault === Number(FaultType.CapFault);
    if (!always && lengthOf(info) > 0) receiver.pc = Number(BigInt.asUintN(32, mrs[0]));
    receiver.fault = 0;
    this.setState(to, always || labelOf(info) === 0n ? Running : Inactive);
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

  protected sendSignal(name: Name, badge: bigint): void {
    const notification = this.notification(name);
    const { thread: bound, queue } = notification;
    if (queue.length > 0) {
      const [to] = queue;
      this.leaveQueue(to);
      this.deliver(name, to, badge);
    } else if (!notification.active && bound !== 0 && this.thread(bound).state === BlockedOnReceive) {
      this.cancelIPC(bound);
      this.thread(bound).redo = false;
      this.deliver(name, bound, badge);
    } else {
      Object.assign(notification, { active: true, badge: notification.badge | badge });
    }
  }

  private deliver(name: Name, to: Name, badge: bigint): void {
    this.thread(to).badge = badge;
    this.lendContext(to, name);
    this.setState(to, Running);
    this.wakeUp(to);
  }

  protected receiveSignal(me: Name, name: Name, blocking: boolean): void {
    if (this.notification(name).active) return this.takeSignal(me, name);
    if (!blocking) return void (this.thread(me).badge = 0n);
    this.returnContext(me, name);
    this.wait(me, name, BlockedOnNotification);
  }

  private takeSignal(me: Name, name: Name): void {
    const notification = this.notification(name);
    this.thread(me).badge = notification.badge;
    Object.assign(notification, { active: false, badge: 0n });
    this.lendContext(me, name);
  }

  /** The notification is no more: whoever waits makes its system call again, and finds that out. */
  protected cancelAllSignals(name: Name): void {
    const queue = [...this.notification(name).queue];
    for (const waiting of queue) {
      this.leaveQueue(waiting);
      this.thread(waiting).redo = true;
      this.setState(waiting, Running);
      this.wakeUp(waiting);
    }
    if (queue.length > 0) this.reschedule();
  }

  /** Section 6.1.7: a passive thread that a notification wakes runs on the notification's context, until it waits. */
  private lendContext(me: Name, name: Name): void {
    const { sc } = this.notification(name);
    if (this.thread(me).sc === 0 && sc !== 0 && this.context(sc).thread === 0) this.donate(sc, me);
  }
  private returnContext(me: Name, name: Name): void {
    const { sc } = this.notification(name);
    if (sc !== 0 && this.thread(me).sc === sc) this.takeContext(sc);
  }
  protected unbindNotification(me: Name): void {
    const { notification } = this.thread(me);
    if (notification !== 0) this.notification(notification).thread = 0;
    this.thread(me).notification = 0;
  }
  protected unbindContextFrom(notification: Name): void {
    const { sc } = this.notification(notification);
    if (sc !== 0) this.context(sc).notification = 0;
    this.notification(notification).sc = 0;
  }

  // ---- Threads (sections 6.1.1 to 6.1.3) ----

  protected suspend(me: Name): void {
    this.cancelIPC(me);
    if (this.thread(me).yieldTo !== 0) this.completeYieldTo(me);
    this.setState(me, Inactive);
    this.removeFromScheduling(me);
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
    const { waitsFor, state, send } = thread;
    this.dequeue(me);
    thread.priority = priority;
    if (waitsFor !== 0) {
      this.leaveQueue(me);
      thread.send = send;
      this.wait(me, waitsFor, state);
    } else if (state === Running) {
      if (me === this.current) this.reschedule();
      else this.possibleSwitchTo(me);
    }
  }
}
