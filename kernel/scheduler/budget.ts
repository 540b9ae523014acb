/**
 * Budgets (manual section 6.1.5), on cores where a handler runs to completion.
 *
 * Only contexts with a budget below their period are accounted. While a core runs on one, or a thread of the core
 * waits for its budget, `CoreState.timed` is set: then each kernel entry reads the clock, and wakes those whose time has
 * come. Otherwise no clock is read. What a thread has used is charged when it makes a system call and when it no longer
 * runs; not when others' events come in between, since how its use is parted shows in when it comes back.
 *
 * No thread is stopped in the middle of a handler: there it may hold up its caller, and whatever its stack is below.
 * A thread that has used up its budget is stopped where it receives, and where an event would start it. So a budget is
 * exceeded by one handler at most, and that is made good before the thread starts another.
 */
import { Queued, SchedContext, TCB } from '../model/objects';
import { isNull, none } from '../model/cap';
import { CoreState, SMP, coreState, here, thisCore } from '../model/state';
import { machineNow, sendIPI } from '../smp/machine';
import { releaseInsert, releaseRemove } from './queue';
import { refillCharge, refillHead, refillReady, refillUnblock } from './refill';
import { isActive, isRunnable, isUnlimited, possibleSwitchTo, removeFromScheduling, rescheduleRequired, isCurrent } from './schedule';

/** The time of this kernel entry, in nanoseconds: the clock is read when it is first asked for. */
export function now(): u64 {
  const core = here();
  if (core.now == 0) core.now = <u64>machineNow();
  return core.now;
}

@inline
function isAccounted(sc: SchedContext): bool {
  return isActive(sc) && !isUnlimited(sc);
}

/**
 * Charges the context on which the core runs for what has passed. Where another core has taken its thread away, that may
 * wait for its budget by now, and waits longer then.
 */
export function chargeTime(core: CoreState): void {
  const time = now();
  const usage = time - core.charged;
  core.charged = time;
  if (isNull(core.sc)) return;
  core.sc.consumed += usage;
  if (!isAccounted(core.sc)) return;
  const tcb = core.sc.tcb;
  const waits = SMP && !isNull(tcb) && tcb.queued == Queued.Release;
  if (waits) releaseRemove(tcb);
  refillCharge(core.sc, usage);
  if (waits) releaseInsert(tcb, refillHead(core.sc).time);
}

/** Lets those compete whose budgets are replenished by now. */
export function releaseReady(core: CoreState): void {
  const time = now();
  for (let tcb = core.releaseHead; !isNull(tcb) && refillReady(tcb.sc, time); tcb = core.releaseHead) {
    releaseRemove(tcb);
    possibleSwitchTo(tcb);
  }
}

/** What a kernel entry does last, when it is known who runs: time is accounted from here on, if it is to be. */
export function beginTime(core: CoreState): void {
  const sc = core.current.sc;
  if (isAccounted(sc)) {
    if (changetype<usize>(core.sc) != changetype<usize>(sc)) {
      chargeTime(core);
      if (!sc.sporadic) refillUnblock(sc, now());
      core.sc = sc;
    }
    core.timed = 1;
  } else {
    if (!isNull(core.sc)) chargeTime(core);
    core.sc = none<SchedContext>();
    core.timed = isNull(core.releaseHead) ? 0 : 1;
  }
  if (!SMP && core.domainEnd != 0) {
    core.timed = 1;
    core.current.underWay = 1;
  }
  core.now = 0;
}

/** The thread waits until its budget is replenished. */
export function postpone(tcb: TCB): void {
  removeFromScheduling(tcb);
  releaseInsert(tcb, refillHead(tcb.sc).time);
  if (isCurrent(tcb)) rescheduleRequired();
  if (!SMP || tcb.core == thisCore()) return;
  // Whatever that core enters the kernel for next, it sees whose budget is back.
  coreState(tcb.core).timed = 1;
  if (isNull(tcb.queuePrev)) sendIPI(tcb.core);
}

/** Uses up what the thread may use of its budget now; false if it has the time all the same. Not counted as consumed. */
export function giveUpBudget(tcb: TCB): bool {
  if (!isAccounted(tcb.sc)) return false;
  refillCharge(tcb.sc, refillHead(tcb.sc).amount);
  return !refillReady(tcb.sc, now());
}

/** Whether the context gives a thread time at this moment. */
export function isReleased(sc: SchedContext): bool {
  return isActive(sc) && (isUnlimited(sc) || refillReady(sc, now()));
}

/** Whether the thread has used up its budget, so that no event may start it. */
export function isExhausted(tcb: TCB): bool {
  return isAccounted(tcb.sc) && !refillReady(tcb.sc, now());
}

/** Lets a thread compete that an event starts: at once, or when its budget is replenished. */
export function wakeUp(tcb: TCB): void {
  if (!isRunnable(tcb) || tcb.queued == Queued.Held) return;
  const sc = tcb.sc;
  if (isAccounted(sc)) {
    if (sc.sporadic) refillUnblock(sc, now());
    if (!refillReady(sc, now())) {
      postpone(tcb);
      return;
    }
  }
  possibleSwitchTo(tcb);
}

/** Lets a thread compete that goes on with its handler: even where its budget is used up. */
export function goOn(tcb: TCB): void {
  const sc = tcb.sc;
  if (isAccounted(sc) && sc.sporadic) refillUnblock(sc, now());
  possibleSwitchTo(tcb);
}

/** When the next thread of this core has its budget replenished, or 0. */
@inline
export function nextReplenishment(): u64 {
  const tcb = here().releaseHead;
  return isNull(tcb) ? 0 : refillHead(tcb.sc).time;
}
