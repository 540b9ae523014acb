/** Runs a system on this computer: from the description to the table of what happened. */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { RegisterState } from '../../kernel/api/constants.js';
import { IDLE_TIME_STRIDE, OrderWord, ORDERS_LINE, isIdle, type Orders, Stop } from '../core/core.js';
import type { Bundle } from '../core/engine/typescript/bundle.js';
import { compileKernel, type KernelImage } from '../core/kernel.js';
import { Count, statisticsBytes, statisticsRow } from '../core/statistics.js';
import { InterruptController } from '../machine/interrupts.js';
import { sharedLines } from '../machine/shared-lines.js';
import { type Cluster, clustersOf, type Topology } from '../machine/topology/index.js';
import type { ClusterTables, CoreMessage, CoreOrders } from './boot/order.js';
import { DescriptionError, checkPrograms, type SystemDescription } from './description/index.js';
import { DEVICE_LINES, planSystem, type SystemPlan } from './placement/plan.js';
import { fillTopologyRegion, withTopologyRegion } from './placement/topology-region.js';

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

const WASM_PAGE = 65536;
const POLL_MILLISECONDS = 5;
/** A core that does not stop by then is ended. */
const STOP_MILLISECONDS = 500;
const TIMER_LINE = 16;
const TIMER_MILLISECONDS = 10;

/** A program that cannot be run: `message` names its file, and needs `Error: ` before it. */
export class RunError extends Error {}

/** A core that programs brought down, and with it the system. */
export class CoreError extends Error {}

/** JavaScript objects that the programs of one core may hold, in MiB. */
const HEAP_MEGABYTES = 2048;

