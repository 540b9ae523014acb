/** Who runs: the highest priority that is ready, first come, first served among equals (manual section 6.1.3). */
import { Queued, SchedContext, TCB, ThreadState } from '../model/objects';
import { isNull, none } from '../model/cap';
import {
  CHOOSE_NEW,
  CoreState,
  RESUME_CURRENT,
  SMP,
  coreState,
  here,
  readyHere,
  readyQueue,
  thisCore,
} from '../model/state';
import { dequeue, enqueueHead, enqueueTail, highestReady, releaseRemove } from './queue';
import { sendIPI } from '../smp/machine';

@inline
export function isRunnable(tcb: TCB): bool {
  return tcb.state == ThreadState.Running;
}

/** Whether a scheduling context gives its thread time: SchedControl has configured it. */
@inline
export function isActive(sc: SchedContext): bool {
  return !isNull(sc) && sc.refillMax != 0;
}

/** Whether it gives its thread all the time, so that there is nothing to account. */
@inline
export function isUnlimited(sc: SchedContext): bool {
  return isActive(sc) && sc.budget == sc.period;
}

@inline
export function isSchedulable(tcb: TCB): bool {
  return isRunnable(tcb) && tcb.queued <= <u8>Queued.Ready && (tcb.hasTime != 0 || isActive(tcb.sc));
}

@inline
export function isCurrent(tcb: TCB): bool {
  return changetype<usize>(here().current) == changetype<usize>(tcb);
}

/** Sets a thread's state; when the current thread can no longer run, another is chosen on the way out. */
export function setThreadState(tcb: TCB, state: ThreadState): void {
  tcb.state = <u8>state;
  if (isCurrent(tcb) && here().action == RESUME_CURRENT && !isSchedulable(tcb)) rescheduleRequired();
}

/** Has the next thread chosen anew when the kernel is left. */
export function rescheduleRequired(): void {
  const core = here();
  if (core.action != RESUME_CURRENT && core.action != CHOOSE_NEW) {
    const candidate = changetype<TCB>(core.action);
    if (isSchedulable(candidate)) enqueueHead(candidate);
  }
  core.action = CHOOSE_NEW;
}

/** Lets a thread that has just become runnable compete: at once on this core, by an interrupt on another. */
export function possibleSwitchTo(tcb: TCB): void {
  if (!isSchedulable(tcb)) return;
  if (SMP && tcb.core != thisCore()) {
    wakeCore(tcb);
  } else if (isCurrent(tcb)) {
    return;
  } else if (!SMP && tcb.domain != here().domain) {
    enqueueHead(tcb);
  } else if (here().action != RESUME_CURRENT) {
    rescheduleRequired();
    enqueueHead(tcb);
  } else {
    here().action = changetype<usize>(tcb);
  }
}

/** Another core's current thread is in no queue: its core looks at it again, since its priority may have fallen. */
function wakeCore(tcb: TCB): void {
  const current = coreState(tcb.core).current;
  const running = changetype<usize>(current) == changetype<usize>(tcb);
  if (!running) enqueueHead(tcb);
  if (running || current.state == ThreadState.Idle || tcb.priority > current.priority) sendIPI(tcb.core);
}

/**
 * Takes a thread out of whatever queue it could be chosen from. A thread that runs on another core at this moment
 * cannot be cut short there: its core is left idle and told so (`CoreState.stalled`).
 */
export function removeFromScheduling(tcb: TCB): void {
  dequeue(tcb);
  releaseRemove(tcb);
  const core = here();
  if (core.action == changetype<usize>(tcb)) core.action = CHOOSE_NEW;
  if (SMP && tcb.core != thisCore()) {
    const other = coreState(tcb.core);
    if (changetype<usize>(other.current) == changetype<usize>(tcb)) {
      other.current = other.idle;
      other.stalled = tcb;
      sendIPI(tcb.core);
    }
  }
}

/** Decides which thread of the domain whose turn it is this core runs when it leaves the kernel. */
export function schedule(): void {
  const core = here();
  const action = core.action;
  if (action == RESUME_CURRENT) return;
  const ready = readyHere(core);
  const current = core.current;
  const wasRunnable = isSchedulable(current);
  const candidate = action == CHOOSE_NEW ? none<TCB>() : changetype<TCB>(action);
  const isEqual = wasRunnable && !isNull(candidate) && candidate.priority == current.priority;
  // Before the current thread, which may have to stand behind it: see `enqueueHead`.
  if (isEqual) enqueueTail(candidate);
  if (wasRunnable) enqueueHead(current);
  if (isNull(candidate) || isEqual) {
    chooseThread(core);
  } else if (<i32>candidate.priority <= highestReady(ready) || !mayStart(ready, candidate)) {
    // It comes before its equals, but not before one that is under way where it is not.
    enqueueHead(candidate);
    chooseThread(core);
  } else {
    core.current = candidate;
  }
  core.action = RESUME_CURRENT;
}

@inline
export function mayStart(ready: CoreState, tcb: TCB): bool {
  const floor = ready.floor;
  return isNull(floor) || tcb.priority > floor.priority || changetype<usize>(tcb) == changetype<usize>(floor);
}

export function chooseThread(core: CoreState): void {
  let next = core.idle;
  const ready = readyHere(core);
  const priority = highestReady(ready);
  if (priority >= 0) {
    const head = readyQueue(ready, <u8>priority).head;
    if (mayStart(ready, head)) next = head;
    else if (ready.floor.queued == Queued.Ready) next = ready.floor;
  }
  dequeue(next);
  core.current = next;
}

/**
 * Keeps a thread from being chosen, or lets it compete again. For an engine whose threads share one stack: a thread
 * whose handler is buried under others cannot go on, however urgent it is.
 */
export function hold(tcb: TCB, held: bool): void {
  if (held) {
    dequeue(tcb);
    releaseRemove(tcb);
    tcb.queued = <u8>Queued.Held;
    if (isCurrent(tcb)) rescheduleRequired();
  } else if (tcb.queued == Queued.Held) {
    tcb.queued = <u8>Queued.Nowhere;
    possibleSwitchTo(tcb);
  }
}
