/** How long a cycle of this core is, which no counter tells: additions that wait for each other take one each. */
import { median } from '../median.js';

const ROUNDS = 31;
const ADDITIONS = 8;
const TIMES = 20_000;

/** Nanoseconds, at the frequency at which this thread runs now. */
export function cycleTime(): number {
  let sum = 0;
  const times = Array.from({ length: 2 * ROUNDS }, (_, round) => {
    const start = process.hrtime.bigint();
    sum = add(sum, round);
    return Number(process.hrtime.bigint() - start) / (ADDITIONS * TIMES);
  });
  return median(times.slice(ROUNDS));
}

function add(start: number, what: number): number {
  let sum = start;
  for (let i = 0; i < TIMES; i++) {
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
    sum = (sum + what) | 0;
  }
  return sum;
}
