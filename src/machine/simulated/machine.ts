/**
 * The simulated machine: memory, caches, and a virtual clock for each core. All cores are stepped in one thread. A core
 * does one piece of work at a time, a kernel entry or a stretch of its program, and the core with the lowest clock is
 * always next, so that what cores do to each other happens in the order of virtual time, from entry to entry.
 */
import { sharedMemory } from '../shared-memory.js';
import { LINE_BITS, LINE_BYTES, Coherence } from './coherence.js';
import type { MachineModel } from './model.js';
import { SharedArrays } from './shared-arrays.js';
import { Transactions, type Transaction } from './transaction.js';
import { Window } from './window.js';

/** What an instrumented kernel image imports (kernel/instrument.mjs). */
export interface Instrumentation {
  read(address: number, size: number, ready: number, executed: number): number;
  write(address: number, size: number, ready: number, executed: number): void;
  range(address: number, size: number, isWrite: number): void;
  execute(executed: number): void;
  lockLoad(address: number, ready: number): number;
  lockStore(address: number, ready: number): number;
  lockExchange(address: number, ready: number): number;
}

/** How a kernel entry treats the big lock. */
type Locking = 'take' | 'elide';

export class SimulatedMachine {
  readonly memory: WebAssembly.Memory;
  /** All of {@link memory}. */
  readonly words: Int32Array;
  /** Each core's virtual time, in cycles. */
  readonly clocks: Float64Array;
  /** For kernel images: their accesses and instructions are charged to the core that is running. */
  readonly instrumentation: Instrumentation;
  /** By core: kernel entries that were done, retries not counted. */
  readonly entriesOf: Float64Array;
  /** By core: cycles that it waited for a lock that another held. */
  readonly lockWaitingOf: Float64Array;
  /** The same by whom it waited for: that of core `i` for core `j` is at `i` times the number of cores, plus `j`. */
  readonly lockWaitingFor: Float64Array;
  /** Transactions that did not commit. */
  aborts = 0;
  readonly #coherence: Coherence;
  /** By line: when the last store to a lock's word in it was done: nobody sees it earlier. */
  readonly #stored: Float64Array;
  #transactionsMade: Transactions | undefined;
  readonly #storedBy: Int32Array;
  /** When the lock that transactions elide is free again, and who had it. */
  #lockFree = 0;
  #lockHolder = 0;
  #core = -1;
  /** Of the running core. */
  readonly #window: Window;
  /** By core: when its stores have left its store buffer. */
  readonly #drains: Float64Array;
  #locking: Locking = 'take';
  #transaction: Transaction | undefined;
  /** Told of those whose transactions the running one aborts. */
  #aborted: (core: number) => void = () => {};

  /**
   * @param memory physical memory: zeroed, or its size in bytes.
   * @param nodeOf the NUMA node of an address.
   * @param arrays where several threads step the machine, one at a time, those of the first.
   */
  constructor(
    readonly model: MachineModel,
    memory: WebAssembly.Memory | number,
    nodeOf?: (address: number) => number,
    arrays = new SharedArrays(),
  ) {
    const cores = model.topology.cores.length;
    this.memory = typeof memory === 'number' ? sharedMemory(memory) : memory;
    const bytes = this.memory.buffer.byteLength;
    this.clocks = arrays.float64(cores);
    this.entriesOf = arrays.float64(cores);
    this.lockWaitingOf = arrays.float64(cores);
    this.lockWaitingFor = arrays.float64(cores * cores);
    this.#drains = arrays.float64(cores);
    this.#stored = arrays.float64(bytes >>> LINE_BITS);
    this.#storedBy = arrays.int32(bytes >>> LINE_BITS);
    this.words = new Int32Array(this.memory.buffer);
    this.#coherence = new Coherence(model, bytes, nodeOf, arrays);
    this.#window = new Window(model.core, this.#coherence);
    this.instrumentation = this.#instrumentation();
  }

  /** Cache lines that were brought from, or taken from, another core. */
  get linesMoved(): number {
    return this.#coherence.moved;
  }

  /** Those of one core. */
  linesMovedTo(core: number): number {
    return this.#coherence.movedTo[this.model.topology.cores[core].physical];
  }

