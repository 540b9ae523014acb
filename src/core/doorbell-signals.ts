/**
 * Signals that have a doorbell of their own, and rings of it that are lost or come twice.
 *
 * The sender counts its signals in a word of the doorbell's line, by one plain store, before it rings; the doorbell counts
 * its rings. Whoever is notified of a ring compares the two, first of all (`hear`):
 *
 * - Where the count is what was heard before, and no ring was on its way then, the ring has come twice, and is nothing new.
 * - Where there are more signals than rings, a ring is on its way, or was lost. Which of the two, its cluster's monitor
 *   finds out (coordination/doorbell-check.ts), and notifies where it was lost. Nothing but a ring has what was done
 *   before a signal be seen, on every processor: so also a signal that was counted already, and is heard with the one
 *   before, is told once more when its ring comes.
 */
import { DOORBELL_DATA, DOORBELL_RINGS } from '../machine/interrupts.js';

/** Indices of words of the interrupt controller: the sender's count; and `HEARD_WORDS` of the receiver's own. */
export interface DoorbellSignal {
  readonly sent: number;
  readonly heard: number;
}

/** The receiver's words: the count that was heard, ... */
export const HEARD_WORDS = 3;
/** ... by how much the count is ahead of the rings where none is on its way, ... */
const EVEN = 1;
/** ... and whether a ring was on its way: `NONE`, `SOME`, or `PERHAPS`. */
const ON_ITS_WAY = 2;

// Constants, since members of an enumeration are looked up at each use.
const NONE = 0;
const SOME = 1;
/** There may be, of before this cluster was up: one that comes is new, and one that does not is not missed. */
const PERHAPS = 2;

function ringsOf(words: Int32Array, { sent }: DoorbellSignal): number {
  return Atomics.load(words, sent + (DOORBELL_RINGS - DOORBELL_DATA));
}

/** When a cluster boots: signals to its earlier self are nobody's. */
export function hearNothing(words: Int32Array, signal: DoorbellSignal): void {
  const { sent, heard } = signal;
  const rings = ringsOf(words, signal);
  words[heard] = Atomics.load(words, sent);
  words[heard + EVEN] = words[heard] - rings;
  words[heard + ON_ITS_WAY] = PERHAPS;
}

/**
 * To be called by who was notified, before anything else: whether there is something new. The rings are read first, so
 * that no ring is counted whose signal is not: each signal was stored before its ring, and the atomic load sees to it
 * that it is read after. (A second one would cost 10 ns: V8 calls a function for it.)
 */
export function hear(words: Int32Array, signal: DoorbellSignal): boolean {
  const { sent, heard } = signal;
  const rings = ringsOf(words, signal);
  const count = words[sent];
  const isNew = count !== words[heard] || words[heard + ON_ITS_WAY] !== NONE;
  const ahead = (count - rings - words[heard + EVEN]) | 0;
  // Rings have come twice.
  if (ahead < 0) words[heard + EVEN] = count - rings;
  words[heard] = count;
  words[heard + ON_ITS_WAY] = ahead > 0 ? SOME : NONE;
  return isNew;
}

/** The signals of which not all that came were heard with their rings: their count; -1 where all were. */
export function unheard(words: Int32Array, { sent, heard }: DoorbellSignal): number {
  const count = Atomics.load(words, sent);
  const all = count === words[heard] && words[heard + ON_ITS_WAY] !== SOME;
  return all ? -1 : count >>> 0;
}

/** No ring is on its way any more: what is missing was lost. */
export function ringIsLost(words: Int32Array, signal: DoorbellSignal): void {
  words[signal.heard + EVEN] = Atomics.load(words, signal.sent) - ringsOf(words, signal);
}

/** How a core's user level counts such signals and hears them. `words`: of the interrupt controller. */
export class SignalAccess {
  constructor(protected readonly words: Int32Array) {}

  /** To be called before the doorbell is rung: it is the sender's signal of that number. */
  count(sent: number, number: number): void {
    this.words[sent] = number;
  }

  /** As {@link hear}. */
  hear(signal: DoorbellSignal): boolean {
    return hear(this.words, signal);
  }
}
