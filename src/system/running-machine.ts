/** A system while it runs on this computer, as the main thread has it: it boots the clusters, watches them, and ends them. */
import { OrderWord, isIdle, makeOrders } from '../core/core.js';
import type { Bundle } from '../core/engine/typescript/bundle.js';
import { compileKernel, type KernelImage } from '../core/kernel.js';
import { Count, statisticsBytes, statisticsRow, sumOfChannels } from '../core/statistics.js';
import { Injected, type Injection } from '../machine/host/injection.js';
import { simulatedMemory } from '../machine/simulated/machine.js';
import type { MachineModel } from '../machine/simulated/model.js';
import { InterruptController } from '../machine/interrupts.js';
import { sharedLines, sharedMemory } from '../machine/shared-memory.js';
import type { Cluster, Topology } from '../machine/topology/index.js';
import { ledgerOf } from '../coordination/memory.js';
import { awaitsTick } from './boot/awaited-tick.js';
import { RunError, RunningCluster, type CoreError, type Machine } from './boot/running-cluster.js';
import { policyOf, type OnFailure, type SystemDescription } from './description/index.js';
import type { SimulationOrders } from './simulate/simulation.js';
import { DEVICE_LINES, type SystemPlan } from './placement/plan.js';
import { fillTopologyRegion } from './placement/topology-region.js';
import { TICK_MILLISECONDS } from './late-cores.js';
import { reportOf, type RunReport } from './run-report.js';
import { Supervisor } from './supervisor.js';
import { traceMemories, writeTrace } from './trace.js';
import './v8-flags.js';

const POLL_MILLISECONDS = 5;
/** A core that does not stop by then is ended. */
const STOP_MILLISECONDS = 500;
export const TIMER_LINE = 16;
export const TIMER_MILLISECONDS = 10;

export interface RunOptions {
  readonly topology: Topology;
  /** Where the machine is simulated: what it is like. Its topology is `topology`. */
  readonly simulated?: MachineModel;
  /** On a simulated machine: whether kernels of several cores elide their lock in hardware transactions. */
  readonly elideLock?: boolean;
  /** As `clustersOf` takes it. */
  readonly clusters: string;
  /** Interrupt lines of a cluster that others may ring, from 1; by default as many as there are. */
  readonly lines?: number;
  /** Bytes that each cluster has at first to give to others; by default none, unless a domain may move memory. */
  readonly spare?: number;
  readonly searchPath: readonly string[];
  /** Seconds after which the system is stopped; without, it runs until it is idle for good. */
  readonly seconds?: number;
  /** File descriptor for the domains' debug output. */
  readonly console: number;
  /** Whether each line of it shows when it was said. */
  readonly timestamps?: boolean;
  /** Whether each kernel's memory is checked after each entry: slow, and for clusters of one core only. */
  readonly checkInvariants?: boolean;
  /** Stops the system. */
  readonly signal?: AbortSignal;
  /** Cores never park: for measuring what a signal costs that finds its receiver awake. */
  readonly spin?: boolean;
  /** What happens when a cluster fails; without, as the description says, and if that says nothing see `Supervisor`. */
  readonly onFailure?: OnFailure;
  /** Failures on purpose. */
  readonly inject?: Injection;
  /** A file: write there what each core did, and when (trace.ts). */
  readonly trace?: string;
  /** Told when the domains start. */
  readonly onStart?: (running: RunningSystem) => void;
}

/** A system while it runs, for those who want to see how fast it is, and what it makes of failures. */
export interface RunningSystem {
  readonly plan: SystemPlan;
  /** Physical memory. */
  readonly memory: WebAssembly.Memory;
  /** How many protected calls each domain has made so far, in the order of the description. */
  calls(): number[];
  /** Ends the thread of a core, as a crash of it would. */
  kill(core: number): void;
}

/** A system on this computer. */
export class RunningMachine {
  protected readonly machine: Machine;
  protected readonly clusters: readonly RunningCluster[];
  protected readonly supervisor: Supervisor;
  private bundles: Promise<readonly Bundle[]> | undefined;
  private unhandledFaults = 0;
  private notPinned: string | undefined;

