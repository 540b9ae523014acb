/** Runs a system on this computer, or on a simulated machine: from the description to the table of what happened. */
import { setFlagsFromString } from 'node:v8';
import { RegisterState } from '../../kernel/api/constants.js';
import { IDLE_TIME_STRIDE, OrderWord, Stop, isIdle, makeOrders } from '../core/core.js';
import type { Bundle } from '../core/engine/typescript/bundle.js';
import { compileKernel, type KernelImage } from '../core/kernel.js';
import { Count, statisticsBytes, statisticsRow, sumOfChannels } from '../core/statistics.js';
import { Injected, type Injection } from '../machine/host/injection.js';
import type { MachineModel } from '../machine/simulated/model.js';
import { InterruptController } from '../machine/interrupts.js';
import { sharedLines, sharedMemory } from '../machine/shared-memory.js';
import { type Cluster, clustersOf, type Topology } from '../machine/topology/index.js';
import { CHUNK_BYTES, ledgerOf } from '../coordination/memory.js';
import { awaitsTick } from './boot/awaited-tick.js';
import { RunError, RunningCluster, type CoreError, type Machine } from './boot/running-cluster.js';
import {
  DescriptionError,
  checkPrograms,
  policyOf,
  type ChannelEnd,
  type OnFailure,
  type SystemDescription,
} from './description/index.js';
import type { SimulationOrders } from './simulate/simulation.js';
import { DEVICE_LINES, planSystem, type SystemPlan } from './placement/plan.js';
import { TICK_MILLISECONDS } from './late-cores.js';
import { fillTopologyRegion, withTopologyRegion } from './placement/topology-region.js';
import { traceMemories, writeTrace, type TraceCounts } from './trace.js';
import { Supervisor, type ClusterFailure, type ClusterState } from './supervisor.js';

export { CoreError, RunError } from './boot/running-cluster.js';

/**
 * A call between domains is a chain of small functions, from one program's code through engine and kernel to the
 * other's. V8 inlines all of it only where its budget, in bytes of bytecode, allows: its default makes a call a fifth
 * slower. It counts for threads that are started afterwards.
 */
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');
setFlagsFromString('--max-inlined-bytecode-size=1500');
/**
 * A kernel entry cannot fail half-way for want of stack: V8 keeps far more in reserve than the kernel ever uses, and
 * without these checks lets it be used. What calls the kernel makes sure of its own (core/headroom.ts).
 */
setFlagsFromString('--no-wasm-stack-checks');

const POLL_MILLISECONDS = 5;
/** A core that does not stop by then is ended. */
const STOP_MILLISECONDS = 500;
export const TIMER_LINE = 16;
export const TIMER_MILLISECONDS = 10;

