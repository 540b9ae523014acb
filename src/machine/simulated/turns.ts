/**
 * Whose turn it is, where a whole system runs on a simulated machine. Each core that has something to run has a thread,
 * since a program's handler that waits keeps its stack, and on one stack for all cores only the topmost could go on. But
 * one thread runs at a time, that of the core with the lowest clock, until its clock is past that of the next: all others
 * wait. So what the cores do to each other happens in the order of virtual time, however many CPUs there are.
 *
 * What must hold: a thread touches what threads share only when it is its core's turn, and calls {@link Turns.sync}
 * before it does what others can notice.
 */
import type { SharedArrays } from './shared-arrays.js';

/** What a core is at. */
enum State {
  Running = 0,
  /** Until its time, or until somebody wakes it. */
  Asleep = 1,
  /** For good. */
  Ended = 2,
}

/** Something that happens in virtual time by itself, again and again. */
export interface Timer {
  /** Cycles from one time to the next; the first is after one period. */
  readonly period: number;
  /** Whether there is more to come when nothing but timers is left. */
  readonly keepsAlive: boolean;
}

/** All of it happens in the thread whose turn it is. */
export interface TurnEvents {
  /** A timer's time has come: its number, and the time. */
  timer(timer: number, time: number): void;
  /** Nothing but timers that do not keep the machine alive is left: whether they bring something on all the same. */
  awaitsTimer(): boolean;
  /** Nothing will ever happen again. The machine is to be halted. */
  idle(): void;
}

export class Turns {
  /** By core, then by timer: when it goes on. */
  readonly #next: Float64Array;
  readonly #states: Int32Array;
  /** By core: 1 when it is its turn. */
  readonly #turn: Int32Array;
  /** How often somebody went on, and whose turn it is. */
  readonly #passed: Int32Array;
  /** Until then nobody else's turn comes. */
  #limit = 0;
  #first = -1;

  /**
   * @param cores those that run something. @param clocks of all cores.
   */
  constructor(
    private readonly cores: readonly number[],
    private readonly clocks: Float64Array,
    private readonly timers: readonly Timer[],
    arrays: SharedArrays,
    private readonly events: TurnEvents,
  ) {
    this.#next = arrays.float64(clocks.length + timers.length);
    this.#states = arrays.int32(clocks.length);
    this.#turn = arrays.int32(clocks.length);
    this.#passed = arrays.int32(2);
  }

  /** Before the first turn, by whoever sets the machine up. */
  initialise(): void {
    this.timers.forEach(({ period }, timer) => (this.#next[this.clocks.length + timer] = period));
  }

  /** How often a core has gone on: it changes as long as virtual time goes on. */
  get progress(): number {
    return Atomics.load(this.#passed, 0);
  }

  /** The core whose turn it is. */
  get current(): number {
    return Atomics.load(this.#passed, 1);
  }

  /** It is this core's turn. */
  give(core: number): void {
    Atomics.store(this.#passed, 1, core);
    Atomics.store(this.#turn, core, 1);
    Atomics.notify(this.#turn, core);
  }

  /** Returns when it is this core's turn. */
  await(core: number): void {
    while (Atomics.exchange(this.#turn, core, 0) === 0) Atomics.wait(this.#turn, core, 0);
    this.#look();
  }

  /** Returns when all others have come to where this core's clock is. */
  sync(core: number): void {
    Atomics.add(this.#passed, 0, 1);
    const now = this.clocks[core];
    this.#next[core] = now;
    if (now > this.#limit) this.#pass(core);
  }

  /** Returns when it is the core's turn at a time, or earlier where it was woken, and at what time that is. */
  sleep(core: number, until: number): number {
    Atomics.add(this.#passed, 0, 1);
    this.#next[core] = Math.max(until, this.clocks[core]);
    this.#states[core] = State.Asleep;
    this.#pass(core);
    this.#states[core] = State.Running;
    return this.#next[core];
  }

  /** A core that sleeps goes on at this time, if not before. */
  wake(core: number, time: number): void {
    if (this.#states[core] !== Number(State.Asleep)) return;
    const at = Math.max(time, this.clocks[core]);
    if (at >= this.#next[core]) return;
    this.#next[core] = at;
    if (at < this.#limit) this.#limit = at;
  }

  /** The core has ended. The turn goes to one that has not, if there is one. */
  end(core: number): void {
    this.#states[core] = State.Ended;
    this.#next[core] = Infinity;
    const next = this.cores.find((other) => this.#states[other] !== Number(State.Ended));
    if (next !== undefined) this.give(next);
  }

  #pass(core: number): void {
    for (;;) {
      this.#look();
      if (this.#first < 0 && this.events.awaitsTimer()) this.#look(true);
      const first = this.#first;
      if (first < 0) return this.events.idle();
      const timer = first - this.clocks.length;
      if (timer >= 0) {
        const time = this.#next[first];
        this.#next[first] += this.timers[timer].period;
        this.events.timer(timer, time);
      } else {
        if (first !== core) {
          this.give(first);
          this.await(core);
        }
        return;
      }
    }
  }

  /** Finds who is first, of several the one with the lowest number, and the time of the second. */
  #look(awaited = false): void {
    let first = -1;
    let least = Infinity;
    this.#limit = Infinity;
    const look = (index: number): void => {
      const next = this.#next[index];
      if (next < least) {
        this.#limit = least;
        least = next;
        first = index;
      } else if (next < this.#limit) {
        this.#limit = next;
      }
    };
    this.cores.forEach(look);
    const alive = awaited || first >= 0 || this.timers.some(({ keepsAlive }) => keepsAlive);
    if (alive) this.timers.forEach((_, timer) => look(this.clocks.length + timer));
    this.#first = alive ? first : -1;
  }
}
