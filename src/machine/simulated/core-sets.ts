/** A set of cores for each line. Most are empty or have one member; only for others there is a bit vector. */
import { SharedArrays } from './shared-arrays.js';

const EMPTY = 0;
/** Words of a line: one of each kind. */
export const PER_LINE = 2;
/** Indices of counters. */
const USED = 0;
const FREE = 1;

export class CoreSets {
  /** {@link EMPTY}, or the one member plus one, or where the line's vector is, in vectors, as {@link vector}. */
  readonly #sets: Int32Array;
  readonly #bits: Int32Array;
  /** Of a vector. */
  readonly #words: number;
  /** Vectors that were given back, all zero. */
  readonly #free: Int32Array;
  /** How many vectors are or were in use, and how many were given back. */
  readonly #counts: Int32Array;

  /**
   * `sets`: zeroed, {@link PER_LINE} words a line: where sets of several kinds are asked for together, they lie together.
   * `kind`: which word of each line's this one is.
   */
  constructor(
    sets: Int32Array,
    private readonly kind: number,
    cores: number,
    arrays = new SharedArrays(),
  ) {
    const lines = sets.length / PER_LINE;
    this.#words = Math.ceil(cores / 32);
    this.#sets = sets;
    this.#bits = arrays.int32(lines * this.#words);
    this.#free = arrays.int32(lines);
    this.#counts = arrays.int32(2);
  }

  isEmpty(line: number): boolean {
    return this.#sets[this.#at(line)] === EMPTY;
  }

  has(line: number, core: number): boolean {
    const set = this.#sets[this.#at(line)];
    return set >= 0 ? set === core + 1 : (this.#bits[this.#word(set, core)] & (1 << (core & 31))) !== 0;
  }

  /** False where nobody but the core can be in the set. */
  hasOther(line: number, core: number): boolean {
    const set = this.#sets[this.#at(line)];
    return set !== EMPTY && set !== core + 1;
  }

  add(line: number, core: number): void {
    const at = this.#at(line);
    let set = this.#sets[at];
    if (set === EMPTY) this.#sets[at] = core + 1;
    if (set === EMPTY || set === core + 1) return;
    if (set > 0) {
      const first = set - 1;
      set = this.#sets[at] = vector(this.#allocate());
      this.#bits[this.#word(set, first)] |= 1 << (first & 31);
    }
    this.#bits[this.#word(set, core)] |= 1 << (core & 31);
  }

  delete(line: number, core: number): void {
    const at = this.#at(line);
    const set = this.#sets[at];
    if (set === core + 1) this.#sets[at] = EMPTY;
    if (set >= 0) return;
    this.#bits[this.#word(set, core)] &= ~(1 << (core & 31));
    if (this.next(line, 0) < 0) this.clear(line);
  }

  clear(line: number): void {
    const at = this.#at(line);
    const set = this.#sets[at];
    this.#sets[at] = EMPTY;
    if (set >= 0) return;
    const first = this.#word(set, 0);
    this.#bits.fill(0, first, first + this.#words);
    this.#free[this.#counts[FREE]++] = vector(set);
  }

  /** The lowest member from `core` on, or -1. */
  next(line: number, core: number): number {
    const set = this.#sets[this.#at(line)];
    if (set === EMPTY) return -1;
    if (set > 0) return set > core ? set - 1 : -1;
    const first = this.#word(set, 0);
    for (let word = core >>> 5, mask = -1 << (core & 31); word < this.#words; word++, mask = -1) {
      const bits = this.#bits[first + word] & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  #at(line: number): number {
    return PER_LINE * line + this.kind;
  }

  #word(set: number, core: number): number {
    return vector(set) * this.#words + (core >>> 5);
  }

  #allocate(): number {
    const counts = this.#counts;
    return counts[FREE] > 0 ? this.#free[--counts[FREE]] : counts[USED]++;
  }
}

/** A vector as a set, below {@link EMPTY}; and back. */
function vector(of: number): number {
  return -1 - of;
}
