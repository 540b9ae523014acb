/**
 * Which lines a machine's caches hold: set-associative, the least recently used line of a set goes first. All are in one
 * array, since a simulation goes from cache to cache all the time.
 */
import { SharedArrays } from './shared-arrays.js';

export class Caches {
  /** Line numbers plus one, most recently used first in each set; 0 is empty. */
  readonly #lines: Int32Array;
  /**
   * By cache: where its first set is, how far apart its sets are, and how many there are, less one. Where caches have equally
   * many sets, those of one number lie together: cores do alike, so that these are what is needed next.
   */
  readonly #begins: Int32Array;
  readonly #strides: Int32Array;
  readonly #setMasks: Int32Array;

  /** `lines`: of each cache, roughly: the number of sets is the power of two nearest below what that gives. */
  constructor(
    lines: readonly number[],
    private readonly ways: number,
    arrays = new SharedArrays(),
  ) {
    const sets = lines.map((count) => 2 ** Math.max(0, Math.floor(Math.log2(count / ways))));
    this.#begins = new Int32Array(sets.length);
    this.#strides = new Int32Array(sets.length);
    this.#setMasks = Int32Array.from(sets, (count) => count - 1);
    let end = 0;
    for (const count of new Set(sets)) {
      const alike = sets.flatMap((other, cache) => (other === count ? [cache] : []));
      alike.forEach((cache, index) => {
        this.#begins[cache] = end + index * ways;
        this.#strides[cache] = alike.length * ways;
      });
      end += alike.length * count * ways;
    }
    this.#lines = arrays.int32(end);
  }

  /** Whether the line is in a cache; makes it the most recently used. */
  touch(cache: number, line: number): boolean {
    const lines = this.#lines;
    const first = this.#setOf(cache, line);
    const entry = line + 1;
    if (lines[first] === entry) return true;
    for (let at = first + 1; at < first + this.ways; at++) {
      if (lines[at] !== entry) continue;
      for (let to = at; to > first; to--) lines[to] = lines[to - 1];
      lines[first] = entry;
      return true;
    }
    return false;
  }

  /** Puts in a line that is not there. Returns the line that had to go, or -1. */
  insert(cache: number, line: number): number {
    const lines = this.#lines;
    const first = this.#setOf(cache, line);
    const last = first + this.ways - 1;
    const evicted = lines[last] - 1;
    for (let to = last; to > first; to--) lines[to] = lines[to - 1];
    lines[first] = line + 1;
    return evicted;
  }

  remove(cache: number, line: number): void {
    const lines = this.#lines;
    const first = this.#setOf(cache, line);
    const end = first + this.ways;
    for (let at = first; at < end; at++) {
      if (lines[at] !== line + 1) continue;
      for (let to = at + 1; to < end; to++) lines[to - 1] = lines[to];
      lines[end - 1] = 0;
      return;
    }
  }

  #setOf(cache: number, line: number): number {
    return this.#begins[cache] + (line & this.#setMasks[cache]) * this.#strides[cache];
  }
}
