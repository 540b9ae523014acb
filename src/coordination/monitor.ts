/**
 * A cluster's monitor: its root task once the cluster is built, at the highest priority. It takes signals from other
 * clusters, makes passive domains passive, and is the last to hear of a fault.
 */
import { Invocation, Register } from '../../kernel/api/constants.js';
import type { Core } from '../core/core.js';
import type { SignalFlags } from './signals.js';

/** The bit in the badge by which the monitor's own notification shows: a doorbell has rung. */
export const DOORBELL_BADGE = 1n << 63n;

/** What the initialiser leaves to the monitor: slots of the root task's CNode, by the domains' handles. */
export interface MonitorCapabilities {
  readonly endpoint: number;
  readonly reply: number;
  readonly doorbellHandler: number;
  /** For each incoming channel's flag, the badged capability to the notification behind it. */
  readonly signals: readonly number[];
  readonly passive: ReadonlyMap<
    number,
    { readonly tcb: number; readonly context: number; readonly notification: number }
  >;
}

export class Monitor {
  private readonly registers: number;

  /** `reportFault(handle)`: a domain without a parent faulted; it stays stopped. */
  constructor(
    private readonly core: Core,
    tcb: number,
    private readonly capabilities: MonitorCapabilities,
    private readonly flags: SignalFlags,
    private readonly makePassive: (tcb: number, context: number, notification: number) => void,
    private readonly reportFault: (handle: number) => void,
  ) {
    this.registers = tcb / 4;
  }

  /** Waits for the first event; returns who is current meanwhile. */
  wait(): number {
    return this.core.kernel.recv(this.capabilities.endpoint, this.capabilities.reply);
  }

  /** Handles what has come, and waits for more. */
  handle(): number {
    const { words } = this.core;
    const high = words[this.registers + 1];
    if (high >>> 31 !== 0) {
      this.takeSignals();
    } else {
      const handle = words[this.registers + Register.Badge / 4];
      const label = words[this.registers + Register.MsgInfo / 4] >>> 12;
      if (label === 0) this.passivate(handle);
      else this.reportFault(handle);
    }
    return this.wait();
  }

  private takeSignals(): void {
    const { kernel, words } = this.core;
    this.flags.take(this.signal);
    words[this.registers + Register.MsgInfo / 4] = Invocation.IRQAckIRQ << 12;
    words[this.registers + Register.MsgInfo / 4 + 1] = 0;
    kernel.nbSend(this.capabilities.doorbellHandler);
  }

  private readonly signal = (flag: number): void => {
    this.core.kernel.signal(this.capabilities.signals[flag]);
  };

  private passivate(handle: number): void {
    const domain = this.capabilities.passive.get(handle);
    if (domain !== undefined) this.makePassive(domain.tcb, domain.context, domain.notification);
  }
}
