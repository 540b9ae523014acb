/** The threads of one cluster's cores: to start, to end, and to leave the cluster as if it had never run. */
import { Worker } from 'node:worker_threads';
import { ClusterOffset } from '../../../kernel/api/constants.js';
import type { ClusterStates } from '../../coordination/liveness.js';
import { farWords } from '../../coordination/signals.js';
import { ORDERS_LINE, OrderWord, Stop, type Orders } from '../../core/core.js';
import type { Bundle } from '../../core/engine/typescript/bundle.js';
import { startPinned } from '../../machine/host/affinity.js';
import { exitWithoutThreads } from '../../machine/host/exit.js';
import { type ThreadTime, threadTime } from '../../machine/host/thread-time.js';
import type { InterruptController } from '../../machine/interrupts.js';
import type { ClusterPlan, SystemPlan } from '../placement/plan.js';
import type { SimulationOrders } from '../simulate/simulation.js';
import type { ClusterTables, CoreMessage, CoreOrders, InjectionOrders } from './order.js';

/** A thread that is not gone by then is given up. */
const TERMINATE_MILLISECONDS = 1000;
/** JavaScript objects that the programs of one core may hold, in MiB. */
const HEAP_MEGABYTES = 2048;

/** A program that cannot be run: `message` names its file, and needs `Error: ` before it. */
export class RunError extends Error {}

/** A core or a cluster that programs brought down. */
export class CoreError extends Error {}

/** What the clusters of a machine have in common. */
export interface Machine {
  readonly plan: SystemPlan;
  readonly memory: WebAssembly.Memory;
  readonly interrupts: InterruptController;
  readonly orders: Orders;
  /** 0 until the domains may start. */
  readonly go: Int32Array;
  readonly states: ClusterStates;
  readonly statistics: SharedArrayBuffer;
  /** By cluster: its kernel's image. */
  readonly kernels: readonly WebAssembly.Module[];
  /** By cluster, then by handle: physical address of the domain's TCB. */
  readonly tcbs: readonly Uint32Array[];
  /** By core of the machine: the operating system's number of its CPU. */
  readonly cpus: readonly number[];
  readonly console: number;
  readonly timestamps: boolean;
  readonly checkInvariants: boolean;
  readonly injection?: InjectionOrders;
  readonly trace?: readonly (SharedArrayBuffer | undefined)[];
  readonly simulation?: SimulationOrders;
}

/** What a cluster tells. `Cluster` is its index in the plan. */
export interface ClusterEvents {
  /** A fault reached its monitor. */
  fault(): void;
  notPinned(reason: string): void;
  /** A thread of it has ended that nobody told to, or its kernel has panicked. */
  died(cluster: number, cause: CoreError): void;
  /** Its monitor misses another cluster, or hears it again. */
  silent(cluster: number, incarnation: number, missed: number): void;
  heard(cluster: number): void;
  /** On the simulated machine: the end has come in virtual time. */
  ended(how: 'idle' | 'time'): void;
}

interface CoreThread {
  readonly id: number;
  readonly worker: Worker;
  readonly ready: Promise<void>;
  /** Resolves when the core has stopped by itself, or its thread has ended. */
  readonly stopped: Promise<void>;
  /** Its name to `threadTime`, once it is ready. */
  name: string | undefined;
  done: boolean;
  /** Set before the thread is ended on purpose. */
  dismissed: boolean;
}

export class RunningCluster {
  readonly tables: ClusterTables;
  readonly plan: ClusterPlan;
  private threads: readonly CoreThread[] = [];

  constructor(
    private readonly machine: Machine,
    /** Its index in the plan. */
    readonly index: number,
    private readonly events: ClusterEvents,
  ) {
    this.plan = machine.plan.clusters[index];
    const handles = this.plan.domains.length + 1;
    const words = (count: number): SharedArrayBuffer => new SharedArrayBuffer(4 * count);
    this.tables = {
      built: new Int32Array(words(1)),
      stopped: new Int32Array(words(handles)),
      tcbs: machine.tcbs[index],
      regions: new Uint32Array(words(machine.plan.regions.length)),
    };
  }

  /**
   * Starts a thread for each core; resolves when all its domains are ready to start.
   * @throws RunError, or CoreError where a thread ends before.
   */
  async boot(incarnation: number, bundles: Promise<readonly Bundle[]>): Promise<void> {
    const { plan } = this;
    plan.cores.forEach((core) => Atomics.store(this.machine.orders.awake, core, 1));
    const threads = plan.cores.map((_, clusterCore) => this.startThread(clusterCore, incarnation));
    this.threads = threads;
    const load = bundles.then((programs) => {
      for (const { worker } of threads) worker.postMessage(programs);
    });
    await Promise.all([load, ...threads.map(({ ready }) => ready)]);
  }

