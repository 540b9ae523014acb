/**
 * Signals between clusters: any number of channels over one interrupt line.
 *
 * Each incoming channel of a cluster is a flag. The sender raises the flag, then rings the cluster's doorbell; the
 * cluster's monitor takes all raised flags and signals the notifications behind them. What must hold, or a signal is
 * lost: the flag is raised before the doorbell rings, and flags are taken after the interrupt, before it is
 * acknowledged. Signals on one channel merge, as notifications do.
 *
 * The first 352 flags stand in the mailboxes of the cluster's first core (machine/interrupts.ts), so that a
 * signal costs the transfer of one cache line. Further flags stand in words of their own, and the last mailbox word
 * says which of those to look at: bit n for the words n, n + 32, ….
 */
import { MAILBOX_WORD, MAILBOX_WORDS, PAIR_WORDS, type Flag } from '../machine/interrupts.js';

/** The interrupt line of a cluster's first core on which other clusters ring. */
export const DOORBELL_LINE = 1;

const WORD_BITS = 32;
const NEAR_WORDS = MAILBOX_WORDS - 1;
const NEAR_FLAGS = NEAR_WORDS * WORD_BITS;
const SUMMARY_WORD = MAILBOX_WORD + MAILBOX_WORDS - 1;

/** Words that `flags` incoming channels need beyond the doorbell line. */
export function farWords(flags: number): number {
  return Math.max(0, Math.ceil((flags - NEAR_FLAGS) / WORD_BITS));
}

/**
 * What to raise, in this order, for flag `index` of the cluster whose first core is `core`.
 * `far`: index of the cluster's further words.
 */
export function flagsToRaise(core: number, far: number, index: number): Flag[] {
  const mask = 1 << (index % WORD_BITS);
  const word = Math.floor(index / WORD_BITS);
  const line = core * PAIR_WORDS;
  if (word < NEAR_WORDS) return [{ word: line + MAILBOX_WORD + word, mask }];
  const beyond = word - NEAR_WORDS;
  return [
    { word: far + beyond, mask },
    { word: line + SUMMARY_WORD, mask: 1 << (beyond % WORD_BITS) },
  ];
}

/** The flags of one cluster, as its monitor takes them. */
export class SignalFlags {
  private readonly line: number;
  private readonly nearCount: number;
  private readonly farCount: number;

  constructor(
    protected readonly words: Int32Array,
    core: number,
    private readonly far: number,
    flags: number,
  ) {
    this.line = core * PAIR_WORDS;
    this.nearCount = Math.min(NEAR_WORDS, Math.ceil(flags / WORD_BITS));
    this.farCount = farWords(flags);
  }

  /** Lowers all raised flags and calls `signal` with the index of each. */
  take(signal: (index: number) => void): void {
    for (let word = 0; word < this.nearCount; word++)
      this.takeWord(this.line + MAILBOX_WORD + word, word, signal);
    if (this.farCount === 0) return;
    let summary = this.lower(this.line + SUMMARY_WORD);
    for (; summary !== 0; summary &= summary - 1) {
      const first = 31 - Math.clz32(summary & -summary);
      for (let word = first; word < this.farCount; word += WORD_BITS) {
        this.takeWord(this.far + word, NEAR_WORDS + word, signal);
      }
    }
  }

  /** Lowers the flags of a word, and returns those that were raised. */
  protected lower(at: number): number {
    return this.words[at] === 0 ? 0 : Atomics.exchange(this.words, at, 0);
  }

  private takeWord(at: number, word: number, signal: (index: number) => void): void {
    let raised = this.lower(at);
    for (; raised !== 0; raised &= raised - 1) signal(word * WORD_BITS + 31 - Math.clz32(raised & -raised));
  }
}
