/**
 * A cluster whose interleavings are explored: kernel and interrupt controller are the shipped images, with each access
 * exposed (kernel/expose.mjs), and the core's loop, parking and ringing are the code itself. Only programs are a
 * script's: a list of system calls.
 *
 * What is checked on the way is mutual exclusion and order of the big lock. Who has exchanged the lock's tail has
 * queued; only the head of the queue accesses the kernel's memory, and it is head until it releases. So nothing else
 * in that memory can be noticed by another core meanwhile, which is why only the lock's own accesses are interleaved.
 */
import { readFileSync } from 'node:fs';
import { Register } from '../../kernel/api/constants.js';
import { Core, makeOrders, type Orders, plainAccess } from '../../src/core/core.js';
import { instantiateKernel, type Kernel } from '../../src/core/kernel.js';
import type { EngineThread } from '../../src/core/thread.js';
import { coreInterrupts, type CoreInterrupts } from '../../src/machine/host/controller.js';
import { CONTROLLER_BYTES, InterruptController } from '../../src/machine/interrupts.js';
import { Interleavings, type Access, type Explored, type Options, type Process } from './interleavings.js';
import { Machine, type Thread } from './machine.js';

/** Physical memory: what the explorer notes, the orders of cores, the routes and doorbells, then the cluster. */
const QUEUE = 0x40;
const WORDS = 0x100;
const ORDERS = 0x400;
const ROUTES = 0x600;
const CONTROLLER = 0x1000;
const BASE = 1 << 20;
const SIZE = 1 << 20;

/** The layout of the kernel's state, as kernel/model/state.ts has it. */
const CORES = BASE + 8192 + 128;
const CORE_SIZE = 4096;
const LOCK_TAIL = BASE;
const CURRENT = 0;
const LOCK_WORD = 52;
/** The bit of a core's lock word while it has the lock or waits for it. */
export const TAKEN = 1;
/** The word of a core's block by which it pauses between two looks, as kernel/device/interrupt-controller.ts has it. */
const PAUSE_WORD = 6;
const PARKED = 14 * 4;

const LABEL_SHIFT = 12;

/** Whether a word is the kernel's: the only ones there that are accessed atomically are the lock's. */
export const isLock = (at: number): boolean => at >= BASE && at !== LOCK_TAIL;

const image = (name: string) =>
  new WebAssembly.Module(readFileSync(new URL(`../../exposed/${name}.wasm`, import.meta.url)));
const kernelModule = image('smp');
const controllerModule = image('interrupt-controller');

/** A system call of a program: returns the handle of who is current then. */
export type Call = (program: Program) => number;

/** A program that makes one system call after the other. */
export class Program implements EngineThread {
  readonly schedulingDomain = 0;
  readonly handle: number;
  readonly tcb: number;
  readonly priority = 100;
  onStack = false;
  held = false;
  position = 0;
  /** For its calls to count in. */
  count = 0;
  /** The bits of all badges that it has received. */
  badges = 0;

  constructor(
    readonly core: Core,
    thread: Thread,
    private readonly script: readonly Call[],
  ) {
    this.handle = thread.program;
    this.tcb = thread.tcb;
  }

  get isDone(): boolean {
    return this.position >= this.script.length;
  }

  get kernel(): Kernel {
    return this.core.kernel;
  }

  /** As the engine does between two handlers: first lets interrupts in, then makes the call. */
  run(): number {
    const next = this.core.takeInterrupts(this.handle);
    if (next !== this.handle) return next;
    if (this.redo !== 0) {
      this.redo = 0;
      this.position--;
    }
    if (this.isDone) throw new Error('a program that waits for ever goes on');
    return this.script[this.position++](this);
  }

  private get redo(): number {
    return this.core.words[(this.tcb + Register.Redo) >> 2];
  }
  private set redo(value: number) {
    this.core.words[(this.tcb + Register.Redo) >> 2] = value;
  }

  register(register: Register): number {
    return this.core.words[(this.tcb + register) >> 2];
  }

  /** Makes an invocation without arguments. */
  invoke(cptr: number, label: number): number {
    this.message(label, 0);
    return this.kernel.call(cptr, this.tcb);
  }

  message(label: number, length: number, word = 0): void {
    const { words } = this.core;
    words[(this.tcb + Register.MsgInfo) >> 2] = (label << LABEL_SHIFT) | length;
    words[((this.tcb + Register.MsgInfo) >> 2) + 1] = 0;
    words[(this.tcb + Register.MR0) >> 2] = word;
    words[((this.tcb + Register.MR0) >> 2) + 1] = 0;
  }
}

