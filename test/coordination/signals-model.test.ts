/**
 * Signals of two clusters to a third, under all interleavings (explorer.ts): the flags, how a core is rung, masked and
 * parked are the code itself. How a core takes an interrupt, and in what order what it sends goes out, is repeated here
 * from kernel/device/interrupt-controller.ts, which is WebAssembly.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DOORBELL_LINE, SignalFlags, farWords, flagsToRaise } from '../../src/coordination/signals.js';
import { CONTROLLER_BYTES, InterruptController } from '../../src/machine/interrupts.js';
import { Explorer, Violation, type Explored, type Thread } from './explorer.js';

const RECEIVER = 0;
const CORES = 3;
const FAR = (CORES * CONTROLLER_BYTES) / 4;

/** As that file has it: the bit of the pending word that only wakes. */
const WAKE = 1 << 30;
const PARKED = 14;

/** `take` of that file, for lines that are no doorbells. */
function takeInterrupt(interrupts: InterruptController): number {
  const { words } = interrupts;
  const pending = interrupts.pendingIndex(RECEIVER);
  const enabled = Atomics.load(words, interrupts.enabledIndex(RECEIVER));
  const ready = Atomics.load(words, pending) & (enabled | WAKE);
  if (ready === 0) return -1;
  const bit = ready & -ready;
  Atomics.and(words, pending, ~(bit | WAKE));
  return bit === WAKE ? -1 : 31 - Math.clz32(bit);
}

interface Case {
  /** The flag of each sender's channel. */
  readonly flags: readonly [number, number];
  readonly signals: number;
  readonly flagAfterRing?: boolean;
  readonly parks?: 'carelessly';
}

/**
 * Each sender counts in a word of its own what it does, and signals. The receiver is a core and its monitor: it takes
 * interrupts, then the flags, and sleeps in between; and ends when it has seen all that was counted, so that a signal
 * that is lost is a receiver that sleeps for ever.
 */
function explore({ flags, signals, flagAfterRing = false, parks }: Case): Explored {
  const channels = Math.max(...flags) + 1;
  const counters = FAR + farWords(channels);
  const explorer = new Explorer(counters + flags.length);
  const { words } = explorer;
  return explorer.explore(
    (): readonly Thread[] => {
      const interrupts = new InterruptController(new SharedArrayBuffer(4 * words.length), 0, CORES);
      Object.assign(interrupts, { words });
      const senders = flags.map((flag, index): Thread => {
        const sent = { count: 0, stage: 0 };
        // `sendSGI` raises the flags, then the interrupt, where it can in one operation.
        const raise = () => {
          for (const { word, mask } of flagsToRaise(RECEIVER, FAR, flag)) Atomics.or(words, word, mask);
        };
        return {
          objects: [sent],
          step: () => {
            if (sent.count === signals) return true;
            Atomics.add(words, counters + index, 1);
            if (!flagAfterRing) raise();
            interrupts.ring(RECEIVER, DOORBELL_LINE);
            if (flagAfterRing) raise();
            sent.count++;
            return false;
          },
        };
      });
      const taking = new SignalFlags(words, RECEIVER, FAR, channels);
      const seen = { counts: flags.map(() => 0), taken: 0 };
      interrupts.mask(RECEIVER, DOORBELL_LINE, false);
      const receiver: Thread = {
        objects: [seen],
        step: () => {
          const line = takeInterrupt(interrupts);
          if (line === DOORBELL_LINE) {
            interrupts.mask(RECEIVER, line, true);
            const counts = [...seen.counts];
            taking.take((flag) => {
              const sender = flags.indexOf(flag);
              assert(sender >= 0, `flag ${flag} was raised by nobody`);
              counts[sender] = Atomics.load(words, counters + sender);
            });
            interrupts.mask(RECEIVER, line, false);
            seen.counts = counts;
          } else if (parks === undefined) {
            interrupts.park(RECEIVER, Infinity);
          } else {
            // Goes to sleep whatever came since it looked.
            const pending = interrupts.pendingIndex(RECEIVER);
            Atomics.store(words, pending + PARKED, 1);
            Atomics.wait(words, pending, Atomics.load(words, pending));
            Atomics.store(words, pending + PARKED, 0);
          }
          return seen.counts.every((count) => count === signals);
        },
      };
      return [...senders, receiver];
    },
    { racesAllowed: true },
  );
}

describe('signals of two senders, in all interleavings', () => {
  for (const [what, flags, signals] of [
    ['near flags in one word', [3, 17], 1],
    ['a near flag and a far one', [5, 360], 1],
  ] as const) {
    it(`${what}: none is lost`, (t) => {
      const { states, finals } = explore({ flags, signals });
      assert(states > 500 && finals > 0, `${states} states`);
      t.diagnostic(`${states} states`);
    });
  }

  it('the explorer finds a flag that is raised after its interrupt, and a core that sleeps without looking', () => {
    for (const broken of [{ flagAfterRing: true }, { parks: 'carelessly' }] as const) {
      assert.throws(
        () => explore({ flags: [3, 17], signals: 1, ...broken }),
        (error) => error instanceof Violation && /can never end/.test(error.message),
      );
    }
  });
});
