/**
 * The simulated machine: memory, caches, and a virtual clock for each core. All cores are stepped in one thread. A core
 * does one piece of work at a time, a kernel entry or a stretch of its program, and the core with the lowest clock is
 * always next, so that what cores do to each other happens in the order of virtual time, from entry to entry.
 */
import { sharedMemory } from '../shared-memory.js';
import { LINE_BITS, Coherence } from './coherence.js';
import type { MachineModel } from './model.js';
import { RECENT_BYTES, Recent } from './recent.js';
import { SharedArrays } from './shared-arrays.js';
import { Transactions } from './transaction.js';
import { Window } from './window.js';

/** What an instrumented kernel image imports (kernel/instrument.mjs). */
export interface Instrumentation {
  /** Where in memory {@link Recent} is. Where the memory is zero there, every access is reported. */
  readonly recent: number;
  read(address: number, size: number, ready: number, executed: number): number;
  write(address: number, size: number, ready: number, executed: number): void;
  range(address: number, size: number, isWrite: number): void;
  execute(executed: number): void;
  lockLoad(address: number, ready: number): number;
  lockStore(address: number, ready: number): number;
  lockExchange(address: number, ready: number): number;
}

/** Memory for a machine that so many threads step, each a {@link SimulatedMachine} of its own: what they need is at its end. */
export function simulatedMemory(bytes: number, threads = 1): WebAssembly.Memory {
  return sharedMemory(bytes + threads * RECENT_BYTES);
}

/** How a kernel entry treats the big lock. */
type Locking = 'take' | 'elide';

