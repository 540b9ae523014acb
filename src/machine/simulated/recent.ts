/**
 * The lines that a core has used in the stretch of code that it runs: nobody takes them from it before that ends, so they are
 * at hand once they are there, and what is done to them again need not be asked of the machine. Most accesses are such: so the
 * instrumented kernel looks here itself (kernel/instrument.mjs), for which this is in its memory. Of each line, at the place
 * that its number says:
 *
 *   word 0         four times the number, plus {@link LOADED} and {@link WRITTEN}, at least one of them; 0 if there is none
 *   words 2 and 3  when it is there, a float of 64 bits
 *
 * Behind the last stands a word that is not 0 while all stores must be reported.
 */
import { sharedLines } from '../shared-memory.js';

/** A power of two. */
const PLACES = 32;
const PLACE_WORDS = 4;
/** Bytes that it takes, in whole cache lines. */
export const RECENT_BYTES = PLACES * PLACE_WORDS * Int32Array.BYTES_PER_ELEMENT + 64;

/** It may be written. */
const WRITTEN = 1;
/** It has been loaded: who loads it again need not wait for it but by what comes of that. */
const LOADED = 2;

export class Recent {
  readonly #words: Int32Array;
  readonly #arrivals: Float64Array;

  /** `at`: where in the buffer it is, which is zeroed there. */
  constructor(buffer: SharedArrayBuffer = sharedLines(RECENT_BYTES), at = 0) {
    this.#words = new Int32Array(buffer, at, RECENT_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.#arrivals = new Float64Array(buffer, at, RECENT_BYTES / Float64Array.BYTES_PER_ELEMENT);
  }

  /** Whether the stretch has used the line, and to write if it is to be written. */
  has(line: number, write: boolean): boolean {
    const word = this.#words[wordOf(line)];
    return word >>> 2 === line && (write ? (word & WRITTEN) !== 0 : word !== 0);
  }

  /** When a line is there that {@link has} is true of. */
  arrivalOf(line: number): number {
    return this.#arrivals[(wordOf(line) >> 1) + 1];
  }

  /** The line is asked for, to load it or to write it, and there at that time. */
  use(line: number, write: boolean, there: number): void {
    const at = wordOf(line);
    const before = this.#words[at];
    const kept = before >>> 2 === line ? before & (LOADED | WRITTEN) : 0;
    this.#words[at] = (line << 2) | kept | (write ? WRITTEN : LOADED);
    this.#arrivals[(at >> 1) + 1] = there;
  }

  /** A line that {@link has} is true of is loaded. */
  load(line: number): void {
    this.#words[wordOf(line)] |= LOADED;
  }

  /** From now on the stretch counts as having used nothing. */
  forget(): void {
    for (let place = 0; place < PLACES; place++) this.#words[place * PLACE_WORDS] = 0;
  }

  /** Whether all stores must be reported, also those to lines that are at hand. */
  set reportsStores(all: boolean) {
    this.#words[PLACES * PLACE_WORDS] = all ? 1 : 0;
  }
}

/** Where the word of its place is. Lines whose numbers end alike are often used together. */
function wordOf(line: number): number {
  return ((line ^ (line >>> 5)) & (PLACES - 1)) * PLACE_WORDS;
}
