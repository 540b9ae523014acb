/**
 * The doorbell controller: how the cores of a machine interrupt one another.
 *
 * A core has interrupt lines of two kinds, as on Arm: a few are doorbells that others ring to send it something, lines
 * `FIRST_DOORBELL` to `LAST_DOORBELL`; the others share one word. All that a signal touches moves between two cores as
 * one cache line, and a core writes to what others poll or ring only where it must:
 *
 * - A doorbell is one 64-byte line of shared memory. Word 1 counts how often it rang; a core that has *seen* another
 *   count than stands there has an interrupt. The core never writes to the line, so it need not be fetched back. The
 *   other words go out with the ring, as the data of Arm's message-handling units do: what they mean is none of the
 *   machine's business (coordination/), nor who may write them. To word 0 the ring adds what is in the outbox, so that who
 *   looks at that word finds it changed when the doorbell rings, not before.
 * - The shared line of a core:
 *     word 0      pending: one bit for each interrupt line, 0 to 31; bit `WAKE` is no line, but ends its sleep
 *     words 1-12  mailboxes: flags that software on the ringing side has raised (coordination/signals.ts)
 *     word 14     parked: not 0 while the core sleeps and must be woken
 * - A line that its own core alone uses:
 *     words 0-4   outbox: flags that go out with the next interrupt that the core sends, just before it, so that flag
 *                 and interrupt are one transfer of the other core's line. Word 0: how many flags, 0 to 2; words 1-2:
 *                 where, as an index into the controller's words, and which; words 3-4: the same of the second. Where
 *                 the interrupt is a doorbell, word 0 is what to add to its word 0
 *     word 5      enabled: the lines that are not masked
 *     word 6      written between two looks for an interrupt, to take time
 * - A second one, of which word n is the count that the core has seen of doorbell n.
 *
 * Processors fetch lines in pairs of 128 bytes, or the next one along: so lines that different cores write are a pair
 * apart.
 *
 * What must hold, or a wake-up is lost: a sender rings before it reads `parked`; a core sets `parked` before it looks
 * for the last time, and sleeps only while `pending` still is what it has seen (`Atomics.wait` compares and sleeps in
 * one); who finds the other parked changes `pending` and then wakes it.
 */
export const LINE_WORDS = 16;
/** From one line that others write to the next. */
export const PAIR_WORDS = 2 * LINE_WORDS;
/** First and number of the words of the shared line that software may use. */
export const MAILBOX_WORD = 1;
export const MAILBOX_WORDS = 12;
/** The lines that are doorbells. */
export const FIRST_DOORBELL = 2;
export const LAST_DOORBELL = 15;
/** Words of a doorbell: the one to which a ring adds, and the count of rings. One add of 64 bits is both, and never carries into the first. */
export const DOORBELL_DATA = 0;
export const DOORBELL_RINGS = 1;

/** A core's lines that are not the shared one: its own two are the first pair, and each doorbell is at its number. */
const BLOCK_WORDS = (LAST_DOORBELL + 1) * PAIR_WORDS;
/** Bytes of the controller for one core. */
export const CONTROLLER_BYTES = 4 * (PAIR_WORDS + BLOCK_WORDS);
/** Words of an outbox that are used. */
export const OUTBOX_WORDS = 5;

