/** A hardware transaction: what it has read and written, and how to undo it. */
import type { Transactions } from './model.js';

const WORDS_PER_LINE = 16;

export class Transaction {
  /** From its first access on; until `end` another core's access can conflict with it. */
  end = 0;
  /** Aborts of the kernel entry that is being tried. */
  aborts = 0;
  overflowed = false;
  /** When each line was first there to be read, and to be written. */
  readonly #reads = new Map<number, number>();
  readonly #writes = new Map<number, number>();
  #undo = new Int32Array(32 * WORDS_PER_LINE);

  constructor(private readonly limits: Transactions) {}

  begin(): void {
    this.#reads.clear();
    this.#writes.clear();
    this.overflowed = false;
  }

  /** Notes an access; before the first write to a line, keeps what is in it. */
  note(line: number, write: boolean, now: number, memory: Int32Array): void {
    const lines = write ? this.#writes : this.#reads;
    if (lines.has(line)) return;
    if (write) {
      const at = this.#writes.size * WORDS_PER_LINE;
      if (at === this.#undo.length) {
        const longer = new Int32Array(2 * at);
        longer.set(this.#undo);
        this.#undo = longer;
      }
      const from = line * WORDS_PER_LINE;
      this.#undo.set(memory.subarray(from, from + WORDS_PER_LINE), at);
    }
    lines.set(line, now);
    this.overflowed ||=
      this.#writes.size > this.limits.writeLines || this.#reads.size > this.limits.readLines;
  }

  /**
   * The time of this transaction's first access that conflicts with `other`, which it overlaps: one of the two writes a
   * line that the other reads or writes. Infinity if there is none.
   */
  conflict(other: Transaction): number {
    let first = Infinity;
    for (const [line, time] of this.#writes)
      if (time < other.end && time < first && (other.#writes.has(line) || other.#reads.has(line)))
        first = time;
    for (const [line, time] of this.#reads)
      if (time < other.end && time < first && other.#writes.has(line)) first = time;
    return first;
  }

  /** Memory is again as it was at `begin`. */
  rollBack(memory: Int32Array): void {
    let at = 0;
    for (const line of this.#writes.keys()) {
      memory.set(this.#undo.subarray(at, at + WORDS_PER_LINE), line * WORDS_PER_LINE);
      at += WORDS_PER_LINE;
    }
    this.begin();
    this.end = 0;
  }
}
