/**
 * A ring: messages from one producer to one consumer through shared memory, without the kernel.
 *
 * The memory is an array of 64-byte lines. The last word of a line is its header, the 15 others are data; a message
 * takes one line, or several in a row where it is longer. There is no shared index: who waits for a message polls the
 * header of the line that it will come in, so that a message of one line costs the transfer of one line.
 *
 *   line 0   how many lines the consumer has given back. Written by the consumer, seldom; read by the producer when
 *            it has used up what it knew of, or begins a batch
 *   line 2   the producer's own: how many lines it has published
 *   line 3   the consumer's own: how many lines it has taken, and where the batch that it is in ends
 *   line 4…  the lines of messages, a power of two. Line n of all that are ever sent is in the place n modulo that
 *
 * A header says: the lap in which its line was written (n divided by the number of lines, modulo 64); how many lines
 * the batch has that begins here, 0 where none begins; and how many words the message has that begins here.
 *
 * Messages are published in **batches**. All is written by plain stores but the header of a batch's first line, which
 * is stored last and atomically; the consumer reads that one atomically, and the rest only when it has seen it. What
 * must hold, on every processor and under the memory model of ECMAScript and WebAssembly ("happens-before", an atomic
 * store synchronizes with the atomic load that reads it):
 *
 * - What the producer wrote to a batch's lines happens before the consumer reads them, by the header of the first.
 * - What the consumer read happens before the lines are written again, by the count in line 0.
 * - A line is written when the consumer has given it back, so that its header is either of the lap before or of this
 *   one: the lap tells them apart. No line that is not part of a published batch is read, but by that atomic load.
 *
 * So there is no data race, and then all is as if sequentially consistent. test/coordination/ring-model.test.ts
 * checks it on this code, for all interleavings.
 *
 * **Neither side trusts the other.** Numbers from shared memory are bounded before use. A peer that breaks the rules
 * can lose or garble messages of this ring and make the other side throw a {@link RingError}, and no more.
 *
 * **Either side may die and come back**, alone and at any moment, while the other goes on and notices nothing: its
 * successor is made over the same memory once it can no longer run. What was published and not yet received is
 * neither lost nor doubled. A batch that was not published is lost with the producer; the message that was received
 * last is its receiver's. Memory of zeros is a new ring.
 */

import { typedArrayAccessor } from './typed-array.js';

const LINE_WORDS = 16;
const HEADER = LINE_WORDS - 1;
const DATA_WORDS = HEADER;
const LAST_WORD = DATA_WORDS - 1;

const GIVEN_BACK = 0;
const PUBLISHED = 2 * LINE_WORDS;
const TAKEN = 3 * LINE_WORDS;
const BATCH_END = TAKEN + 1;
const CONTROL_LINES = 4;

/** A header, from its lowest bit: words of the message (14 bits), lines of the batch (12), lap (6). */
const WORDS_MASK = (1 << 14) - 1;
const BATCH_SHIFT = 14;
const BATCH_MASK = (1 << 12) - 1;
const LAP_SHIFT = 26;
/** With 2^20 lines, 64 MiB, and fewer, 2^32 is so many laps that their numbers go on where counts of lines wrap. */
const MOST_LINES_SHIFT = 20;

/**
 * From so many lines on a batch is published, where the ring has four times as many. An atomic store waits until all
 * stores before it have left for the cache, so that one a message would cost a line's transfer.
 */
const BATCH_LINES = 64;

/** The words of a line that carry data: the longest message of one line. */
export const LINE_DATA_WORDS = DATA_WORDS;
/**
 * Where the control lines are, for others. Here the constants above are used: what a module exports is a variable to V8, to be
 * loaded and checked at each use.
 */
export const RingWords = { GIVEN_BACK, PUBLISHED, TAKEN } as const;

/** What a message is in. */
export type Words = Int32Array | Uint32Array;

/** What the other side left in the ring's memory cannot be. */
export class RingError extends Error {
  override readonly name = 'RingError';
}

/** What both sides know: the place of each line. Counts of lines go on for ever, as integers modulo 2^32. */
abstract class RingEnd {
  /** How many lines messages may take at a time. */
  readonly capacity: number;
  /** The longest message, in words. */
  readonly longest: number;
  protected readonly base: number;
  private readonly mask: number;
  private readonly lapShift: number;

