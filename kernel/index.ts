/**
 * The kernel's entry points. Each is called by the core's loop on behalf of the current thread, whose message stands
 * in its register file and IPC buffer, and returns the program handle of the thread that is current then: the engine
 * goes on with that one.
 *
 * What must hold at every return: the current thread is the highest that may run, it is in no queue, and the lock is
 * free.
 */
import { CoreState, FASTPATH, SMP, coreState, here } from './model/state';
import { handleInvocation, handleRecv } from './api/syscall';
import { unknownSyscall as noSuchCall, userException } from './api/fault';
import { handleInterrupt } from './object/interrupt';
import { completeYieldTo } from './object/schedcontext';
import { yieldCore as yieldThread } from './object/tcb';
import { beginTime, chargeTime, nextReplenishment, releaseReady } from './scheduler/budget';
import { checkDomainTime, nextTurn } from './scheduler/domain';
import { hold as setHeld, rescheduleRequired, schedule } from './scheduler/schedule';
import { acquire, release } from './smp/lock';
import { fastAcknowledge } from './fastpath/acknowledge';
import { fastCall } from './fastpath/call';
import { fastInterrupt } from './fastpath/interrupt';
import { fastReplyRecv } from './fastpath/reply-recv';
import { fastSignal } from './fastpath/signal';
import { TCB, ThreadState } from './model/objects';
import { isNull, none } from './model/cap';

export { boot } from './api/boot';

/** The handle of the idle thread's program. */
const IDLE: u32 = 0;

/** Enters the kernel by a system call; false if its thread was stopped meanwhile, so that it must not be done. */
@inline
function enter(): bool {
  if (SMP) acquire(here());
  return begin();
}

/** What `enter` does once the core has the lock. */
function begin(): bool {
  const core = here();
  if (core.timed != 0) {
    chargeTime(core);
    releaseReady(core);
  }
  if (!SMP || isNull(core.stalled)) return true;
  core.stalled.redo = 1;
  endStall(core);
  return false;
}

/** Enters the kernel by no thread's request: a thread that was stopped meanwhile has done all that it asked for. */
@inline
function enterByItself(): void {
  const core = here();
  if (SMP) acquire(core);
  beginByItself(core);
}

/** What `enterByItself` does once the core has the lock. */
@inline
function beginByItself(core: CoreState): void {
  if (core.timed != 0) releaseReady(core);
  if (SMP && !isNull(core.stalled)) endStall(core);
}

function endStall(core: CoreState): void {
  core.stalled = none<TCB>();
  rescheduleRequired();
}

@inline
function leave(): u32 {
  const busy = !SMP && here().current.state != ThreadState.Idle;
  schedule();
  if (!SMP) checkDomainTime(here(), busy);
  const current = here().current;
  if (current.yielding) completeYieldTo(current);
  beginTime(here());
  return leaveFast(here().current.program);
}

@inline
function leaveFast(program: u32): u32 {
  if (SMP) release(here());
  return program;
}

/**
 * Whether a fastpath may serve `thread`: it is current, and nothing is special about this core now. To be told who is
 * current, and compare, is faster than to look it up: all that follows then need not wait for what the last entry stored.
 */
@inline
function isOrdinary(core: CoreState, thread: TCB): bool {
  return changetype<usize>(core.current) == changetype<usize>(thread) && hasNoFloorNorTime(core);
}

/** The same for an interrupt, which comes to a core whoever is current. */
@inline
function isUntroubled(core: CoreState): bool {
  return (!SMP || isNull(core.stalled)) && hasNoFloorNorTime(core);
}

/** Whether `floor` is null and `timed` 0: they are neighbours. */
@inline
function hasNoFloorNorTime(core: CoreState): bool {
  return load<u64>(changetype<usize>(core) + offsetof<CoreState>('floor')) == 0;
}

/** `thread`: the caller's TCB. Where it is not the current thread, that one's call is made, only slower. */
export function call(cptr: u32, thread: TCB): u32 {
  const core = here();
  if (SMP) acquire(core);
  if (FASTPATH && isOrdinary(core, thread)) {
    const next = fastCall(core, thread, cptr);
    if (next != 0) return leaveFast(next);
  }
  return slowCall(cptr);
}

function slowCall(cptr: u32): u32 {
  if (begin()) handleInvocation(here().current, cptr, true, true, true, false);
  return leave();
}

/** `thread`: as for `call`. */
export function replyRecv(cptr: u32, reply: u32, thread: TCB): u32 {
  const core = here();
  if (SMP) acquire(core);
  if (FASTPATH && isOrdinary(core, thread)) {
    const next = fastReplyRecv(core, thread, cptr, reply);
    if (next != 0) return leaveFast(next);
  }
  return slowReplyRecv(cptr, reply);
}

function slowReplyRecv(cptr: u32, reply: u32): u32 {
  if (begin()) {
    const thread = here().current;
    handleInvocation(thread, reply, false, false, true, true);
    handleRecv(thread, cptr, true, true, reply);
  }
  return leave();
}