export interface RunOptions {
  readonly topology: Topology;
  /** Where the machine is simulated: what it is like. Its topology is `topology`. */
  readonly simulated?: MachineModel;
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

export type DomainState = 'running' | 'waiting' | 'calling' | 'faulted' | 'stopped';

export interface DomainReport {
  readonly name: string;
  readonly core: number;
  readonly cluster: number;
  readonly state: DomainState;
  readonly entries: {
    readonly init: number;
    readonly notified: number;
    readonly protected: number;
    readonly fault: number;
  };
  readonly calls: number;
  readonly notifications: number;
  readonly faults: number;
  readonly restarts: number;
}

/** One direction of a channel, as `from` used it on its channel `fromId`. */
export interface ChannelReport {
  readonly from: string;
  readonly fromId: number;
  readonly to: string;
  readonly toId: number;
  readonly calls: number;
  readonly notifications: number;
  /** On the simulated machine: what a call took, until its answer was there; the mean. */
  readonly callCycles?: number;
}

/** What a cluster of the simulated machine did, by its cores. */
export interface SimulatedCluster {
  /** Cycles that a core had something to do. */
  readonly busyCycles: readonly number[];
  readonly kernelEntries: readonly number[];
  /** Cycles that it waited for the kernel's lock. */
  readonly lockWaitingCycles: readonly number[];
  /** Cache lines that came to it from other cores' caches, or that it took from them. */
  readonly linesMoved: readonly number[];
}

export interface RunReport {
  readonly machine: string;
  readonly cores: number;
  readonly clusters: readonly {
    readonly id: number;
    readonly cores: readonly number[];
    readonly kernel: KernelImage;
    /** Bytes. */
    readonly memory: number;
    /** Seconds that each of its cores had something to do. */
    readonly busySeconds: readonly number[];
    /** On the simulated machine. */
    readonly simulated?: SimulatedCluster;
    readonly state: ClusterState;
    readonly restarts: number;
    readonly failures: readonly ClusterFailure[];
    /** Where memory can move between clusters: what it had of that at the end, and has given and taken, in bytes. */
    readonly moving?: { readonly owned: number; readonly given: number; readonly taken: number };
  }[];
  readonly domains: readonly DomainReport[];
  /** Each direction in which domains may call or notify. */
  readonly channels: readonly ChannelReport[];
  /** Why it ended. `failed`: no cluster is left. */
  readonly ended: 'idle' | 'time' | 'interrupted' | 'failed';
  /** When the domains were started: seconds since Node was up. Like `peakMemory` not on the simulated machine, where the same run gives the same report. */
  readonly startedAt?: number;
  /** How long the domains ran. */
  readonly seconds: number;
  /** The most memory that this process has held, in bytes. */
  readonly peakMemory?: number;
  /** On the simulated machine: its virtual time. `seconds` is the same at the machine's frequency. */
  readonly cycles?: number;
  readonly megahertz?: number;
  /** Faults that reached a monitor. */
  readonly unhandledFaults: number;
  /** Where a trace was written. */
  readonly trace?: TraceCounts;
  /** Cores whose program did not return when the system was stopped. */
  readonly hungCores: readonly number[];
  /** Interrupts that were dropped and doubled on purpose, and monitors that died so, if any were to be. */
  readonly injected?: { readonly dropped: number; readonly doubled: number; readonly died: number };
  /** Why threads could not be pinned to their cores, if they could not. */
  readonly notPinned?: string;
}

/**
 * @throws DescriptionError, ProgramError or RunError for a system that cannot run; then nothing is left running.
 */
export async function runSystem(description: SystemDescription, options: RunOptions): Promise<RunReport> {
  const { topology } = options;
  const { files, indices } = findPrograms(description, options.searchPath);
  const clusters = clustersOf(topology, options.clusters);
  const system = withTopologyRegion(description, topology, clusters);
  const plan = planSystem(system, topology, clusters, indices, options.lines, options.spare);
  // The bundler is loaded, and bundles, while the cores' threads start.
  const Running =
    options.simulated === undefined
      ? RunningMachine
      : (await import('./simulate/running-simulation.js')).RunningSimulation;
  const machine = new Running(plan, system, clusters, options);
  try {
    await machine.boot(bundle(files));
    return await machine.run();
  } finally {
    await machine.end();
  }
}

async function bundle(files: readonly string[]): Promise<Bundle[]> {
  const { bundlePrograms } = await import('../core/engine/typescript/bundle.js');
  const bundles = await bundlePrograms(files);
  return files.map((file) => bundles.get(file)!);
}

/** The distinct program files, and for each domain the index of its own. */
export function findPrograms(
  system: SystemDescription,
  searchPath: readonly string[],
): { files: string[]; indices: number[] } {
  const files: string[] = [];
  const indices = checkPrograms(system, [...searchPath]).map((found, index) => {
    const pd = system.protectionDomains[index];
    if (found.kind === 'elf') {
      throw new DescriptionError(
        `program image '${pd.programImage.path}' cannot run: Atoll does not run ELF images yet; put a TypeScript program of the same name (.ts for .elf) on the search path and the image off it`,
        { file: system.file, at: pd.programImage.at },
      );
    }
    const known = files.indexOf(found.file);
    return known >= 0 ? known : files.push(found.file) - 1;
  });
  return { files, indices };
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
    if (options.checkInvariants && plan.clusters.some(({ cores }) => cores.length > 1))
      throw new RunError('--check-invariants needs clusters of one core: give --clusters per-core');
    const memory = sharedMemory(plan.memory);
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
    const { trace } = this.options;
    if (trace === undefined) return report;
    const names = this.system.protectionDomains.map(({ name }) => name);
    return { ...report, trace: writeTrace(trace, this.plan, this.machine.trace!, names) };
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
    hungCores: number[],
  ): RunReport {
    const { injection } = this.machine;
    const domains: DomainReport[] = [];
    this.plan.clusters.forEach((cluster, at) => {
      for (const { index, core, configuration } of cluster.domains) {
        const counts = statisticsRow(this.machine.statistics, index);
        domains[index] = {
          name: configuration.name,
          core,
          cluster: cluster.id,
          state: this.stateOf(at, configuration.handle),
          entries: {
            init: counts[Count.Init],
            notified: counts[Count.Notified],
            protected: counts[Count.Protected],
            fault: counts[Count.Fault],
          },
          calls: sumOfChannels(counts, Count.Calls),
          notifications: sumOfChannels(counts, Count.Notifications),
          faults: counts[Count.Faults],
          restarts: counts[Count.Restarts],
        };
      }
    });
    return {
      machine: this.options.topology.source,
      cores: this.plan.cores,
      clusters: this.plan.clusters.map(({ id, cores, image, size }, index) => ({
        id,
        cores,
        kernel: image,
        memory: size,
        busySeconds: cores.map((core) =>
          Math.max(0, seconds - this.machine.orders.idleTimes[core * IDLE_TIME_STRIDE] / 1000),
        ),
        ...this.supervisor.records[index],
        ...this.movingOf(index),
      })),
      domains,
      channels: this.channels(),
      ended,
      startedAt,
      seconds,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      unhandledFaults: this.unhandledFaults,
      hungCores,
      ...(injection === undefined
        ? {}
        : {
            injected: {
              dropped: injection.counters[Injected.Dropped],
              doubled: injection.counters[Injected.Doubled],
              died: injection.counters[Injected.Died],
            },
          }),
      ...(this.notPinned === undefined ? {} : { notPinned: this.notPinned }),
    };
  }

