/**
 * Scheduling domains (manual section 6.3; RFC 20), in clusters of one core: threads of one domain run at a
 * time, by a schedule of domains and durations, whatever the priorities of the others.
 *
 * What ends a domain's turn is not the clock alone, since no handler is cut short (see budget.ts): while a thread that can
 * run is in the middle of a handler, or is called from one, the turn goes on, for nobody else. So it is exceeded by the handlers
 * that are under way, and none is started by an event any more. The next turn has its whole duration all the same, and what
 * one took too much is made good: the domain's next turns are shorter, or left out, until it is.
 *
 * While a kernel has several domains time is accounted (`CoreState.timed`): no fastpath needs to ask about domains.
 */
import { TCB } from '../model/objects';
import { isNull, none } from '../model/cap';
import { CoreState, cluster, coreState, here, homes, readyHere, readyQueue, scheduleEntry, setScheduleEntry } from '../model/state';
import { Limit } from '../api/constants';
import { now } from './budget';
import { dequeue, enqueueHead, highestReady } from './queue';
import { chooseThread, isCurrent, isSchedulable, mayStart, possibleSwitchTo, rescheduleRequired } from './schedule';

/** Bits of an entry that are its duration, the longest that can be. */
export const MAX_DURATION: u64 = ((<u64>1) << 56) - 1;

/** A kernel starts in domain 0, for good unless somebody says otherwise. */
export function initDomains(core: CoreState): void {
  setScheduleEntry(0, MAX_DURATION);
  if (cluster().domains > 1) core.domainEnd = u64.MAX_VALUE;
}

/**
 * Ends the turn of a domain whose time is over, and chooses among the threads of the next. `busy`: a thread was running;
 * an idle core's turn may end late, and nobody has taken that time.
 */
export function checkDomainTime(core: CoreState, busy: bool): void {
  if (core.domainEnd == 0) return;
  const time = now();
  if (time < core.domainEnd) return;
  const current = core.current;
  if (isSchedulable(current)) enqueueHead(current);
  const underWay = mostUrgentUnderWay(readyHere(core));
  if (!isNull(underWay)) {
    dequeue(underWay);
    core.current = underWay;
    return;
  }
  if (busy) readyHere(core).overrun += time - core.domainEnd;
  let left = nextEntry(core);
  // Where all have exceeded their turns by more than a round, the next has its turn all the same.
  for (let i: u32 = 1; left == 0 && i < <u32>Limit.DomainSchedule; i++) left = nextEntry(core);
  core.domainEnd = time + (left == 0 ? scheduleEntry(core.scheduleIndex) & MAX_DURATION : left);
  chooseThread(core);
}

/** Who goes on with a handler, of the ready threads of a domain, or null. Each is the first in its queue. */
function mostUrgentUnderWay(ready: CoreState): TCB {
  for (let priority = highestReady(ready); priority >= 0; priority--) {
    const head = readyQueue(ready, <u8>priority).head;
    if (!isNull(head) && head.underWay && mayStart(ready, head)) return head;
  }
  return none<TCB>();
}

/** Goes to the next entry of the schedule; returns what is left of its duration. */
function nextEntry(core: CoreState): u64 {
  let index = core.scheduleIndex + 1;
  if (scheduleEntry(index) == 0) index = core.scheduleStart;
  core.scheduleIndex = index;
  const entry = scheduleEntry(index);
  core.domain = <u32>(entry >> 56);
  const duration = entry & MAX_DURATION;
  const ready = readyHere(core);
  const made = min(ready.overrun, duration);
  ready.overrun -= made;
  return duration - made;
}

/** Another schedule begins, at `index`, when the turn of whoever is under way ends. */
export function startSchedule(core: CoreState, index: u32): void {
  core.scheduleStart = index;
  // The entry behind this one ends the schedule, and the next is its start.
  core.scheduleIndex = Limit.DomainSchedule - 1;
  if (core.domainEnd != 0) core.domainEnd = now();
}

export function setDomain(tcb: TCB, domain: u8): void {
  // Who was to run next stands in no queue, and would run in this domain's turn all the same.
  if (here().action == changetype<usize>(tcb)) rescheduleRequired();
  dequeue(tcb);
  tcb.domain = domain;
  if (isCurrent(tcb)) rescheduleRequired();
  else possibleSwitchTo(tcb);
}

/** When an idle core's turn ends, if threads of other domains wait for that and `time`, where it is not 0, is later; else `time`. */
export function nextTurn(core: CoreState, time: u64): u64 {
  if (core.domainEnd == 0 || (time != 0 && time <= core.domainEnd)) return time;
  for (let domain: u32 = 0; domain < homes(); domain++) {
    if (highestReady(coreState(domain)) >= 0) return core.domainEnd;
  }
  return time;
}
