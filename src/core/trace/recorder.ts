/**
 * What one core did and when, in memory that outlives its thread. The room is bounded: once it is used up, nothing more
 * is recorded but the ends of what has begun, and what is left out is counted.
 */
import { INTERRUPTS, SYSTEM_CALLS } from '../kernel.js';

/** What a record says; then its two numbers. */
export enum Recorded {
  /** A thread begins over this memory: whatever was open has ended. */
  Start = 1,
  /** The end of what began last and has not ended. */
  End = 2,
  /** A kernel entry: index in `ENTRIES`. */
  Kernel = 3,
  /** A handler of a program: the domain's index in the description, and 64 times its index in `HANDLERS`, plus the channel or child. */
  Handler = 4,
  /** A thread of the infrastructure that has been chosen to run: its handle. */
  Thread = 5,
  /** A message of a call between clusters is sent, or received: the index of its line, and its serial number. */
  MessageSent = 6,
  MessageReceived = 7,
  /** A core is interrupted, or takes an interrupt: the core, and the interrupt line. */
  Interrupted = 8,
  InterruptTaken = 9,
}

/** Kernel entries that are recorded. */
export const ENTRIES = [...SYSTEM_CALLS, ...INTERRUPTS] as const;

export const HANDLERS = ['init', 'notified', 'protected', 'fault'] as const;

/** Numbers of a record: kind, time, and two more. */
const RECORD = 4;
const USED = 0;
const DROPPED = 1;
const HEADER = 2;

export interface TraceRecord {
  readonly kind: Recorded;
  /** Nanoseconds. */
  readonly time: number;
  readonly a: number;
  readonly b: number;
}

/** Memory for so many records. */
export function traceMemory(records: number): SharedArrayBuffer {
  return new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT * (HEADER + RECORD * records));
}

export class TraceRecorder {
  readonly #numbers: Float64Array;
  readonly #most: number;
  #started = false;
  /** Begun and not ended; and how many of them were left out, which are the innermost. */
  #depth = 0;
  #omitted = 0;

  /** `now`: in nanoseconds. */
  constructor(
    memory: SharedArrayBuffer,
    private readonly now: () => number,
  ) {
    this.#numbers = new Float64Array(memory);
    this.#most = this.#numbers.length - RECORD;
    if (this.#numbers[USED] === 0) this.#numbers[USED] = HEADER;
  }

  /** What comes before is not recorded. */
  start(): void {
    this.#started = true;
    this.note(Recorded.Start, 0, 0);
  }

  /** Something begins, whose end is to come. */
  begin(kind: Recorded, a: number, b: number): void {
    if (!this.#started) return;
    if (this.#omitted === 0 && this.note(kind, a, b)) {
      this.#depth++;
      return;
    }
    // What has no room itself has been counted; what is in it is not tried.
    if (this.#omitted > 0) this.#numbers[DROPPED]++;
    this.#omitted++;
  }

  end(): void {
    if (!this.#started) return;
    if (this.#omitted > 0) this.#omitted--;
    else {
      this.#depth--;
      this.#write(Recorded.End, 0, 0);
    }
  }

  /** False where there is no room, for the ends of what has begun besides. */
  note(kind: Recorded, a: number, b: number): boolean {
    if (!this.#started) return true;
    if (this.#numbers[USED] + RECORD * (this.#depth + 1) > this.#most) {
      this.#numbers[DROPPED]++;
      return false;
    }
    this.#write(kind, a, b);
    return true;
  }

  #write(kind: Recorded, a: number, b: number): void {
    const numbers = this.#numbers;
    const at = numbers[USED];
    numbers[at] = kind;
    numbers[at + 1] = this.now();
    numbers[at + 2] = a;
    numbers[at + 3] = b;
    numbers[USED] = at + RECORD;
  }
}

/** What a recorder has written. `dropped`: how many records had no room. */
export function traceOf(memory: SharedArrayBuffer): {
  readonly records: Iterable<TraceRecord>;
  readonly dropped: number;
} {
  const numbers = new Float64Array(memory);
  return { records: recordsOf(numbers), dropped: numbers[DROPPED] };
}

function* recordsOf(numbers: Float64Array): Generator<TraceRecord> {
  for (let at = HEADER; at < numbers[USED]; at += RECORD)
    yield { kind: numbers[at], time: numbers[at + 1], a: numbers[at + 2], b: numbers[at + 3] };
}
