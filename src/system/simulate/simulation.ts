/** A whole system on the simulated machine: what its main thread and the threads of its cores share. */
import type { Liveness } from '../../coordination/liveness.js';
import type { SignalFlags } from '../../coordination/signals.js';
import { type Core, type CoreParts, OrderWord, type SharedAccess } from '../../core/core.js';
import type { Kernel, KernelMachine } from '../../core/kernel.js';
import type { Observer } from '../../core/observer.js';
import { chargedAccess } from '../../core/simulated/access.js';
import { callTimes } from '../../core/simulated/call-times.js';
import { CoreClock } from '../../core/simulated/clock.js';
import { SimulatedCore } from '../../core/simulated/core.js';
import { SimulatedInterrupts } from '../../core/simulated/interrupts.js';
import { chargedKernel, outsideTransactions } from '../../core/simulated/kernel.js';
import { SimulatedMachine } from '../../machine/simulated/machine.js';
import type { MachineModel } from '../../machine/simulated/model.js';
import { SharedArrays } from '../../machine/simulated/shared-arrays.js';
import { Turns, type Timer, type TurnEvents } from '../../machine/simulated/turns.js';
import { awaitsTick } from '../boot/awaited-tick.js';
import type { CoreMessage, CoreOrders } from '../boot/order.js';
import type { SystemPlan } from '../placement/plan.js';
import { ChargedFlags, ChargedLiveness } from './charged-monitor.js';

/** Given to each core's thread. Plain data, and memory that threads share. */
export interface SimulationOrders {
  readonly model: MachineModel;
  /** Whether kernels of several cores elide their lock. */
  readonly elided: boolean;
  readonly buffers: SharedArrayBuffer[];
  readonly timers: readonly SystemTimer[];
}

/** A timer, and what it is for: to end the run, or to ring on each core of a list, which for the heartbeat is a tick. */
export type SystemTimer = Timer &
  (
    | { readonly kind: 'end' }
    | { readonly kind: 'heartbeat' | 'device'; readonly line: number; readonly cores: readonly number[] }
  );

/** The machine and its turns, as one thread has them: all over the same memory. */
export class Simulation {
  readonly machine: SimulatedMachine;
  readonly turns: Turns;
  /** The cores that run something, ascending: in this order they boot. */
  readonly cores: readonly number[];

  /** `thread`: the core whose it is; for the main thread the number of cores. */
  constructor(
    { model, elided, buffers, timers }: SimulationOrders,
    plan: SystemPlan,
    memory: WebAssembly.Memory,
    events: TurnEvents,
    thread: number,
  ) {
    const nodes = plan.clusters.map(({ cores }) => model.topology.cores[cores[0]].node);
    const nodeOf = (address: number): number => {
      const at = plan.clusters.findIndex(({ base, size }) => address >= base && address < base + size);
      return nodes[Math.max(at, 0)];
    };
    this.cores = plan.clusters.flatMap(({ cores }) => cores).sort((a, b) => a - b);
    const arrays = new SharedArrays(buffers);
    this.machine = new SimulatedMachine(model, memory, nodeOf, arrays, elided, thread);
    this.turns = new Turns(this.cores, this.machine.clocks, timers, arrays, events);
  }
}

/** The part of one core's thread. */
export class CoreSimulation {
  readonly clock: CoreClock;
  readonly interrupts: SimulatedInterrupts;
  readonly access: SharedAccess;
  readonly observer: Observer;
  readonly #simulation: Simulation;
  /** Whether the core's kernel elides its lock. */
  readonly #elided: boolean;

  /** `checkOrders`: of the core. */
  constructor(
    private readonly core: number,
    simulation: SimulationOrders,
    orders: CoreOrders,
    tell: (message: CoreMessage) => void,
    checkOrders: () => void,
  ) {
    const { plan, memory, statistics } = orders;
    const { words } = orders.orders;
    const end = (how: 'idle' | 'time'): void => {
      Atomics.store(words, OrderWord.Halt, 1);
      tell({ kind: 'ended', how });
    };
    const events: TurnEvents = {
      timer: (at, time) => {
        const timer = simulation.timers[at];
        if (timer.kind === 'end') return end('time');
        if (timer.kind === 'heartbeat') Atomics.add(words, OrderWord.Ticks, 1);
        for (const core of timer.cores) this.interrupts.ringAt(core, timer.line, time);
      },
      awaitsTimer: () => awaitsTick(orders, this.interrupts.words),
      idle: () => end('idle'),
    };
    this.#simulation = new Simulation(simulation, plan, memory, events, core);
    const { machine, turns } = this.#simulation;
    this.clock = new CoreClock(core, machine, turns, checkOrders);
    const { clock } = this;
    machine.aborted = (other) => turns.wake(other, machine.clocks[other]);
    this.#elided = simulation.elided && plan.clusters[orders.cluster].cores.length > 1;
    this.interrupts = new SimulatedInterrupts(clock, memory.buffer, 0, plan.cores);
    this.access = chargedAccess(memory.buffer, this.interrupts.words, clock);
    this.observer = callTimes(new Float64Array(statistics), clock);
  }

  coreOf(parts: CoreParts): Core {
    return new SimulatedCore(this.clock, parts);
  }

  /** What the kernel is given of the machine. */
  deviceOf(device: KernelMachine): KernelMachine {
    const timed = { ...device, now: () => this.clock.nanoseconds };
    return this.#elided ? outsideTransactions(timed, this.clock) : timed;
  }

  kernelOf(kernel: Kernel): Kernel {
    return chargedKernel(kernel, this.#simulation.machine.memory.buffer, this.clock, this.#elided);
  }

  flagsOf(...of: ConstructorParameters<typeof SignalFlags>): SignalFlags {
    return new ChargedFlags(this.clock, ...of);
  }

  livenessOf(...of: ConstructorParameters<typeof Liveness>): Liveness {
    return new ChargedLiveness(this.clock, ...of);
  }

  /** One core after the other boots, so that what they do then comes in the same order each time, too. */
  awaitBoot(): void {
    this.#simulation.turns.await(this.core);
  }

  booted(): void {
    const { cores, turns } = this.#simulation;
    const next = cores[cores.indexOf(this.core) + 1] as number | undefined;
    if (next !== undefined) turns.give(next);
  }

  /** Waits for the first turn; from now on all takes time. */
  start(): void {
    this.#simulation.turns.await(this.core);
    this.clock.started = true;
  }

  end(): void {
    this.#simulation.turns.end(this.core);
  }
}
