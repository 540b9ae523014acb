/** What the main thread and the cores' threads of one machine tell each other. */
import type { ClusterStates } from '../../coordination/liveness.js';
import type { Orders } from '../../core/core.js';
import type { Injection } from '../../machine/host/injection.js';
import type { SystemPlan } from '../placement/plan.js';
import type { SimulationOrders } from '../simulate/simulation.js';

/** Memory that the cores of one cluster share, outside of the machine's physical memory: what its engines know. */
export interface ClusterTables {
  /** 0 until the cluster is built. */
  readonly built: Int32Array;
  /** By handle: whether the domain is stopped (core/core.ts). */
  readonly stopped: Int32Array;
  /** By handle: physical address of its TCB. */
  readonly tcbs: Uint32Array;
  /** By region of the plan: its physical address, or 0. */
  readonly regions: Uint32Array;
}

/** Failures on purpose. */
export interface InjectionOrders {
  readonly how: Injection;
  /** Shared by the machine's cores, as `Injected` numbers them. */
  readonly counters: Int32Array;
}

/** Given to a core's thread when it starts. The one message to it is the programs: `readonly Bundle[]`. */
export interface CoreOrders {
  readonly plan: SystemPlan;
  /** Index of the cluster in the plan, and of the core in the cluster. */
  readonly cluster: number;
  readonly clusterCore: number;
  readonly memory: WebAssembly.Memory;
  readonly kernel: WebAssembly.Module;
  readonly orders: Orders;
  /** 0 until the domains may start. */
  readonly go: Int32Array;
  readonly states: ClusterStates;
  readonly injection?: InjectionOrders;
  /** Counts how often the cluster was booted: 1 for the first time. */
  readonly incarnation: number;
  readonly tables: ClusterTables;
  /** By cluster, then by handle: physical address of the domain's TCB. */
  readonly tcbs: readonly Uint32Array[];
  readonly statistics: SharedArrayBuffer;
  /** File descriptor of the debug console. */
  readonly console: number;
  /** Whether its lines show when they were said. */
  readonly timestamps: boolean;
  /** Whether the kernel's memory is checked after each entry. */
  readonly checkInvariants: boolean;
  /** By core of the machine, where what they do is recorded: memory of a `TraceRecorder`. */
  readonly trace?: readonly (SharedArrayBuffer | undefined)[];
  /** Where the machine is simulated. */
  readonly simulation?: SimulationOrders;
}

/** Posted by a core's thread. */
export type CoreMessage =
  /** The domains are ready to start. `thread`: its name to `threadTime`. */
  | { readonly kind: 'ready'; readonly thread: string | undefined }
  /** A program has no usable entry points. */
  | { readonly kind: 'program-error'; readonly message: string }
  /** A fault reached the monitor. */
  | { readonly kind: 'fault'; readonly domain: number }
  /** The kernel trapped. */
  | { readonly kind: 'panic'; readonly reason: string }
  /** Another cluster has not been heard for long, or is heard again (coordination/liveness.ts). */
  | {
      readonly kind: 'silent';
      readonly cluster: number;
      readonly incarnation: number;
      readonly missed: number;
    }
  | { readonly kind: 'heard'; readonly cluster: number }
  /** On the simulated machine: the end of the run has come in virtual time. */
  | { readonly kind: 'ended'; readonly how: 'idle' | 'time' }
  | { readonly kind: 'stopped' };
