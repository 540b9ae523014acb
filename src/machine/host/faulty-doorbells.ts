/**
 * A machine whose doorbells fail now and then, for trying what a system makes of it. What is memory arrives, be it a
 * message or the flags that go out with the interrupt: what is dropped is the interrupt itself, so nobody is woken, or
 * told to look, and no ring is counted. One that is doubled comes again at once.
 */
import { isDoorbell, type InterruptController } from '../interrupts.js';
import { randomNumbers } from '../random.js';
import type { CoreInterrupts } from './controller.js';

/** How often. Same seed, same choices of each core. */
export interface Injection {
  /** Probabilities, from 0 to 1; together at most 1. */
  readonly drop: number;
  readonly double: number;
  /** An unsigned 32-bit integer. */
  readonly seed: number;
}

/** Words of the counters that a machine's cores share. */
export enum Injected {
  Dropped = 0,
  Doubled = 1,
  Count = 2,
}

/** What a core has of the controller, with interrupts to other clusters that fail. `core`: its number in the machine. */
export function faultyDoorbells(
  device: CoreInterrupts,
  interrupts: InterruptController,
  core: number,
  { drop, double, seed }: Injection,
  counters: Int32Array,
): CoreInterrupts {
  const random = randomNumbers(seed + core);
  return {
    ...device,
    sendSGI(target, irq) {
      const chance = random();
      if (chance < drop) {
        Atomics.add(counters, Injected.Dropped, 1);
        if (!isDoorbell(irq)) raiseFlags(interrupts, core);
        return;
      }
      device.sendSGI(target, irq);
      if (chance >= drop + double) return;
      Atomics.add(counters, Injected.Doubled, 1);
      device.sendSGI(target, irq);
    },
  };
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
