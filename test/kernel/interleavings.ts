/**
 * Explores all interleavings of a cluster's cores, on the shipped images and on the core's loop as it is. The images
 * are given in the form that touches no memory itself (kernel/expose.mjs), and TypeScript gets `view`s of memory and
 * this explorer's `Atomics`; so each access comes by here.
 *
 * A process repeats a step. It is run up to an access that another process could notice, and left there by an
 * exception; to go on, the step is run again from its start with what its accesses returned. Where a step calls something
 * that keeps nothing but memory (`call`), its result is all that is kept of it once it has returned. So a state is the
 * memory, each process's fields, and what has been returned in the step that it is in; states are told apart by 53 bits
 * of hash. Processes change before
 * - each atomic access to a word that several processes access and one of them changes. Which those are turns out on
 *   the way; then all begins again;
 * - a plain access to such a word outside of the kernel's memory. Plain accesses to the kernel's memory are the
 *   business of `guard`: it makes sure that only one core at a time makes any, so that nobody can notice them.
 *
 * **Memory models.** Under `SC` all is done at once. Under `TSO` (x86: Sewell et al., "x86-TSO", 2010) a plain store
 * outside of the kernel's memory goes to the core's store buffer, from which it reaches memory at any later time,
 * first in, first out; the core itself reads it from there. Atomic stores, read-modify-writes, wait and notify wait
 * until the buffer is empty; atomic loads are plain loads.
 *
 * **Loops that wait.** A process that would load the word again that it has just loaded waits until it has changed, and
 * then has not looked before: it has done nothing since that could be noticed.
 */
export type Model = 'SC' | 'TSO';
export type AccessKind = 'load' | 'store' | 'atomic load' | 'atomic store' | 'change' | 'notify' | 'wait';

export interface Access {
  readonly process: number;
  readonly kind: AccessKind;
  /** Physical address. */
  readonly at: number;
  /** What is stored: by a change, the word that results. */
  readonly value: number;
  /** What was there before an atomic access. */
  readonly old: number;
}

export interface Process {
  /** Their numbers, strings and booleans are all that a step changes besides memory. */
  readonly objects: readonly object[];
  step(): void;
  /** Whether it has done all it has to do. It may still sleep, and be woken. */
  isDone(): boolean;
}

export interface Options {
  readonly model: Model;
  /** The kernel's memory. */
  readonly kernel: { readonly base: number; readonly size: number };
  /** Words that nobody reads. */
  readonly unread?: (at: number) => boolean;
  /** Told of each plain access to the kernel's memory by the kernel. @throws what is wrong with it */
  readonly guard?: (process: number, at: number, isStore: boolean) => void;
  /** Told of each atomic access that is done, and each plain store. @throws what is wrong with it */
  readonly observe?: (access: Access) => void;
  /** A bug to be found: an access that is not done, or, if it is atomic, done as a plain one. */
  readonly bug?: (access: Access) => 'dropped' | 'plain' | undefined;
  /**
   * Whether the access that comes next commutes with all that others may do before it: then nothing else is tried, and
   * what others do comes after it (partial-order reduction by persistent sets of one: Godefroid, 1996). All ends are
   * still reached, and whatever never ends.
   */
  readonly commutes?: (at: number) => boolean;
  readonly mostStates?: number;
}

export interface Explored {
  readonly states: number;
  readonly transitions: number;
  /** States in which all is done and nobody goes on. */
  readonly finals: number;
}

export class Violation extends Error {}

/** A store that has not reached memory. */
interface Buffered {
  readonly at: number;
  readonly size: number;
  readonly value: number;
}

/** Where a process is. Immutable but for the log, which grows; what is beyond `length` is of another execution. */
interface Position {
  readonly fields: readonly Fields[];
  readonly log: LogEntry[];
  readonly length: number;
  readonly buffer: readonly Buffered[];
  /** The access that comes next, and its address. */
  readonly next: AccessKind | 'wake-up';
  readonly nextAt: number;
  /** Where it last looked, if it did nothing since but look there, and what it saw. */
  readonly lookedAt: number;
  readonly looked: number;
  /** The hashes before that. */
  readonly before: Hashes;
  readonly asleep: number;
  readonly hash: number;
  readonly hash2: number;
}

