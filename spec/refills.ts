/** A sporadic server (section 6.1.5): what is used of a budget comes back a period after it could first be used. */
import type { SchedContext } from './state.js';

/** Nanoseconds: less is not given out alone. */
const MIN_BUDGET = 1000n;

export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** The whole budget may be used from now on; what was used of it lately, with the refill that stood first, still counts. */
export function beginRefills(sc: SchedContext, now: bigint, before = { time: now, amount: sc.budget }): void {
  const amount = least(before.amount, sc.budget);
  const time = before.time > now ? before.time : now;
  sc.refills = [{ time, amount }];
  if (amount < sc.budget) add(sc, time + sc.period, sc.budget - amount);
}

export function charge(sc: SchedContext, usage: bigint): void {
  const { refills } = sc;
  const rounds = usage / sc.budget;
  for (const refill of refills) refill.time += rounds * sc.period;
  for (let left = usage % sc.budget; left > 0n;) {
    const [first] = refills;
    const used = least(first.amount, left);
    const back = first.time + sc.period;
    if (used === first.amount) refills.shift();
    else Object.assign(first, { time: first.time + used, amount: first.amount - used });
    add(sc, back, used);
    left -= used;
  }
  while (refills[0].amount < MIN_BUDGET) joinFirst(sc, refills[1].time - refills[0].amount);
}

/** The thread starts to use its budget now: what it could have used before counts from now on. */
export function unblock(sc: SchedContext, now: bigint): void {
  const { refills } = sc;
  if (refills[0].time > now) return;
  refills[0].time = now;
  while (refills.length > 1 && refills[1].time <= now + refills[0].amount) joinFirst(sc, now);
}

function joinFirst({ refills }: SchedContext, time: bigint): void {
  const { amount } = refills.shift()!;
  Object.assign(refills[0], { time, amount: refills[0].amount + amount });
}

/** Joins the last refill where they overlap, or where there would be too many. */
function add({ refills, maxRefills }: SchedContext, time: bigint, amount: bigint): void {
  const last = refills.at(-1);
  const isApart = last === undefined || last.time + last.amount < time;
  if (last === undefined || (isApart && refills.length < maxRefills)) {
    refills.push({ time, amount });
  } else {
    if (isApart) last.time = time - last.amount;
    last.amount += amount;
  }
}
