/**
 * The ledger: who owns each chunk of memory that can move between clusters. One word a chunk, each on a line of its own,
 * in memory outside of all partitions: it outlives every cluster, and is the log from which a hand-over is recovered.
 *
 * An entry says who owns the chunk, and whether it is offered, and to whom. What must hold:
 *
 * - Only the owner offers a chunk. Once it is offered, owner and taker both may end the offer, and whoever is first
 *   decides: the taker makes the chunk its own (commit), the owner keeps it (abort).
 * - Each change also changes the entry's version, so that who decides on an offer that has ended meanwhile fails.
 *   Versions come round after 32,768 changes; a taker decides on the offers of one owner in the order in which they
 *   were made, so it never has so old a one.
 */
import { LINE_WORDS } from '../machine/interrupts.js';

/** An entry, from its lowest bit: owner (8 bits), taker (8), whether it is offered (1), version (15). */
export type Entry = number;

/** Clusters that an entry can name. */
export const MOST_LEDGER_CLUSTERS = 256;

const TAKER_SHIFT = 8;
const CLUSTER_MASK = 0xff;
const OFFERED = 1 << 16;
const VERSION = 1 << 17;
const VERSION_MASK = ~(VERSION - 1);

export function ownerOf(entry: Entry): number {
  return entry & CLUSTER_MASK;
}

export function takerOf(entry: Entry): number {
  return (entry >> TAKER_SHIFT) & CLUSTER_MASK;
}

export function isOffered(entry: Entry): boolean {
  return (entry & OFFERED) !== 0;
}

/** The entry that follows when the owner offers the chunk to `taker`. */
export function offerOf(entry: Entry, taker: number): Entry {
  return nextVersion(entry) | OFFERED | (taker << TAKER_SHIFT) | ownerOf(entry);
}

/** The entry that follows when the chunk is `owner`'s. */
export function ownedBy(entry: Entry, owner: number): Entry {
  return nextVersion(entry) | owner;
}

function nextVersion(entry: Entry): number {
  return (entry & VERSION_MASK) + VERSION;
}

/** Chunks that a cluster has given away and taken, as far as it has lived to count. */
export interface MemoryCounts {
  readonly given: number;
  readonly taken: number;
}

/** Words that a ledger needs: a line for each chunk, and one for what each cluster counts. */
export function ledgerWords(chunks: number, clusters: number): number {
  return (chunks + clusters) * LINE_WORDS;
}

export class Ledger {
  /** @param start index of its first word. */
  constructor(
    private readonly words: Int32Array,
    private readonly start: number,
    readonly chunks: number,
    readonly clusters: number,
  ) {}

  /** When the machine is switched on: the chunks go to the clusters in turn, to each as many. */
  initialise(): void {
    for (let chunk = 0; chunk < this.chunks; chunk++)
      Atomics.store(this.words, this.chunkWord(chunk), chunk % this.clusters);
  }

  entry(chunk: number): Entry {
    return Atomics.load(this.words, this.chunkWord(chunk));
  }

  /** Changes an entry, if it still is what it was. Returns whether it was. */
  replace(chunk: number, before: Entry, after: Entry): boolean {
    return Atomics.compareExchange(this.words, this.chunkWord(chunk), before, after) === before;
  }

  /** How many chunks a cluster owns. */
  owned(cluster: number): number {
    let count = 0;
    for (let chunk = 0; chunk < this.chunks; chunk++) count += Number(ownerOf(this.entry(chunk)) === cluster);
    return count;
  }

  count(cluster: number, what: keyof MemoryCounts): void {
    Atomics.add(this.words, this.countWord(cluster, what), 1);
  }

  counts(cluster: number): MemoryCounts {
    const read = (what: keyof MemoryCounts): number =>
      Atomics.load(this.words, this.countWord(cluster, what));
    return { given: read('given'), taken: read('taken') };
  }

  private chunkWord(chunk: number): number {
    return this.start + chunk * LINE_WORDS;
  }

  private countWord(cluster: number, what: keyof MemoryCounts): number {
    return this.start + (this.chunks + cluster) * LINE_WORDS + (what === 'given' ? 0 : 1);
  }
}
