/** A system on the simulated machine, as its main thread has it: it starts the first core, and waits. */
import { DEVICE_LINES } from '../placement/plan.js';
import { HEARTBEAT_LINE, IDLE_TIME_STRIDE } from '../../core/core.js';
import type { Bundle } from '../../core/engine/typescript/bundle.js';
import { CoreError, RunError } from '../boot/running-cluster.js';
import type { RunReport } from '../run-report.js';
import { RunningMachine, TIMER_LINE, TIMER_MILLISECONDS, type RunOptions } from '../running-machine.js';
import { TICK_MILLISECONDS } from '../late-cores.js';
import { Simulation, type SimulationOrders, type SystemTimer } from './simulation.js';

type Arguments = ConstructorParameters<typeof RunningMachine>;

const POLL_MILLISECONDS = 1000;
/** A program that makes no request for so long, of this computer's time, stops virtual time for all. */
const STUCK_MILLISECONDS = 10_000;

export class RunningSimulation extends RunningMachine {
  readonly #simulation: Simulation;
  readonly #ended: Promise<'idle' | 'time'>;
  #end!: (how: 'idle' | 'time') => void;

  constructor(...[plan, system, clusters, options]: Arguments) {
    const die = (options.inject?.die ?? 0) > 0;
    if (options.onFailure !== undefined || die) {
      const option = die ? '--inject die' : '--on-failure';
      throw new RunError(`${option} is for this computer: a core of a simulated machine does not fail`);
    }
    let simulation!: Simulation;
    super(plan, system, clusters, options, (memory) => {
      const orders: SimulationOrders = {
        model: options.simulated!,
        elided: options.elideLock === true,
        buffers: [],
        timers: timersOf(plan, options),
      };
      const events = { timer() {}, awaitsTimer: () => false, idle() {} };
      simulation = new Simulation(orders, plan, memory, events, plan.cores);
      simulation.turns.initialise();
      return orders;
    });
    this.#simulation = simulation;
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  override async boot(bundles: Promise<readonly Bundle[]>): Promise<void> {
    this.giveFirst();
    await super.boot(bundles);
  }

  protected override start(): void {
    this.giveFirst();
  }

  private giveFirst(): void {
    const { turns, cores } = this.#simulation;
    turns.give(cores[0]);
  }

  protected override startTimer(): undefined {
    return undefined;
  }

  protected override endedByItself(how: 'idle' | 'time'): void {
    this.#end(how);
  }

  protected override untilEnd(): Promise<RunReport['ended']> {
    const { signal } = this.options;
    const { turns } = this.#simulation;
    let progress = -1;
    let since = performance.now();
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const now = performance.now();
        if (turns.progress !== progress) {
          progress = turns.progress;
          since = now;
        } else if (now - since > STUCK_MILLISECONDS) {
          this.supervisor.crash ??= new CoreError(
            `a program on core ${turns.current} made no request for ${STUCK_MILLISECONDS / 1000} s, so that virtual time stands still`,
          );
        }
        if (this.supervisor.crash === undefined) return;
        clearInterval(poll);
        reject(this.supervisor.crash);
      };
      const poll = setInterval(look, POLL_MILLISECONDS);
      const interrupted = new Promise<'interrupted'>((interrupt) => {
        if (signal?.aborted) interrupt('interrupted');
        signal?.addEventListener('abort', () => interrupt('interrupted'), { once: true });
      });
      void Promise.race([this.#ended, interrupted]).then((how) => {
        clearInterval(poll);
        resolve(how);
      });
    });
  }

  protected override report(
    ended: RunReport['ended'],
    _startedAt: number,
    _seconds: number,
    hung: number[],
  ): RunReport {
    const { machine } = this.#simulation;
    const { megahertz } = machine.model.core;
    const { seconds = 0, elideLock } = this.options;
    const whole = (figures: number[]): number[] => figures.map(Math.round);
    const cycles = ended === 'time' ? cyclesOf(1000 * seconds, megahertz) : Math.max(...machine.clocks);
    const { idleTimes } = this.machine.orders;
    const busy = (core: number): number => machine.clocks[core] - idleTimes[core * IDLE_TIME_STRIDE];
    const { peakMemory, startedAt, ...report } = super.report(ended, 0, cycles / megahertz / 1e6, hung);
    return {
      ...report,
      machine: machine.model.name,
      cycles: Math.round(cycles),
      megahertz,
      clusters: report.clusters.map((cluster) => ({
        ...cluster,
        busySeconds: cluster.cores.map((core) => busy(core) / megahertz / 1e6),
        simulated: {
          busyCycles: whole(cluster.cores.map(busy)),
          kernelEntries: cluster.cores.map((core) => machine.entriesOf[core]),
          lockWaitingCycles: whole(cluster.cores.map((core) => machine.lockWaitingOf[core])),
          linesMoved: cluster.cores.map((core) => machine.linesMovedTo(core)),
          ...(elideLock === true ? { aborts: cluster.cores.map((core) => machine.abortsOf[core]) } : {}),
        },
      })),
    };
  }
}

function timersOf({ clusters }: Arguments[0], { simulated, seconds }: RunOptions): SystemTimer[] {
  const { megahertz } = simulated!.core;
  const timers: SystemTimer[] = [];
  const devices = clusters.filter(({ domains }) =>
    domains.some(({ irqs }) => irqs.some(({ line }) => DEVICE_LINES.has(line))),
  );
  if (devices.length > 0) {
    const cores = devices.map(({ cores }) => cores[0]);
    timers.push({
      kind: 'device',
      line: TIMER_LINE,
      cores,
      period: cyclesOf(TIMER_MILLISECONDS, megahertz),
      keepsAlive: true,
    });
  }
  if (clusters.length > 1) {
    const cores = clusters.flatMap(({ cores }) => cores);
    timers.push({
      kind: 'heartbeat',
      line: HEARTBEAT_LINE,
      cores,
      period: cyclesOf(TICK_MILLISECONDS, megahertz),
      keepsAlive: false,
    });
  }
  if (seconds !== undefined)
    timers.push({ kind: 'end', period: cyclesOf(1000 * seconds, megahertz), keepsAlive: false });
  return timers;
}

function cyclesOf(milliseconds: number, megahertz: number): number {
  return Math.round(milliseconds * 1000 * megahertz);
}