const PENDING = 0;
const PARKED = 14;
/** In the core's own line. */
const ENABLED = 5;
/** The bit of `pending` that only wakes. */
const WAKE = 1 << 30;
const SEEN = LINE_WORDS;

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

  /** Interrupts a core, and wakes it if it sleeps. Rings that it has not yet taken merge into one. */
  ring(core: number, line: number): void {
    if (isDoorbell(line)) Atomics.add(this.words, this.doorbellIndex(core, line) + DOORBELL_RINGS, 1);
    else Atomics.or(this.words, this.pendingIndex(core), 1 << line);
    this.wake(core);
  }

  private wake(core: number): void {
    const pending = this.pendingIndex(core);
    if (Atomics.load(this.words, pending + PARKED) === 0) return;
    Atomics.or(this.words, pending, WAKE);
    Atomics.notify(this.words, pending);
  }

  mask(core: number, line: number, masked: boolean): void {
    const enabled = this.enabledIndex(core);
    if (masked) {
      Atomics.and(this.words, enabled, ~(1 << line));
    } else {
      Atomics.or(this.words, enabled, 1 << line);
      this.wake(core);
    }
  }

  /** Index in `words` of a core's pending word, for polling without a call. */
  pendingIndex(core: number): number {
    return core * PAIR_WORDS + PENDING;
  }

  /** Index in `words` of the mask of a core's lines that are enabled. */
  enabledIndex(core: number): number {
    return this.blockIndex(core) + ENABLED;
  }

  /** Index in `words` of a core's outbox. */
  outboxIndex(core: number): number {
    return this.blockIndex(core);
  }

  /** Index in `words` of a core's doorbell. */
  doorbellIndex(core: number, line: number): number {
    return doorbellIndex(this.cores, core, line);
  }

  private blockIndex(core: number): number {
    return doorbellIndex(this.cores, core, 0);
  }

  /**
   * Leaves a core as when the machine is switched on: nothing pending, all masked. What went out with the last rings of
   * its doorbells stays.
   */
  reset(core: number): void {
    const { words } = this;
    const [shared, own] = [this.pendingIndex(core), this.blockIndex(core)];
    for (let word = 0; word < LINE_WORDS; word++) {
      Atomics.store(words, shared + word, 0);
      Atomics.store(words, own + word, 0);
    }
    for (let line = FIRST_DOORBELL; line <= LAST_DOORBELL; line++) {
      Atomics.store(
        words,
        own + SEEN + line,
        Atomics.load(words, this.doorbellIndex(core, line) + DOORBELL_RINGS),
      );
    }
  }

  /** Whether a doorbell in the mask `enabled` has rung and was not yet seen. */
  private rung(core: number, enabled: number): boolean {
    for (let lines = enabled & DOORBELLS; lines !== 0; lines &= lines - 1) {
      const line = 31 - Math.clz32(lines & -lines);
      if (this.hasRung(core, line)) return true;
    }
    return false;
  }

  /** Whether a doorbell has rung and was not yet seen. Only that core knows for sure. */
  hasRung(core: number, line: number): boolean {
    const count = Atomics.load(this.words, this.doorbellIndex(core, line) + DOORBELL_RINGS);
    return count !== this.words[this.blockIndex(core) + SEEN + line];
  }

  /** Sleeps until an interrupt has come that is enabled, or `milliseconds` have passed. Burns no CPU. */
  park(core: number, milliseconds: number): void {
    const word = this.pendingIndex(core);
    Atomics.store(this.words, word + PARKED, 1);
    const pending = Atomics.load(this.words, word);
    if (!this.isReady(core)) Atomics.wait(this.words, word, pending, milliseconds);
    Atomics.store(this.words, word + PARKED, 0);
  }

  /** Whether an interrupt has come that is enabled, or might have. */
  isReady(core: number): boolean {
    const enabled = Atomics.load(this.words, this.enabledIndex(core));
    const pending = Atomics.load(this.words, this.pendingIndex(core));
    return (pending & (enabled | WAKE)) !== 0 || this.rung(core, enabled);
  }

  /** Whether an interrupt has come that is enabled, on any core. */
  anythingPending(): boolean {
    for (let core = 0; core < this.cores; core++) {
      if (this.isReady(core)) return true;
    }
    return false;
  }
}

/** The same, for a machine of so many cores. */
export function doorbellIndex(cores: number, core: number, line: number): number {
  return cores * PAIR_WORDS + core * BLOCK_WORDS + line * PAIR_WORDS;
}

/** A bit in the interrupt controller's words. */
export interface Flag {
  readonly word: number;
  readonly mask: number;
}

/** What goes into a core's outbox before it rings: one or two flags, or none, where it rings a doorbell. */
export class Outbox {
  private readonly content = new Int32Array(OUTBOX_WORDS);
  private readonly words: Int32Array;
  private readonly index: number;
  private readonly flags: number;

  constructor(interrupts: InterruptController, core: number, flags: readonly Flag[]) {
    this.flags = flags.length;
    this.words = interrupts.words;
    this.index = interrupts.outboxIndex(core);
    this.content.set([flags.length, ...flags.flatMap(({ word, mask }) => [word, mask])]);
  }

  /** `data`: to be added to the doorbell's first word, where there are no flags. */
  fill(data = 0): void {
    this.content[0] = this.flags === 0 ? data : this.flags;
    for (let word = 0; word < OUTBOX_WORDS; word++) this.words[this.index + word] = this.content[word];
  }
}

const DOORBELLS = ((1 << (LAST_DOORBELL + 1)) - 1) & -(1 << FIRST_DOORBELL);

/** Whether a line has a count of its own. */
export function isDoorbell(line: number): boolean {
  return line >= FIRST_DOORBELL && line <= LAST_DOORBELL;
}
