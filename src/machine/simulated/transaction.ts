/** Hardware transactions: what each has read and written, how to undo it, and which are in each other's way. */
import type { TransactionCosts } from './model.js';

const WORDS_PER_LINE = 16;

export class Transaction {
  /** Until then another core's access can conflict with it; 0 once it is undone. */
  end = 0;
  /** Aborts of the kernel entry that is being tried. */
  aborts = 0;
  overflowed = false;
  /** When each line was first there to be read, and to be written. */
  readonly reads = new Map<number, number>();
  readonly writes = new Map<number, number>();
  #undo = new Int32Array(32 * WORDS_PER_LINE);

  constructor(private readonly limits: TransactionCosts) {}

  begin(): void {
    this.reads.clear();
    this.writes.clear();
    this.overflowed = false;
  }

  /** Notes an access; before the first write to a line, keeps what is in it. */
  note(line: number, write: boolean, now: number, memory: Int32Array): void {
    const lines = write ? this.writes : this.reads;
    if (lines.has(line)) return;
    if (write) {
      const at = this.writes.size * WORDS_PER_LINE;
      if (at === this.#undo.length) {
        const longer = new Int32Array(2 * at);
        longer.set(this.#undo);
        this.#undo = longer;
      }
      const from = line * WORDS_PER_LINE;
      this.#undo.set(memory.subarray(from, from + WORDS_PER_LINE), at);
    }
    lines.set(line, now);
    this.overflowed ||= this.writes.size > this.limits.writeLines || this.reads.size > this.limits.readLines;
  }

  /** Memory is again as it was at `begin`. */
  rollBack(memory: Int32Array): void {
    let at = 0;
    for (const line of this.writes.keys()) {
      memory.set(this.#undo.subarray(at, at + WORDS_PER_LINE), line * WORDS_PER_LINE);
      at += WORDS_PER_LINE;
    }
    this.begin();
    this.end = 0;
  }
}

/** The transactions of all cores, by the lines that they use. */
export class Transactions {
  readonly of: readonly Transaction[];
  /** Who last wrote a line, and all who have read it, in transactions that may have ended since. */
  readonly #writer = new Map<number, number>();
  readonly #readers = new Map<number, Set<number>>();

  constructor(cores: number, limits: TransactionCosts) {
    this.of = Array.from({ length: cores }, () => new Transaction(limits));
  }

  /** From now on the core's transaction, which has run, can be in the way of others. */
  add(core: number): void {
    const { reads, writes } = this.of[core];
    for (const line of writes.keys()) this.#writer.set(line, core);
    for (const line of reads.keys()) {
      const readers = this.#readers.get(line);
      if (readers === undefined) this.#readers.set(line, new Set([core]));
      else readers.add(core);
    }
  }

  /**
   * The cores whose transactions `core`'s is in conflict with, and when: it came to a line before the other had ended,
   * and one of the two writes it.
   */
  conflicts(core: number): Map<number, number> {
    const found = new Map<number, number>();
    const { reads, writes } = this.of[core];
    const check = (other: number | undefined, line: number, time: number, kind: 'reads' | 'writes'): void => {
      if (other === undefined || other === core) return;
      const transaction = this.of[other];
      if (transaction.end <= time || !transaction[kind].has(line)) return;
      found.set(other, Math.min(time, found.get(other) ?? Infinity));
    };
    for (const [line, time] of writes) {
      check(this.#writer.get(line), line, time, 'writes');
      for (const reader of this.#readers.get(line) ?? []) check(reader, line, time, 'reads');
    }
    for (const [line, time] of reads) check(this.#writer.get(line), line, time, 'writes');
    return found;
  }
}