/** The processor is the kernel's, then the engine's, then nobody's. */
class CoreProcess implements Process {
  next: number;
  constructor(
    private readonly core: Core,
    private readonly programs: readonly Program[],
    tcb: number,
  ) {
    this.next = programs.find((program) => program.tcb === tcb)?.handle ?? 0;
  }
  get objects(): readonly object[] {
    return [this, this.core, ...this.programs];
  }
  step(): void {
    this.next = this.core.turn(this.next);
  }
  isDone(): boolean {
    return this.programs.every(({ isDone }) => isDone);
  }
}

export interface Scenario {
  readonly cores: number;
  /** Makes objects and threads; returns the script of each thread. */
  readonly programs: (
    machine: Machine,
    cluster: ExploredCluster,
  ) => readonly { thread: Thread; script: readonly Call[] }[];
  /** Others than cores. */
  readonly others?: (cluster: ExploredCluster) => readonly Process[];
  /** Whether one of them asks whether the cores are idle. */
  readonly isObserved?: boolean;
  /** Lines of the first core that are enabled. */
  readonly lines?: readonly number[];
  /**
   * Whether all accesses to the big lock but the exchange of its tail, by which a core queues, are done at once. If the
   * lock is one (which scenarios show in which they are not), they commute with what others do meanwhile: a core's word
   * changes when it queues, and who looks at it then waits for its turn before, which is over and remains so; and when
   * it releases, for which all wait who look. Who finds a turn over finds it so at any later time.
   */
  readonly lockAtOnce?: boolean;
  /** In place of how a core parks. */
  readonly park?: (interrupts: InterruptController, core: number) => void;
}

export class ExploredCluster {
  readonly explorer: Interleavings;
  readonly interrupts: InterruptController;
  readonly orders: Orders;
  readonly kernels: readonly Kernel[];
  /** For a scenario's own use. */
  readonly words: Int32Array;
  private readonly processes: readonly Process[];
  private readonly coreCount: number;
  private readonly isObserved: boolean;
  private readonly lockAtOnce: boolean;

  constructor(scenario: Scenario) {
    const { cores, programs, others, lines = [], park } = scenario;
    this.isObserved = scenario.isObserved ?? false;
    this.lockAtOnce = scenario.lockAtOnce ?? false;
    const pages = (BASE + SIZE) >> 16;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const machine = new Machine({ image: 'smp', cores, memory, base: BASE, size: SIZE });
    this.coreCount = cores;
    this.explorer = new Interleavings(memory);
    const { explorer } = this;
    this.words = explorer.view(new Int32Array(memory.buffer, WORDS, 16));
    this.interrupts = new InterruptController(memory.buffer, CONTROLLER, cores + 1);
    const awake = new Int32Array(memory.buffer, ORDERS + 64, cores).fill(1);
    const { interrupts } = this;
    for (let core = 0; core < cores; core++) interrupts.mask(core, 0, false);
    for (const line of lines) interrupts.mask(0, line, false);
    const sleep = park === undefined ? interrupts.park.bind(interrupts) : park.bind(undefined, interrupts);
    Object.assign(interrupts, {
      words: explorer.view(interrupts.words),
      ...this.asCalls({ park: sleep as (core: number) => void }),
    });
    this.orders = {
      ...makeOrders(cores),
      words: explorer.view(new Int32Array(memory.buffer, ORDERS, 16)),
      awake: explorer.view(awake),
      ticksTaken: explorer.view(new Int32Array(memory.buffer, ORDERS + 128, cores)),
    };
    const scripts = programs(machine, this);
    machine.sleep();
    machine.kernels.forEach((kernel) => kernel.interrupt(0));

    const access = { access: explorer.access };
    const ids = Array.from({ length: cores }, (_, core) => core);
    const threads: (EngineThread | undefined)[] = [];
    const coreProcesses = ids.map((id) => {
      const device = this.device(id);
      const machineOfCore = { ...device, now: () => 1000 };
      const kernel = this.asCalls(instantiateKernel(kernelModule, memory, BASE, id, machineOfCore, access));
      const once = { ...device, take: () => device.take(1) };
      const core = new Core({
        ...{ id, kernel, memory: memory.buffer, interrupts: this.interrupts, device: this.asCalls(once) },
        ...{
          orders: this.orders,
          stopped: new Int32Array(16),
          hasDoorbells: false,
          schedulingDomains: 1,
          first: id === 0,
        },
        reportPanic: (reason) => {
          throw new Error(reason);
        },
        access: plainAccess(memory.buffer, this.interrupts.words),
      });
      const words = explorer.view(core.words);
      Object.assign(core, { words, threads });
      const mine = scripts
        .filter(({ thread }) => (machine.u32(thread.tcb + TCB_CORE) & 0xffff) === id)
        .map(({ thread, script }) => new Program(core, thread, script));
      for (const program of mine) threads[program.handle] = program;
      return { kernel, process: new CoreProcess(core, mine, machine.kernels[id].currentTCB()) };
    });
    this.kernels = coreProcesses.map(({ kernel }) => kernel);
    this.processes = [...coreProcesses.map(({ process }) => process), ...(others?.(this) ?? [])];
  }

