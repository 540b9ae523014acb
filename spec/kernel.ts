/**
 * The abstract specification of the kernel: what each system call (section 2.2) does to the abstract state
 * (spec/state.ts). Written to be read, with sets and lists; no fastpath, no bit fields, nothing that is kept twice.
 * Sections are those of the seL4 reference manual, MCS. Where this and the manual differ, docs/kernel.md says so.
 */
import { FaultType, LookupFailure, Rights, SeL4Error } from '../kernel/api/constants.js';
import { LookupError, Refusal } from './errors.js';
import { Invocations, type Result } from './invocations.js';
import { isBlocking, type Sending } from './ipc.js';
import { CapType, type Name } from './state.js';

const { Thread, Endpoint, Notification, Reply, CNode, SchedControl, SchedContext, Domain } = CapType;
/** What their invocations can stop or end the very thread that is to receive then: such a first phase is not done. */
const STOPPING = new Set([Thread, CNode, SchedControl, SchedContext, Domain]);

export class Kernel extends Invocations {
  call = (cptr: number): void => this.invoke(cptr, 'call');
  send = (cptr: number, blocking: boolean): void => this.invoke(cptr, blocking ? 'send' : 'nbSend');
  signal(cptr: number): void {
    this.thread(this.current).info = 0n;
    this.send(cptr, true);
  }
  recv = (cptr: number, blocking: boolean, reply: number | undefined): void =>
    this.receive(this.current, cptr, blocking, reply);
  replyRecv = (cptr: number, reply: number): void => this.sendRecv('reply', reply, cptr, reply);
  nbSendRecv = (dest: number, cptr: number, reply: number): void =>
    this.sendRecv('nbSend', dest, cptr, reply);
  yieldCore = (): void => this.giveWay(this.current);
  /** Section 6.2.3: the thread's program failed. */
  userException = (number: number, code: number): void =>
    this.fault(this.current, FaultType.UserException, [0n, BigInt(number), BigInt(code)]);
  /** Section 6.2.2, with the registers of RISC-V: of sp and ra, a0 to a5, and a6 there are only a0 to a5. */
  unknownSyscall(number: number): void {
    const { badge, info, mrs } = this.thread(this.current);
    this.fault(this.current, FaultType.UnknownSyscall, [0n, 0n, badge, info, ...mrs, 0n, BigInt(number)]);
  }
  /** Section 8.1: an interrupt has come. */
  interrupt(irq: number): void {
    const { type, object, badge, rights } = this.cap(this.state.irqSlots[irq]);
    if (type === Notification && rights & Rights.Write) this.sendSignal(object, badge);
  }
  /** Another core of the cluster asks this one to look who is to run. */
  rescheduleInterrupt = (): void => this.reschedule();

  private sendRecv(sending: Sending, dest: number, cptr: number, reply: number): void {
    const me = this.current;
    this.invoke(dest, sending, STOPPING);
    this.receive(me, cptr, true, reply);
  }

  private invoke(cptr: number, sending: Sending, ignored?: Set<CapType>): void {
    const me = this.current;
    let result: Result;
    let error = BigInt(SeL4Error.NoError);
    try {
      const slot = this.lookup(me, BigInt(cptr));
      const caps = this.extraCaps(me);
      if (ignored?.has(this.cap(slot).type)) return;
      result = this.perform(me, slot, caps, sending);
    } catch (thrown) {
      // A send that does not block fails silently.
      if (thrown instanceof LookupError && !isBlocking(sending)) return;
      if (!(thrown instanceof Refusal)) return this.capFault(me, thrown, false);
      [error, ...result] = thrown.words;
    }
    // Who has ended itself gets no answer.
    const thread = this.state.threads.get(me);
    if (sending === 'call' && thread && result !== 'later') this.answer(thread, error, result ?? []);
  }

  private receive(me: Name, cptr: number, blocking: boolean, replyCptr: number | undefined): void {
    this.thread(me).underWay = false;
    // Section 6.1.5: here, and not in the middle of a handler, a thread stops whose budget is used up.
    if (this.isExhausted(this.contextOf(me))) return this.fault(me, FaultType.Timeout, []);
    try {
      const { type, object, rights } = this.cap(this.lookup(me, BigInt(cptr)));
      const isOthers = type === Notification && ![0, me].includes(this.notification(object).thread);
      const canReceive = (type === Endpoint || type === Notification) && rights & Rights.Read && !isOthers;
      if (!canReceive) throw new LookupError(BigInt(cptr), LookupFailure.MissingCapability, 0);
      if (type === Notification) this.receiveSignal(me, object, blocking);
      else this.receiveIPC(me, object, blocking, this.replyObject(me, replyCptr));
    } catch (thrown) {
      this.capFault(me, thrown, true);
    }
  }
  private replyObject(me: Name, cptr: number | undefined): Name {
    if (cptr === undefined) return 0;
    const { type, object } = this.cap(this.lookup(me, BigInt(cptr)));
    if (type !== Reply) throw new LookupError(BigInt(cptr), LookupFailure.MissingCapability, 0);
    return object;
  }

  /** Section 6.2.1. */
  private capFault(me: Name, thrown: unknown, inReceive: boolean): void {
    if (!(thrown instanceof LookupError)) throw thrown;
    const [address, ...failure] = thrown.words;
    this.fault(me, FaultType.CapFault, [address, BigInt(inReceive), ...failure]);
  }
}
