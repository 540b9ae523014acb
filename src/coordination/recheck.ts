/**
 * What a monitor looks at once a tick, so that a ring that was lost on its way costs a tick and no message. Interrupts
 * are announcements; what they announce stands in memory.
 *
 * - A call is open while the serial numbers of request and answer differ: its proxy is signalled once more. An answer
 *   that is new since the last tick is announced once more. Who was told already finds nothing to do.
 * - A signal with a doorbell of its own is counted in memory (doorbell-check.ts).
 * - Flags on the shared line are taken at each tick by the monitor itself.
 *
 * And whether a proxy stands still. A server that is restarted in the middle of a call has given up its caller, which is
 * inactive from then on, as in seL4. Where that is a proxy, its client is told, and the proxy starts afresh.
 */
import { Invocation, ProgramCounter, RegisterState } from '../../kernel/api/constants.js';
import type { CallPair } from '../core/call-lines.js';
import type { Core } from '../core/core.js';
import type { Invoker } from '../core/invocation.js';
import { type CheckedDoorbell, DoorbellCheck } from './doorbell-check.js';
import { type Flag, Outbox } from '../machine/interrupts.js';

/** A proxy as its monitor sees it. Slots of the monitor's CNode, but for addresses. */
export interface ProxyCapabilities {
  readonly pair: CallPair;
  /** A badged capability to its notification. */
  readonly signal: number;
  readonly handle: number;
  readonly tcb: number;
  readonly context: number;
  /** Physical address of its TCB. */
  readonly address: number;
  /** The same of its server, if that is passive: it runs by the scheduling contexts of those who call it. */
  readonly passiveServer?: number;
  /** The right to announce an answer, and the flags that go with it. */
  readonly bell: number;
  readonly flags: readonly Flag[];
}

/** `signal`: a badged capability to the notification behind the event. */
export interface RecheckCapabilities {
  readonly requests: readonly ProxyCapabilities[];
  /** `cluster`: the index of the one that is called. */
  readonly replies: readonly {
    readonly pair: CallPair;
    readonly signal: number;
    readonly cluster: number;
  }[];
  /** The signals with doorbells of their own. */
  readonly doorbells: readonly CheckedDoorbell[];
}

export class Recheck {
  /** By request and by reply: the serial number last announced here. */
  private readonly requests: Uint32Array;
  private readonly replies: Uint32Array;
  /** By request: what announces the answer, and whether the client has been told that its call was given up. */
  private readonly outboxes: readonly Outbox[];
  private readonly told: boolean[];
  private readonly doorbells: DoorbellCheck;

  constructor(
    private readonly core: Core,
    private readonly invoker: Invoker,
    private readonly capabilities: RecheckCapabilities,
  ) {
    const { requests, replies } = capabilities;
    const { calls } = core;
    this.requests = Uint32Array.from(requests, ({ pair }) => calls.serialOf(pair.reply));
    this.replies = Uint32Array.from(replies, ({ pair }) => calls.serialOf(pair.reply));
    this.outboxes = requests.map(({ flags }) => new Outbox(core.interrupts, core.id, flags));
    this.told = requests.map(() => false);
    this.doorbells = new DoorbellCheck(core.interrupts, core.id, core, capabilities.doorbells);
  }

  tick(): void {
    const { calls, kernel } = this.core;
    this.capabilities.requests.forEach((proxy, index) => {
      const { pair, signal } = proxy;
      if (this.state(proxy.address) === RegisterState.Inactive) this.revive(proxy, index);
      const serial = calls.serialOf(pair.request);
      if (serial === calls.serialOf(pair.reply) || serial === this.requests[index]) return;
      this.requests[index] = serial;
      kernel.signal(signal);
    });
    this.capabilities.replies.forEach(({ pair, signal }, index) => {
      const serial = calls.serialOf(pair.reply);
      if (serial === this.replies[index]) return;
      this.replies[index] = serial;
      kernel.signal(signal);
    });
    this.doorbells.tick((slot) => void kernel.signal(slot));
  }

  private state(tcb: number): RegisterState {
    return this.core.bytes[tcb + RegisterState.Byte];
  }

  /** The client may send the next request before the proxy has started: it finds it then. */
  private revive(proxy: ProxyCapabilities, index: number): void {
    const { calls, kernel } = this.core;
    const { pair, passiveServer, context, tcb, handle } = proxy;
    if (!this.told[index]) {
      calls.giveUp(pair);
      this.outboxes[index].fill();
      kernel.signal(proxy.bell);
      this.told[index] = true;
    }
    if (passiveServer !== undefined) {
      // It still has the scheduling context that the proxy lent it, and needs it until it waits again.
      if (this.state(passiveServer) !== RegisterState.Receiving) return;
      this.invoker.call(context, Invocation.SchedContextUnbind, []);
      this.invoker.call(context, Invocation.SchedContextBind, [], [tcb]);
    }
    this.told[index] = false;
    // Resumed, and its first two registers: where it begins, and who it is.
    this.invoker.call(tcb, Invocation.TCBWriteRegisters, [1, 2, ProgramCounter.Entry, handle]);
  }
}