interface Hashes {
  readonly hash: number;
  readonly hash2: number;
}

/** What an access has returned; a call that has begun, with the hashes before; or one that has returned. */
type LogEntry = number | Hashes | { readonly result: number };

type Fields = Record<string, unknown>;

class Pause extends Error {}
class Again extends Error {}
const pause = new Pause();
const NOWHERE = -1;
/** In one step. */
const MOST_ACCESSES = 100_000;
const CALLED = 0x5eed5eed;
const LONGEST_TRACE = 60;

export class Interleavings {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly halfs: Uint16Array;
  private readonly views = new WeakMap<object, number>();
  private options!: Options;
  private processes: readonly Process[] = [];
  private positions: Position[] = [];
  private readonly undo: number[] = [];
  private hash = 0;
  private hash2 = 0;
  /** Words by which processes access them, and change them: bit masks. */
  private readonly accessedBy: Uint8Array;
  private readonly changedBy: Uint8Array;

  // The step at hand.
  private running = NOWHERE;
  private log: LogEntry[] = [];
  private length = 0;
  private index = 0;
  private allowance = 0;
  private buffer: readonly Buffered[] = [];
  private next: AccessKind | 'wake-up' = 'wake-up';
  private nextAt = NOWHERE;
  private lookedAt = NOWHERE;
  private looked = 0;
  private before: Hashes = { hash: 0, hash2: 0 };
  private asleep = NOWHERE;
  private logHash = 0;
  private logHash2 = 0;

  constructor(readonly memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.halfs = new Uint16Array(memory.buffer);
    this.accessedBy = new Uint8Array(this.words.length);
    this.changedBy = new Uint8Array(this.words.length);
  }

  /** Ends the process that calls it: it has no further step. */
  end(): never {
    this.asleep = Infinity;
    this.pauseBefore('wake-up', NOWHERE);
  }

  /** What an exposed image imports. */
  readonly access = {
    load: (at: number, size: number) => this.load(at, size),
    store: (at: number, size: number, value: number) => this.store(at, size, value),
    copy: (to: number, from: number, size: number) => {
      const bytes = Array.from({ length: size }, (_, index) => this.load(from + index, 1));
      bytes.forEach((byte, index) => this.store(to + index, 1, byte));
    },
    fill: (to: number, value: number, size: number) => {
      for (let index = 0; index < size; index++) this.store(to + index, 1, value);
    },
    atomicLoad: (at: number) => this.atomic('atomic load', at, (old) => old),
    atomicStore: (at: number, value: number) => void this.atomic('atomic store', at, () => value),
    exchange: (at: number, value: number) => this.atomic('change', at, () => value),
    add: (at: number, value: number) => this.atomic('change', at, (old) => old + value),
    and: (at: number, value: number) => this.atomic('change', at, (old) => old & value),
    or: (at: number, value: number) => this.atomic('change', at, (old) => old | value),
    add64: (at: number, value: bigint) => this.both(at, (old) => old + value),
    or64: (at: number, value: bigint) => this.both(at, (old) => old | value),
    notify: (at: number) => this.notify(at),
  };

  /** Memory as the code under test sees it: words from physical address `base` on. */
  view<T extends Int32Array | Uint32Array>(array: T): T {
    const base = array.byteOffset;
    const unsigned = array instanceof Uint32Array;
    const proxy = new Proxy(array, {
      get: (target, key) => {
        const index = typeof key === 'symbol' ? NaN : Number(key);
        if (Number.isNaN(index)) {
          const property = Reflect.get(target, key, target) as unknown;
          return typeof property === 'function' ? (property as () => unknown).bind(target) : property;
        }
        const value = this.load(base + 4 * index, 4, true);
        return unsigned ? value >>> 0 : value;
      },
      set: (_, key, value: number) => {
        this.store(base + 4 * Number(key), 4, value | 0, true);
        return true;
      },
    });
    this.views.set(proxy, base);
    return proxy;
  }

