/**
 * What one core has under way while it runs a stretch of code: loads, atomic operations and stores that are not done.
 *
 * Instructions come into the window in order, at the core's rate, and leave it in order once they are done; while the
 * oldest is not done, there is room for so many behind it. A line is asked for as soon as the access is in the window and
 * its address is known: so independent loads overlap, and one whose address another yields comes after that. Branches
 * count as foreseen. Stores leave the window at once and wait in the store buffer, in which their lines' ways overlap
 * too. An atomic operation is done when all before it is, stores included. No more lines are on their way to a core at a
 * time than it has buffers for.
 */
import type { Coherence } from './coherence.js';
import type { CoreCosts } from './model.js';
import { Recent } from './recent.js';

/** So many that are not done are told apart, each done later than those before: more wait, as for a load queue's entry. */
const ENTRIES = 64;
const NO_LINE = -1;

export class Window {
  /** When the next instruction comes into the window. */
  now = 0;
  /** When all stores have left the store buffer. */
  drained = 0;
  #core = -1;
  #instructions = 0;
  /** A ring, oldest first: how many instructions came before each, and when it and all before it are done. */
  readonly #places = new Float64Array(ENTRIES);
  readonly #ends = new Float64Array(ENTRIES);
  #first = 0;
  #count = 0;
  /** Lines on their way: the number, and when each is there. */
  readonly #lines: Int32Array;
  readonly #arrivals: Float64Array;
  #arriving = 0;

  constructor(
    private readonly costs: CoreCosts,
    private readonly coherence: Coherence,
    private readonly recent = new Recent(),
  ) {
    this.#lines = new Int32Array(costs.misses);
    this.#arrivals = new Float64Array(costs.misses);
  }

  /** A core begins a stretch; nothing is under way but stores. */
  begin(core: number, now: number, drained: number): void {
    this.#core = core;
    this.now = now;
    this.drained = drained;
    this.#instructions = 0;
    this.#count = 0;
    this.#arriving = 0;
  }

  /** As {@link load}, of a line that the stretch has used. */
  loadAgain(line: number, ready: number): number {
    const there = this.recent.arrivalOf(line);
    this.recent.load(line);
    const known = ready > this.now ? ready : this.now;
    if (there <= known) return known;
    this.#note(there);
    return there;
  }

  /** When all loads and atomic operations so far are done. */
  get end(): number {
    return this.#count === 0 ? this.now : Math.max(this.now, this.#ends[this.#last]);
  }

  /** Nothing goes on before that. */
  wait(): void {
    this.now = this.end;
    this.#count = 0;
  }

  execute(instructions: number): void {
    this.#pass(instructions, instructions * this.costs.cyclesPerInstruction);
  }

  compute(cycles: number): void {
    this.#pass(cycles / this.costs.cyclesPerInstruction, cycles);
  }

  /** When what is loaded is there; its address is known at `ready`. */
  load(line: number, ready: number): number {
    const done = this.#request(line, false, ready);
    this.#note(done);
    return done;
  }

  /** When the line is there. */
  store(line: number, ready: number): number {
    const done = this.#request(line, true, ready);
    if (done > this.drained) this.drained = done;
    return done;
  }

  /** When a read-modify-write is done: it occupies the core for some time, but lines behind it can be asked for before. */
  atomic(line: number, ready: number): number {
    const there = this.#request(line, true, ready);
    const done = Math.max(there, this.end, this.drained) + this.costs.atomic;
    this.drained = done;
    this.now += this.costs.atomic;
    this.#note(done);
    if (this.costs.atomicsStall !== 0) this.wait();
    return done;
  }

  /** When a store that releases a lock is done, all before it being so. The core goes on. */
  release(line: number, ready: number): number {
    this.drained = Math.max(this.#request(line, true, ready), this.end, this.drained);
    return this.drained;
  }

  get #last(): number {
    return (this.#first + this.#count - 1) % ENTRIES;
  }

  #pass(instructions: number, cycles: number): void {
    this.#instructions += instructions;
    this.now += cycles;
    while (this.#count > 0 && this.#instructions - this.#places[this.#first] >= this.costs.window)
      this.#leave();
  }

  /** The oldest leaves the window. */
  #leave(): void {
    if (this.#ends[this.#first] > this.now) this.now = this.#ends[this.#first];
    this.#first = (this.#first + 1) % ENTRIES;
    this.#count--;
  }

  /** What is done at `end` comes into the window. */
  #note(end: number): void {
    if (end <= this.end) return;
    if (this.#count === ENTRIES) this.#leave();
    this.#count++;
    this.#places[this.#last] = this.#instructions;
    this.#ends[this.#last] = end;
    if (this.costs.window === 0) this.wait();
  }

  #request(line: number, write: boolean, ready: number): number {
    let start = ready > this.now ? ready : this.now;
    let there = 0;
    for (let at = 0; at < this.#arriving; at++)
      if (this.#lines[at] === line && this.#arrivals[at] > there) there = this.#arrivals[at];
    if (there > start) start = there;
    let done = this.coherence.access(this.#core, line, write, start);
    if (done > start) {
      // Who has a line can read it while it waits for the right to write it.
      const { upgraded } = this.coherence;
      done = this.#arrive(upgraded ? NO_LINE : line, start, done);
      if (!upgraded) there = done;
    }
    this.recent.use(line, write, there);
    return done;
  }

  /** When a line that would be there at `done` is there, since a buffer must be free for it. */
  #arrive(line: number, start: number, done: number): number {
    let kept = 0;
    for (let at = 0; at < this.#arriving; at++) {
      if (this.#arrivals[at] <= this.now) continue;
      this.#lines[kept] = this.#lines[at];
      this.#arrivals[kept++] = this.#arrivals[at];
    }
    this.#arriving = kept;
    let buffer = kept;
    let delay = 0;
    if (kept === this.#arrivals.length) {
      buffer = 0;
      for (let at = 1; at < kept; at++) if (this.#arrivals[at] < this.#arrivals[buffer]) buffer = at;
      delay = Math.max(0, this.#arrivals[buffer] - start);
    } else this.#arriving++;
    this.#lines[buffer] = line;
    this.#arrivals[buffer] = done + delay;
    return done + delay;
  }
}