  constructor(
    protected readonly plan: SystemPlan,
    protected readonly system: SystemDescription,
    clusters: readonly Cluster[],
    protected readonly options: RunOptions,
    simulate?: (memory: WebAssembly.Memory) => SimulationOrders,
  ) {
    if (options.elideLock === true && options.simulated === undefined)
      throw new RunError('--elide-lock is for a simulated machine: give one with --machine');
    if (options.checkInvariants && plan.clusters.some(({ cores }) => cores.length > 1))
      throw new RunError('--check-invariants needs clusters of one core: give --clusters per-core');
    const memory =
      options.simulated === undefined
        ? sharedMemory(plan.memory)
        : simulatedMemory(plan.memory, plan.cores + 1);
    fillTopologyRegion(plan, options.topology, clusters, memory.buffer);
    const kernels = new Map<KernelImage, WebAssembly.Module>();
    for (const { image } of plan.clusters)
      if (!kernels.has(image)) kernels.set(image, compileKernel(image, options.simulated !== undefined));
    this.machine = {
      ...(options.trace === undefined ? {} : { trace: traceMemories(plan) }),
      ...(simulate === undefined ? {} : { simulation: simulate(memory) }),
      plan,
      memory,
      interrupts: new InterruptController(memory.buffer, 0, plan.cores),
      orders: makeOrders(plan.cores),
      go: new Int32Array(new SharedArrayBuffer(4)),
      states: new Int32Array(new SharedArrayBuffer(4 * plan.clusters.length)).fill(1),
      statistics: sharedLines(statisticsBytes(system.protectionDomains.length)),
      kernels: plan.clusters.map(({ image }) => kernels.get(image)!),
      // Handle 0 is nobody's, and the last before the proxies' the root task's.
      tcbs: plan.clusters.map(
        ({ domains, links }) =>
          new Uint32Array(new SharedArrayBuffer(4 * (domains.length + 2 + links.proxies.length))),
      ),
      cpus: options.topology.cores.map(({ cpu }) => cpu),
      console: options.console,
      timestamps: options.timestamps ?? false,
      checkInvariants: options.checkInvariants ?? false,
      ...(options.inject === undefined
        ? {}
        : {
            injection: {
              how: options.inject,
              counters: new Int32Array(new SharedArrayBuffer(4 * Injected.Count)),
            },
          }),
    };
    const events = {
      fault: () => void this.unhandledFaults++,
      notPinned: (reason: string) => (this.notPinned = reason),
      died: (cluster: number, cause: CoreError) => this.supervisor.died(cluster, cause),
      silent: (cluster: number, incarnation: number, missed: number) =>
        this.supervisor.silent(cluster, incarnation, missed),
      heard: (cluster: number) => this.supervisor.heard(cluster),
      ended: (how: 'idle' | 'time') => this.endedByItself(how),
    };
    if (plan.moving !== undefined) ledgerOf(this.machine.interrupts.words, plan.moving).initialise();
    this.clusters = plan.clusters.map((_, index) => new RunningCluster(this.machine, index, events));
    const { states, interrupts, orders } = this.machine;
    const policies = plan.clusters.map(
      ({ domains }) =>
        options.onFailure ??
        policyOf(
          system,
          domains.map(({ index }) => index),
        ),
    );
    this.supervisor = new Supervisor(this.clusters, states, interrupts, orders, policies);
  }

  /** Starts a thread for each core; resolves when all domains are ready to start. */
  async boot(bundles: Promise<readonly Bundle[]>): Promise<void> {
    this.bundles = bundles;
    await Promise.all(this.clusters.map((cluster) => cluster.boot(1, bundles)));
  }