  /** A word of memory as it is; for `guard` and `observe`. */
  peek(at: number): number {
    return this.words[at >> 2];
  }

  /** Changes memory as part of the state, unnoticed by the processes. */
  poke(at: number, value: number): void {
    const index = at >> 2;
    const old = this.words[index];
    if (old === (value | 0)) return;
    this.undo.push(index, old);
    this.setWord(index, old, value | 0);
  }

  private setWord(index: number, old: number, value: number): void {
    this.hash ^= mix(index, old) ^ mix(index, value);
    this.hash2 ^= mix(index + 0x5bd1e995, old) ^ mix(index + 0x5bd1e995, value);
    this.words[index] = value;
  }

  private undoTo(mark: number): void {
    const { undo } = this;
    while (undo.length > mark) {
      const value = undo.pop()!;
      const index = undo.pop()!;
      this.setWord(index, this.words[index], value);
    }
  }

  /** @throws Violation */
  explore(processes: readonly Process[], options: Options): Explored {
    this.options = options;
    this.processes = processes;
    const fields = processes.map(({ objects }) => objects.map(save));
    const real = globalThis.Atomics;
    globalThis.Atomics = this.atomics() as typeof Atomics;
    try {
      for (;;) {
        try {
          return this.exploreAll(fields);
        } catch (error) {
          if (!(error instanceof Again)) throw error;
        } finally {
          this.undoTo(0);
          processes.forEach(({ objects }, process) => restore(objects, fields[process]));
        }
      }
    } finally {
      globalThis.Atomics = real;
    }
  }

  private exploreAll(fields: readonly (readonly Fields[])[]): Explored {
    this.hash = this.hash2 = 0;
    this.positions = fields.map((saved) => ({
      fields: saved,
      log: [],
      length: 0,
      buffer: [],
      next: 'wake-up',
      nextAt: NOWHERE,
      lookedAt: NOWHERE,
      looked: 0,
      before: { hash: 0, hash2: 0 },
      asleep: NOWHERE,
      ...hashFields(saved),
    }));
    const nodes = new Map<number, number>();
    const from: number[] = [];
    const to: number[] = [];
    const finals: number[] = [];
    /** Transitions, as numbers: millions are kept. */
    const trace: number[] = [];
    const labels: number[] = [];
    const violation = (what: string, cause?: unknown): Violation =>
      new Violation(`${what}\n${trace.slice(-LONGEST_TRACE).map(labelText).join('\n')}`, { cause });
    // Each process to its first access.
    const attempt = (transition: () => void): void => {
      try {
        transition();
      } catch (error) {
        if (error instanceof Again) throw error;
        throw violation((error as Error).message, error);
      }
    };
    for (const process of processesOf(this.positions)) attempt(() => this.advance(process));

    const visit = (before: number): void => {
      const key = this.key();
      const known = nodes.get(key);
      const node = known ?? nodes.size;
      if (before >= 0) {
        from.push(before);
        to.push(node);
        labels.push(trace.at(-1)!);
      }
      if (known !== undefined) return;
      nodes.set(key, node);
      if (node >= (this.options.mostStates ?? 5_000_000))
        throw new Error(`there are more than ${node} states`);
      let moved = false;
      const { positions } = this;
      const first = this.firstThatCommutes();
      for (let process = 0; process < positions.length; process++) {
        if (first >= 0 && process !== first) continue;
        const position = positions[process];
        for (const flushes of first >= 0 ? [false] : [true, false]) {
          if (flushes ? position.buffer.length === 0 : !this.isEnabled(position)) continue;
          moved = true;
          const mark = this.undo.length;
          const [kind, at] = flushes
            ? ['flush' as const, position.buffer[0].at]
            : [position.next, position.nextAt];
          trace.push((at + 1) * 64 + process * 16 + KINDS.indexOf(kind));
          attempt(() => (flushes ? this.flush(process) : this.advance(process)));
          visit(node);
          trace.pop();
          this.undoTo(mark);
          this.positions = positions;
        }
      }
      if (moved) return;
      const undone = processesOf(positions).filter((process) => !this.isDone(process));
      if (undone.length > 0) throw violation(`nobody goes on, and ${undone.join()} has not done all`);
      finals.push(node);
    };
    visit(NOWHERE);
    const finishes = finishing(nodes.size, from, to, finals);
    const stuck = from.findIndex((node) => !finishes[node]);
    if (stuck >= 0) {
      // Where it goes on for ever, as far as it is told by one way of going on.
      for (let edge = stuck; trace.length < LONGEST_TRACE; edge = from.indexOf(to[edge]))
        trace.push(labels[edge]);
      throw violation('it goes on for ever and never ends');
    }
    return { states: nodes.size, transitions: from.length, finals: finals.length };
  }

