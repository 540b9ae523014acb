/**
 * Explores all interleavings of threads that share memory, on the real code: nothing is retyped for it.
 *
 * A thread repeats a step, a function of real objects over an `Int32Array`. Here that array is a proxy and `Atomics`
 * are the explorer's, so that each access comes by here. A step is run up to an access that another thread could
 * notice, and left by an exception; to go on, it is run again from its start with what its accesses returned. So a
 * state is the memory, the fields of each thread's objects, and the accesses of the step that each is in.
 *
 * **Weak memory.** Atomics are sequentially consistent, and an atomic access synchronizes with the store that it reads
 * (ECMAScript, "Memory Model"); by vector clocks the explorer knows what happens before what. Two plain accesses of
 * one word, or a plain and an atomic one, of which one is a store and none happens before the other, are a data race.
 * Where no execution has one, the model promises that there is no other behaviour than those explored here, on any
 * processor; and in such programs plain accesses are noticed by nobody, so that it is enough to change threads before
 * atomic ones. Where races are allowed, a plain load may return any store that the model lets it see: each is
 * explored. Time then passes by stores to words that are loaded so alone, or no state would ever come again.
 */

type Clock = readonly number[];

interface Store {
  readonly value: number;
  readonly thread: number;
  /** The thread's time when it stored. */
  readonly time: number;
}

/** A word of memory. */
interface Word {
  /** Stores that a thread might still see, the last one last. */
  readonly stores: readonly Store[];
  readonly atomic: boolean;
  /** What happens before whoever reads the last store atomically. */
  readonly released: Clock;
  /** By thread, when it last read the word plainly, and atomically. */
  readonly plainReads: Clock;
  readonly atomicReads: Clock;
}

interface ThreadState {
  readonly clock: Clock;
  readonly fields: readonly Fields[];
  /** What the accesses of the step at hand returned. */
  readonly log: readonly number[];
  readonly asleep: number;
  readonly done: boolean;
}

interface State {
  readonly memory: Readonly<Record<number, Word>>;
  readonly threads: readonly ThreadState[];
}

type Fields = Record<string, unknown>;

export interface Thread {
  /** All that a step changes: of each its fields, of which numbers, strings and arrays of these are kept. */
  readonly objects: readonly object[];
  /** Does some work; returns true when the thread has done all. */
  step(): boolean;
  /**
   * The thread may die, in the middle of a step or between two; then this makes its successor, which goes on with
   * `step`. Returns false where it may not die now.
   */
  readonly rebirth?: (() => boolean) | undefined;
}

export interface Options {
  /** Whether plain loads may race with stores. */
  readonly racesAllowed?: boolean;
  /** Whether threads change before plain accesses too: needed where one may die there. */
  readonly everyAccess?: boolean;
  /** Checked in each state. */
  readonly invariant?: () => void;
}

export interface Explored {
  readonly states: number;
  readonly finals: number;
}

/** Beyond these, something goes on for ever that no state should count. */
const MOST_STATES = 100_000;

class Pause extends Error {}
class Again extends Error {}
class Branch extends Error {
  constructor(readonly choices: number) {
    super();
  }
}
const pause = new Pause();

/** A violation, and the threads in the order in which they ran to it. */
export class Violation extends Error {}

export class Explorer {
  /** The memory that the code under test uses. */
  readonly words: Int32Array;
  private memory: Record<number, Word> = {};
  private threads: ThreadState[] = [];
  private running = -1;
  private position = 0;
  private log: number[] = [];
  private clock: number[] = [];
  /** So many more accesses that others could notice. */
  private allowance = 0;
  private choices: readonly number[] = [];
  private racesAllowed = false;
  private everyAccess = false;
  private count = 0;
  private readonly initialFields: Fields[][] = [];
  /** Which threads access a word by an access that others could notice; where races are allowed, which load it plainly, and store to it; and the words of which both is true. */
  private readonly accessedBy = new Map<number, Set<number>>();
  private readonly loads = new Map<number, Set<number>>();
  private readonly storedBy = new Map<number, Set<number>>();
  private readonly watched = new Set<number>();

