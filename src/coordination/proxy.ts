/**
 * A proxy calls a server of its own cluster on behalf of a client of another: a thread of its own for each pair, so that
 * a client whose server is busy waits alone. It takes the message from shared memory, calls, and sends the answer back.
 * The same carries a domain's faults to a parent on another cluster.
 *
 * It has no handler on the core's stack while it waits, for the server or for the next request: so it never stands in
 * the way of others, nor they in its.
 */
import { ProgramCounter, Register } from '../../kernel/api/constants.js';
import type { CallPair } from '../core/call-lines.js';
import type { Core } from '../core/core.js';
import type { EngineThread } from '../core/thread.js';
import { ACKNOWLEDGE } from '../core/invocation.js';
import type { Outbox } from '../machine/interrupts.js';

/** Slots of a proxy's CNode. */
export enum ProxySlot {
  /** The notification by which it learns of a request. */
  Request = 1,
  /** The server's endpoint. */
  Server = 2,
  /** The right to ring the client's cluster. */
  Reply = 3,
  /** The handler of the doorbell behind the notification, if it has one. */
  Doorbell = 4,
}
export const PROXY_RADIX = 3;

const PC_WORD = Register.PC / 4;
const REDO_WORD = Register.Redo / 4;
const TAG_WORD = Register.MsgInfo / 4;

export class Proxy implements EngineThread {
  readonly schedulingDomain = 0;
  onStack = false;
  held = false;
  private readonly registers: number;
  private readonly buffer: number;
  private calling = false;
  private serial = 0;

  constructor(
    readonly handle: number,
    readonly tcb: number,
    readonly priority: number,
    private readonly core: Core,
    private readonly pair: CallPair,
    private readonly outbox: Outbox,
    private readonly hasDoorbell: boolean,
  ) {
    this.registers = tcb / 4;
    this.buffer = core.words[this.registers + Register.IPCBuffer / 4] / 4;
  }

  run(): number {
    for (;;) {
      const next = this.core.takeInterrupts(this.step());
      if (next !== this.handle) return next;
    }
  }

  /** One system call of the proxy. */
  private step(): number {
    const { words, calls, kernel } = this.core;
    const { request, reply } = this.pair;
    if (words[this.registers + PC_WORD] === ProgramCounter.Entry) {
      words[this.registers + PC_WORD] = ProgramCounter.Running;
      this.serial = calls.serialOf(reply);
      this.calling = false;
    } else if (this.calling && words[this.registers + REDO_WORD] === 0) {
      calls.writeMessage(reply, this.registers, this.buffer, this.serial);
      this.calling = false;
      if (!calls.isLookedFor(this.pair)) {
        this.outbox.fill();
        return kernel.signal(ProxySlot.Reply, this.tcb);
      }
    }
    words[this.registers + REDO_WORD] = 0;
    if (this.calling || calls.serialOf(request) !== this.serial) {
      this.serial = calls.serialOf(request);
      this.calling = true;
      calls.readMessage(request, this.registers, this.buffer);
      return kernel.call(ProxySlot.Server, this.tcb);
    }
    return this.wait();
  }

  private wait(): number {
    const { words, kernel } = this.core;
    if (!this.hasDoorbell) return kernel.wait(ProxySlot.Request);
    words[this.registers + TAG_WORD] = ACKNOWLEDGE;
    words[this.registers + TAG_WORD + 1] = 0;
    return kernel.nbSendRecv(ProxySlot.Doorbell, ProxySlot.Request, 0, this.tcb);
  }
}
