/**
 * One core: the loop "the kernel decides who runs, its engine runs it until it traps".
 *
 * Handlers nest on one stack. A trap that makes a more urgent thread current runs that thread's handler at once, on
 * top of the one that trapped, and returns to it when the kernel makes it current again. So a call between two
 * domains of one core is two function calls and two kernel entries, with no queue, no promise and no allocation.
 *
 * What must hold: only the handler on top of the stack executes. A thread that the kernel makes current while its
 * handler is buried cannot go on before those above are done. Two rules keep that rare and bounded:
 * - While a handler waits in the middle (for a reply that did not come at once), the kernel starts nothing of its
 *   priority or below on top of it (`setFloor`): the stack resource policy (Baker, 1991), free of deadlock since
 *   calls go to higher priorities only. Where there are several scheduling domains, that holds in each for itself: in the
 *   turn of one its threads start on top of whatever handlers of the others wait. A plan in which one of them could then
 *   wait for such a buried handler is refused (system/placement/domain-schedule.ts).
 * - Where a domain of the machine has faulted or is stopped, such a wait may never end, and the floor is lifted so
 *   that others (its parent, perhaps) run on; a buried thread that becomes current is then held back until those
 *   above it have finished.
 */
import { Register } from '../../kernel/api/constants.js';
import { Awaited, MORE } from '../machine/host/controller.js';
import type { InterruptController } from '../machine/interrupts.js';
import { sharedLines } from '../machine/shared-memory.js';
import { CallAccess } from './call-lines.js';
import { SignalAccess } from './doorbell-signals.js';
import { hostTime, type Kernel } from './kernel.js';
import { RingConsumer, RingProducer } from './ring.js';
import type { Observer } from './observer.js';
import type { EngineThread } from './thread.js';

/** The interrupt line by which a core that is busy learns of new orders. */
export const ORDERS_LINE = 31;
/**
 * The machine's heartbeat timer rings every core here, and where clusters change (coordination/liveness.ts) the first
 * core of every other. Each core notes the tick; the first passes the interrupt on to its kernel, for the monitor.
 */
export const HEARTBEAT_LINE = 17;

/** A core spins this long for work before it parks. */
const SPIN_MICROSECONDS = 50;
const SPINS_PER_CLOCK_READ = 256;
/** A program that waits for a word of memory looks for it for so long before it waits in the kernel. */
const LOOK_MICROSECONDS = 10;
/** A parked core wakes by itself this often, to look at its orders. */
const PARK_MILLISECONDS = 1000;

/** What a core does when it has nothing to do, and how it learns that it must stop. Shared by a machine's cores. */
export interface Orders {
  /** Words of shared memory, as `OrderWord` numbers them. */
  readonly words: Int32Array;
  /**
   * For each core of the machine, `IDLE_TIME_STRIDE` apart: how long it had nothing to do, in milliseconds; in cycles on
   * the simulated machine.
   */
  readonly idleTimes: Float64Array;
  /** By core of the machine: 1 unless it is parked, or not used. */
  readonly awake: Int32Array;
  /** By core of the machine: the number of the last tick that it took. */
  readonly ticksTaken: Int32Array;
}

/** @param cores cores of the machine. */
export function makeOrders(cores: number): Orders {
  return {
    words: new Int32Array(new SharedArrayBuffer(4 * OrderWord.Count)),
    idleTimes: new Float64Array(sharedLines(8 * IDLE_TIME_STRIDE * cores)),
    awake: new Int32Array(new SharedArrayBuffer(4 * cores)),
    ticksTaken: new Int32Array(new SharedArrayBuffer(4 * cores)),
  };
}

/** How a core learns of its interrupts (machine/host/controller.ts). */
export interface CoreDevice {
  take(times: number): number;
  awaitWord(at: number, value: number, times: number): Awaited;
}

/** How user level reads and writes memory that cores share: chosen once, when the core starts. */
export interface SharedAccess {
  readonly calls: CallAccess;
  readonly signals: SignalAccess;
  producer(words: Int32Array, start: number, length: number): RingProducer;
  consumer(words: Int32Array, start: number, length: number): RingConsumer;
}

