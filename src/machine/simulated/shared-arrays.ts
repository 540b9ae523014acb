/**
 * Typed arrays over memory that threads can share, zeroed, and used by one thread at a time. The first thread makes them;
 * a thread that is given the first one's `buffers`, and asks for the same in the same order, finds the same memory.
 * Pages that nobody has touched cost nothing, so they may be as large as the worst case.
 */

/** Small arrays are parts of one buffer: of these a machine has thousands. */
const BUFFER_BYTES = 1 << 20;
const SMALL_BYTES = BUFFER_BYTES >> 4;
const LINE_BYTES = 64;

export class SharedArrays {
  #taken = 0;
  /** The buffer that small arrays are parts of, and how much of it they take. */
  #shared: SharedArrayBuffer | undefined;
  #used = 0;

  constructor(readonly buffers: SharedArrayBuffer[] = []) {}

  int32(length: number): Int32Array {
    const bytes = length * Int32Array.BYTES_PER_ELEMENT;
    return new Int32Array(this.#next(bytes), this.#place(bytes), length);
  }

  float64(length: number): Float64Array {
    const bytes = length * Float64Array.BYTES_PER_ELEMENT;
    return new Float64Array(this.#next(bytes), this.#place(bytes), length);
  }

  /** The buffer of the next array. */
  #next(bytes: number): SharedArrayBuffer {
    if (bytes > SMALL_BYTES) return this.#make(bytes);
    if (this.#shared === undefined || this.#used + bytes > BUFFER_BYTES) {
      this.#shared = this.#make(BUFFER_BYTES);
      this.#used = 0;
    }
    return this.#shared;
  }

  /** Where in that it begins: with a line of the host's. */
  #place(bytes: number): number {
    if (bytes > SMALL_BYTES) return 0;
    const place = this.#used;
    this.#used += Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
    return place;
  }

  #make(bytes: number): SharedArrayBuffer {
    return (this.buffers[this.#taken++] ??= new SharedArrayBuffer(bytes));
  }
}
