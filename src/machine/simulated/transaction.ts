/** Hardware transactions: what each has read and written, how to undo it, and which are in each other's way. */
import { CoreSets, PER_LINE } from './core-sets.js';
import type { TransactionCosts } from './model.js';
import { SharedArrays } from './shared-arrays.js';

const WORDS_PER_LINE = 16;
const WORD_BITS = 2;
/** What a kernel entry reads and writes, words that it writes, and room for both: a power of two. */
const FEW_READS = 32;
const FEW_WRITES = 16;
const FEW_WORDS = 128;
const FEW_MARKS = 256;

/** For each core a list of numbers, of at most so many. */
class Lists {
  readonly sizes: Int32Array;
  /** Of each core the first `few`, which is all that most have, close together; and the others. */
  readonly #first: Int32Array;
  readonly #others: Int32Array;

  constructor(
    cores: number,
    private readonly few: number,
    private readonly capacity: number,
    arrays: SharedArrays,
  ) {
    this.sizes = arrays.int32(cores);
    this.#first = arrays.int32(cores * few);
    this.#others = arrays.int32(cores * capacity);
  }

  at(core: number, index: number): number {
    return index < this.few
      ? this.#first[core * this.few + index]
      : this.#others[core * this.capacity + index];
  }

  has(core: number, item: number): boolean {
    const size = this.sizes[core];
    for (let index = 0; index < size; index++) if (this.at(core, index) === item) return true;
    return false;
  }

  /** False if there is no room. */
  add(core: number, item: number): boolean {
    const size = this.sizes[core];
    if (size === this.capacity) return false;
    if (size < this.few) this.#first[core * this.few + size] = item;
    else this.#others[core * this.capacity + size] = item;
    this.sizes[core] = size + 1;
    return true;
  }
}

/** The lines that one transaction has used, and whether it has written them. */
class Marks {
  /** Hashed: lines, and beside each twice the transaction's number, plus one if it has written the line. */
  #lines = new Float64Array(2 * FEW_MARKS);
  #mask = FEW_MARKS - 1;
  #count = 0;
  #transaction = 0;

  /** Of the next transaction. */
  clear(): void {
    this.#transaction += 2;
    this.#count = 0;
  }

