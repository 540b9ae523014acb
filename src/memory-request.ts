/**
 * What a program that is granted `memory` may ask of its cluster's monitor, by a protected call on the channel of the
 * grant (docs/memory.md). Clusters are named by their numbers, as the topology and the reports name them.
 */

/** Labels of requests. */
export enum MemoryRequest {
  /** (cluster): how many chunks does it own? Answer: (chunks, bytes of a chunk). */
  Owned = 0,
  /** (cluster): have that cluster give this one a chunk. The call returns when it has been given, or refused. */
  Take = 1,
}

/** Labels of answers. */
export enum MemoryAnswer {
  Done = 0,
  /** The other cluster has none to spare, or is down. */
  Refused = 1,
  /** There is no such request, or no such other cluster. */
  Wrong = 2,
}
