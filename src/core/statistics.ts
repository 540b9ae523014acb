/**
 * What is counted of each domain: one row of shared memory each, so that counts outlive a core that hangs.
 *
 * A row has the size of two TCBs, and its first 128 bytes are empty: processors take a load to depend on a store just before
 * where the addresses end alike in twelve bits, and there a TCB has what the kernel loads first in a call.
 */
import { CHANNELS } from './engine/typescript/slots.js';

export enum Count {
  Init = 16,
  Notified = 17,
  Protected = 18,
  Fault = 19,
  Faults = 20,
  Restarts = 21,
  /** By channel: the calls, and the notifications, that the domain made on it. */
  Calls = 24,
  Notifications = 88,
  /** By channel, on the simulated machine: cycles that calls took. */
  CallCycles = 152,
}

/** Counters in a row: whole cache lines, so that no two domains share one. */
export const COUNTS = 256;

/** Bytes that the counters of `domains` domains take. */
export function statisticsBytes(domains: number): number {
  return domains * COUNTS * Float64Array.BYTES_PER_ELEMENT;
}

/** The row of domain `index`. */
export function statisticsRow(statistics: SharedArrayBuffer, index: number): Float64Array {
  return new Float64Array(statistics, index * COUNTS * Float64Array.BYTES_PER_ELEMENT, COUNTS);
}

/** Over all channels of a row: `Count.Calls` or `Count.Notifications`. */
export function sumOfChannels(row: Float64Array, first: Count.Calls | Count.Notifications): number {
  return row.subarray(first, first + CHANNELS).reduce((sum, count) => sum + count, 0);
}