  private movingOf(cluster: number): Pick<RunReport['clusters'][number], 'moving'> {
    if (this.plan.moving === undefined) return {};
    const ledger = ledgerOf(this.machine.interrupts.words, this.plan.moving);
    const { given, taken } = ledger.counts(cluster);
    const [owned, ...moved] = [ledger.owned(cluster), given, taken].map((chunks) => chunks * CHUNK_BYTES);
    return { moving: { owned, given: moved[0], taken: moved[1] } };
  }

  private channels(): ChannelReport[] {
    const { protectionDomains, channels } = this.system;
    const direction = (from: ChannelEnd, to: ChannelEnd): ChannelReport[] => {
      if (!from.notify && !from.pp) return [];
      const counts = statisticsRow(this.machine.statistics, from.pd);
      const calls = counts[Count.Calls + from.id];
      const cycles = counts[Count.CallCycles + from.id];
      return [
        {
          from: protectionDomains[from.pd].name,
          fromId: from.id,
          to: protectionDomains[to.pd].name,
          toId: to.id,
          calls,
          notifications: counts[Count.Notifications + from.id],
          ...(cycles === 0 ? {} : { callCycles: Math.round(cycles / calls) }),
        },
      ];
    };
    return channels.flatMap(({ ends: [a, b] }) => [...direction(a, b), ...direction(b, a)]);
  }

  private stateOf(cluster: number, handle: number): DomainState {
    const { tables } = this.clusters[cluster];
    if (this.supervisor.records[cluster].state === 'stopped') return 'stopped';
    const tcb = tables.tcbs[handle];
    const state = new Uint8Array(this.machine.memory.buffer)[tcb + RegisterState.Byte];
    if (tables.stopped[handle] === Number(Stop.Fault)) return 'faulted';
    if (state === RegisterState.Inactive) return 'stopped';
    if (state === RegisterState.Running) return 'running';
    return state === RegisterState.Receiving ? 'waiting' : 'calling';
  }
}
