/**
 * Which cores are late to take a tick, and whose fault that is.
 *
 * A core of this machine is a thread, and on a busy computer the operating system may not run it for long. That is no
 * failure. So a core hangs when it *had a CPU* for long and took no tick; and where it neither ran nor waited for a CPU,
 * it is blocked. The time in which it waited for a CPU counts for nothing, however long it is.
 */
import { MOST_MISSED } from '../coordination/liveness.js';
import type { ThreadTime } from '../machine/host/thread-time.js';

/** The period of the heartbeat timer. */
export const TICK_MILLISECONDS = 10;
/** A core that has not taken so many ticks is watched. */
const LATE_TICKS = 2;
/** A core that has then had a CPU for so long, and still has not taken a tick, hangs. */
const HUNG_MILLISECONDS = (MOST_MISSED - LATE_TICKS - 1) * TICK_MILLISECONDS;
/** For a core that has neither run nor waited for a CPU, and for a monitor that is silent though its cores are not late. */
const SILENT_MILLISECONDS = 2000;

interface Late {
  /** The tick when that was first seen, and the times of the core's thread then. */
  readonly tick: number;
  readonly time: ThreadTime | undefined;
}

export class LateCores {
  private readonly late = new Map<number, Late>();
  private tick = 0;

  /** @param timeOf the times of a core's thread, where the operating system tells. */
  constructor(private readonly timeOf: (core: number) => ThreadTime | undefined) {}

  /** At each tick, of each core that is up: the number of the tick, and of the last that the core has taken. */
  note(core: number, tick: number, taken: number): void {
    this.tick = tick;
    if (tick - taken <= LATE_TICKS) this.late.delete(core);
    else if (!this.late.has(core)) this.late.set(core, { tick, time: this.timeOf(core) });
  }

  forget(cores: readonly number[]): void {
    for (const core of cores) this.late.delete(core);
  }

  /** Who does not answer, of a cluster with these cores that has been silent for so many ticks; undefined if it may yet. */
  culprit(cores: readonly number[], missed: number): string | undefined {
    const late = cores.filter((core) => this.late.has(core));
    const guilty = late.filter((core) => this.isGuilty(core));
    if (guilty.length > 0) return `core ${guilty.join(' and ')}`;
    return late.length === 0 && missed * TICK_MILLISECONDS >= SILENT_MILLISECONDS ? 'its monitor' : undefined;
  }

  private isGuilty(core: number): boolean {
    const { tick, time: before } = this.late.get(core)!;
    const now = this.timeOf(core);
    if (before === undefined || now === undefined || now.ran - before.ran >= HUNG_MILLISECONDS) return true;
    const elapsed = (this.tick - tick) * TICK_MILLISECONDS;
    return elapsed - (now.waited - before.waited) >= SILENT_MILLISECONDS;
  }
}