  constructor(length: number) {
    const target = new Int32Array(length);
    this.words = new Proxy(target, {
      get: (_, key) => {
        const index = Number(key);
        if (typeof key === 'symbol' || Number.isNaN(index)) return Reflect.get(target, key) as unknown;
        return this.access(index, () => this.plainLoad(index), this.everyAccess || this.watched.has(index));
      },
      set: (_, key, value: number) => {
        const index = Number(key);
        this.access(index, () => this.plainStore(index, value | 0), this.everyAccess);
        return true;
      },
    });
  }

  /** Runs `setUp`, which returns the threads, and then all their interleavings. @throws Violation */
  explore(setUp: () => readonly Thread[], options: Options = {}): Explored {
    const real = globalThis.Atomics;
    globalThis.Atomics = this.atomics() as typeof Atomics;
    try {
      const code = setUp();
      const { memory } = this;
      for (;;) {
        try {
          this.memory = { ...memory };
          return this.exploreAll(code, options);
        } catch (error) {
          if (!(error instanceof Again)) throw error;
        }
      }
    } finally {
      globalThis.Atomics = real;
    }
  }

  private exploreAll(code: readonly Thread[], options: Options): Explored {
    this.count = code.length;
    this.racesAllowed = options.racesAllowed ?? false;
    this.everyAccess = options.everyAccess ?? false;
    const zero = Array<number>(this.count).fill(0);
    for (const word of Object.keys(this.memory).map(Number)) {
      this.memory[word] = { ...this.memory[word], released: zero, plainReads: zero, atomicReads: zero };
    }
    this.threads = code.map((thread, index) => ({
      clock: zero.with(index, 1),
      fields: (this.initialFields[index] ??= thread.objects.map(save)),
      log: [],
      asleep: -1,
      done: false,
    }));
    interface Node {
      readonly state: State;
      readonly from: Node | undefined;
      readonly by: number;
      readonly before: Node[];
      finishes: boolean;
    }
    const key = (state: State): string => JSON.stringify(state);
    const start: State = { memory: this.memory, threads: this.threads };
    const root: Node = { state: start, from: undefined, by: -1, before: [], finishes: false };
    const nodes = new Map<string, Node>([[key(start), root]]);
    const finals: Node[] = [];
    const trace = (node: Node | undefined): string => {
      const path: number[] = [];
      for (; node?.from !== undefined; node = node.from) path.push(node.by);
      return path.reverse().join('');
    };
    const todo = [root];
    for (let node = todo.pop(); node !== undefined; node = todo.pop()) {
      if (node.state.threads.every(({ done }) => done)) finals.push(node);
      for (let thread = 0; thread < this.count; thread++) {
        let next: State[];
        try {
          next = this.advance(node.state, thread, code[thread], options.invariant);
        } catch (error) {
          if (error instanceof Again) throw error;
          throw new Violation(`${(error as Error).message} (threads ${trace(node)}${thread})`, {
            cause: error,
          });
        }
        for (const state of next) {
          const name = key(state);
          let to = nodes.get(name);
          if (to === undefined) {
            if (nodes.size === MOST_STATES) throw new Error(`there are more than ${MOST_STATES} states`);
            to = { state, from: node, by: thread, before: [], finishes: false };
            nodes.set(name, to);
            todo.push(to);
          }
          to.before.push(node);
        }
      }
    }
    const finishing = [...finals];
    for (let node = finishing.pop(); node !== undefined; node = finishing.pop()) {
      if (node.finishes) continue;
      node.finishes = true;
      finishing.push(...node.before);
    }
    for (const node of nodes.values()) {
      if (!node.finishes) throw new Violation(`it can never end (threads ${trace(node)})`);
    }
    return { states: nodes.size, finals: finals.length };
  }

  /** All states that a thread can lead to by its next access. */
  private advance(state: State, thread: number, code: Thread, invariant?: () => void): State[] {
    const { done, asleep } = state.threads[thread];
    if (done || asleep >= 0) return [];
    const states: State[] = [];
    const runs: (readonly number[])[] = [[]];
    for (let choices = runs.pop(); choices !== undefined; choices = runs.pop()) {
      try {
        states.push(
          this.runStep(state, thread, code, code.step.bind(code), state.threads[thread].log, choices),
        );
        invariant?.();
      } catch (error) {
        if (!(error instanceof Branch)) throw error;
        for (let choice = 0; choice < error.choices; choice++) runs.push([...choices, choice]);
      }
    }
    if (code.rebirth !== undefined) {
      let died = false;
      const rebirth = () => !(died = code.rebirth!());
      const reborn = this.runStep(state, thread, code, rebirth, [], [], Infinity);
      if (died) states.push(reborn);
    }
    return states;
  }