/** `memory`: physical memory. `controller`: words of the interrupt controller. */
export function plainAccess(memory: SharedArrayBuffer, controller: Int32Array): SharedAccess {
  return {
    calls: new CallAccess(new Uint32Array(memory)),
    signals: new SignalAccess(controller),
    producer: (words, start, length) => new RingProducer(words, start, length),
    consumer: (words, start, length) => new RingConsumer(words, start, length),
  };
}

/** Two cache lines: processors fetch lines in pairs, and each core writes its own between two signals. */
export const IDLE_TIME_STRIDE = 16;

export enum OrderWord {
  /** Not 0: stop. */
  Halt = 0,
  /** Counts each time that a core wakes. */
  Wakes = 1,
  /** Not 0: cores do not park. */
  KeepSpinning = 2,
  /** Domains of the machine that are faulted or stopped. */
  Stopped = 3,
  /** The number of the last tick of the machine's heartbeat timer. */
  Ticks = 4,
  Count = 5,
}

/** Thrown through a core's stack to end it: no program can catch it for good, since every trap throws it again. */
export class Halted extends Error {}

/** Why a domain does not go on. */
export enum Stop {
  None = 0,
  Fault = 1,
  /** By its parent. */
  Order = 2,
}

/** What a core is made of. */
export interface CoreParts {
  /** The core's number in the machine. */
  readonly id: number;
  readonly kernel: Kernel;
  readonly memory: SharedArrayBuffer;
  readonly interrupts: InterruptController;
  /** What the core itself does with that controller. */
  readonly device: CoreDevice;
  readonly orders: Orders;
  /** By handle of the cluster's domains, shared by its cores: why it does not go on, a `Stop`. */
  readonly stopped: Int32Array;
  /** Whether it takes interrupts by doorbells. */
  readonly hasDoorbells: boolean;
  /** Whether the cluster's interrupts come to this core. */
  readonly first: boolean;
  /** How many the kernel has. */
  readonly schedulingDomains: number;
  /** Told at once when the kernel panics. */
  readonly reportPanic: (reason: string) => void;
  readonly access: SharedAccess;
  readonly observer?: Observer | undefined;
}

export class Core {
  readonly id: number;
  readonly kernel: Kernel;
  readonly memory: SharedArrayBuffer;
  readonly interrupts: InterruptController;
  readonly hasDoorbells: boolean;
  readonly access: SharedAccess;
  readonly calls: CallAccess;
  readonly observer: Observer | undefined;
  readonly schedulingDomains: number;
  /** Threads by handle. Handle 0 is the idle thread. */
  readonly threads: (EngineThread | undefined)[] = [];
  /** Physical memory, as 32-bit words and as bytes. */
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  private readonly device: CoreDevice;
  private readonly first: boolean;
  private readonly reportPanic: (reason: string) => void;
  private readonly stopped: Int32Array;
  private readonly orders: Int32Array;
  protected readonly idleTimes: Float64Array;
  private readonly awake: Int32Array;
  private readonly ticksTaken: Int32Array;
  /** By scheduling domain. */
  private readonly floors: number[] = [0];
  /** Whether anything but ticks has come since the core last parked. */
  private busy = true;
  /**
   * Where a program's computing is to take time by order: the handler on top of the stack, of the thread `handle`,
   * computes for so many cycles. `goOn(next)` runs what is more urgent meanwhile.
   */
  readonly compute: ((cycles: number, handle: number, goOn: (next: number) => void) => void) | undefined =
    undefined;
  /** Whether a program that waits for a word of memory looks for it itself first. */
  readonly looks: boolean = true;
  /** Where it has doorbells, it looks at them each time that these bits of its count of kernel entries are 0. */
  readonly doorbellPolls: number = 7;
  /** Set when the core has been told to stop: whatever still runs on it is unwound. */
  halted = false;

  constructor(parts: CoreParts) {
    const { id, memory, orders } = parts;
    this.id = id;
    this.kernel = parts.kernel;
    this.memory = memory;
    this.interrupts = parts.interrupts;
    this.hasDoorbells = parts.hasDoorbells;
    this.access = parts.access;
    this.calls = parts.access.calls;
    this.observer = parts.observer;
    this.schedulingDomains = parts.schedulingDomains;
    this.words = new Uint32Array(memory);
    this.bytes = new Uint8Array(memory);
    this.device = parts.device;
    this.first = parts.first;
    this.reportPanic = parts.reportPanic;
    this.stopped = parts.stopped;
    this.orders = orders.words;
    this.idleTimes = orders.idleTimes.subarray(id * IDLE_TIME_STRIDE, (id + 1) * IDLE_TIME_STRIDE);
    this.awake = orders.awake;
    this.ticksTaken = orders.ticksTaken;
  }