  /**
   * @param words shared memory. @param start index of the ring's first word, at a multiple of 64 bytes.
   * @param length words of the ring: some of its end may go unused.
   * @throws RangeError where there is no room for a line.
   */
  constructor(
    protected readonly words: Int32Array,
    protected readonly start: number,
    length: number,
  ) {
    const lines = Math.floor(length / LINE_WORDS) - CONTROL_LINES;
    if (lines < 1 || start < 0 || start + length > words.length) {
      throw new RangeError(`a ring needs at least ${(CONTROL_LINES + 1) * LINE_WORDS} words of memory`);
    }
    this.base = start + CONTROL_LINES * LINE_WORDS;
    this.lapShift = Math.min(31 - Math.clz32(lines), MOST_LINES_SHIFT);
    this.capacity = 1 << this.lapShift;
    this.longest = Math.min(this.capacity * DATA_WORDS, WORDS_MASK);
    this.mask = this.capacity - 1;
  }

  /** Index of the first word of line `count`. */
  protected place(count: number): number {
    return this.base + (count & this.mask) * LINE_WORDS;
  }

  /** The lap of line `count`, where headers have it. */
  protected lap(count: number): number {
    return (count >>> this.lapShift) << LAP_SHIFT;
  }
}

export class RingProducer extends RingEnd {
  /** Lines written, and how many of them are published: a batch is between the two. */
  protected written: number;
  protected published: number;
  /** Words of the first message of that batch. */
  private firstLength = 0;
  /** Lines that the consumer is known to have given back. */
  private givenBack: number;
  private readonly batchLines: number;
  /** Up to that line those of the batch that has begun are written without looking at anything. */
  private clear: number;

  constructor(words: Int32Array, start: number, length: number) {
    super(words, start, length);
    this.batchLines = Math.max(1, Math.min(BATCH_LINES, this.capacity >> 2));
    let published = words[start + PUBLISHED];
    // A predecessor may have died between publishing a batch and counting it.
    const header = Atomics.load(words, this.place(published) + HEADER);
    if (isOfLap(header, this.lap(published))) published = (published + batchOf(header)) | 0;
    this.written = this.published = this.clear = published;
    this.givenBack = this.loadGivenBack();
  }

  /**
   * Sends `length` words of `message`, or nothing and returns false where the ring is too full; room comes as the
   * consumer receives.
   *
   * The message is published at once. With `more` that may be put off until a batch is full, or to the next `flush`
   * or `send` without `more`: to be used where another message follows at once. A consumer that is known to wait gets
   * its message at once all the same.
   * @throws RangeError where the message is longer than {@link longest}. @throws RingError
   */
  send(message: Words, length: number = message.length, more = false): boolean {
    if (length !== length >>> 0 || length > this.longest || length > message.length) {
      throw new RangeError(`a message of this ring has 0 to ${this.longest} words, not ${length}`);
    }
    const { written } = this;
    if (!more || length > DATA_WORDS || written === this.clear) return this.sendSlowly(message, length, more);
    const place = this.place(written);
    this.words[place + HEADER] = this.lap(written) | length;
    copy(this.words, place, message, 0, length);
    this.written = (written + 1) | 0;
    return true;
  }

  private sendSlowly(message: Words, length: number, more: boolean): boolean {
    const lines = length <= DATA_WORDS ? 1 : Math.ceil(length / DATA_WORDS);
    if (this.room() < lines && !this.findRoom(lines)) return false;
    const { words } = this;
    let place = this.place(this.written);
    const lap = this.lap(this.written);
    if (this.written === this.published) {
      this.firstLength = length;
      // To begin a batch is the time to look whether anybody waits for it.
      if (more && this.givenBack !== this.published) this.readGivenBack();
      more &&= this.givenBack !== this.published;
    } else {
      words[place + HEADER] = lap | length;
    }
    copy(words, place, message, 0, Math.min(length, DATA_WORDS));
    for (let line = 1, from = DATA_WORDS; line < lines; line++, from += DATA_WORDS) {
      const count = (this.written + line) | 0;
      place = this.place(count);
      words[place + HEADER] = this.lap(count);
      copy(words, place, message, from, Math.min(length - from, DATA_WORDS));
    }
    this.written = (this.written + lines) | 0;
    const left = this.batchLines - ((this.written - this.published) | 0);
    if (!more || left <= 0) this.flush();
    else this.clear = (this.written + Math.min(left - 1, this.room())) | 0;
    return true;
  }