  private key(): number {
    let { hash, hash2 } = this;
    this.positions.forEach((position, process) => {
      const state = position.asleep === NOWHERE ? 0 : 1;
      const waiting = position.next === 'wake-up' ? 2 : 0;
      let [a, b] = [
        mix(position.hash, process + (state + waiting) * 16),
        mix(position.hash2, process + 64 + state + waiting),
      ];
      for (const { at, size, value } of position.buffer) {
        a = mix(mix(a, at), value + size);
        b = mix(mix(b, value), at + size);
      }
      hash = Math.imul(hash, 31) ^ a;
      hash2 = Math.imul(hash2, 33) ^ b;
    });
    return (hash >>> 0) * 2 ** 21 + (hash2 >>> 11);
  }

  private isEnabled(position: Position): boolean {
    if (position.asleep !== NOWHERE) return false;
    if (position.buffer.length > 0 && drains(position.next)) return false;
    return !looksAgain(position) || this.peek(position.nextAt) !== position.looked;
  }

  private firstThatCommutes(): number {
    const { commutes } = this.options;
    if (!commutes) return NOWHERE;
    return this.positions.findIndex((position) => this.isEnabled(position) && commutes(position.nextAt));
  }

  /** Whether a process has done all it has to do. */
  isDone(process: number): boolean {
    restore(this.processes[process].objects, this.positions[process].fields);
    return this.processes[process].isDone();
  }

  private flush(process: number): void {
    const position = this.positions[process];
    const [{ at, size, value }, ...buffer] = position.buffer;
    this.write(at, size, value);
    this.positions = this.positions.with(process, { ...position, buffer });
  }

  /** Does the access before which a process is, and goes on to the next. */
  private advance(process: number): void {
    const { objects } = this.processes[process];
    const position = this.positions[process];
    const { log, buffer } = position;
    const { length, hash, hash2 } = looksAgain(position)
      ? { length: position.length - 1, ...position.before }
      : position;
    log.length = length;
    Object.assign(this, {
      ...{ running: process, log, length, index: 0, allowance: position.next === 'wake-up' ? 0 : 1 },
      ...{ buffer, asleep: NOWHERE, lookedAt: NOWHERE, logHash: hash, logHash2: hash2 },
    });
    let { fields } = position;
    for (;;) {
      restore(objects, fields);
      try {
        this.processes[process].step();
      } catch (error) {
        if (error !== pause) throw error;
        break;
      }
      fields = objects.map(save);
      const { hash, hash2 } = hashFields(fields);
      Object.assign(this, {
        log: [],
        length: 0,
        index: 0,
        lookedAt: NOWHERE,
        logHash: hash,
        logHash2: hash2,
      });
    }
    if (this.index < this.length) throw new Error(`process ${process} is not deterministic`);
    this.running = NOWHERE;
    const { next, nextAt, lookedAt, looked, before, asleep, logHash, logHash2 } = this;
    this.positions = this.positions.with(process, {
      ...{
        fields,
        log: this.log,
        length: this.length,
        buffer: this.buffer,
        next,
        nextAt,
        lookedAt,
        looked,
        before,
      },
      ...{ asleep, hash: logHash, hash2: logHash2 },
    });
  }