  /** Notes why a domain of the cluster does not go on, or that it does. */
  markStopped(handle: number, stop: Stop): void {
    const before = Atomics.exchange(this.stopped, handle, stop);
    const change = Number(stop !== Stop.None) - Number(before !== Number(Stop.None));
    if (change === 0) return;
    Atomics.add(this.orders, OrderWord.Stopped, change);
    // Others may wait for it, asleep, with a floor to be lifted.
    for (let core = 0; core < this.interrupts.cores; core++) {
      if (change > 0 && core !== this.id) this.interrupts.ring(core, ORDERS_LINE);
    }
  }

  /** Whether a domain of the machine is faulted or stopped: the floor is lifted (see above). */
  private anyStopped(): boolean {
    return this.orders[OrderWord.Stopped] !== 0;
  }

  /** The number of the machine's last tick, and of the last that a core of it has taken. */
  get lastTick(): number {
    return Atomics.load(this.orders, OrderWord.Ticks);
  }
  tickTaken(core: number): number {
    return Atomics.load(this.ticksTaken, core);
  }

  /** The handle of the current thread, as the kernel has it. */
  current(): number {
    return this.words[(this.kernel.currentTCB() + Register.Program) >> 2];
  }

  /** Runs whatever the kernel chooses, until the core is halted. @throws Halted */
  loop(next: number): never {
    for (;;) next = this.turn(next);
  }

  /** One round of the loop. */
  turn(next: number): number {
    return next === 0 ? this.idle() : this.runThread(next);
  }

  /**
   * Called by a handler that trapped and found another thread current: runs others until `thread` is current again.
   * `cut()` tells whether the handler must be unwound instead; then it returns at once.
   */
  runOthers(thread: EngineThread, next: number, cut: () => boolean): void {
    if (thread.held) next = this.release(thread);
    const { tcb, schedulingDomain } = thread;
    const outer = this.floorOf(thread);
    while (next !== thread.handle) {
      if (cut()) break;
      if (next === 0) {
        next = this.idle();
        if (this.floorOf(thread) === tcb && this.anyStopped()) next = this.setFloor(0, schedulingDomain);
      } else if (
        this.floorOf(thread) !== tcb &&
        !this.anyStopped() &&
        (this.schedulingDomains > 1 || this.threads[next]!.priority <= thread.priority)
      ) {
        next = this.setFloor(tcb, schedulingDomain);
      } else {
        next = this.runThread(next);
        if (thread.held) next = this.release(thread);
      }
    }
    if (this.floorOf(thread) !== outer)
      this.settle(thread, this.setFloor(!this.anyStopped() ? outer : 0, schedulingDomain), cut);
  }

  /** A change of the floor may make another thread current for a moment. */
  private settle(thread: EngineThread, next: number, cut: () => boolean): void {
    if (next !== thread.handle && !cut()) this.runOthers(thread, next, cut);
  }

  private runThread(next: number): number {
    const thread = this.threads[next]!;
    if (!thread.onStack) return thread.run();
    thread.held = true;
    return this.kernel.hold(thread.tcb, 1);
  }

  /** The thread's handler is on top of the stack again. */
  release(thread: EngineThread): number {
    thread.held = false;
    return this.kernel.hold(thread.tcb, 0);
  }

  private floorOf({ schedulingDomain }: EngineThread): number {
    return this.floors[schedulingDomain] ?? 0;
  }

  private setFloor(tcb: number, schedulingDomain: number): number {
    this.floors[schedulingDomain] = tcb;
    return this.kernel.setFloor(tcb, schedulingDomain);
  }

