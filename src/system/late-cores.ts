/**
 * Which cores are late to take a tick, and whose fault that is.
 *
 * A core of this machine is a thread, and on a busy computer the operating system may not run it for long. That is no
 * failure. So a core hangs when it *had a CPU* for long and took no tick; and where it neither ran nor waited for a CPU,
 * it is blocked. The time in which it waited for a CPU counts for nothing, however long it is.
 */
import type { ThreadTime } from '../machine/host/thread-time.js';

/** The period of the heartbeat timer. */
export const TICK_MILLISECONDS = 10;
/**
 * A core that is late, has had a CPU for so long, and still has not taken a tick, hangs. The longer one has been late the
 * more of that it has waited for a CPU, and the less of one tells: from `LONG_LATE` on half of what it has been late since
 * then, but never less than `LEAST`. So with a fifth of a CPU a hang is still found within 100 ms.
 */
const HUNG_MILLISECONDS = 30;
const LONG_LATE_MILLISECONDS = 40;
const LEAST_HUNG_MILLISECONDS = 15;
/** Where nobody tells whether it has had a CPU, the cluster has been silent for so many ticks. */
const HUNG_TICKS = 6;
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

  /**
   * Some time after each tick, of each core that is up: the number of the tick, and of the last that the core has taken.
   * From the first that it has not taken on it is watched.
   */
  note(core: number, tick: number, taken: number): void {
    this.tick = tick;
    if (taken === tick) this.late.delete(core);
    else if (!this.late.has(core)) this.late.set(core, { tick, time: this.timeOf(core) });
  }

  forget(cores: readonly number[]): void {
    for (const core of cores) this.late.delete(core);
  }

  /** Who does not answer, of a cluster with these cores that has been silent for so many ticks; undefined if it may yet. */
  culprit(cores: readonly number[], missed: number): string | undefined {
    const late = cores.filter((core) => this.late.has(core));
    const guilty = late.filter((core) => this.isGuilty(core, missed));
    if (guilty.length > 0) return `core ${guilty.join(' and ')}`;
    return late.length === 0 && missed * TICK_MILLISECONDS >= SILENT_MILLISECONDS ? 'its monitor' : undefined;
  }

  private isGuilty(core: number, missed: number): boolean {
    const { tick, time: before } = this.late.get(core)!;
    const now = this.timeOf(core);
    if (before === undefined || now === undefined) return missed >= HUNG_TICKS;
    const elapsed = (this.tick - tick) * TICK_MILLISECONDS;
    const sinceLong = Math.max(0, elapsed - LONG_LATE_MILLISECONDS);
    const enough = Math.max(LEAST_HUNG_MILLISECONDS, HUNG_MILLISECONDS - sinceLong / 2);
    if (now.ran - before.ran >= enough) return true;
    return elapsed - (now.waited - before.waited) >= SILENT_MILLISECONDS;
  }
}
