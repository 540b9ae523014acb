/**
 * The refills of a scheduling context: a sporadic server (manual section 6.1.5; Sprunt, Sha and Lehoczky, 1989).
 * What is used of the budget comes back one period after it could first have been used.
 *
 * What must hold of a configured context: its refills, at least one and at most `refillMax`, are sorted by time, and
 * their amounts sum up to the budget. One whose time is yet to come may have been used already, by a handler that was
 * not cut short: it is moved on until that is made good.
 */
import { Refill, SchedContext } from '../model/objects';

/** What is less is not worth a switch of threads: nanoseconds. */
export const MIN_BUDGET: u64 = 1000;

/** Refill number `index`, from the head. */
@inline
function refillAt(sc: SchedContext, index: u32): Refill {
  const place = (sc.refillHead + index) % sc.refillMax;
  return changetype<Refill>(changetype<usize>(sc) + offsetof<SchedContext>() + <usize>place * offsetof<Refill>());
}

@inline
export function refillHead(sc: SchedContext): Refill {
  return refillAt(sc, 0);
}

/** The context's whole budget, to be used from `now` on. Budget and period are set. */
export function refillNew(sc: SchedContext, max: u32, now: u64): void {
  sc.refillMax = max;
  sc.refillCount = 1;
  const head = refillHead(sc);
  head.time = now;
  head.amount = sc.budget;
}

/** A context in use gets a new budget and period: what it has used lately still counts. */
export function refillUpdate(sc: SchedContext, max: u32, now: u64): void {
  const time = refillHead(sc).time;
  const amount = refillHead(sc).amount;
  refillNew(sc, max, time > now ? time : now);
  const head = refillHead(sc);
  if (amount < sc.budget) {
    head.amount = amount;
    append(sc, head.time + sc.period, sc.budget - amount);
  }
}

/** Whether the context's thread may run: what is left of the budget may be used now. */
export function refillReady(sc: SchedContext, now: u64): bool {
  return refillHead(sc).time <= now;
}

/** Takes `usage` nanoseconds from the budget, and schedules when they come back. */
export function refillCharge(sc: SchedContext, usage: u64): void {
  let left = usage;
  if (left >= sc.budget) {
    // A long handler has used many budgets: each moves all refills by a period.
    const rounds = left / sc.budget;
    left -= rounds * sc.budget;
    for (let i: u32 = 0; i < sc.refillCount; i++) refillAt(sc, i).time += rounds * sc.period;
  }
  while (refillHead(sc).amount <= left) {
    const time = refillHead(sc).time + sc.period;
    const amount = refillHead(sc).amount;
    left -= amount;
    // Not the only one: that would be the whole budget, which is more than is left.
    pop(sc);
    append(sc, time, amount);
  }
  if (left > 0) {
    const head = refillHead(sc);
    const time = head.time + sc.period;
    head.amount -= left;
    head.time += left;
    append(sc, time, left);
  }
  while (refillHead(sc).amount < MIN_BUDGET) {
    const amount = refillHead(sc).amount;
    pop(sc);
    refillHead(sc).amount += amount;
    refillHead(sc).time -= amount;
  }
}

/** A thread starts to use its budget at `now`: what could have been used before then counts from now on. */
export function refillUnblock(sc: SchedContext, now: u64): void {
  if (!refillReady(sc, now)) return;
  refillHead(sc).time = now;
  while (sc.refillCount > 1) {
    const amount = refillHead(sc).amount;
    if (refillAt(sc, 1).time > now + amount) break;
    pop(sc);
    refillHead(sc).amount += amount;
    refillHead(sc).time = now;
  }
}

function pop(sc: SchedContext): void {
  sc.refillHead = (sc.refillHead + 1) % sc.refillMax;
  sc.refillCount--;
}

/** Adds a refill behind all others, or to the last one where they overlap or there is no room. */
function append(sc: SchedContext, time: u64, amount: u64): void {
  const tail = refillAt(sc, sc.refillCount - 1);
  if (tail.time + tail.amount >= time) {
    tail.amount += amount;
  } else if (sc.refillCount < sc.refillMax) {
    const refill = refillAt(sc, sc.refillCount++);
    refill.time = time;
    refill.amount = amount;
  } else {
    tail.time = time - tail.amount;
    tail.amount += amount;
  }
}