  /** Made when the first is begun: it is large, and few machines have any. */
  get #transactions(): Transactions {
    const { model, memory, clocks } = this;
    return (this.#transactionsMade ??= new Transactions(
      clocks.length,
      memory.buffer.byteLength / LINE_BYTES,
      model.transactions,
    ));
  }

  get entries(): number {
    return sum(this.entriesOf);
  }

  get lockWaiting(): number {
    return sum(this.lockWaitingOf);
  }

  /** Runs a stretch of a program on a core; it charges what it does by the methods below. */
  user(core: number, program: () => void): void {
    this.#enter(core);
    program();
    this.#leave();
  }

  /** To be called by what {@link user} runs: it touches memory. */
  touch(address: number, size: number, write: boolean): void {
    this.#access(address, size, write);
  }

  /** The same: it does an atomic read-modify-write of a word. */
  exchange(address: number): void {
    if (this.#core >= 0) this.#window.atomic(address >>> LINE_BITS, 0);
  }

  /** The same: it computes for so many cycles. */
  compute(cycles: number): void {
    this.#window.compute(cycles);
  }

  /** The same: it executes so many instructions. */
  execute(instructions: number): void {
    this.#window.execute(instructions);
  }

  /** A kernel entry; a lock is taken. */
  enterKernel(core: number, entry: () => void): void {
    this.beginEntry(core);
    entry();
    this.endEntry();
  }

  /** The same in two parts, for who must not make a function for each: the core enters the kernel. */
  beginEntry(core: number): void {
    this.#enter(core);
    this.#window.now += this.model.core.kernelEntry;
  }

  /** It leaves it again. */
  endEntry(): void {
    this.entriesOf[this.#core]++;
    this.#leave();
  }

  /** A stretch of a program that is one access to memory, and so many instructions. */
  userAccess(core: number, address: number, size: number, write: boolean, instructions: number): void {
    this.#enter(core);
    this.execute(instructions);
    this.#access(address, size, write);
    this.#leave();
  }

  /** A stretch of a program, or of an interrupt's way in, that is one atomic read-modify-write of a word. */
  userAtomic(core: number, address: number): void {
    this.#enter(core);
    this.exchange(address);
    this.#leave();
  }

  /** A core's time, also in the middle of what it does. */
  timeOf(core: number): number {
    return core === this.#core ? this.#window.end : this.clocks[core];
  }

  /**
   * A kernel entry that elides its lock in a transaction. Where that fails, memory is as it was before, the core's clock
   * stands at its next attempt, and the answer is false. Transactions of other cores that conflict with this one are
   * aborted, as the one whose access comes later wins in Intel's and Arm's implementations: `aborted` is told of them,
   * and they have to be attempted again.
   */
  enterKernelElided(core: number, entry: () => void, aborted: (core: number) => void): boolean {
    const { transactions } = this.model;
    const transaction = this.#transactions.of[core];
    const start = this.clocks[core];
    // It stands, if nobody has undone it until now: this is a new entry.
    if (transaction.end > 0) transaction.aborts = 0;
    const retry = transaction.aborts > 0;
    if (transaction.aborts >= transactions.attempts) {
      // Whoever takes the lock writes the word that all transactions have read.
      for (const other of this.#transactions.inFlight(core, start)) this.#abort(other, start, aborted);
      transaction.aborts = 0;
      this.#enter(core);
      entry();
      this.#lockFree = Math.max(this.#window.end, this.#window.drained);
      this.#lockHolder = core;
      this.entriesOf[core]++;
      this.#leave();
      return true;
    }
    transaction.begin();
    this.#aborted = aborted;
    this.#enter(core);
    if (!retry) this.#window.now += this.model.core.kernelEntry;
    this.#locking = 'elide';
    entry();
    this.#locking = 'take';
    transaction.end = this.#window.end;
    if (transaction.overflowed) {
      transaction.rollBack(this.words);
      transaction.aborts = transactions.attempts;
      this.aborts++;
      this.#window.now += transactions.abort;
      this.#leave();
      return false;
    }
    this.#transactions.add(core);
    this.entriesOf[core]++;
    this.#leave();
    return true;
  }

  #abort(core: number, at: number, aborted: (core: number) => void): void {
    const transaction = this.#transactions.of[core];
    transaction.rollBack(this.words);
    transaction.aborts++;
    this.aborts++;
    this.entriesOf[core]--;
    this.clocks[core] = at + this.model.transactions.abort;
    aborted(core);
  }

  #enter(core: number): void {
    this.#core = core;
    this.#window.begin(core, this.clocks[core], this.#drains[core]);
  }

  /** Who enters the kernel or leaves it goes on when all that was under way is done, but for stores. */
  #leave(): void {
    this.#window.wait();
    this.clocks[this.#core] = this.#window.now;
    this.#drains[this.#core] = this.#window.drained;
    this.#core = -1;
  }

  /** Until `holder` has freed the lock, which the core asked for at `since`. Nothing that it did ahead of that counts. */
  #waitUntil(time: number, holder: number, since: number): void {
    if (time <= since) return;
    const waiting = time - since;
    this.lockWaitingOf[this.#core] += waiting;
    this.lockWaitingFor[this.#core * this.clocks.length + holder] += waiting;
    this.#window.wait();
    this.#window.now = Math.max(this.#window.now, time);
  }

  /** When the last line is there. */
  #access(address: number, size: number, write: boolean, ready = 0): number {
    if (this.#core < 0) return 0;
    const last = (address + size - 1) >>> LINE_BITS;
    let line = address >>> LINE_BITS;
    let latest = this.#accessLine(line, write, ready);
    while (line < last) latest = Math.max(latest, this.#accessLine(++line, write, ready));
    return latest;
  }

  #accessLine(line: number, write: boolean, ready: number): number {
    const window = this.#window;
    if (window.has(line, write)) return write ? window.now : window.loadAgain(line, ready);
    const done = write ? window.store(line, ready) : window.load(line, ready);
    const transaction = this.#transaction;
    if (transaction !== undefined && !transaction.has(line, write)) {
      for (const { core, at } of this.#transactions.conflicts(this.#core, line, write, done))
        this.#abort(core, at, this.#aborted);
      transaction.note(line, write, done, this.words);
    }
    return done;
  }

  #instrumentation(): Instrumentation {
    const window = this.#window;
    const { core: costs, transactions } = this.model;
    const release = costs.storesByExchange ? 'atomic' : 'release';
    return {
      read: (address, size, ready, executed) => {
        window.execute(executed);
        return this.#access(address >>> 0, size, false, ready);
      },
      write: (address, size, ready, executed) => {
        window.execute(executed);
        this.#access(address >>> 0, size, true, ready);
      },
      range: (address, size, isWrite) => {
        if (size > 0) this.#access(address >>> 0, size, isWrite !== 0);
        this.execute(size >>> 4);
      },
      execute: (executed) => {
        window.execute(executed);
      },
      lockLoad: (address, ready) => {
        if (this.#core < 0 || this.#locking === 'elide') return 0;
        const line = address >>> LINE_BITS;
        this.#waitUntil(this.#stored[line], this.#storedBy[line], Math.max(window.now, ready));
        return this.#access(address >>> 0, 4, false, ready);
      },
      // The stores before a release are seen before it.
      lockStore: (address, ready) => {
        if (this.#core < 0) return 0;
        if (this.#locking === 'elide') {
          // A store before the transaction marks the lock as taken; the one inside gives it back.
          if (this.#transaction !== undefined) {
            window.wait();
            window.now = Math.max(window.now, window.drained) + transactions.commit;
            this.#transaction = undefined;
          }
          return -1;
        }
        const line = address >>> LINE_BITS;
        this.#stored[line] = window[release](line, ready);
        this.#storedBy[line] = this.#core;
        return this.#stored[line];
      },
      lockExchange: (address, ready) => {
        if (this.#core < 0) return 0;
        if (this.#locking === 'elide') {
          this.#waitUntil(this.#lockFree, this.#lockHolder, window.now);
          window.now += transactions.begin;
          this.#transaction = this.#transactions.of[this.#core];
          window.forget();
          this.#access(address >>> 0, 4, false, ready);
          return -1;
        }
        return window.atomic(address >>> LINE_BITS, ready);
      },
    };
  }
}

function sum(figures: Float64Array): number {
  return figures.reduce((a, b) => a + b, 0);
}