  /** Publishes what was sent with `more`. */
  flush(): void {
    const { published, written } = this;
    const lines = (written - published) | 0;
    if (lines === 0) return;
    const header = this.lap(published) | (lines << BATCH_SHIFT) | this.firstLength;
    Atomics.store(this.words, this.place(published) + HEADER, header);
    this.words[this.start + PUBLISHED] = this.published = this.clear = written;
  }

  private room(): number {
    return this.capacity - ((this.written - this.givenBack) | 0);
  }

  /** The consumer cannot give back what it has not seen. */
  private findRoom(lines: number): boolean {
    this.flush();
    this.readGivenBack();
    return this.room() >= lines;
  }

  protected readGivenBack(): void {
    this.givenBack = this.loadGivenBack();
  }

  private loadGivenBack(): number {
    const givenBack = Atomics.load(this.words, this.start + GIVEN_BACK);
    if ((this.published - givenBack) >>> 0 > this.capacity) {
      throw new RingError('the ring is corrupt: its consumer gives back lines that were not sent');
    }
    return givenBack;
  }
}

export class RingConsumer extends RingEnd {
  protected taken: number;
  private batchEnd: number;
  private givenBack: number;
  /** How often `receive` has found nothing since the last batch. */
  private misses = 0;
  /** The words, two by two; null where they are no memory, as in a model of it. */
  private readonly pairs: BigUint64Array | null;
  /** What the last message went to, and that two by two: null where it cannot be, undefined where it was not yet tried. */
  private lastInto: Words | undefined = undefined;
  private lastPairs: BigUint64Array | null | undefined = undefined;

  /**
   * @param patience how often in a row `receive` may find nothing before the consumer counts as waiting. A thread that
   *   spins has some patience: to say that it waits moves a line to the producer, and ends its batches.
   */
  constructor(
    words: Int32Array,
    start: number,
    length: number,
    private readonly patience = 0,
  ) {
    super(words, start, length);
    this.pairs = start % 2 === 0 ? pairsOf(words) : null;
    this.taken = words[start + TAKEN];
    this.batchEnd = words[start + BATCH_END];
    // The producer can write there too.
    if ((this.batchEnd - this.taken) >>> 0 > this.capacity) this.batchEnd = this.taken;
    this.givenBack = Atomics.load(words, start + GIVEN_BACK);
  }

  /**
   * Takes the next message into `into`, from its first word on.
   * @returns its length in words; -1 where there is none.
   * @throws RangeError where it is longer than `into`; it stays. @throws RingError
   */
  receive(into: Words): number {
    const { words, taken } = this;
    if (taken === this.batchEnd && !this.beginBatch()) return this.nothing();
    const place = this.place(taken);
    const length = words[place + HEADER] & WORDS_MASK;
    if (length > into.length) {
      this.linesOf(taken, length);
      throw new RangeError(`the next message has ${length} words, and there is room for ${into.length}`);
    }
    if (length > DATA_WORDS) {
      this.taken = (taken + this.readLines(taken, into, length)) | 0;
    } else {
      this.readLine(place, into, length);
      this.taken = (taken + 1) | 0;
    }
    words[this.start + TAKEN] = this.taken;
    if (((this.taken - this.givenBack) | 0) * 4 >= this.capacity) this.giveBack();
    return length;
  }

  /** Whether a batch has come. */
  private beginBatch(): boolean {
    const { words, taken } = this;
    const header = Atomics.load(words, this.place(taken) + HEADER);
    if (!isOfLap(header, this.lap(taken))) return false;
    const lines = batchOf(header);
    if (lines > this.capacity)
      throw new RingError('the ring is corrupt: its producer wrote a batch of more lines than it has');
    this.misses = 0;
    this.batchEnd = (taken + lines) | 0;
    words[this.start + BATCH_END] = this.batchEnd;
    return true;
  }

