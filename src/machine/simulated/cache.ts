/** Which lines a cache holds: set-associative, the least recently used line of a set goes first. */
export class Cache {
  /** Line numbers, most recently used first in each set; -1 is empty. Made for the first line: most caches of a large machine stay empty. */
  #lines = new Int32Array(0);
  readonly #ways: number;
  readonly #setMask: number;

  /** The number of sets is the power of two nearest below what the size gives. */
  constructor(sizeBytes: number, lineBytes: number, ways: number) {
    const sets = 2 ** Math.max(0, Math.floor(Math.log2(sizeBytes / lineBytes / ways)));
    this.#ways = ways;
    this.#setMask = sets - 1;
  }

  /** Whether the line is there; makes it the most recently used. */
  touch(line: number): boolean {
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    if (lines[first] === line) return true;
    for (let at = first + 1; at < first + this.#ways; at++) {
      if (lines[at] !== line) continue;
      for (let to = at; to > first; to--) lines[to] = lines[to - 1];
      lines[first] = line;
      return true;
    }
    return false;
  }

  /** Puts in a line that is not there. Returns the line that had to go, or -1. */
  insert(line: number): number {
    if (this.#lines.length === 0) this.#lines = new Int32Array((this.#setMask + 1) * this.#ways).fill(-1);
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    const last = first + this.#ways - 1;
    const evicted = lines[last];
    for (let to = last; to > first; to--) lines[to] = lines[to - 1];
    lines[first] = line;
    return evicted;
  }

  remove(line: number): void {
    const lines = this.#lines;
    const first = (line & this.#setMask) * this.#ways;
    const end = first + this.#ways;
    for (let at = first; at < end; at++) {
      if (lines[at] !== line) continue;
      lines.copyWithin(at, at + 1, end);
      lines[end - 1] = -1;
      return;
    }
  }
}