  private runStep(
    state: State,
    thread: number,
    { objects }: Thread,
    step: () => boolean,
    log: readonly number[],
    choices: readonly number[],
    allowance = 1,
  ): State {
    const before = state.threads[thread];
    this.memory = { ...state.memory };
    this.threads = [...state.threads];
    objects.forEach((object, index) => restore(object, before.fields[index]));
    this.running = thread;
    this.position = 0;
    this.log = [...log];
    this.clock = [...before.clock];
    this.choices = choices;
    this.allowance = allowance;
    let next: Partial<ThreadState>;
    try {
      const done = step();
      next = { fields: objects.map(save), log: [], done };
    } catch (error) {
      if (error !== pause) throw error;
      next = { log: this.log };
    } finally {
      this.running = -1;
    }
    const { asleep } = this.threads[thread];
    this.threads[thread] = { ...before, asleep, clock: this.clock, ...next };
    return { memory: this.memory, threads: this.threads };
  }

  /** Does an access, or returns what it returned when it was done. */
  private access(index: number, act: () => number, noticed: boolean): number {
    if (this.running < 0) return act();
    if (this.position < this.log.length) return this.log[this.position++];
    if (noticed && (this.everyAccess || this.isShared(index)) && this.allowance-- === 0) throw pause;
    const result = act();
    this.log[this.position++] = result;
    return result;
  }

  /** Whether several threads access a word. Where that turns out only now, all begins again. */
  private isShared(index: number): boolean {
    const by = this.accessedBy.get(index) ?? new Set();
    const before = by.size;
    this.accessedBy.set(index, by.add(this.running));
    if (before === 1 && by.size === 2) throw new Again();
    return by.size > 1;
  }

  private word(index: number): Word {
    const zero = Array<number>(this.count).fill(0);
    return (this.memory[index] ??= {
      stores: [{ value: 0, thread: 0, time: 0 }],
      atomic: true,
      released: zero,
      plainReads: zero,
      atomicReads: zero,
    });
  }

  private happened({ thread, time }: Pick<Store, 'thread' | 'time'>): boolean {
    return time <= this.clock[thread];
  }

  private race(index: number, what: string): never {
    throw new Error(`data race: ${what} of word ${index}`);
  }

  private plainLoad(index: number): number {
    const word = this.word(index);
    const last = word.stores[word.stores.length - 1];
    if (this.running < 0) return last.value;
    if (this.racesAllowed) {
      this.watch(index, this.loads);
      if (this.happened(last)) return last.value;
    } else if (this.happened(last)) {
      this.memory[index] = { ...word, plainReads: this.mark(word.plainReads) };
      return last.value;
    }
    if (!this.racesAllowed) this.race(index, 'a plain load');
    // The choice is part of the access: the step is run again for each.
    const known = word.stores.findLastIndex((store) => this.happened(store));
    const visible = word.stores.slice(Math.max(known, 0));
    const [choice, ...rest] = this.choices;
    if (choice === undefined) throw new Branch(visible.length);
    this.choices = rest;
    return visible[choice].value;
  }

  private plainStore(index: number, value: number): number {
    const word = this.word(index);
    if (this.running >= 0) {
      const last = word.stores[word.stores.length - 1];
      const read = [word.plainReads, word.atomicReads].some((times) =>
        times.some((time, thread) => !this.happened({ thread, time })),
      );
      if (!this.racesAllowed && (!this.happened(last) || read)) this.race(index, 'a plain store');
    }
    this.store(index, value, false);
    return value;
  }

