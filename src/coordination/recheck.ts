/**
 * What a monitor looks at once a tick, so that a ring that was lost on its way costs a tick and no message. Interrupts
 * are announcements; what they announce stands in memory.
 *
 * - A call is open while the serial numbers of request and answer differ: its proxy is signalled once more. An answer
 *   that is new since the last tick is announced once more. Who was told already finds nothing to do.
 * - A signal with a doorbell of its own stands nowhere else: one that is lost shows with the next on its channel.
 * - Flags on the shared line are taken at each tick by the monitor itself.
 */
import type { CallPair } from '../core/call-lines.js';
import type { Core } from '../core/core.js';

/** `signal`: slot of a badged capability to the notification behind the event. */
export interface RecheckCapabilities {
  readonly requests: readonly { readonly pair: CallPair; readonly signal: number }[];
  readonly replies: readonly { readonly pair: CallPair; readonly signal: number }[];
}

export class Recheck {
  /** By request and by reply: the serial number last announced here. */
  private readonly requests: Uint32Array;
  private readonly replies: Uint32Array;

  constructor(
    private readonly core: Core,
    private readonly capabilities: RecheckCapabilities,
  ) {
    const { requests, replies } = capabilities;
    const { calls } = core;
    this.requests = Uint32Array.from(requests, ({ pair }) => calls.serialOf(pair.reply));
    this.replies = Uint32Array.from(replies, ({ pair }) => calls.serialOf(pair.reply));
  }

  tick(): void {
    const { calls, kernel } = this.core;
    this.capabilities.requests.forEach(({ pair, signal }, index) => {
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
  }
}
