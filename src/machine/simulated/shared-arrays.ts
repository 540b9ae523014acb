/**
 * Typed arrays over memory that threads can share, zeroed, and used by one thread at a time. The first thread makes them;
 * a thread that is given the first one's `buffers`, and asks for the same in the same order, finds the same memory.
 * Pages that nobody has touched cost nothing, so they may be as large as the worst case.
 */
export class SharedArrays {
  #taken = 0;

  constructor(readonly buffers: SharedArrayBuffer[] = []) {}

  int32(length: number): Int32Array {
    return new Int32Array(this.#next(length * Int32Array.BYTES_PER_ELEMENT));
  }

  float64(length: number): Float64Array {
    return new Float64Array(this.#next(length * Float64Array.BYTES_PER_ELEMENT));
  }

  #next(bytes: number): SharedArrayBuffer {
    return (this.buffers[this.#taken++] ??= new SharedArrayBuffer(bytes));
  }
}
