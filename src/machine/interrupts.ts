/**
 * The doorbell controller: how the cores of a machine interrupt one another.
 *
 * Each core has one 64-byte line of shared memory, so that all that a signal touches moves between two cores as one
 * cache line:
 *
 *   word 0      pending: one bit for each interrupt line, 0 to 31
 *   words 1-12  mailboxes, as those of Arm's message-handling units: flags that software on the ringing side has
 *               raised; what they mean is none of the machine's business (coordination/signals.ts)
 *   word 13     enabled: the lines that are not masked
 *   word 14     parked: not 0 while the core sleeps and must be woken
 *
 * Each core has a second line of its own, its outbox: what it writes there goes out with the next interrupt that it
 * sends, just before it. So flag and interrupt reach the other core together, for one transfer of its line; raised
 * apart, the line would go to the other core and back in between.
 *
 *   word 0      how many flags are to be raised, 0 to 2
 *   words 1-2   where, as an index into the controller's words, and which
 *   words 3-4   the same of the second
 *
 * What must hold, or a wake-up is lost: a sender sets `pending` before it reads `parked`; a core sets `parked` before
 * it sleeps, and sleeps only while `pending` still is what it has seen (`Atomics.wait` compares and sleeps in one).
 */
export const LINE_WORDS = 16;
export const LINE_BYTES = 64;
/** First and number of the words that software may use. */
export const MAILBOX_WORD = 1;
export const MAILBOX_WORDS = 12;
/** Bytes of the controller for one core: its line and its outbox. */
export const CONTROLLER_BYTES = 2 * LINE_BYTES;
/** Words of an outbox that are used. */
export const OUTBOX_WORDS = 5;
/** From a core's pending word to the mask of the lines that are enabled. */
export const ENABLED = 13;

const PENDING = 0;
const PARKED = 14;

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

  /** Index in `words` of a core's pending word; the enabled word is `ENABLED` further on. For polling without a call. */
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

  /** Index in `words` of a core's outbox. */
  outboxIndex(core: number): number {
    return (this.cores + core) * LINE_WORDS;
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
