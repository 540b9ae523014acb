import type { DoorbellSignal } from '../../doorbell-signals.js';
import type { RemoteCallConfiguration } from './remote-call.js';
import type { RingSide } from './ring.js';

/** What the system description gives a domain, as far as its engine needs to know. Plain data. */
export interface DomainConfiguration {
  readonly handle: number;
  readonly name: string;
  readonly priority: number;
  readonly schedulingDomain: number;
  readonly passive: boolean;
  /** Channels on which it may notify, call, and acknowledge interrupts, and the identifiers of its children. */
  readonly notify: readonly number[];
  readonly call: readonly number[];
  readonly irqs: readonly number[];
  readonly children: readonly { readonly id: number; readonly handle: number }[];
  /**
   * For a channel to another cluster: one or two flags to raise, in this order, or where it has a doorbell of its own, a
   * word of that (with mask 0).
   */
  readonly flags: readonly { readonly channel: number; readonly word: number; readonly mask: number }[];
  /** Channels whose notifications come by a doorbell of their own, to be acknowledged. */
  readonly doorbells: readonly (DoorbellSignal & { readonly channel: number })[];
  /** Calls on channels, and of children's monitors, that go to other clusters. */
  readonly remoteCalls: readonly RemoteCallConfiguration[];
  readonly vars: readonly (readonly [string, bigint])[];
}

/** A region as mapped into a domain: bytes of physical memory. */
export interface MappedRegion {
  readonly symbol: string;
  readonly address: number;
  readonly length: number;
  readonly writable: boolean;
  /** Where the region is a ring, which end of it the domain has. */
  readonly ring: RingSide | undefined;
}