  async run(): Promise<RunReport> {
    const { orders, go } = this.machine;
    const start = performance.now();
    if (this.options.spin === true) Atomics.store(orders.words, OrderWord.KeepSpinning, 1);
    Atomics.store(go, 0, 1);
    Atomics.notify(go, 0);
    this.start();
    this.supervisor.start(start, this.bundles!);
    const rows = this.system.protectionDomains.map((_, index) =>
      statisticsRow(this.machine.statistics, index),
    );
    this.options.onStart?.({
      plan: this.plan,
      memory: this.machine.memory,
      calls: () => rows.map((row) => sumOfChannels(row, Count.Calls)),
      kill: (core) => this.clusters.forEach((cluster) => cluster.kill(core)),
    });
    const timer = this.startTimer();
    const ended = await this.untilEnd(start);
    clearInterval(timer);
    const seconds = (performance.now() - start) / 1000;
    const startedAt = (start - performance.nodeTiming.bootstrapComplete) / 1000;
    const hungCores = await this.stop();
    const report = this.report(ended, startedAt, seconds, hungCores);
    const { trace, elideLock = false } = this.options;
    if (trace === undefined) return report;
    const names = this.system.protectionDomains.map(({ name }) => name);
    return { ...report, trace: writeTrace(trace, this.plan, this.machine.trace!, names, elideLock) };
  }

  /** The domains may start. */
  protected start(): void {}

  /** The cores have found the end by themselves, as on the simulated machine. */
  protected endedByItself(_how: 'idle' | 'time'): void {}

  /** The timer rings on the core of whoever handles its interrupt. */
  protected startTimer(): NodeJS.Timeout | undefined {
    const cores = this.plan.clusters
      .filter(({ domains }) => domains.some(({ irqs }) => irqs.some(({ line }) => line === TIMER_LINE)))
      .map(({ cores }) => cores[0]);
    if (cores.length === 0) return undefined;
    return setInterval(
      () => cores.forEach((core) => this.machine.interrupts.ring(core, TIMER_LINE)),
      TIMER_MILLISECONDS,
    );
  }

  protected untilEnd(start: number): Promise<RunReport['ended']> {
    const { seconds = Infinity, signal } = this.options;
    const { orders, interrupts } = this.machine;
    const { supervisor } = this;
    let nextTick = start;
    const ticks = this.system.protectionDomains.some(({ irqs }) =>
      irqs.some((irq) => irq.kind === 'conventional' && DEVICE_LINES.has(irq.irq)),
    );
    return new Promise((resolve, reject) => {
      const poll = setInterval(() => {
        const now = performance.now();
        supervisor.watch();
        let ended: RunReport['ended'] | undefined;
        if (signal?.aborted) ended = 'interrupted';
        else if (now - start >= seconds * 1000) ended = 'time';
        else if (supervisor.settled && supervisor.allDown) ended = 'failed';
        else if (
          !ticks &&
          supervisor.settled &&
          isIdle(orders, interrupts) &&
          !awaitsTick(this.machine, interrupts.words)
        )
          ended = 'idle';
        if (ended !== undefined || supervisor.crash !== undefined) clearInterval(poll);
        if (ended !== undefined) resolve(ended);
        else if (supervisor.crash !== undefined) reject(supervisor.crash);
        // After the look whether all is idle: what the last tick woke has parked again.
        else if (now >= nextTick) {
          supervisor.tick();
          // Where this thread was late, ticks are left out.
          nextTick = Math.max(nextTick + TICK_MILLISECONDS, now + TICK_MILLISECONDS - POLL_MILLISECONDS);
        }
      }, POLL_MILLISECONDS);
    });
  }

  /** Returns the cores that did not stop by themselves. */
  private async stop(): Promise<number[]> {
    this.supervisor.end();
    Atomics.store(this.machine.orders.words, OrderWord.Halt, 1);
    // Where this thread is late itself, what the cores have said meanwhile is heard first.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => setImmediate(resolve), STOP_MILLISECONDS);
    });
    await Promise.race([Promise.all(this.clusters.map((cluster) => cluster.stop())), late]);
    clearTimeout(timer);
    return this.clusters.flatMap((cluster) => cluster.hungCores());
  }

  /** Nothing is left running, but what cannot be ended. */
  async end(): Promise<void> {
    this.supervisor.end();
    await Promise.all(this.clusters.map((cluster) => cluster.terminate()));
  }

  protected report(
    ended: RunReport['ended'],
    startedAt: number,
    seconds: number,
    hungCores: readonly number[],
  ): RunReport {
    const { machine, system, clusters, supervisor, unhandledFaults, notPinned } = this;
    return reportOf({
      source: this.options.topology.source,
      ...{ machine, system, clusters, supervisor },
      ...{ ended, startedAt, seconds, hungCores, unhandledFaults, notPinned },
    });
  }
}