export interface RunOptions {
  readonly topology: Topology;
  /** As `clustersOf` takes it. */
  readonly clusters: string;
  /** Interrupt lines of a cluster that others may ring, from 1; by default as many as there are. */
  readonly lines?: number;
  readonly searchPath: readonly string[];
  /** Seconds after which the system is stopped; without, it runs until it is idle for good. */
  readonly seconds?: number;
  /** File descriptor for the domains' debug output. */
  readonly console: number;
  /** Whether each line of it shows when it was said. */
  readonly timestamps?: boolean;
  /** Stops the system. */
  readonly signal?: AbortSignal;
  /** Cores never park: for measuring what a signal costs that finds its receiver awake. */
  readonly spin?: boolean;
  /** Told when the domains start. */
  readonly onStart?: (plan: SystemPlan) => void;
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
  }[];
  readonly domains: readonly DomainReport[];
  /** Why it ended. */
  readonly ended: 'idle' | 'time' | 'interrupted';
  /** When the domains were started: seconds since Node was up. */
  readonly startedAt: number;
  /** How long the domains ran. */
  readonly seconds: number;
  /** The most memory that this process has held, in bytes. */
  readonly peakMemory: number;
  /** Faults that reached a monitor. */
  readonly unhandledFaults: number;
  /** Cores whose program did not return when the system was stopped. */
  readonly hungCores: readonly number[];
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
  const plan = planSystem(system, topology, clusters, indices, options.lines);
  const machine = new RunningMachine(plan, system, clusters, options);
  try {
    // The bundler is loaded, and bundles, while the cores' threads start.
    await Promise.all([machine.boot(), bundle(files).then((bundles) => machine.load(bundles))]);
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
function findPrograms(
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

class RunningMachine {
  private readonly memory: WebAssembly.Memory;
  private readonly orders: Orders;
  private readonly go = new Int32Array(new SharedArrayBuffer(4));
  private readonly interrupts: InterruptController;
  private readonly statistics: SharedArrayBuffer;
  private readonly tables: readonly ClusterTables[];
  private readonly cores: {
    readonly id: number;
    readonly worker: Worker;
    readonly stopped: Promise<void>;
    done: boolean;
  }[] = [];
  private unhandledFaults = 0;
  private notPinned: string | undefined;

  constructor(
    private readonly plan: SystemPlan,
    private readonly system: SystemDescription,
    clusters: readonly Cluster[],
    private readonly options: RunOptions,
  ) {
    const pages = plan.memory / WASM_PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    fillTopologyRegion(plan, options.topology, clusters, this.memory.buffer);
    this.interrupts = new InterruptController(this.memory.buffer, 0, plan.cores);
    this.orders = {
      words: new Int32Array(new SharedArrayBuffer(4 * OrderWord.Count)),
      idleTimes: new Float64Array(sharedLines(8 * IDLE_TIME_STRIDE * plan.cores)),
    };
    this.statistics = sharedLines(statisticsBytes(system.protectionDomains.length));
    this.tables = plan.clusters.map(({ domains, links }) => ({
      built: new Int32Array(new SharedArrayBuffer(4)),
      stopped: new Int32Array(new SharedArrayBuffer(4 * (domains.length + 1))),
      tcbs: new Uint32Array(new SharedArrayBuffer(4 * (domains.length + 2 + links.proxies.length))),
      regions: new Uint32Array(new SharedArrayBuffer(4 * plan.regions.length)),
    }));
  }

  async run(): Promise<RunReport> {
    this.options.onStart?.(this.plan);
    const start = performance.now();
    if (this.options.spin === true) Atomics.store(this.orders.words, OrderWord.KeepSpinning, 1);
    Atomics.store(this.go, 0, 1);
    Atomics.notify(this.go, 0);
    const timer = this.startTimer();
    const ended = await this.untilEnd(start);
    clearInterval(timer);
    const seconds = (performance.now() - start) / 1000;
    const startedAt = (start - performance.nodeTiming.bootstrapComplete) / 1000;
    const hungCores = await this.stop();
    return this.report(ended, startedAt, seconds, hungCores);
  }

  /** Starts a thread for each core; resolves when all domains are ready to start, which needs `load`. */
  async boot(): Promise<void> {
    const count = this.plan.clusters.reduce((sum, { cores }) => sum + cores.length, 0);
    Atomics.store(this.orders.words, OrderWord.Awake, count);
    const kernels = new Map<KernelImage, WebAssembly.Module>();
    await Promise.all(
      this.plan.clusters.flatMap((cluster, index) =>
        cluster.cores.map((id, clusterCore) => {
          const kernel = kernels.get(cluster.image) ?? compileKernel(cluster.image);
          kernels.set(cluster.image, kernel);
          return this.startCore({
            plan: this.plan,
            cluster: index,
            clusterCore,
            cpu: this.options.topology.cores[id].cpu,
            memory: this.memory,
            kernel,
            orders: this.orders,
            go: this.go,
            tables: this.tables[index],
            statistics: this.statistics,
            console: this.options.console,
            timestamps: this.options.timestamps ?? false,
          });
        }),
      ),
    );
  }

  /** Hands the programs to the cores, as the plan numbers them. To be called after `boot`, and once. */
  load(bundles: readonly Bundle[]): void {
    for (const { worker } of this.cores) worker.postMessage(bundles);
  }

  private startCore(orders: CoreOrders): Promise<void> {
    const worker = new Worker(new URL('./boot/core-worker.js', import.meta.url), {
      workerData: orders,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
    });
    const id = this.plan.clusters[orders.cluster].cores[orders.clusterCore];
    return new Promise((ready, failed) => {
      const stopped = new Promise<void>((resolve) => {
        worker.on('message', (message: CoreMessage) => {
          switch (message.kind) {
            case 'ready':
              if (message.pinned !== true) this.notPinned = message.pinned;
              ready();
              break;
            case 'program-error':
              failed(new RunError(message.message));
              break;
            case 'fault':
              this.unhandledFaults++;
              break;
            case 'stopped':
              core.done = true;
              resolve();
              break;
          }
        });
        worker.on('error', (error: NodeJS.ErrnoException) => {
          const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
          const crash = outOfMemory
            ? new CoreError(`core ${id} stopped: its programs used up its memory`)
            : error;
          failed(crash);
          this.crash ??= crash;
          resolve();
        });
      });
      const core = { id, worker, stopped, done: false };
      this.cores.push(core);
    });
  }

  private crash: Error | undefined;

  /** The timer rings on the core of whoever handles its interrupt. */
  private startTimer(): NodeJS.Timeout | undefined {
    const cores = this.plan.clusters
      .filter(({ domains }) => domains.some(({ irqs }) => irqs.some(({ line }) => line === TIMER_LINE)))
      .map(({ cores }) => cores[0]);
    if (cores.length === 0) return undefined;
    return setInterval(
      () => cores.forEach((core) => this.interrupts.ring(core, TIMER_LINE)),
      TIMER_MILLISECONDS,
    );
  }

  private untilEnd(start: number): Promise<RunReport['ended']> {
    const { seconds = Infinity, signal } = this.options;
    const ticks = this.system.protectionDomains.some(({ irqs }) =>
      irqs.some((irq) => irq.kind === 'conventional' && DEVICE_LINES.has(irq.irq)),
    );
    return new Promise((resolve, reject) => {
      const poll = setInterval(() => {
        let ended: RunReport['ended'] | undefined;
        if (signal?.aborted) ended = 'interrupted';
        else if (performance.now() - start >= seconds * 1000) ended = 'time';
        else if (!ticks && isIdle(this.orders.words, this.interrupts)) ended = 'idle';
        else if (this.crash === undefined) return;
        clearInterval(poll);
        if (ended === undefined) reject(this.crash!);
        else resolve(ended);
      }, POLL_MILLISECONDS);
    });
  }

  /** Returns the cores that did not stop by themselves. */
  private async stop(): Promise<number[]> {
    Atomics.store(this.orders.words, OrderWord.Halt, 1);
    for (const { id } of this.cores) this.interrupts.ring(id, ORDERS_LINE);
    // Where this thread is late itself, what the cores have said meanwhile is heard first.
    const late = new Promise<void>((resolve) => {
      setTimeout(() => setImmediate(resolve), STOP_MILLISECONDS).unref();
    });
    await Promise.race([Promise.all(this.cores.map(({ stopped }) => stopped)), late]);
    return this.cores.filter(({ done }) => !done).map(({ id }) => id);
  }

  async end(): Promise<void> {
    await Promise.all(this.cores.map(({ worker }) => worker.terminate()));
  }

  private report(
    ended: RunReport['ended'],
    startedAt: number,
    seconds: number,
    hungCores: number[],
  ): RunReport {
    const domains: DomainReport[] = [];
    this.plan.clusters.forEach((cluster, at) => {
      for (const { index, core, configuration } of cluster.domains) {
        const counts = statisticsRow(this.statistics, index);
        domains[index] = {
          name: configuration.name,
          core,
          cluster: cluster.id,
          state: this.stateOf(this.tables[at], configuration.handle),
          entries: {
            init: counts[Count.Init],
            notified: counts[Count.Notified],
            protected: counts[Count.Protected],
            fault: counts[Count.Fault],
          },
          calls: counts[Count.Calls],
          notifications: counts[Count.Notifications],
          faults: counts[Count.Faults],
          restarts: counts[Count.Restarts],
        };
      }
    });
    return {
      machine: this.options.topology.source,
      cores: this.plan.cores,
      clusters: this.plan.clusters.map(({ id, cores, image, size }) => ({
        id,
        cores,
        kernel: image,
        memory: size,
        busySeconds: cores.map((core) =>
          Math.max(0, seconds - this.orders.idleTimes[core * IDLE_TIME_STRIDE] / 1000),
        ),
      })),
      domains,
      ended,
      startedAt,
      seconds,
      peakMemory: process.resourceUsage().maxRSS * 1024,
      unhandledFaults: this.unhandledFaults,
      hungCores,
      ...(this.notPinned === undefined ? {} : { notPinned: this.notPinned }),
    };
  }

  private stateOf(tables: ClusterTables, handle: number): DomainState {
    const tcb = tables.tcbs[handle];
    const state = new Uint8Array(this.memory.buffer)[tcb + RegisterState.Byte];
    if (tables.stopped[handle] === Number(Stop.Fault)) return 'faulted';
    if (state === RegisterState.Inactive) return 'stopped';
    if (state === RegisterState.Running) return 'running';
    return state === RegisterState.Receiving ? 'waiting' : 'calling';
  }
}
