/** What is counted of each domain: one row of shared memory each, so that counts outlive a core that hangs. */
export enum Count {
  Init = 0,
  Notified = 1,
  Protected = 2,
  Fault = 3,
  Calls = 4,
  Notifications = 5,
  Faults = 6,
  Restarts = 7,
}

/** Counters in a row: a row is one cache line. */
export const COUNTS = 8;

/** Bytes that the counters of `domains` domains take. */
export function statisticsBytes(domains: number): number {
  return domains * COUNTS * Float64Array.BYTES_PER_ELEMENT;
}

/** The row of domain `index`. */
export function statisticsRow(statistics: SharedArrayBuffer, index: number): Float64Array {
  return new Float64Array(statistics, index * COUNTS * Float64Array.BYTES_PER_ELEMENT, COUNTS);
}
