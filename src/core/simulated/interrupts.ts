/** The doorbell controller of the simulated machine: that of the host, with its lines charged and sleepers woken in virtual time. */
import { Awaited, MORE, type CoreInterrupts } from '../../machine/host/controller.js';
import { InterruptController, isDoorbell } from '../../machine/interrupts.js';
import type { CoreClock } from './clock.js';

const WORD_BYTES = 4;

export class SimulatedInterrupts extends InterruptController {
  /** What this core pays and whom it wakes. */
  constructor(
    private readonly clock: CoreClock,
    ...rest: ConstructorParameters<typeof InterruptController>
  ) {
    super(...rest);
  }

  override ring(core: number, line: number): void {
    this.ringAt(core, line, this.clock.now);
  }

  /** What rings may be a device, at a time of its own. */
  ringAt(core: number, line: number, time: number): void {
    super.ring(core, line);
    this.clock.turns.wake(core, time);
  }

  /**
   * What the core itself has of the controller (machine/host/controller.ts). `cores`: of the kernel's cluster.
   */
  deviceOf(device: CoreInterrupts, cores: readonly number[]): CoreInterrupts {
    const { clock } = this;
    const { machine, turns, core } = clock;
    const change = (word: number): void => machine.exchange(this.base + WORD_BYTES * word);
    const lineOf = (target: number, irq: number): number =>
      isDoorbell(irq) ? this.doorbellIndex(target, irq) : this.pendingIndex(target);
    const wake = (target: number): void => {
      if (this.isReady(target)) turns.wake(target, clock.now);
    };
    return {
      maskInterrupt: (irq, masked) => {
        device.maskInterrupt(irq, masked);
        change(this.enabledIndex(cores[0]));
        if (!masked) wake(cores[0]);
      },
      sendSGI: (target, irq) => {
        const outbox = this.outboxIndex(core);
        const far = isDoorbell(irq) ? 0 : this.words[outbox];
        if (far === 2) change(this.words[outbox + 1]);
        device.sendSGI(target, irq);
        change(lineOf(target, irq));
        wake(target);
      },
      sendIPI: (target) => {
        device.sendIPI(target);
        change(this.pendingIndex(cores[target]));
        wake(cores[target]);
      },
      awaitWord: () => Awaited.Neither,
      take: (times) => {
        const taken = device.take(times);
        if (taken < 0) return taken;
        const irq = taken & ~MORE;
        const address = this.base + WORD_BYTES * lineOf(core, irq);
        if (isDoorbell(irq)) clock.access(address, WORD_BYTES, false);
        else clock.atomic(address);
        return taken;
      },
    };
  }
}
