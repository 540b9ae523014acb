/**
 * Signals on a doorbell whose rings are dropped and doubled, under all interleavings (explorer.ts). The count of signals,
 * what is heard of it and the look for lost rings are the code itself. How a core takes a doorbell is repeated here from
 * kernel/device/interrupt-controller.ts, which is WebAssembly.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DoorbellCheck } from '../../src/coordination/doorbell-check.js';
import { hear } from '../../src/core/doorbell-signals.js';
import {
  CONTROLLER_BYTES,
  DOORBELL_DATA,
  DOORBELL_RINGS,
  FIRST_DOORBELL,
  InterruptController,
  LINE_WORDS,
} from '../../src/machine/interrupts.js';
import { Explorer, Violation, type Explored, type Thread } from './explorer.js';

const [RECEIVER, SENDER, CORES] = [0, 1, 2];
const LINE = FIRST_DOORBELL;
const FIRST_FREE = (CORES * CONTROLLER_BYTES) / 4;
/** Words: what the sender has done, the machine's ticks, those that the sender took, and that the receiver has ended. */
const [DONE, TICKS, TAKEN, ENDED, HEARD] = [0, 1, 2, 3, 4].map((word) => FIRST_FREE + word);

/** What becomes of a ring: it is counted so often. */
type Ring = 0 | 1 | 2;

interface Case {
  readonly rings: readonly Ring[];
  /** Whether processors keep the order of stores, and of loads. */
  readonly ordered?: boolean;
  /** Makes up for what was not heard at once, whether or not the sender may still be about to ring. */
  readonly hasty?: boolean;
  /** Never looks. */
  readonly blind?: boolean;
}

/**
 * The sender does something, by a plain store, and signals it, and takes a tick now and then. The receiver, a core and its monitor and
 * a domain, takes rings and ticks; it ends when its handler has seen all that was done, so that a signal that is lost is a
 * receiver that never ends.
 */
function explore({
  rings,
  ordered = false,
  hasty = false,
  blind = false,
}: Case): Explored & { readonly most: number } {
  const explorer = new Explorer(FIRST_FREE + LINE_WORDS);
  const { words } = explorer;
  let most = 0;
  const explored = explorer.explore(
    (): readonly Thread[] => {
      const interrupts = new InterruptController(new SharedArrayBuffer(4 * words.length), 0, CORES);
      Object.assign(interrupts, { words });
      const doorbell = interrupts.doorbellIndex(RECEIVER, LINE);
      const sent = doorbell + DOORBELL_DATA;
      const seen = doorbell - LINE * 2 * LINE_WORDS + LINE_WORDS + LINE;
      const sending = { count: 0 };
      const sender: Thread = {
        objects: [sending],
        step: () => {
          if (sending.count < rings.length) {
            if (ordered) Atomics.store(words, DONE, sending.count + 1);
            else words[DONE] = sending.count + 1;
            words[sent] = sending.count + 1;
            for (let ring = 0; ring < rings[sending.count]; ring++) interrupts.ring(RECEIVER, LINE);
            sending.count++;
          }
          Atomics.store(words, TAKEN, Atomics.load(words, TICKS));
          return sending.count === rings.length && Atomics.load(words, ENDED) === 1;
        },
      };
      const ticks = {
        get lastTick() {
          return Atomics.load(words, TICKS);
        },
        tickTaken: (core: number) => (hasty ? Infinity : Atomics.load(words, core === SENDER ? TAKEN : -1)),
      };
      const check = new DoorbellCheck(interrupts, RECEIVER, ticks, [
        { sent, heard: HEARD, signal: 0, line: LINE, from: SENDER },
      ]);
      const receiving = { known: 0, handled: 0, ticks: 0 };
      const receiver: Thread = {
        objects: [check, receiving],
        step: () => {
          let notified = false;
          if (interrupts.hasRung(RECEIVER, LINE)) {
            words[seen] = Atomics.load(words, doorbell + DOORBELL_RINGS);
            notified = true;
          } else if (
            receiving.ticks < 3 ||
            (receiving.ticks < 8 && Atomics.load(words, TAKEN) === receiving.ticks)
          ) {
            // Time passes while there is nothing else to do, and in the end as fast as the sender takes ticks.
            Atomics.store(words, TICKS, ++receiving.ticks);
            if (!blind) check.tick(() => (notified = true));
          }
          if (!notified || !hear(words, { sent, heard: HEARD })) return false;
          receiving.handled++;
          most = Math.max(most, receiving.handled);
          receiving.known = ordered ? Atomics.load(words, DONE) : words[DONE];
          if (receiving.known < rings.length) return false;
          Atomics.store(words, ENDED, 1);
          return true;
        },
      };
      return [sender, receiver];
    },
    { racesAllowed: true },
  );
  return { ...explored, most };
}

describe('signals on a doorbell that fails, in all interleavings', () => {
  const fates: readonly Ring[] = [0, 1, 2];
  for (const first of fates) {
    for (const second of fates) {
      it(`of two rings that come ${first} and ${second} times, no signal is lost or doubled`, (t) => {
        // One that comes twice makes up, in the counts, for one that is lost right after it: if the second signal is
        // counted in between, only processors that keep the order of stores have it seen with the first.
        const ordered = first === 2 && second === 0;
        const { states, finals, most } = explore({ rings: [first, second], ordered });
        assert(finals > 0);
        assert(most <= 2, `notified ${most} times`);
        t.diagnostic(`${states} states`);
      });
    }
  }

  it('the explorer finds that a lost ring is a lost signal where nobody looks', () => {
    assert.throws(
      () => explore({ rings: [1, 0], blind: true }),
      (error) => error instanceof Violation && /can never end/.test(error.message),
    );
  });

  it('and that who looks too soon may not see what was done', () => {
    assert.throws(
      () => explore({ rings: [1, 0], hasty: true }),
      (error) => error instanceof Violation && /can never end/.test(error.message),
    );
  });
});
