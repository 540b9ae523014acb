/** A core of the simulated machine: it waits in virtual time, and is interrupted at once. */
import { Core, type CoreParts } from '../core.js';
import type { CoreClock } from './clock.js';

export class SimulatedCore extends Core {
  override readonly doorbellPolls = 0;
  override readonly looks = false;

  constructor(
    private readonly clock: CoreClock,
    parts: CoreParts,
  ) {
    super(parts);
  }

  override idle(): number {
    const { clock } = this;
    const deadline = this.kernel.deadline();
    const end = deadline === 0 ? Infinity : clock.cyclesOf(deadline);
    if (!this.interrupts.isReady(this.id)) {
      const start = clock.now;
      clock.sleep(end);
      this.idleTimes[0] += clock.now - start;
    }
    if (this.interrupts.isReady(this.id)) return this.takeInterrupts(0);
    return clock.now >= end ? this.kernel.timer() : 0;
  }

  override readonly compute = (cycles: number, handle: number, goOn: (next: number) => void): void => {
    const { clock } = this;
    let end = clock.now + cycles;
    while (clock.now < end) {
      clock.sleep(end);
      if (!this.interrupts.isReady(this.id)) continue;
      const left = end - clock.now;
      goOn(this.takeInterrupts(handle));
      end = clock.now + left;
    }
  };
}