  /** Whether this access was done before, in the run at hand: its result is the next of the log. */
  private get replays(): boolean {
    return this.index < this.length;
  }

  private replayed(): number {
    return this.log[this.index++] as number;
  }

  private record(result: number): number {
    if (this.length === MOST_ACCESSES) throw new Error(`process ${this.running} goes on for ever`);
    this.log.push(result);
    this.index = ++this.length;
    this.logHash = mix(this.logHash, result);
    this.logHash2 = mix(result + 0x9e3779b9, this.logHash2);
    return result;
  }

  /** Calls `callee`, which changes nothing but memory. */
  call(callee: () => number): number {
    if (this.running === NOWHERE) return callee();
    const start = this.index;
    if (!this.replays) {
      this.log.push({ hash: this.logHash, hash2: this.logHash2 });
      this.length++;
      this.logHash = mix(this.logHash, CALLED);
      this.logHash2 = mix(CALLED, this.logHash2);
    }
    const entry = this.log[start] as Hashes | { result: number };
    this.index++;
    if ('result' in entry) return entry.result;
    const result = callee();
    // Other positions may share the log as it was.
    this.log = [...this.log.slice(0, start), { result }];
    this.index = this.length = start + 1;
    this.lookedAt = NOWHERE;
    this.logHash = mix(entry.hash, result);
    this.logHash2 = mix(result + 0x9e3779b9, entry.hash2);
    return result;
  }

  private pauseBefore(kind: AccessKind | 'wake-up', at: number): never {
    this.next = kind;
    this.nextAt = at;
    throw pause;
  }

  /** Whether several processes access the word, and one of them changes it. */
  private isShared(at: number, changes: boolean): boolean {
    const index = at >> 2;
    const bit = 1 << this.running;
    const { accessedBy, changedBy } = this;
    const shared = () => accessedBy[index] & (accessedBy[index] - 1) && changedBy[index];
    const before = shared();
    accessedBy[index] |= bit;
    if (changes) changedBy[index] |= bit;
    if (!before && shared()) throw new Again();
    return before !== 0;
  }

  /** Lets others go on before an access that they could notice, or that waits for the store buffer. */
  private schedule(kind: AccessKind, at: number, changes: boolean): void {
    if (this.options.unread?.(at)) return;
    const noticed = this.isShared(at, changes);
    if (!noticed && !(drains(kind) && this.buffer.length > 0)) return;
    if (this.allowance-- === 0) this.pauseBefore(kind, at);
  }

  private inKernel(at: number): boolean {
    const { base, size } = this.options.kernel;
    return at >= base && at < base + size;
  }

  private read(at: number, size: number): number {
    return size === 4 ? this.words[at >> 2] : size === 2 ? this.halfs[at >> 1] : this.bytes[at];
  }

  private write(at: number, size: number, value: number): void {
    if (this.options.unread?.(at)) return;
    const bits = 8 * size;
    const shift = 8 * (at & 3);
    const mask = size === 4 ? -1 : ((1 << bits) - 1) << shift;
    this.poke(at, (this.words[at >> 2] & ~mask) | ((value << shift) & mask));
  }

  /** `byEngine`: by the processor rather than the kernel: of its own thread's registers, or what is current. */
  private load(at: number, size: number, byEngine = false): number {
    if (this.running === NOWHERE) return this.read(at, size);
    if (this.replays) return this.replayed();
    if (!this.inKernel(at)) this.schedule('load', at, false);
    else if (!byEngine) this.options.guard?.(this.running, at, false);
    this.lookedAt = NOWHERE;
    const own = this.buffer.findLast((store) => store.at === at && store.size === size);
    return this.record(own?.value ?? this.read(at, size));
  }