  has(line: number, write: boolean): boolean {
    const lines = this.#lines;
    const transaction = this.#transaction;
    for (let at = spread(line) & this.#mask; lines[2 * at + 1] >= transaction; at = (at + 1) & this.#mask)
      if (lines[2 * at] === line) return lines[2 * at + 1] > transaction || !write;
    return false;
  }

  add(line: number, write: boolean): void {
    if (2 * this.#count > this.#mask) this.#grow();
    const lines = this.#lines;
    let at = spread(line) & this.#mask;
    while (lines[2 * at + 1] >= this.#transaction && lines[2 * at] !== line) at = (at + 1) & this.#mask;
    if (lines[2 * at + 1] < this.#transaction) this.#count++;
    lines[2 * at] = line;
    lines[2 * at + 1] = this.#transaction + (write ? 1 : 0);
  }

  #grow(): void {
    const lines = this.#lines;
    const transaction = this.#transaction;
    this.#lines = new Float64Array(2 * lines.length);
    this.#mask = lines.length - 1;
    this.#count = 0;
    for (let at = 0; at < lines.length; at += 2)
      if (lines[at + 1] >= transaction) this.add(lines[at], lines[at + 1] > transaction);
  }
}

/** Lines that are used together have numbers that are close, or end alike. */
function spread(line: number): number {
  return line ^ (line >>> 7);
}

/** A transaction that has to be undone, and when that came to be. */
export interface Conflict {
  readonly core: number;
  at: number;
}

const NONE: readonly Conflict[] = [];

/**
 * The transactions of all cores. One runs at a time, from {@link begin} to {@link end}, and is over in virtual time when
 * its end has come: until then what others do can undo it.
 */
export class Transactions {
  /** By core: aborts of the kernel entry that is being tried. */
  readonly aborts: Int32Array;
  /** By core: until then another core's access can conflict with its transaction; 0 if that runs yet, or is undone. */
  readonly ends: Float64Array;
  /** Lines. */
  readonly #reads: Lists;
  readonly #writes: Lists;
  /** Words that were written, in this order, and beside each what it was. */
  readonly #undo: Lists;
  /** Who has written a line, and who has read it, in transactions some of which are over or undone. */
  readonly #writers: CoreSets;
  readonly #readers: CoreSets;
  /** Of the one that runs. */
  readonly #marks = new Marks();
  /** By core: which one in the order in which they ran the transaction is. */
  readonly #serial: Float64Array;
  readonly #ran: Float64Array;
  readonly #found: Conflict[] = [];

  /** `lines`: of memory. `words`: memory. `arrays`: see {@link SharedArrays}. */
  constructor(
    private readonly words: Int32Array,
    cores: number,
    { readLines, writeLines }: TransactionCosts,
    arrays = new SharedArrays(),
  ) {
    const lines = words.length / WORDS_PER_LINE;
    this.aborts = arrays.int32(cores);
    this.ends = arrays.float64(cores);
    this.#reads = new Lists(cores, FEW_READS, readLines, arrays);
    this.#writes = new Lists(cores, FEW_WRITES, writeLines, arrays);
    this.#undo = new Lists(cores, FEW_WORDS, 2 * WORDS_PER_LINE * writeLines, arrays);
    const sets = arrays.int32(PER_LINE * lines);
    this.#writers = new CoreSets(sets, 0, cores, arrays);
    this.#readers = new CoreSets(sets, 1, cores, arrays);
    this.#serial = arrays.float64(cores);
    this.#ran = arrays.float64(1);
  }

  begin(core: number): void {
    this.#marks.clear();
    this.#clear(core);
  }

  /** It has run. From now on, and until its end has come, it can be in the way of others. */
  end(core: number, time: number): void {
    this.ends[core] = time;
    this.#serial[core] = this.#ran[0]++;
    for (let index = 0; index < this.#writes.sizes[core]; index++)
      this.#writers.add(this.#writes.at(core, index), core);
    for (let index = 0; index < this.#reads.sizes[core]; index++)
      this.#readers.add(this.#reads.at(core, index), core);
  }

  /** Whether the one that runs has come to the line before, and to write if it is to be written. */
  has(line: number, write: boolean): boolean {
    return this.#marks.has(line, write);
  }

  /** Notes that it comes to a line for the first time. False if it has no room for that. */
  note(core: number, line: number, write: boolean): boolean {
    this.#marks.add(line, write);
    return (write ? this.#writes : this.#reads).add(core, line);
  }

  /** Keeps what is in memory where it is about to write. False if it has no room for that. */
  keep(core: number, address: number, size: number): boolean {
    const undo = this.#undo;
    const last = (address + size - 1) >>> WORD_BITS;
    for (let word = address >>> WORD_BITS; word <= last; word++)
      if (!undo.add(core, word) || !undo.add(core, this.words[word])) return false;
    return true;
  }

  /** Memory is again as it was at `begin`, but for words that others have written. */
  rollBack(core: number): void {
    const undo = this.#undo;
    for (let index = (undo.sizes[core] & ~1) - 2; index >= 0; index -= 2)
      this.words[undo.at(core, index)] = undo.at(core, index + 1);
    this.#clear(core);
  }

  #clear(core: number): void {
    this.ends[core] = 0;
    this.#reads.sizes[core] = 0;
    this.#writes.sizes[core] = 0;
    this.#undo.sizes[core] = 0;
  }

  /**
   * The other cores whose transactions had not ended at a time, the last that ran first, of those whose first access was to
   * a line: that of their lock.
   */
  inFlight(core: number, lock: number, at: number): number[] {
    const found: number[] = [];
    const { ends } = this;
    for (let other = 0; other < ends.length; other++)
      if (ends[other] > at && other !== core && this.#reads.at(other, 0) === lock) found.push(other);
    return found.sort((a, b) => this.#serial[b] - this.#serial[a]);
  }

  /**
   * The transactions that have to go when `core` comes to a line at a time, in the order in which they can be undone, the
   * last that ran first: those that had not ended then and have written the line, or read it if it is to be written; and
   * those that have used since what these wrote. None of them has written what `core`'s own has used before, or it would
   * have gone then.
   */
  conflicts(core: number, line: number, write: boolean, at: number): readonly Conflict[] {
    if (!this.#writers.hasOther(line, core) && !(write && this.#readers.hasOther(line, core))) return NONE;
    const found = this.#found;
    found.length = 0;
    this.#find(core, line, write, at, at);
    // Grows on the way.
    for (const undone of found) {
      const end = this.ends[undone.core];
      for (let index = 0; index < this.#writes.sizes[undone.core]; index++)
        this.#find(core, this.#writes.at(undone.core, index), true, end, undone.at);
    }
    return found.length < 2 ? found : found.sort((a, b) => this.#serial[b.core] - this.#serial[a.core]);
  }

  /** Finds who has written the line, or read it too, in a transaction that ended after `since`; not `core`. */
  #find(core: number, line: number, readers: boolean, since: number, at: number): void {
    this.#findIn(this.#writers, this.#writes, core, line, since, at);
    if (readers) this.#findIn(this.#readers, this.#reads, core, line, since, at);
  }

  #findIn(sets: CoreSets, lists: Lists, core: number, line: number, since: number, at: number): void {
    for (let other = sets.next(line, 0); other >= 0; other = sets.next(line, other + 1)) {
      if (other === core) continue;
      if (!lists.has(other, line)) sets.delete(line, other);
      else if (this.ends[other] > since) this.#note(other, at);
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
