/**
 * A domain whose parent is on another cluster, as the monitor of its own cluster sees it: its faults go to the parent as
 * calls do (proxy.ts), and what the parent wants done with it comes as a call of the monitor.
 */
import { type Invocation, Register } from '../../kernel/api/constants.js';
import { type CallPair, nextSerial } from '../core/call-lines.js';
import { type Core, Stop } from '../core/core.js';
import { type Flag, Outbox } from '../machine/interrupts.js';

/** What the monitor needs of it. `faultBell` and `controlBell`: slots with the right to ring the parent's cluster. */
export interface RemoteChildCapabilities {
  readonly handle: number;
  /** Index of the parent's cluster. */
  readonly cluster: number;
  readonly tcb: number;
  readonly fault: CallPair;
  readonly faultFlags: readonly Flag[];
  readonly faultBell: number;
  readonly control: CallPair;
  readonly controlFlags: readonly Flag[];
  readonly controlBell: number;
}

const TAG_WORD = Register.MsgInfo / 4;
const LABEL_SHIFT = 12;

export class RemoteChild {
  readonly handle: number;
  readonly tcb: number;
  private readonly faultOutbox: Outbox;
  private readonly controlOutbox: Outbox;
  private readonly registers: number;
  private readonly buffer: number;
  private faultSerial: number;
  private orderSerial: number;
  /** The reply object that holds the child's open fault, or 0. */
  private reply = 0;

  /** `monitor`: physical address of the monitor's TCB. */
  constructor(
    private readonly core: Core,
    monitor: number,
    private readonly capabilities: RemoteChildCapabilities,
  ) {
    const { handle, tcb, fault, faultFlags, controlFlags } = capabilities;
    this.handle = handle;
    this.tcb = tcb;
    this.registers = monitor / 4;
    this.buffer = core.words[this.registers + Register.IPCBuffer / 4] / 4;
    this.faultOutbox = new Outbox(core.interrupts, core.id, faultFlags);
    this.controlOutbox = new Outbox(core.interrupts, core.id, controlFlags);
    this.faultSerial = core.calls.serialOf(fault.request);
    this.orderSerial = core.calls.serialOf(capabilities.control.reply);
  }

  /** Sends the fault whose message the monitor has just received with `reply`; returns a reply object that is free now, or 0. */
  sendFault(reply: number): number {
    const free = this.reply;
    this.reply = reply;
    this.faultSerial = nextSerial(this.faultSerial);
    const { fault, faultBell } = this.capabilities;
    this.core.calls.writeMessage(fault.request, this.registers, this.buffer, this.faultSerial);
    this.faultOutbox.fill();
    this.core.kernel.signal(faultBell);
    return free;
  }

  get parentCluster(): number {
    return this.capabilities.cluster;
  }

  /** Sends an open fault again, which the parent's cluster has lost: the message still stands there. */
  resendFault(): void {
    if (this.reply === 0) return;
    this.faultSerial = nextSerial(this.faultSerial);
    const { fault, faultBell } = this.capabilities;
    this.core.calls.setSerial(fault.request, this.faultSerial);
    this.faultOutbox.fill();
    this.core.kernel.signal(faultBell);
  }

  /** Whether the parent wants something done that was not yet. */
  hasOrder(): boolean {
    return this.core.calls.serialOf(this.capabilities.control.request) !== this.orderSerial;
  }

  /** The parent has answered: the child goes on, or stays stopped, as the answer says. Returns a free reply object, or 0. */
  takeFaultReply(): number {
    const { words, calls, kernel } = this.core;
    const { reply } = this.capabilities.fault;
    const free = this.reply;
    if (free === 0 || calls.serialOf(reply) !== this.faultSerial) return 0;
    calls.readMessage(reply, this.registers, this.buffer);
    const label = words[this.registers + TAG_WORD] >>> LABEL_SHIFT;
    if (label === 0 && words[this.registers + TAG_WORD + 1] === 0)
      this.core.markStopped(this.handle, Stop.None);
    this.reply = 0;
    kernel.nbSend(free);
    return free;
  }

  /** What the parent wants done: an `Invocation` of a TCB. */
  takeOrder(): Invocation {
    const { words, calls } = this.core;
    const { request } = this.capabilities.control;
    this.orderSerial = calls.serialOf(request);
    return words[request.line + TAG_WORD] >>> LABEL_SHIFT;
  }

  orderDone(): void {
    const { words, calls, kernel } = this.core;
    const { control, controlBell } = this.capabilities;
    words[this.registers + TAG_WORD] = 0;
    words[this.registers + TAG_WORD + 1] = 0;
    calls.writeMessage(control.reply, this.registers, this.buffer, this.orderSerial);
    this.controlOutbox.fill();
    kernel.signal(controlBell);
  }
}
