/** A core of the simulated machine: it waits in virtual time, and is interrupted at once. */
import { Core } from '../core.js';
import type { CoreClock } from './clock.js';

export class SimulatedCore extends Core {
  override readonly doorbellPolls = 0;

  constructor(
    private readonly clock: CoreClock,
    ...rest: ConstructorParameters<typeof Core>
  ) {
    super(...rest);
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
    for (let left = cycles; left > 0;) {
      const start = clock.now;
      clock.sleep(start + left);
      left -= clock.now - start;
      if (this.interrupts.isReady(this.id)) goOn(this.takeInterrupts(handle));
    }
  };
}