  private readLine(place: number, into: Words, length: number): void {
    const pairs = length < DATA_WORDS ? null : this.pairsOfSame(into);
    if (pairs === null) return copy(into, 0, this.words, place, length);
    copyPairs(pairs, 0, this.pairs!, place >> 1);
    into[LAST_WORD] = this.words[place + LAST_WORD];
  }

  /**
   * An array's words two by two, so that a line is copied in half of the time; null unless the message before went to the
   * same array: to look at an array so takes as long as some messages.
   *
   * A producer copies word by word: its words have just been written one by one, and to load two at once waits until both have
   * left the store buffer, behind lines that another core has.
   */
  private pairsOfSame(into: Words): BigUint64Array | null {
    if (into !== this.lastInto) {
      this.lastInto = into;
      this.lastPairs = undefined;
      return null;
    }
    if (this.lastPairs === undefined) this.lastPairs = this.pairs === null ? null : pairsOf(into);
    return this.lastPairs;
  }

  /** A message of several lines, the first of which is `taken`. Returns how many. */
  private readLines(taken: number, into: Words, length: number): number {
    const lines = this.linesOf(taken, length);
    for (let line = 0, to = 0; line < lines; line++, to += DATA_WORDS) {
      copy(into, to, this.words, this.place((taken + line) | 0), Math.min(length - to, DATA_WORDS));
    }
    return lines;
  }

  /** @throws RingError where a message that begins with line `taken` cannot be so long. */
  private linesOf(taken: number, length: number): number {
    const lines = Math.ceil(length / DATA_WORDS);
    if (lines > ((this.batchEnd - taken) | 0)) {
      throw new RingError('the ring is corrupt: its producer wrote a message that goes beyond its batch');
    }
    return lines;
  }

  private nothing(): number {
    if (this.givenBack !== this.taken && this.misses++ >= this.patience) this.giveBack();
    return -1;
  }

  protected giveBack(): void {
    this.givenBack = this.taken;
    Atomics.store(this.words, this.start + GIVEN_BACK, this.taken);
  }
}

/** Whether a batch of that lap begins here. */
function isOfLap(header: number, lap: number): boolean {
  return (header ^ lap) >>> LAP_SHIFT === 0 && batchOf(header) !== 0;
}

function batchOf(header: number): number {
  return (header >>> BATCH_SHIFT) & BATCH_MASK;
}

function copy(to: Words, at: number, from: Words, start: number, count: number): void {
  if (count === DATA_WORDS) copyLine(to, at, from, start);
  else for (let word = 0; word < count; word++) to[at + word] = from[start + word];
}

/** V8 does not unroll loops: so a line takes a quarter of the time. */
function copyLine(to: Words, at: number, from: Words, start: number): void {
  to[at] = from[start];
  to[at + 1] = from[start + 1];
  to[at + 2] = from[start + 2];
  to[at + 3] = from[start + 3];
  to[at + 4] = from[start + 4];
  to[at + 5] = from[start + 5];
  to[at + 6] = from[start + 6];
  to[at + 7] = from[start + 7];
  to[at + 8] = from[start + 8];
  to[at + 9] = from[start + 9];
  to[at + 10] = from[start + 10];
  to[at + 11] = from[start + 11];
  to[at + 12] = from[start + 12];
  to[at + 13] = from[start + 13];
  to[at + 14] = from[start + 14];
}

/** All of a line but its last word of data and its header. */
function copyPairs(to: BigUint64Array, at: number, from: BigUint64Array, start: number): void {
  to[at] = from[start];
  to[at + 1] = from[start + 1];
  to[at + 2] = from[start + 2];
  to[at + 3] = from[start + 3];
  to[at + 4] = from[start + 4];
  to[at + 5] = from[start + 5];
  to[at + 6] = from[start + 6];
}

// A message is in an array of the program's, whose buffer may be all of physical memory.
const bufferOf = typedArrayAccessor<ArrayBufferLike>('buffer');
const byteOffsetOf = typedArrayAccessor<number>('byteOffset');
const lengthOf = typedArrayAccessor<number>('length');

/** What it returns must not get into a program's hands. */
function pairsOf(words: Words): BigUint64Array | null {
  if (!ArrayBuffer.isView(words)) return null;
  const offset = byteOffsetOf(words);
  return offset % 8 !== 0 ? null : new BigUint64Array(bufferOf(words), offset, lengthOf(words) >> 1);
}
