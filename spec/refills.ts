/** A sporadic server (section 6.1.5): what is used of a budget comes back a period after it could first be used. */
import type { SchedContext } from './state.js';

/** Nanoseconds: less is not given out alone. */
const MIN_BUDGET = 1000n;

export class Refills {
  /** The whole budget may be used from now on; what was used of it lately, with the refill that stood first, still counts. */
  static begin(sc: SchedContext, now: bigint, before = { time: now, amount: sc.budget }): void {
    const amount = before.amount < sc.budget ? before.amount : sc.budget;
    const time = before.time > now ? before.time : now;
    sc.refills = [{ time, amount }];
    if (amount < sc.budget) Refills.add(sc, time + sc.period, sc.budget - amount);
  }

  static charge(sc: SchedContext, usage: bigint): void {
    const { refills } = sc;
    const rounds = usage / sc.budget;
    for (const refill of refills) refill.time += rounds * sc.period;
    let left = usage % sc.budget;
    while (refills[0].amount <= left) {
      const { time, amount } = refills.shift()!;
      left -= amount;
      Refills.add(sc, time + sc.period, amount);
    }
    if (left > 0n) {
      const time = refills[0].time + sc.period;
      refills[0].amount -= left;
      refills[0].time += left;
      Refills.add(sc, time, left);
    }
    while (refills[0].amount < MIN_BUDGET) {
      const { amount } = refills.shift()!;
      refills[0].amount += amount;
      refills[0].time -= amount;
    }
  }

  /** Joins the last refill where they overlap, or where there would be too many. */
  static add(sc: SchedContext, time: bigint, amount: bigint): void {
    const last = sc.refills.at(-1);
    if (last === undefined || (last.time + last.amount < time && sc.refills.length < sc.maxRefills)) {
      sc.refills.push({ time, amount });
    } else {
      if (last.time + last.amount < time) last.time = time - last.amount;
      last.amount += amount;
    }
  }

  /** The thread starts to use its budget now: what it could have used before counts from now on. */
  static unblock(sc: SchedContext, now: bigint): void {
    const { refills } = sc;
    if (refills[0].time > now) return;
    refills[0].time = now;
    while (refills.length > 1 && refills[1].time <= now + refills[0].amount) {
      const { amount } = refills.shift()!;
      refills[0].amount += amount;
      refills[0].time = now;
    }
  }
}