  /**
   * Takes interrupts that are pending; `next` is the current thread's handle, before and after. `taken`: what the device has
   * given, where it was asked before.
   */
  takeInterrupts(next: number, taken = this.device.take(1)): number {
    while (taken >= 0) {
      const line = taken & ~MORE;
      if (line === HEARTBEAT_LINE) {
        Atomics.store(this.ticksTaken, this.id, Atomics.load(this.orders, OrderWord.Ticks));
        if (this.first) next = this.kernel.interrupt(line);
      } else {
        this.busy = true;
        if (line === ORDERS_LINE) this.checkOrders();
        else next = this.kernel.interrupt(line);
      }
      if ((taken & MORE) === 0) break;
      taken = this.device.take(1);
    }
    return next;
  }

  /** Whether `thrown` is a trap of the kernel's; if so, it has been reported, and all that runs here is unwound. */
  panicked(thrown: unknown): boolean {
    if (!(thrown instanceof WebAssembly.RuntimeError)) return false;
    this.halted = true;
    this.reportPanic(thrown.message);
    return true;
  }

  /**
   * Waits for an interrupt, or for when a thread's budget is replenished: spins briefly, then parks; parks at once where
   * only a tick had woken it. Returns the handle of who is current then, perhaps 0.
   */
  idle(): number {
    // No clock is read before the first looks, nor once an interrupt is there: that would cost a signal what a kernel entry costs.
    let taken = this.device.take(SPINS_PER_CLOCK_READ);
    if (taken >= 0) return this.takeInterrupts(0, taken);
    const start = performance.now();
    const deadline = this.kernel.deadline();
    const replenished = deadline === 0 ? Infinity : start + (deadline - hostTime()) / 1_000_000;
    const end = this.busy ? start + SPIN_MICROSECONDS / 1000 : start;
    let now = start;
    do {
      taken = this.device.take(SPINS_PER_CLOCK_READ);
      if (taken >= 0) {
        this.idleTimes[0] += now - start;
        return this.takeInterrupts(0, taken);
      }
      now = performance.now();
      if (Atomics.load(this.orders, OrderWord.Halt) !== 0) this.idleTimes[0] += now - start;
      this.checkOrders();
      if (now >= replenished) {
        this.idleTimes[0] += now - start;
        return this.kernel.timer();
      }
    } while (now < end || Atomics.load(this.orders, OrderWord.KeepSpinning) !== 0);

    this.busy = false;
    if (replenished === Infinity) {
      Atomics.store(this.awake, this.id, 0);
      this.interrupts.park(this.id, PARK_MILLISECONDS);
      Atomics.store(this.awake, this.id, 1);
      Atomics.add(this.orders, OrderWord.Wakes, 1);
    } else {
      // It will go on by itself, so it counts as awake.
      this.interrupts.park(this.id, Math.min(PARK_MILLISECONDS, replenished - now));
    }
    this.idleTimes[0] += performance.now() - start;
    return this.takeInterrupts(0);
  }

  /**
   * Looks for a while whether the word of memory at index `word` is `value`, and for interrupts, which are not taken.
   */
  awaitWord(word: number, value: number): Awaited {
    let end = 0;
    let now = 0;
    for (;;) {
      const came = this.device.awaitWord(4 * word, value, SPINS_PER_CLOCK_READ);
      if (came !== Awaited.Neither) return came;
      const before = now;
      now = performance.now();
      if (before === 0) end = now + LOOK_MICROSECONDS / 1000;
      else this.idleTimes[0] += now - before;
      if (now >= end) return Awaited.Neither;
    }
  }

  /** @throws Halted when the machine is to stop. */
  checkOrders(): void {
    if (Atomics.load(this.orders, OrderWord.Halt) === 0) return;
    this.halted = true;
    throw new Halted();
  }
}

/**
 * Whether a machine is idle for good: every core is parked and nothing is pending. A core says that it is awake before
 * it takes what is pending, so one of the two is seen; where work went from core to core meanwhile, one of them woke.
 */
export function isIdle({ words, awake }: Orders, interrupts: InterruptController): boolean {
  const wakes = Atomics.load(words, OrderWord.Wakes);
  const allParked = (): boolean => awake.every((_, core) => Atomics.load(awake, core) === 0);
  return (
    allParked() &&
    !interrupts.anythingPending() &&
    allParked() &&
    Atomics.load(words, OrderWord.Wakes) === wakes
  );
}
