/**
 * A monitor's look, once a tick, for signals whose rings were lost (core/doorbell-signals.ts).
 *
 * What must hold, or a signal comes twice: what was not heard is taken for lost only when its sender can no
 * longer be on its way to ring, since its core has taken a tick that came after the count was seen, and takes none
 * between the two; and when no ring is there that was not taken yet. Who was notified and has not run so far may be
 * notified again: notifications merge.
 */
import { type DoorbellSignal, hearNothing, ringIsLost, unheard } from '../core/doorbell-signals.js';
import type { InterruptController } from '../machine/interrupts.js';

/** One signal. `signal`: a slot with a badged capability to the notification behind it. */
export interface CheckedDoorbell extends DoorbellSignal {
  readonly signal: number;
  readonly line: number;
  /** The sender's core. */
  readonly from: number;
}

/** The machine's ticks: the number of the last, and of the last that a core has taken. */
export interface Ticks {
  readonly lastTick: number;
  tickTaken(core: number): number;
}

export class DoorbellCheck {
  /** By signal: the count of those unheard, and the number of the last tick when it was first seen. */
  private readonly counts: number[];
  private readonly since: number[];

  /** @param core that takes the cluster's interrupts. Signals up to now are nobody's. */
  constructor(
    private readonly interrupts: InterruptController,
    private readonly core: number,
    private readonly ticks: Ticks,
    private readonly doorbells: readonly CheckedDoorbell[],
  ) {
    for (const doorbell of doorbells) hearNothing(interrupts.words, doorbell);
    this.counts = doorbells.map(() => -1);
    this.since = doorbells.map(() => 0);
  }

  /** Calls `signal` for each whose ring was lost. */
  tick(signal: (slot: number) => void): void {
    const { interrupts, core, ticks } = this;
    const { words } = interrupts;
    this.doorbells.forEach((doorbell, index) => {
      const { line, from } = doorbell;
      const count = unheard(words, doorbell);
      if (count !== this.counts[index]) {
        this.counts[index] = count;
        this.since[index] = ticks.lastTick;
      } else if (
        count >= 0 &&
        ticks.tickTaken(from) - this.since[index] > 0 &&
        !interrupts.hasRung(core, line)
      ) {
        ringIsLost(words, doorbell);
        signal(doorbell.signal);
      }
    });
  }
}