  private store(at: number, size: number, value: number, byEngine = false): void {
    if (this.running === NOWHERE) return this.write(at, size, value);
    if (this.replays) return void this.index++;
    if (this.inKernel(at)) {
      if (!byEngine) this.options.guard?.(this.running, at, true);
      if (!this.isBug('store', at, value, this.read(at, size))) this.write(at, size, value);
    } else {
      this.plainStore(at, size, value);
    }
    this.lookedAt = NOWHERE;
    this.record(0);
  }

  private plainStore(at: number, size: number, value: number): void {
    const buffered = this.options.model === 'TSO';
    const noticed = this.isShared(at, true);
    if (noticed && !buffered && this.allowance-- === 0) this.pauseBefore('store', at);
    this.observe('store', at, value, this.read(at, size));
    if (noticed && buffered) this.buffer = [...this.buffer, { at, size, value }];
    else this.write(at, size, value);
  }

  private isBug(kind: AccessKind, at: number, value: number, old: number): 'dropped' | 'plain' | undefined {
    return this.options.bug?.({ process: this.running, kind, at, value, old });
  }

  private observe(kind: AccessKind, at: number, value: number, old: number): void {
    this.options.observe?.({ process: this.running, kind, at, value, old });
  }

  /** Returns what was there. */
  private atomic(kind: AccessKind, at: number, change: (old: number) => number): number {
    if (this.running === NOWHERE) {
      const old = this.read(at, 4);
      this.write(at, 4, change(old));
      return old;
    }
    if (this.replays) return this.replayed();
    const changes = kind !== 'atomic load';
    // Its kind must not depend on what it finds, which may change until it is done.
    const bug = this.isBug(kind, at, change(this.peek(at)), this.peek(at));
    if (bug === 'plain' && changes) {
      const old = this.peek(at);
      this.plainStore(at, 4, change(old) | 0);
      return this.record(old);
    }
    this.schedule(kind, at, changes);
    const own = this.buffer.findLast((store) => store.at === at);
    const old = own?.value ?? this.peek(at);
    if (bug !== 'dropped') {
      const value = change(old) | 0;
      if (changes) this.write(at, 4, value);
      this.observe(kind, at, value, old);
    }
    this.lookedAt = changes ? NOWHERE : at;
    this.looked = old;
    this.before = { hash: this.logHash, hash2: this.logHash2 };
    return this.record(old);
  }

  /** An access of 64 bits. Returns what was there. */
  private both(at: number, change: (old: bigint) => bigint): bigint {
    if (this.running >= 0 && !this.replays) {
      this.isShared(at + 4, true);
    }
    const whole = (high: number, low: number): bigint =>
      BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(low >>> 0));
    // One access: the second word is changed right after the first, before another process goes on.
    const changed = (old: number): bigint => change(whole(this.peek(at + 4), old));
    const low = this.atomic('change', at, (old) => Number(BigInt.asIntN(32, changed(old))));
    const replays = this.running >= 0 && this.replays;
    const high = replays ? this.replayed() : this.peek(at + 4);
    if (!replays) {
      this.write(at + 4, 4, Number(BigInt.asIntN(32, changed(low) >> 32n)));
      if (this.running >= 0) this.record(high);
    }
    return whole(high, low);
  }

  private notify(at: number): number {
    if (this.replays) return this.replayed();
    const bug = this.isBug('notify', at, 0, 0);
    this.schedule('notify', at, true);
    let woken = 0;
    if (bug === undefined) {
      this.positions = this.positions.map((position) => {
        if (position.asleep !== at) return position;
        woken++;
        return { ...position, asleep: NOWHERE };
      });
    }
    this.lookedAt = NOWHERE;
    return this.record(woken);
  }

  /** Compares and goes to sleep in one. */
  private wait(at: number, value: number): string {
    let result: number;
    if (this.replays) {
      result = this.replayed();
    } else {
      this.schedule('wait', at, false);
      this.lookedAt = NOWHERE;
      result = this.record(this.peek(at) === value ? 1 : 0);
      if (result === 1) {
        this.asleep = at;
        this.pauseBefore('wake-up', at);
      }
    }
    return result === 1 ? 'ok' : 'not-equal';
  }

  private atomics(): object {
    type Words = Int32Array;
    const { access } = this;
    const at = (words: Words, index: number): number => {
      const base = this.views.get(words);
      if (base === undefined) throw new Error('Atomics on what is no view of the explored memory');
      return base + 4 * index;
    };
    return {
      load: (words: Words, index: number) => access.atomicLoad(at(words, index)),
      store: (words: Words, index: number, value: number) => access.atomicStore(at(words, index), value),
      exchange: (words: Words, index: number, value: number) => access.exchange(at(words, index), value),
      add: (words: Words, index: number, value: number) => access.add(at(words, index), value),
      and: (words: Words, index: number, value: number) => access.and(at(words, index), value),
      or: (words: Words, index: number, value: number) => access.or(at(words, index), value),
      notify: (words: Words, index: number) => access.notify(at(words, index)),
      wait: (words: Words, index: number, value: number) => this.wait(at(words, index), value),
    };
  }
}

