/** Which lines a cache holds: set-associative, the least recently used line of a set goes first. */
import { SharedArrays } from './shared-arrays.js';

export class Cache {
  /** Line numbers plus one, most recently used first in each set; 0 is empty. */
  readonly #lines: Int32Array;
  readonly #ways: number;
  readonly #setMask: number;

  /** The number of sets is the power of two nearest below what the size gives. */
  constructor(sizeBytes: number, lineBytes: number, ways: number, arrays = new SharedArrays()) {
    const sets = 2 ** Math.max(0, Math.floor(Math.log2(sizeBytes / lineBytes / ways)));
    this.#ways = ways;
    this.#setMask = sets - 1;
    this.#lines = arrays.int32(sets * ways);
  }

  /** Whether the line is there; makes it the most recently used. */
  touch(line: number): boolean {
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    const entry = line + 1;
    if (lines[first] === entry) return true;
    for (let at = first + 1; at < first + this.#ways; at++) {
      if (lines[at] !== entry) continue;
      for (let to = at; to > first; to--) lines[to] = lines[to - 1];
      lines[first] = entry;
      return true;
    }
    return false;
  }

  /** Puts in a line that is not there. Returns the line that had to go, or -1. */
  insert(line: number): number {
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    const last = first + this.#ways - 1;
    const evicted = lines[last] - 1;
    for (let to = last; to > first; to--) lines[to] = lines[to - 1];
    lines[first] = line + 1;
    return evicted;
  }

  remove(line: number): void {
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    const end = first + this.#ways;
    for (let at = first; at < end; at++) {
      if (lines[at] !== line + 1) continue;
      lines.copyWithin(at, at + 1, end);
      lines[end - 1] = 0;
      return;
    }
  }
}
