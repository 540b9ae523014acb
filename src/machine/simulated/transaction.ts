/** Hardware transactions: what each has read and written, how to undo it, and which are in each other's way. */
import { CoreSets } from './core-sets.js';
import type { TransactionCosts } from './model.js';

const WORDS_PER_LINE = 16;

/** Up to so many lines are searched one by one: what a kernel entry uses, and in one or two lines of the host's. */
const FEW = 24;

/** Some lines, in the order in which they were added, and when each was first there. */
class LineTimes {
  size = 0;
  #lines = new Int32Array(2 * FEW);
  #times = new Float64Array(2 * FEW);
  /** Where a line is in `#lines`, once there are many. */
  readonly #index = new Map<number, number>();

  line(index: number): number {
    return this.#lines[index];
  }

  time(index: number): number {
    return this.#times[index];
  }

  has(line: number): boolean {
    if (this.size > FEW) return this.#index.has(line);
    for (let index = this.size - 1; index >= 0; index--) if (this.#lines[index] === line) return true;
    return false;
  }

  /** False if it was there before. */
  add(line: number, time: number): boolean {
    if (this.has(line)) return false;
    if (this.size === this.#lines.length) this.#grow();
    const index = this.size++;
    this.#lines[index] = line;
    this.#times[index] = time;
    if (this.size === FEW + 1) for (let i = 0; i < FEW; i++) this.#index.set(this.#lines[i], i);
    if (this.size > FEW) this.#index.set(line, index);
    return true;
  }

  clear(): void {
    if (this.size > FEW) this.#index.clear();
    this.size = 0;
  }

  #grow(): void {
    const lines = new Int32Array(2 * this.size);
    const times = new Float64Array(2 * this.size);
    lines.set(this.#lines);
    times.set(this.#times);
    this.#lines = lines;
    this.#times = times;
  }
}

export class Transaction {
  /** Aborts of the kernel entry that is being tried. */
  aborts = 0;
  overflowed = false;
  readonly reads = new LineTimes();
  readonly writes = new LineTimes();
  #undo = new Int32Array(32 * WORDS_PER_LINE);

  /** `ends`: by core, when each one's transaction ends. */
  constructor(
    private readonly limits: TransactionCosts,
    private readonly ends: Float64Array,
    private readonly core: number,
  ) {}

  /** Until then another core's access can conflict with it; 0 once it is undone. */
  get end(): number {
    return this.ends[this.core];
  }

  set end(time: number) {
    this.ends[this.core] = time;
  }

  begin(): void {
    this.reads.clear();
    this.writes.clear();
    this.overflowed = false;
  }

  /** Whether it has come to the line before, and to write if it is to be written. */
  has(line: number, write: boolean): boolean {
    return (write ? this.writes : this.reads).has(line);
  }

  /** Notes an access; before the first write to a line, keeps what is in it. */
  note(line: number, write: boolean, now: number, memory: Int32Array): void {
    const { limits, reads, writes } = this;
    if (!(write ? writes : reads).add(line, now)) return;
    if (write) {
      const at = (writes.size - 1) * WORDS_PER_LINE;
      if (at === this.#undo.length) {
        const longer = new Int32Array(2 * at);
        longer.set(this.#undo);
        this.#undo = longer;
      }
      const from = line * WORDS_PER_LINE;
      for (let word = 0; word < WORDS_PER_LINE; word++) this.#undo[at + word] = memory[from + word];
    }
    this.overflowed ||= writes.size > limits.writeLines || reads.size > limits.readLines;
  }

  /** Memory is again as it was at `begin`. */
  rollBack(memory: Int32Array): void {
    for (let index = 0; index < this.writes.size; index++) {
      const at = index * WORDS_PER_LINE;
      const to = this.writes.line(index) * WORDS_PER_LINE;
      for (let word = 0; word < WORDS_PER_LINE; word++) memory[to + word] = this.#undo[at + word];
    }
    this.begin();
    this.end = 0;
  }
}

/** A transaction that has to be undone, and when that came to be. */
export interface Conflict {
  readonly core: number;
  at: number;
}

const NONE: readonly Conflict[] = [];

/** The transactions of all cores, by the lines that they use. */
export class Transactions {
  readonly of: readonly Transaction[];
  readonly #ends: Float64Array;
  /** Who has written a line, and who has read it, in transactions some of which are over or undone. */
  readonly #writers: CoreSets;
  readonly #readers: CoreSets;
  readonly #found: Conflict[] = [];
  /** By core: which one in the order in which they ran the transaction is. */
  readonly #serial: Float64Array;
  #ran = 0;

  /** `lines`: of memory. */
  constructor(cores: number, lines: number, limits: TransactionCosts) {
    this.#ends = new Float64Array(cores);
    this.of = Array.from({ length: cores }, (_, core) => new Transaction(limits, this.#ends, core));
    this.#serial = new Float64Array(cores);
    this.#writers = new CoreSets(lines, cores);
    this.#readers = new CoreSets(lines, cores);
  }

  /** From now on the core's transaction, which has run, can be in the way of others. */
  add(core: number): void {
    const { reads, writes } = this.of[core];
    this.#serial[core] = this.#ran++;
    for (let index = 0; index < writes.size; index++) this.#writers.add(writes.line(index), core);
    for (let index = 0; index < reads.size; index++) this.#readers.add(reads.line(index), core);
  }

  /** The other cores whose transactions had not ended at a time, the last that ran first. */
  inFlight(core: number, at: number): number[] {
    const found: number[] = [];
    for (let other = 0; other < this.of.length; other++)
      if (this.#ends[other] > at && other !== core) found.push(other);
    return found.sort((a, b) => this.#serial[b] - this.#serial[a]);
  }

  /**
   * The transactions that have to go when `core`'s comes to a line at a time, in the order in which they can be undone, the
   * last that ran first: those that had not ended then and have written the line, or read it if it is to be written; and
   * those that have used since what these wrote. None of them has written what `core`'s has used before, or it would have
   * gone then.
   */
  conflicts(core: number, line: number, write: boolean, at: number): readonly Conflict[] {
    if (!this.#writers.hasOther(line, core) && !(write && this.#readers.hasOther(line, core))) return NONE;
    const found = this.#found;
    found.length = 0;
    this.#find(core, line, write, at, at);
    // Grows on the way.
    for (const undone of found) {
      const { end, writes } = this.of[undone.core];
      for (let index = 0; index < writes.size; index++)
        this.#find(core, writes.line(index), true, end, undone.at);
    }
    return found.length < 2 ? found : found.sort((a, b) => this.#serial[b.core] - this.#serial[a.core]);
  }

  /** Finds who has written the line, or read it too, in a transaction that ended after `since`; not `core`. */
  #find(core: number, line: number, readers: boolean, since: number, at: number): void {
    const { of } = this;
    const ends = this.#ends;
    const writers = this.#writers;
    for (let other = writers.next(line, 0); other >= 0; other = writers.next(line, other + 1)) {
      if (other === core) continue;
      if (!of[other].writes.has(line)) writers.delete(line, other);
      else if (ends[other] > since) this.#note(other, at);
    }
    if (!readers) return;
    for (let other = this.#readers.next(line, 0); other >= 0; other = this.#readers.next(line, other + 1)) {
      if (other === core) continue;
      if (!of[other].reads.has(line)) this.#readers.delete(line, other);
      else if (ends[other] > since) this.#note(other, at);
    }
  }

  #note(core: number, at: number): void {
    for (const conflict of this.#found) {
      if (conflict.core !== core) continue;
      conflict.at = Math.min(conflict.at, at);
      return;
    }
    this.#found.push({ core, at });
  }
}