const KINDS: readonly (AccessKind | 'wake-up' | 'flush')[] = [
  ...([
    'load',
    'store',
    'atomic load',
    'atomic store',
    'change',
    'notify',
    'wait',
    'wake-up',
    'flush',
  ] as const),
];

function labelText(label: number): string {
  return `process ${(label >> 4) & 3}: ${KINDS[label & 15]} ${(Math.floor(label / 64) - 1).toString(16)}`;
}

function looksAgain({ next, nextAt, lookedAt }: Position): boolean {
  return next === 'atomic load' && nextAt === lookedAt;
}

function drains(kind: AccessKind | 'wake-up'): boolean {
  return kind === 'atomic store' || kind === 'change' || kind === 'notify' || kind === 'wait';
}

function processesOf(positions: readonly unknown[]): number[] {
  return positions.map((_, index) => index);
}

/** By state, of `count`: 1 if a final one can be reached from it. */
function finishing(
  count: number,
  from: readonly number[],
  to: readonly number[],
  finals: readonly number[],
): Uint8Array {
  const first = new Int32Array(count + 1);
  for (const node of to) first[node + 1]++;
  for (let node = 0; node < count; node++) first[node + 1] += first[node];
  const before = new Int32Array(to.length);
  const filled = first.slice();
  to.forEach((node, edge) => (before[filled[node]++] = from[edge]));
  const finishes = new Uint8Array(count);
  const todo = [...finals];
  for (let node = todo.pop(); node !== undefined; node = todo.pop()) {
    if (finishes[node]) continue;
    finishes[node] = 1;
    for (let edge = first[node]; edge < first[node + 1]; edge++) todo.push(before[edge]);
  }
  return finishes;
}

function mix(a: number, b: number): number {
  let hash = Math.imul(a ^ (b >>> 15) ^ 0x2545f491, 0x85ebca6b) ^ Math.imul(b, 0xc2b2ae35);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0x27d4eb2f);
  return hash ^ (hash >>> 16);
}

function save(object: object): Fields {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => !['object', 'function', 'undefined'].includes(typeof value)),
  );
}

function restore(objects: readonly object[], fields: readonly Fields[]): void {
  objects.forEach((object, index) => Object.assign(object, fields[index]));
}

function hashFields(fields: readonly Fields[]): { hash: number; hash2: number } {
  let [hash, hash2] = [1, 2];
  for (const character of JSON.stringify(fields)) {
    const code = character.codePointAt(0)!;
    hash = mix(hash, code);
    hash2 = mix(code, hash2);
  }
  return { hash, hash2 };
}
