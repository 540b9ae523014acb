/**
 * The doorbell controller: how the cores of a machine interrupt one another.
 *
 * Each core has one 64-byte line of shared memory, so that all that a signal touches moves between two cores as one
 * cache line:
 *
 *   word 0      pending: one bit for each interrupt line, 0 to 31
 *   word 1      enabled: the lines that are not masked
 *   word 2      parked: not 0 while the core sleeps and must be woken
 *   words 4-15  flags that software on the ringing side may set before it rings, as the mailboxes of Arm's
 *               message-handling units; what they mean is none of the machine's business (coordination/signals.ts)
 *
 * What must hold, or a wake-up is lost: a sender sets `pending` before it reads `parked`; a core sets `parked` before
 * it sleeps, and sleeps only while `pending` still is what it has seen (`Atomics.wait` compares and sleeps in one).
 */
export const LINE_WORDS = 16;
export const LINE_BYTES = 64;
/** Interrupt lines of a core. */
export const INTERRUPT_LINES = 32;
/** First and number of the words that software may use. */
export const MAILBOX_WORD = 4;
export const MAILBOX_WORDS = 12;

const PENDING = 0;
const ENABLED = 1;
const PARKED = 2;

/** The controller of one machine. `base`: byte offset of core 0's line. */
export class InterruptController {
  readonly words: Int32Array;

  constructor(
    memory: SharedArrayBuffer,
    readonly base: number,
    readonly cores: number,
  ) {
    this.words = new Int32Array(memory, base);
  }

  /** Makes `line` pending on a core, and wakes the core if it sleeps. At most one event: rings merge. */
  ring(core: number, line: number): void {
    const word = core * LINE_WORDS;
    Atomics.or(this.words, word + PENDING, 1 << line);
    if (Atomics.load(this.words, word + PARKED) !== 0) Atomics.notify(this.words, word + PENDING);
  }

  mask(core: number, line: number, masked: boolean): void {
    const word = core * LINE_WORDS;
    if (masked) {
      Atomics.and(this.words, word + ENABLED, ~(1 << line));
    } else {
      Atomics.or(this.words, word + ENABLED, 1 << line);
      if (Atomics.load(this.words, word + PARKED) !== 0) Atomics.notify(this.words, word + PENDING);
    }
  }

  /** Index in `words` of a core's pending word; the enabled word follows it. For polling without a call. */
  pendingIndex(core: number): number {
    return core * LINE_WORDS + PENDING;
  }

  /** Takes the lowest line that is pending and enabled; -1 if there is none. */
  take(core: number): number {
    const word = core * LINE_WORDS;
    const ready = Atomics.load(this.words, word + PENDING) & Atomics.load(this.words, word + ENABLED);
    if (ready === 0) return -1;
    const line = 31 - Math.clz32(ready & -ready);
    Atomics.and(this.words, word + PENDING, ~(1 << line));
    return line;
  }

  /** Sleeps until a line is rung that was not pending before, or `milliseconds` have passed. Burns no CPU. */
  park(core: number, milliseconds: number): void {
    const word = core * LINE_WORDS;
    Atomics.store(this.words, word + PARKED, 1);
    const pending = Atomics.load(this.words, word + PENDING);
    if ((pending & Atomics.load(this.words, word + ENABLED)) === 0) {
      Atomics.wait(this.words, word + PENDING, pending, milliseconds);
    }
    Atomics.store(this.words, word + PARKED, 0);
  }

  /** Index in `words` of a core's first mailbox word. */
  mailboxIndex(core: number): number {
    return core * LINE_WORDS + MAILBOX_WORD;
  }

  /** Whether anything is pending and enabled on any core. */
  anythingPending(): boolean {
    for (let core = 0; core < this.cores; core++) {
      const word = core * LINE_WORDS;
      if ((Atomics.load(this.words, word + PENDING) & Atomics.load(this.words, word + ENABLED)) !== 0)
        return true;
    }
    return false;
  }
}
