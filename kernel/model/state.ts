/**
 * The kernel's own state: at the image's base, and nowhere else. Wasm globals are per instance, and a cluster's
 * cores are separate instances over one memory, so no module of the kernel has a mutable variable.
 *
 * base                the cluster's state: the lock, then interrupts, then the domain schedule
 * base + 8 KiB + 128  one `CoreState` for each core, 4 KiB apart; where there is one core, one for each scheduling domain
 *
 * Processors take a load to depend on a store just before where the addresses end alike in twelve bits. What programs store
 * before an entry, and what it stores last, is in the first 128 bytes of TCBs, which stand 1 KiB apart: so a `CoreState` begins
 * behind those.
 */
import { Limit } from '../api/constants';
import { Slot } from './cap';
import { SchedContext, TCB } from './objects';

/** Physical address of the cluster's partition. */
@external('machine', 'base')
declare const BASE: usize;
/** This core's number within its cluster. */
@external('machine', 'core')
declare const CORE: u32;

/** The build for clusters of several cores; the compiler drops what the other build does not need. */
export const SMP: bool = ATOLL_SMP != 0;
/** Not in the form that tests compare with the shipped one: what the fastpaths do, the slow paths do too. */
export const FASTPATH: bool = ATOLL_FASTPATH != 0;

const IRQ_SLOTS: usize = 2048;
const IRQ_STATES: usize = IRQ_SLOTS + (<usize>Limit.Interrupts << 5);
const SCHEDULE: usize = 6144;
const CORES: usize = 8192 + 128;
const CORE_SIZE: usize = 4096;

@unmanaged
export class ClusterState {
  /** Tail of the big lock's queue (smp/lock.ts), alone in its line. */
  lockTail: u32;
  unused0: u32;
  unused1: u64;
  unused2: u64;
  unused3: u64;
  unused4: u64;
  unused5: u64;
  unused6: u64;
  unused7: u64;
  cores: u32;
  /** Not 0: the machine is about to reset this cluster (`ClusterOffset.Halted`). */
  halted: u32;
  /** Where the partition ends. */
  end: usize;
  /** Scheduling domains: at least one, and one where there are several cores. */
  domains: u32;
}

@unmanaged
export class ReadyQueue {
  head: TCB;
  tail: TCB;
}

/**
 * What one core's kernel instance works on. Of those for scheduling domains but the first, only what is about ready
 * threads is in use: `ready0` to `ready3`, `floor`, `overrun` and the queues. The first line is all that the fastpaths touch, the lock's word included: a
 * core that waits for this one's turn to end takes the line, but it needs none of it longer than the turn.
 */
@unmanaged
export class CoreState {
  current: TCB;
  /** `RESUME_CURRENT`, `CHOOSE_NEW`, or the thread to switch to. */
  action: usize;
  /**
   * The thread whose interrupted handler is on top of the core's one stack while it waits, or null: none of its
   * priority or below may start on top of it (Baker's stack resource policy, 1991), or a chain of calls between
   * cores could wait for a handler buried under its own caller.
   */
  floor: TCB;
  /** Not 0: time is being accounted (scheduler/budget.ts), so that every entry reads the clock and takes no fastpath. */
  timed: u32;
  ready0: u64;
  ready1: u64;
  ready2: u64;
  ready3: u64;
  /**
   * Not null until this core enters the kernel: the thread that ran here, which another core has taken away. If it is
   * its system call by which the core enters, that is not done, and `redo` says so. `idle` where it is nobody's now.
   */
  stalled: TCB;
  /** This core's word of the big lock (smp/lock.ts). */
  lockWord: u32;
  unused1: u32;
  idle: TCB;

  /** The threads that wait for their budgets, by when those are replenished. */
  releaseHead: TCB;
  /** The context on which the core runs, while that is accounted. */
  sc: SchedContext;
  /** Until when its time has been charged. */
  charged: u64;
  /** The time of this kernel entry, or 0 while it has not been asked for. */
  now: u64;

