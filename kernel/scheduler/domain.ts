/**
 * Scheduling domains (manual section 6.2, "Domains"; RFC 20), in clusters of one core: threads of one domain run at a
 * time, by a schedule of domains and durations, whatever the priorities of the others.
 *
 * What ends a domain's turn is not the clock alone, since no handler is cut short (see budget.ts): while the thread that
 * would run next is in the middle of a handler, or is called from one, the turn goes on. So it is exceeded by the handlers
 * that are under way, and none is started by an event any more. The next entry has its whole duration all the same.
 *
 * While a kernel has several domains time is accounted (`CoreState.timed`): no fastpath needs to ask about domains.
 */
import { TCB } from '../model/objects';
import { CoreState, cluster, coreState, homes, scheduleEntry, setScheduleEntry } from '../model/state';
import { Limit } from '../api/constants';
import { now } from './budget';
import { dequeue, enqueueHead } from './queue';
import { chooseThread, isCurrent, isSchedulable, possibleSwitchTo, rescheduleRequired } from './schedule';

/** Bits of an entry that are its duration, the longest that can be. */
export const MAX_DURATION: u64 = ((<u64>1) << 56) - 1;

/** A kernel starts in domain 0, for good unless somebody says otherwise. */
export function initDomains(core: CoreState): void {
  setScheduleEntry(0, MAX_DURATION);
  if (cluster().domains > 1) core.domainEnd = u64.MAX_VALUE;
}

/** Ends the turn of a domain whose time is over, and chooses among the threads of the next. */
export function checkDomainTime(core: CoreState): void {
  if (core.domainEnd == 0 || now() < core.domainEnd) return;
  const current = core.current;
  if (isSchedulable(current)) {
    if (current.underWay) return;
    enqueueHead(current);
  }
  let index = core.scheduleIndex + 1;
  if (scheduleEntry(index) == 0) index = core.scheduleStart;
  const entry = scheduleEntry(index);
  core.scheduleIndex = index;
  core.domain = <u32>(entry >> 56);
  core.domainEnd = now() + (entry & MAX_DURATION);
  chooseThread(core);
}

/** Another schedule begins, at `index`, when the turn of whoever is under way ends. */
export function startSchedule(core: CoreState, index: u32): void {
  core.scheduleStart = index;
  // The entry behind this one ends the schedule, and the next is its start.
  core.scheduleIndex = Limit.DomainSchedule - 1;
  if (core.domainEnd != 0) core.domainEnd = 1;
}

export function setDomain(tcb: TCB, domain: u8): void {
  dequeue(tcb);
  tcb.domain = domain;
  if (isCurrent(tcb)) rescheduleRequired();
  else possibleSwitchTo(tcb);
}

/** When an idle core's turn ends, if threads of other domains wait for that and `time`, where it is not 0, is later; else `time`. */
export function nextTurn(core: CoreState, time: u64): u64 {
  if (core.domainEnd == 0 || (time != 0 && time <= core.domainEnd)) return time;
  for (let domain: u32 = 0; domain < homes(); domain++) {
    const ready = coreState(domain);
    if ((ready.ready0 | ready.ready1 | ready.ready2 | ready.ready3) != 0) return core.domainEnd;
  }
  return time;
}