  private startThread(clusterCore: number, incarnation: number): CoreThread {
    const { plan, index, machine, events } = this;
    const id = plan.cores[clusterCore];
    const workerData: CoreOrders = {
      plan: machine.plan,
      cluster: index,
      clusterCore,
      memory: machine.memory,
      kernel: machine.kernels[index],
      orders: machine.orders,
      go: machine.go,
      states: machine.states,
      ...(machine.injection === undefined ? {} : { injection: machine.injection }),
      incarnation,
      tables: this.tables,
      tcbs: machine.tcbs,
      statistics: machine.statistics,
      console: machine.console,
      timestamps: machine.timestamps,
      checkInvariants: machine.checkInvariants,
      ...(machine.trace === undefined ? {} : { trace: machine.trace }),
      ...(machine.simulation === undefined ? {} : { simulation: machine.simulation }),
    };
    const startWorker = (): Worker =>
      new Worker(new URL('./core-worker.js', import.meta.url), {
        workerData,
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
      });
    const [worker, pinned] =
      machine.simulation === undefined
        ? startPinned(machine.cpus[id], startWorker)
        : ([startWorker(), true] as const);
    if (pinned !== true) events.notPinned(pinned);
    let resolveReady: () => void;
    let rejectReady: (error: Error) => void;
    let resolveStopped: () => void;
    const thread: CoreThread = {
      id,
      worker,
      ready: new Promise((resolve, reject) => {
        resolveReady = resolve;
        rejectReady = reject;
      }),
      stopped: new Promise((resolve) => (resolveStopped = resolve)),
      name: undefined,
      done: false,
      dismissed: false,
    };
    const died = (cause: CoreError): void => {
      rejectReady(cause);
      resolveStopped();
      if (!thread.done && !thread.dismissed) events.died(index, cause);
    };
    worker.on('message', (message: CoreMessage) => {
      if (thread.dismissed) return;
      switch (message.kind) {
        case 'ready':
          thread.name = message.thread;
          resolveReady();
          break;
        case 'program-error':
          rejectReady(new RunError(message.message));
          break;
        case 'fault':
          events.fault();
          break;
        case 'panic':
          died(new CoreError(`the kernel of core ${id} panicked: ${message.reason}`));
          break;
        case 'silent':
          events.silent(message.cluster, message.incarnation, message.missed);
          break;
        case 'heard':
          events.heard(message.cluster);
          break;
        case 'ended':
          events.ended(message.how);
          break;
        case 'stopped':
          thread.done = true;
          resolveStopped();
          break;
      }
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const reason = outOfMemory ? 'its programs used up its memory' : error.message;
      died(new CoreError(`core ${id} stopped: ${reason}`, { cause: error }));
    });
    worker.on('exit', () => died(new CoreError(`core ${id} stopped: its thread was ended`)));
    return thread;
  }

  /** Ends the thread of one core without a word, as a crash would. */
  kill(core: number): void {
    void this.threads.find(({ id }) => id === core)?.worker.terminate();
  }

  /** The times of a core's thread, where the operating system tells. */
  threadTime(core: number): ThreadTime | undefined {
    const name = this.threads.find(({ id }) => id === core)?.name;
    return name === undefined ? undefined : threadTime(name);
  }

  /** Asks all cores to stop; resolves when they have. The machine's orders must say so already. */
  async stop(): Promise<void> {
    const threads = this.threads.filter(({ dismissed }) => !dismissed);
    for (const { id } of threads) this.machine.interrupts.ring(id, ORDERS_LINE);
    await Promise.all(threads.map(({ stopped }) => stopped));
  }

  /** The cores that have not stopped, though their threads are there. */
  hungCores(): number[] {
    return this.threads.filter(({ done, dismissed }) => !done && !dismissed).map(({ id }) => id);
  }

  /** Ends all threads, whatever they do, and resets their cores' interrupts. False if one of them cannot be ended: then it may run on for ever. */
  async terminate(): Promise<boolean> {
    const { memory, orders, interrupts } = this.machine;
    const { threads } = this;
    Atomics.store(new Int32Array(memory.buffer, this.plan.base + ClusterOffset.Halted, 1), 0, 1);
    for (const thread of threads) thread.dismissed = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, TERMINATE_MILLISECONDS, false);
    });
    const ended = Promise.all(threads.map(({ worker }) => worker.terminate())).then(() => true);
    const gone = await Promise.race([ended, late]);
    clearTimeout(timer);
    // Nobody waits for what these cores have to do.
    for (const { id } of threads) {
      interrupts.reset(id);
      Atomics.store(orders.awake, id, 0);
    }
    if (!gone) {
      for (const { worker } of threads) worker.unref();
      exitWithoutThreads();
    }
    return gone;
  }

  /** Leaves memory and tables as when the machine is switched on. The threads must be gone. */
  reset(): void {
    const { memory, interrupts, orders } = this.machine;
    const { base, size, links } = this.plan;
    new Uint8Array(memory.buffer, base, size).fill(0);
    interrupts.words.fill(0, links.farFlags, links.farFlags + farWords(links.flags));
    const stopped = this.tables.stopped.filter((stop) => stop !== Number(Stop.None)).length;
    Atomics.sub(orders.words, OrderWord.Stopped, stopped);
    for (const table of Object.values(this.tables) as (Int32Array | Uint32Array)[]) table.fill(0);
  }
}
