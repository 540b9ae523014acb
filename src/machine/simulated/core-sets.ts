/** A set of cores for each line. Most are empty or have one member; only for others there is a bit vector. */
const EMPTY = -1;

export class CoreSets {
  /** {@link EMPTY}, or the one member as {@link single}, or where the line's vector is, in vectors. */
  readonly #sets: Int32Array;
  #bits: Int32Array;
  /** Of a vector. */
  readonly #words: number;
  #used = 0;
  /** Vectors that were given back, all zero. */
  readonly #free: number[] = [];

  constructor(lines: number, cores: number) {
    this.#sets = new Int32Array(lines).fill(EMPTY);
    this.#words = Math.ceil(cores / 32);
    this.#bits = new Int32Array(64 * this.#words);
  }

  isEmpty(line: number): boolean {
    return this.#sets[line] === EMPTY;
  }

  has(line: number, core: number): boolean {
    const set = this.#sets[line];
    return set < 0 ? set === single(core) : (this.#bits[this.#word(set, core)] & (1 << (core & 31))) !== 0;
  }

  /** False where nobody but the core can be in the set. */
  hasOther(line: number, core: number): boolean {
    const set = this.#sets[line];
    return set !== EMPTY && set !== single(core);
  }

  add(line: number, core: number): void {
    let set = this.#sets[line];
    if (set === EMPTY) this.#sets[line] = single(core);
    if (set === EMPTY || set === single(core)) return;
    if (set < 0) {
      const first = single(set);
      set = this.#sets[line] = this.#allocate();
      this.#bits[this.#word(set, first)] |= 1 << (first & 31);
    }
    this.#bits[this.#word(set, core)] |= 1 << (core & 31);
  }

  delete(line: number, core: number): void {
    const set = this.#sets[line];
    if (set === single(core)) this.#sets[line] = EMPTY;
    if (set < 0) return;
    this.#bits[this.#word(set, core)] &= ~(1 << (core & 31));
    if (this.next(line, 0) < 0) this.clear(line);
  }

  clear(line: number): void {
    const set = this.#sets[line];
    this.#sets[line] = EMPTY;
    if (set < 0) return;
    this.#bits.fill(0, set * this.#words, (set + 1) * this.#words);
    this.#free.push(set);
  }

  /** The lowest member from `core` on, or -1. */
  next(line: number, core: number): number {
    const set = this.#sets[line];
    if (set === EMPTY) return -1;
    if (set < 0) return single(set) >= core ? single(set) : -1;
    const first = set * this.#words;
    for (let word = core >>> 5, mask = -1 << (core & 31); word < this.#words; word++, mask = -1) {
      const bits = this.#bits[first + word] & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  #word(vector: number, core: number): number {
    return vector * this.#words + (core >>> 5);
  }

  #allocate(): number {
    const again = this.#free.pop();
    if (again !== undefined) return again;
    const vector = this.#used++;
    if ((vector + 1) * this.#words > this.#bits.length) {
      const longer = new Int32Array(2 * this.#bits.length);
      longer.set(this.#bits);
      this.#bits = longer;
    }
    return vector;
  }
}

/** A core as a set of its own, below {@link EMPTY}; and back. */
function single(core: number): number {
  return -2 - core;
}