  /** What a core has of the interrupt controller; the last one is of no cluster. */
  device(core: number): CoreInterrupts {
    const cluster = Array.from({ length: this.coreCount }, (_, index) => index);
    const access = { access: this.explorer.access };
    return coreInterrupts(
      this.explorer.memory,
      this.interrupts,
      core,
      cluster,
      ROUTES,
      controllerModule,
      access,
    );
  }

  /** Nothing is kept of them but memory. */
  private asCalls<T extends object>(functions: T): T {
    const { explorer } = this;
    return Object.fromEntries(
      Object.entries(functions as Record<string, (...args: number[]) => number>).map(([name, callee]) => [
        name,
        (...args: number[]) => explorer.call(() => callee(...args)),
      ]),
    ) as T;
  }

  /** Physical address of a core's word that says that it is parked. */
  parkedWord(core: number): number {
    return CONTROLLER + 4 * this.interrupts.pendingIndex(core) + PARKED;
  }

  pendingWord(core: number): number {
    return CONTROLLER + 4 * this.interrupts.pendingIndex(core);
  }

  awakeWord(core: number): number {
    return ORDERS + 64 + 4 * core;
  }

  /** Runs all interleavings. @throws Violation */
  explore(options: Pick<Options, 'model'> & Partial<Options>): Explored {
    const now = performance.now.bind(performance);
    let time = 0;
    // The clock is past the end of the time for spinning when it is looked at next.
    performance.now = () => (time += 1000);
    try {
      return this.explorer.explore(this.processes, {
        kernel: { base: BASE, size: SIZE },
        unread: this.unread,
        ...(this.lockAtOnce && { commutes: isLock }),
        guard: (process, at, isStore) => this.guard(process, at, isStore),
        observe: (access) => this.observe(access),
        ...options,
      });
    } finally {
      performance.now = now;
    }
  }

  /** Whether the programs of all cores have made all their calls; for a process. */
  allDone(): boolean {
    return Array.from({ length: this.coreCount }, (_, core) => core).every((core) =>
      this.explorer.isDone(core),
    );
  }

  private readonly unread = (at: number): boolean => {
    const inBlocks = at - CONTROLLER - 128 * (this.coreCount + 1);
    // How often cores have woken, where nobody asks whether they are idle.
    if (at === ORDERS + 4 && !this.isObserved) return true;
    return (
      inBlocks >= 0 &&
      inBlocks < CONTROLLER_BYTES * (this.coreCount + 1) &&
      inBlocks % 2048 === 4 * PAUSE_WORD
    );
  };

  private queue(): number[] {
    const { explorer } = this;
    return Array.from({ length: explorer.peek(QUEUE) }, (_, index) => explorer.peek(QUEUE + 4 + 4 * index));
  }

  private setQueue(queue: readonly number[]): void {
    this.explorer.poke(QUEUE, queue.length);
    for (let index = 0; index < 4; index++) this.explorer.poke(QUEUE + 4 + 4 * index, queue[index] ?? 0);
  }

  private guard(process: number, at: number, isStore: boolean): void {
    const queue = this.queue();
    if (queue[0] === process) return;
    const own = at - CORES - process * CORE_SIZE;
    if (own === LOCK_WORD || (own === CURRENT && !isStore)) return;
    throw new Error(`core ${process} ${isStore ? 'writes to' : 'reads'} ${at.toString(16)} without the lock`);
  }

  private observe({ process, kind, at, value }: Access): void {
    if (at < BASE) return;
    const queue = this.queue();
    if (at === LOCK_TAIL && kind === 'change') this.setQueue([...queue, process]);
    else if (kind === 'atomic store' && (value & TAKEN) === 0) {
      if (queue[0] !== process) throw new Error(`core ${process} releases a lock that it does not have`);
      this.setQueue(queue.slice(1));
    }
  }
}

/** The half word of a TCB that names its core is the lower half of this word. */
const TCB_CORE = 120;