  /** The lookup failure and error words of the running call. */
  lookupFailure: u32;
  /** How many words a successful invocation returns, in `errorWord0` and so on. */
  resultLength: u32;
  lookupWord0: u64;
  lookupWord1: u64;
  lookupWord2: u64;
  errorWord0: u64;
  errorWord1: u64;
  /** Units of work that the running call has done (api/preemption.ts). */
  work: u32;
  unused: u32;
  /** The slots of the running call's extra capabilities. */
  extra0: Slot;
  extra1: Slot;
  extra2: Slot;

  /** The scheduling domain whose threads run (scheduler/domain.ts), and until when; 0 where there is but one. */
  domain: u32;
  scheduleIndex: u32;
  scheduleStart: u32;
  domainEnd: u64;
  /** By how much handlers of a domain have exceeded its turns: its next are so much shorter. */
  overrun: u64;
}

export const RESUME_CURRENT: usize = 0;
export const CHOOSE_NEW: usize = 1;

const CORE_QUEUES: usize = 384;
const CORE_IDLE: usize = CORE_QUEUES + (<usize>Limit.Priorities << 3);
const CORE_SCRATCH: usize = CORE_IDLE + 1024;

@inline
export function cluster(): ClusterState {
  return changetype<ClusterState>(BASE);
}

@inline
export function base(): usize {
  return BASE;
}

@inline
export function thisCore(): u32 {
  return SMP ? CORE : 0;
}

@inline
export function coreState(core: u32): CoreState {
  return changetype<CoreState>(BASE + CORES + <usize>core * CORE_SIZE);
}

/** The state of the core that runs this instance. */
@inline
export function here(): CoreState {
  return SMP ? coreState(CORE) : changetype<CoreState>(BASE + CORES);
}

/** The state that has a thread's ready queue: that of its core, or of its scheduling domain. */
@inline
export function homeOf(tcb: TCB): CoreState {
  return coreState(SMP ? tcb.core : tcb.domain);
}

/** The state that has the ready queues of those who may run on a core now. */
@inline
export function readyHere(core: CoreState): CoreState {
  return SMP ? core : coreState(core.domain);
}

@inline
export function readyQueue(home: CoreState, priority: u8): ReadyQueue {
  return changetype<ReadyQueue>(changetype<usize>(home) + CORE_QUEUES + (<usize>priority << 3));
}

/** How many states of cores or domains there are. */
@inline
export function homes(): u32 {
  return SMP ? cluster().cores : cluster().domains;
}

/** An entry of the domain schedule: the domain in the highest byte, below it how long, in nanoseconds. 0 ends the schedule. */
@inline
export function scheduleEntry(index: u32): u64 {
  return load<u64>(BASE + SCHEDULE + (<usize>index << 3));
}

@inline
export function setScheduleEntry(index: u32, entry: u64): void {
  store<u64>(BASE + SCHEDULE + (<usize>index << 3), entry);
}

/** The slot that holds the notification of an interrupt line. */
@inline
export function irqSlot(irq: u32): Slot {
  return changetype<Slot>(BASE + IRQ_SLOTS + (<usize>irq << 5));
}

@inline
export function irqIsIssued(irq: u32): bool {
  return load<u8>(BASE + IRQ_STATES + irq) != 0;
}

@inline
export function setIrqIssued(irq: u32, issued: bool): void {
  store<u8>(BASE + IRQ_STATES + irq, <u8>issued);
}

/** A scratch slot of this core: outside the derivation tree, valid during one kernel entry. */
@inline
export function scratch(index: u32): Slot {
  return changetype<Slot>(changetype<usize>(here()) + CORE_SCRATCH + (<usize>index << 5));
}

/** A multiple of a page: what follows may begin at one. */
export const STATE_HEADER: usize = 8192;
export const STATE_PER_CORE: usize = CORE_SIZE;
export const IDLE_OFFSET: usize = CORE_IDLE;
