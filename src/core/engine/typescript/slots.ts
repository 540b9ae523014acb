/**
 * What a protection domain's capabilities are and where they stand in its CNode: Microkit's layout, which its library
 * knows by heart.
 */
export const CNODE_RADIX = 9;

export enum Slot {
  /** The endpoint at which the domain receives calls and faults; its notification is bound to the thread. */
  Input = 1,
  Reply = 4,
  /** Where a passive domain tells the monitor that it waits to be made passive. */
  Monitor = 5,
  /** The notification that the answers of other clusters signal. */
  Replies = 6,
  FirstNotification = 10,
  /** Calls: an endpoint, or where the server is on another cluster, the right to ring that one. */
  FirstEndpoint = 74,
  /** Handlers of interrupts, and of doorbells behind the notifications of channels. */
  FirstIrq = 138,
  /** Children: a TCB, or where the child is on another cluster, the right to ring that one. */
  FirstTCB = 202,
  /** Handlers of the doorbells by which a call's answer comes. */
  FirstReplyIrq = 266,
}

/** Channel identifiers and child identifiers are below this. */
export const CHANNELS = 63;

/** Top bits of a badge: a call through a channel, a fault of a child; without the first, one bit for each channel. */
export const CALL_BADGE = 2n << 62n;
export const FAULT_BADGE = 3n << 62n;
