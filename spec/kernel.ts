/**
 * The abstract specification of the kernel: what each system call (section 2.2) does to the abstract state
 * (spec/state.ts). Written to be read, with sets and lists; no fastpath, no bit fields, nothing that is kept twice.
 * Sections are those of the seL4 reference manual, MCS. Where this and the manual differ, docs/kernel.md says so.
 */
import { FaultType, LookupFailure, Rights, SeL4Error } from '../kernel/api/constants.js';
import { CapType } from '../src/core/inspect/memory.js';
import { LookupError, Refusal, refuseIf } from './errors.js';
import { Invocations, type Result } from './invocations.js';
import type { Sending } from './ipc.js';
import { Refills } from './refills.js';
import { isAccounted } from './scheduling.js';
import type { Name } from './state.js';

const CALL: Sending = { isCall: true, blocking: true, canDonate: true };
const SEND: Sending = { isCall: false, blocking: true, canDonate: false };
const NB_SEND: Sending = { isCall: false, blocking: false, canDonate: false };
const REPLY: Sending = { isCall: false, blocking: false, canDonate: true };

/** What their invocations can stop or end the very thread that is to receive then: such a first phase is not done. */
const STOPPING = new Set([
  CapType.Thread,
  CapType.CNode,
  CapType.SchedControl,
  CapType.SchedContext,
  CapType.Domain,
]);

export class Kernel extends Invocations {
  call = (cptr: number): void => this.invoke(this.current, cptr, CALL);
  send = (cptr: number, blocking: boolean): void =>
    this.invoke(this.current, cptr, blocking ? SEND : NB_SEND);
  signal(cptr: number): void {
    this.thread(this.current).info = 0n;
    this.send(cptr, true);
  }
  recv = (cptr: number, blocking: boolean, reply: number | undefined): void =>
    this.receive(this.current, cptr, blocking, reply);
  replyRecv(cptr: number, reply: number): void {
    const me = this.current;
    this.invoke(me, reply, REPLY, true);
    this.receive(me, cptr, true, reply);
  }
  nbSendRecv(dest: number, cptr: number, reply: number): void {
    const me = this.current;
    this.invoke(me, dest, NB_SEND, true);
    this.receive(me, cptr, true, reply);
  }
  /** The thread gives way to its equals, and gives up what is left of its budget for now. */
  yieldCore(): void {
    const me = this.current;
    const sc = this.contextOf(me);
    this.reschedule();
    this.thread(me).underWay = false;
    if (isAccounted(sc)) Refills.charge(sc, sc.refills[0].amount);
    if (this.isExhausted(sc)) this.postpone(me);
    else this.enqueue(me, 'last');
  }
  /** Section 6.2.3: the thread's program failed. */
  userException = (number: number, code: number): void =>
    this.fault(this.current, FaultType.UserException, [0n, BigInt(number), BigInt(code)]);
  /** Section 6.2.2, with the registers of RISC-V: of sp and ra, a0 to a5, and a6 there are only a0 to a5. */
  unknownSyscall(number: number): void {
    const { badge, info, mrs } = this.thread(this.current);
    this.fault(this.current, FaultType.UnknownSyscall, [0n, 0n, badge, info, ...mrs, 0n, BigInt(number)]);
  }
  /** Section 8.1: an interrupt has come, to the slot of its notification. */
  interrupt(irqSlot: Name): void {
    const { type, object, badge, rights } = this.cap(irqSlot);
    if (type === CapType.Notification && rights & Rights.Write) this.sendSignal(object, badge);
  }
  /** Another core of the cluster asks this one to look who is to run. */
  rescheduleInterrupt = (): void => this.reschedule();

  private invoke(me: Name, cptr: number, sending: Sending, receiveFollows = false): void {
    try {
      const slot = this.lookup(me, BigInt(cptr));
      this.lookupExtraCaps(me);
      this.invokeCap(me, slot, sending, receiveFollows);
    } catch (thrown) {
      if (!(thrown instanceof LookupError)) throw thrown;
      // A send that does not block fails silently.
      if (sending.blocking) this.capFault(me, thrown, false);
    }
  }

  private invokeCap(me: Name, slot: Name, sending: Sending, receiveFollows: boolean): void {
    const { type, object, badge, rights } = this.cap(slot);
    let results: Result = undefined;
    let error = SeL4Error.NoError;
    try {
      const isForMessages = type === CapType.Endpoint || type === CapType.Notification;
      refuseIf(isForMessages && !(rights & Rights.Write), SeL4Error.InvalidCapability, 0);
      if (type === CapType.Endpoint) return this.sendIPC(me, this.cap(slot), sending);
      if (type === CapType.Notification) this.sendSignal(object, badge);
      else if (type === CapType.Reply) this.replyTo(me, object, (rights & Rights.Grant) !== 0);
      else if (receiveFollows && STOPPING.has(type)) return;
      else results = this.invokeObject(me, slot);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      ({ error, words: results } = thrown);
    }
    // Who has ended itself gets no answer.
    const thread = this.state.threads.get(me);
    if (sending.isCall && thread && results !== 'later') this.answer(thread, error, results ?? []);
  }

  private receive(me: Name, cptr: number, blocking: boolean, replyCptr: number | undefined): void {
    const thread = this.thread(me);
    thread.underWay = false;
    // Section 6.1.5: here, and not in the middle of a handler, a thread stops whose budget is used up.
    if (this.isExhausted(this.contextOf(me))) {
      thread.redo = true;
      if (!this.timeoutFault(me)) this.postpone(me);
      return;
    }
    try {
      const { type, object, rights } = this.cap(this.lookup(me, BigInt(cptr)));
      if (type === CapType.Endpoint && rights & Rights.Read)
        return this.receiveIPC(me, object, blocking, this.replyObject(me, replyCptr));
      if (type !== CapType.Notification || !(rights & Rights.Read)) throw notOfUse(cptr);
      const { thread: bound } = this.notification(object);
      if (bound !== 0 && bound !== me) throw notOfUse(cptr);
      this.receiveSignal(me, object, blocking);
    } catch (thrown) {
      if (!(thrown instanceof LookupError)) throw thrown;
      this.capFault(me, thrown, true);
    }
  }

  private replyObject(me: Name, cptr: number | undefined): Name {
    if (cptr === undefined) return 0;
    const { type, object } = this.cap(this.lookup(me, BigInt(cptr)));
    if (type !== CapType.Reply) throw notOfUse(cptr);
    return object;
  }
}

/** There is a capability at the address, but not of the type, or not with the right, that it takes. */
const notOfUse = (cptr: number): LookupError =>
  new LookupError(BigInt(cptr), LookupFailure.MissingCapability, 0);