export function send(cptr: u32): u32 {
  if (enter()) handleInvocation(here().current, cptr, false, true, false, false);
  return leave();
}

export function nbSend(cptr: u32): u32 {
  if (enter()) handleInvocation(here().current, cptr, false, false, false, false);
  return leave();
}

export function recv(cptr: u32, reply: u32): u32 {
  if (enter()) handleRecv(here().current, cptr, true, true, reply);
  return leave();
}

/**
 * Sends without waiting to `dest`, then receives: one entry, so that the receiver of the first finds this thread waiting.
 * `thread`: as for `call`.
 */
export function nbSendRecv(dest: u32, cptr: u32, reply: u32, thread: TCB): u32 {
  const core = here();
  if (SMP) acquire(core);
  if (FASTPATH && isOrdinary(core, thread) && fastAcknowledge(core, thread, dest, cptr, reply)) return leaveFast(IDLE);
  return slowNBSendRecv(dest, cptr, reply);
}

function slowNBSendRecv(dest: u32, cptr: u32, reply: u32): u32 {
  if (begin()) {
    const thread = here().current;
    handleInvocation(thread, dest, false, false, false, true);
    handleRecv(thread, cptr, true, true, reply);
  }
  return leave();
}

export function nbRecv(cptr: u32, reply: u32): u32 {
  if (enter()) handleRecv(here().current, cptr, false, true, reply);
  return leave();
}

export function wait(cptr: u32): u32 {
  if (enter()) handleRecv(here().current, cptr, true, false, 0);
  return leave();
}

export function nbWait(cptr: u32): u32 {
  if (enter()) handleRecv(here().current, cptr, false, false, 0);
  return leave();
}

/** As `seL4_Signal`: a send of an empty message. `thread`: as for `call`. */
export function signal(cptr: u32, thread: TCB): u32 {
  const core = here();
  if (SMP) acquire(core);
  if (FASTPATH && isOrdinary(core, thread)) {
    const next = fastSignal(thread, cptr);
    if (next != 0) return leaveFast(next);
  }
  return slowSignal(cptr);
}

function slowSignal(cptr: u32): u32 {
  if (begin()) {
    const thread = here().current;
    thread.msgInfo = 0;
    handleInvocation(thread, cptr, false, true, false, false);
  }
  return leave();
}

/** `seL4_Yield`; the name is a reserved word in the languages that call it. */
export function yieldCore(): u32 {
  if (enter()) yieldThread(here().current);
  return leave();
}

/** The current thread's program failed; `number` and `code` are the engine's own. */
export function fault(number: u32, code: u32): u32 {
  if (enter()) userException(here().current, number, code);
  return leave();
}

/** The current thread's program made a system call that there is none. */
export function unknownSyscall(number: u32): u32 {
  if (enter()) noSuchCall(here().current, number);
  return leave();
}

/** An interrupt has come to this core. */
export function interrupt(irq: u32): u32 {
  const core = here();
  if (SMP) acquire(core);
  if (FASTPATH && isUntroubled(core)) {
    const next = fastInterrupt(core, irq);
    if (next != 0) return leaveFast(next);
  }
  return slowInterrupt(irq);
}

function slowInterrupt(irq: u32): u32 {
  beginByItself(here());
  handleInterrupt(irq);
  return leave();
}

/**
 * When a core that is idle has something to do by itself: the next thread has its budget replenished, or the turn of a
 * domain comes that has ready threads. Nanoseconds, or 0 if nothing waits for that. Others may take that thread away
 * meanwhile, hence the lock.
 */
export function deadline(): f64 {
  if (SMP) acquire(here());
  let time = nextReplenishment();
  if (SMP) release(here());
  else time = nextTurn(here(), time);
  return <f64>time;
}

/** The time that `deadline()` gave has come. */
export function timer(): u32 {
  enterByItself();
  return leave();
}

/**
 * Tells the scheduler which thread's interrupted handler is the topmost on this core's stack that waits, of those of a
 * scheduling domain (by its TCB's address, or 0 for none), and chooses anew. See `CoreState.floor`.
 */
export function setFloor(tcb: usize, domain: u32): u32 {
  enterByItself();
  (SMP ? here() : coreState(domain)).floor = changetype<TCB>(tcb);
  rescheduleRequired();
  return leave();
}

/** Keeps the thread with this TCB from being chosen, or (`held` 0) lets it compete again; see scheduler/schedule.ts. */
export function hold(tcb: usize, held: u32): u32 {
  enterByItself();
  setHeld(changetype<TCB>(tcb), held != 0);
  return leave();
}

/** Physical address of the word that holds `currentTCB()`. */
export function currentAddress(): usize {
  return changetype<usize>(here()) + offsetof<CoreState>('current');
}

/** Physical address of the TCB that is current on this core: for the engine, which serves as its processor. */
export function currentTCB(): usize {
  return changetype<usize>(here().current);
}
