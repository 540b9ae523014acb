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
  FirstNotification = 10,
  FirstEndpoint = 74,
  FirstIrq = 138,
  FirstTCB = 202,
}

/** Channel identifiers and child identifiers are below this. */
export const CHANNELS = 63;

/** Top bits of a badge: a call through a channel, a fault of a child; without the first, one bit for each channel. */
export const CALL_BADGE = 2n << 62n;
export const FAULT_BADGE = 3n << 62n;
