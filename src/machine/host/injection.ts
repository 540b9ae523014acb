/**
 * A machine that fails now and then, for trying what a system makes of it.
 *
 * Doorbells: what is memory arrives, be it a message or the flags that go out with the interrupt; what is dropped is the
 * interrupt itself, so nobody is woken, or told to look, and no ring is counted. One that is doubled comes again at once.
 * Threads: a core dies at a step that whoever asks for it names.
 */
import { DOORBELL_DATA, isDoorbell, type InterruptController } from '../interrupts.js';
import { randomNumbers } from '../random.js';
import type { CoreInterrupts } from './controller.js';

/** How often. Same seed, same choices of each core. */
export interface Injection {
  /** Probabilities, from 0 to 1; of these two, together at most 1. */
  readonly drop: number;
  readonly double: number;
  /** Of itself, from 0 to 1: that a monitor dies at a step of handing memory over (coordination/mortal.ts). */
  readonly die: number;
  /** An unsigned 32-bit integer. */
  readonly seed: number;
}

/** Words of the counters that a machine's cores share. */
export enum Injected {
  Dropped = 0,
  Doubled = 1,
  Died = 2,
  /** Of the dropped, those of which it is known that all cores are to look for them; and at which tick they have. */
  Noticed = 3,
  LookedFor = 4,
  Count = 5,
}

/** What a core has of the controller, with interrupts to other clusters that fail. `core`: its number in the machine. */
export function faultyDoorbells(
  device: CoreInterrupts,
  interrupts: InterruptController,
  core: number,
  { drop, double }: Injection,
  random: () => number,
  counters: Int32Array,
): CoreInterrupts {
  return {
    ...device,
    sendSGI(target, irq) {
      const chance = random();
      if (chance < drop) {
        Atomics.add(counters, Injected.Dropped, 1);
        if (isDoorbell(irq)) addData(interrupts, core, interrupts.doorbellIndex(target, irq));
        else raiseFlags(interrupts, core);
        return;
      }
      device.sendSGI(target, irq);
      if (chance >= drop + double) return;
      Atomics.add(counters, Injected.Doubled, 1);
      device.sendSGI(target, irq);
    },
  };
}

/** A step at which the calling thread dies now and then, without a word. */
export function deadlyStep({ die }: Injection, random: () => number, counters: Int32Array): () => void {
  return () => {
    if (random() >= die) return;
    Atomics.add(counters, Injected.Died, 1);
    process.exit();
  };
}

/** The choices of a core in one of its lives, which are not those of the life before: else it might never live long. */
export function choicesOf({ seed }: Injection, core: number, life: number): () => number {
  return randomNumbers(seed + core + 65536 * (life - 1));
}

/** Adds what is in the core's outbox to the first word of a doorbell, as its ring would have. */
function addData(interrupts: InterruptController, core: number, doorbell: number): void {
  const { words } = interrupts;
  const outbox = interrupts.outboxIndex(core);
  Atomics.add(words, doorbell + DOORBELL_DATA, words[outbox]);
  words[outbox] = 0;
}

/** Raises what is in the core's outbox, as an interrupt on the shared line would have. */
function raiseFlags(interrupts: InterruptController, core: number): void {
  const { words } = interrupts;
  const outbox = interrupts.outboxIndex(core);
  const flags = words[outbox];
  words[outbox] = 0;
  for (let flag = 0; flag < flags; flag++) {
    Atomics.or(words, words[outbox + 1 + 2 * flag], words[outbox + 2 + 2 * flag]);
  }
}