/** Thrown through a kernel entry whose transaction cannot go on. */
const FAILED = new Error('a transaction has failed');

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
  /** By core: transactions that did not commit. */
  readonly abortsOf: Float64Array;
  /** Told of those whose transactions the running core has aborted: they have to be attempted again. */
  aborted: (core: number) => void = () => {};
  readonly #coherence: Coherence;
  /** By line: when the last store to a lock's word in it was done: nobody sees it earlier. */
  readonly #stored: Float64Array;
  readonly #storedBy: Int32Array;
  /** Where locks are elided. */
  readonly #transactions: Transactions | undefined;
  /** The line of the lock that was elided last. When it is free again, once it was taken, is in `#stored`. */
  #lock = 0;
  #core = -1;
  /** Does something that takes no time, while no core runs. */
  #bystander = -1;
  /** Of the running core. */
  readonly #window: Window;
  readonly #recent: Recent;
  /** By core: when its stores have left its store buffer. */
  readonly #drains: Float64Array;
  #locking: Locking = 'take';
  /** Whether the running core is in a transaction. */
  #speculates = false;
  /** When the last transaction committed. */
  #committed = 0;

  /**
   * @param memory physical memory: zeroed (see {@link simulatedMemory}), or its size in bytes.
   * @param nodeOf the NUMA node of an address.
   * @param arrays where several threads step the machine, one at a time, those of the first.
   * @param elides whether kernel entries may elide their lock.
   * @param thread the number of this one among those.
   */
  constructor(
    readonly model: MachineModel,
    memory: WebAssembly.Memory | number,
    nodeOf?: (address: number) => number,
    arrays = new SharedArrays(),
    elides = false,
    thread = 0,
  ) {
    const cores = model.topology.cores.length;
    this.memory = typeof memory === 'number' ? simulatedMemory(memory) : memory;
    const bytes = this.memory.buffer.byteLength;
    this.clocks = arrays.float64(cores);
    this.entriesOf = arrays.float64(cores);
    this.abortsOf = arrays.float64(cores);
    this.lockWaitingOf = arrays.float64(cores);
    this.lockWaitingFor = arrays.float64(cores * cores);
    this.#drains = arrays.float64(cores);
    this.#stored = arrays.float64(bytes >>> LINE_BITS);
    this.#storedBy = arrays.int32(bytes >>> LINE_BITS);
    this.words = new Int32Array(this.memory.buffer);
    this.#coherence = new Coherence(model, bytes, nodeOf, arrays);
    const recentAt = bytes - (thread + 1) * RECENT_BYTES;
    this.#recent = new Recent(this.memory.buffer, recentAt);
    this.#window = new Window(model.core, this.#coherence, this.#recent);
    if (elides) this.#transactions = new Transactions(this.words, cores, model.transactions, arrays);
    this.instrumentation = this.#instrumentation(recentAt);
  }

  /** Cache lines that were brought from, or taken from, another core. */
  get linesMoved(): number {
    return this.#coherence.moved;
  }

  /** Those of one core. */
  linesMovedTo(core: number): number {
    return this.#coherence.movedTo[this.model.topology.cores[core].physical];
  }

  get entries(): number {
    return sum(this.entriesOf);
  }

  get aborts(): number {
    return sum(this.abortsOf);
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
   * An attempt at a kernel entry that elides its lock in a transaction, or, where too many have failed or the last one had to
   * fail, takes it. `stub` is what the core does before, at the first attempt. Where the attempt fails, memory is as it was
   * before, the core's clock stands at the next one, and the answer is false. Other cores' transactions that conflict with it
   * are aborted, as the one whose access comes later wins in Intel's and Arm's implementations: see {@link aborted}. So an
   * entry is done for good when it {@link stands} and no other core's clock is lower than this one's.
   */
  enterKernelElided(core: number, entry: () => void, stub?: () => void): boolean {
    const transactions = this.#transactions!;
    const retry = !this.stands(core);
    if (!retry) transactions.aborts[core] = 0;
    const takes = transactions.aborts[core] >= this.model.transactions.attempts;
    if (takes) {
      // Whoever takes the lock writes the word that all transactions have read.
      const now = this.clocks[core];
      for (const other of transactions.inFlight(core, this.#lock, now)) this.#abort(other, now);
      transactions.aborts[core] = 0;
    }
    this.#enter(core);
    if (!retry) {
      this.#window.now += this.model.core.kernelEntry;
      stub?.();
    }
    this.#locking = takes ? 'take' : 'elide';
    const done = this.#attempt(entry);
    this.#locking = 'take';
    if (takes) {
      this.#stored[this.#lock] = Math.max(this.#window.end, this.#window.drained);
      this.#storedBy[this.#lock] = core;
    } else if (done) {
      transactions.end(core, this.#committed);
    } else {
      transactions.rollBack(core);
      transactions.aborts[core] = this.model.transactions.attempts;
      this.abortsOf[core]++;
      this.#window.now += this.model.transactions.abort;
    }
    if (done) this.entriesOf[core]++;
    this.#leave();
    return done;
  }

  #attempt(entry: () => void): boolean {
    try {
      entry();
      return true;
    } catch (thrown) {
      if (thrown !== FAILED) throw thrown;
      this.#speculate(false);
      return false;
    }
  }

  #speculate(on: boolean): void {
    this.#speculates = on;
    // What a transaction stores may have to be undone.
    this.#recent.reportsStores = on;
  }

  /** Whether the core's last attempt at an entry has not failed, nor was aborted. */
  stands(core: number): boolean {
    const { aborts, ends } = this.#transactions!;
    return ends[core] > 0 || aborts[core] === 0;
  }

  /** To be called where the running core is about to do what cannot be undone. @throws what the machine takes for a failure. */
  mustStand(): void {
    if (this.#speculates) throw FAILED;
  }

  /** A core enters its kernel for what takes no time; transactions that are in its way are aborted. */
  uncharged<T>(core: number, entry: () => T): T {
    this.#bystander = core;
    try {
      return entry();
    } finally {
      this.#bystander = -1;
    }
  }

  #abort(core: number, at: number): void {
    const transactions = this.#transactions!;
    transactions.rollBack(core);
    transactions.aborts[core]++;
    this.abortsOf[core]++;
    this.entriesOf[core]--;
    this.clocks[core] = at + this.model.transactions.abort;
    this.aborted(core);
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
    this.#recent.forget();
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
    if (this.#core < 0 && this.#bystander < 0) return 0;
    const last = (address + size - 1) >>> LINE_BITS;
    let line = address >>> LINE_BITS;
    let latest = this.#accessLine(line, write, ready);
    while (line < last) latest = Math.max(latest, this.#accessLine(++line, write, ready));
    if (this.#speculates && write && !this.#transactions!.keep(this.#core, address, size)) throw FAILED;
    return latest;
  }

  #accessLine(line: number, write: boolean, ready: number): number {
    const window = this.#window;
    if (this.#core < 0) {
      this.#isolate(this.#transactions!, this.#bystander, line, write, this.clocks[this.#bystander]);
      return 0;
    }
    if (this.#recent.has(line, write)) return write ? window.now : window.loadAgain(line, ready);
    const done = write ? window.store(line, ready) : window.load(line, ready);
    const transactions = this.#transactions;
    if (transactions === undefined || (this.#speculates && transactions.has(line, write))) return done;
    this.#isolate(transactions, this.#core, line, write, done);
    if (this.#speculates && !transactions.note(this.#core, line, write)) throw FAILED;
    return done;
  }

  /** A core comes to a line: who is in a transaction that is in its way gives up. */
  #isolate(transactions: Transactions, core: number, line: number, write: boolean, at: number): void {
    for (const conflict of transactions.conflicts(core, line, write, at))
      this.#abort(conflict.core, conflict.at);
  }

  #instrumentation(recentAt: number): Instrumentation {
    const window = this.#window;
    const { core: costs, transactions } = this.model;
    const release = costs.storesByExchange ? 'atomic' : 'release';
    return {
      recent: recentAt,
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
          if (this.#speculates) {
            window.wait();
            window.now = Math.max(window.now, window.drained) + transactions.commit;
            this.#speculate(false);
            this.#committed = window.now;
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
          this.#lock = address >>> LINE_BITS;
          this.#waitUntil(this.#stored[this.#lock], this.#storedBy[this.#lock], window.now);
          window.now += transactions.begin;
          this.#transactions!.begin(this.#core);
          this.#speculate(true);
          this.#recent.forget();
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