  private store(index: number, value: number, atomic: boolean): void {
    const word = this.word(index);
    if (this.racesAllowed && this.running >= 0) {
      this.watch(index, this.storedBy);
      if (this.watched.has(index)) this.clock[this.running]++;
      else {
        const stores = [{ value, thread: 0, time: 0 }];
        this.memory[index] = { ...word, stores, atomic, ...(atomic ? { released: [...this.clock] } : {}) };
        return;
      }
    }
    const store = { value, thread: Math.max(this.running, 0), time: this.clock[this.running] ?? 0 };
    const readers = [...(this.loads.get(index) ?? [])];
    const seen = (each: Store) =>
      readers.every((reader) => each.time <= this.threads[reader].clock[each.thread]);
    // Before what all readers know of, they see nothing.
    const known = this.racesAllowed ? word.stores.findLastIndex(seen) : word.stores.length;
    const stores = [...word.stores.slice(Math.max(known, 0)), store];
    this.memory[index] = { ...word, stores, atomic, ...(atomic ? { released: [...this.clock] } : {}) };
    if (atomic && !this.racesAllowed && this.running >= 0) this.clock[this.running]++;
  }

  /** Notes what a thread does to a word. Where it turns out that there are races, all begins again with it watched. */
  private watch(index: number, what: Map<number, Set<number>>): void {
    const threads = what.get(index) ?? new Set();
    what.set(index, threads.add(this.running));
    if (this.watched.has(index)) return;
    const stores = this.storedBy.get(index) ?? [];
    const loads = this.loads.get(index) ?? new Set();
    if (![...loads].some((load) => [...stores].some((store) => store !== load))) return;
    this.watched.add(index);
    throw new Again();
  }

  private mark(times: Clock): Clock {
    return times.with(this.running, this.clock[this.running]);
  }

  private atomicAccess(index: number, change?: (value: number) => number): number {
    const word = this.word(index);
    const last = word.stores[word.stores.length - 1];
    if (this.running >= 0) {
      const plainRead = word.plainReads.some((time, thread) => !this.happened({ thread, time }));
      const racing = (!word.atomic && !this.happened(last)) || (change !== undefined && plainRead);
      if (racing && !this.racesAllowed) this.race(index, 'an atomic access');
      this.clock = this.clock.map((time, thread) => Math.max(time, word.released[thread] ?? 0));
      if (!this.racesAllowed) this.memory[index] = { ...word, atomicReads: this.mark(word.atomicReads) };
    }
    if (change !== undefined) this.store(index, change(last.value) | 0, true);
    return last.value;
  }

  private atomics(): object {
    const change = (index: number, how: (value: number) => number): number =>
      this.access(index, () => this.atomicAccess(index, how), true);
    type Words = Int32Array;
    return {
      load: (_: Words, index: number) => this.access(index, () => this.atomicAccess(index), true),
      store: (_: Words, index: number, value: number) => {
        this.access(index, () => this.atomicStore(index, value), true);
        return value;
      },
      add: (_: Words, index: number, value: number) => change(index, (old) => old + value),
      or: (_: Words, index: number, value: number) => change(index, (old) => old | value),
      and: (_: Words, index: number, value: number) => change(index, (old) => old & value),
      exchange: (_: Words, index: number, value: number) => change(index, () => value),
      notify: (_: Words, index: number) => this.access(index, () => this.wake(index), true),
      wait: (_: Words, index: number, value: number) =>
        this.access(index, () => this.sleep(index, value), true),
    };
  }

  /** A store reads nothing, and so is synchronized with nothing. */
  private atomicStore(index: number, value: number): number {
    const word = this.word(index);
    const plainRead = word.plainReads.some((time, thread) => !this.happened({ thread, time }));
    const last = word.stores[word.stores.length - 1];
    if (this.running >= 0 && !this.racesAllowed && (plainRead || (!word.atomic && !this.happened(last)))) {
      this.race(index, 'an atomic store');
    }
    this.store(index, value, true);
    return value;
  }

  /** Compares and goes to sleep in one. */
  private sleep(index: number, value: number): number {
    if (this.atomicAccess(index) !== value) return 0;
    this.threads[this.running] = { ...this.threads[this.running], asleep: index };
    return 1;
  }

  private wake(index: number): number {
    this.threads = this.threads.map((thread) =>
      thread.asleep === index ? { ...thread, asleep: -1 } : thread,
    );
    return 0;
  }
}

/** The fields of an object that are plain data. */
function save(object: object): Fields {
  const isData = (value: unknown) => typeof value !== 'object' || Array.isArray(value);
  const fields = Object.entries(object).filter(([, value]) => isData(value) && typeof value !== 'function');
  return structuredClone<Fields>(Object.fromEntries(fields));
}

function restore(object: object, fields: Fields): void {
  Object.assign(object, structuredClone(fields));
}
