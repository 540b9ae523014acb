import { number } from './attributes.js';
import type { Element } from './xml.js';

/** Microseconds. */
const DEFAULT_BUDGET = 1000;
/** The monitor runs above every domain, at 255. */
const MAX_PRIORITY = 254;

export interface Scheduling {
  readonly priority: number;
  readonly budget: number;
  readonly period: number;
}

/** The attributes that protection domains and virtual machines share. */
export function parseScheduling(element: Element): Scheduling {
  const budget = number(element, 'budget') ?? DEFAULT_BUDGET;
  const period = number(element, 'period') ?? budget;
  if (budget > period) {
    throw element.error(`budget (${budget}) must be less than, or equal to, period (${period})`);
  }
  const priority = number(element, 'priority') ?? 0;
  if (priority > MAX_PRIORITY) throw element.error(`priority must be between 0 and ${MAX_PRIORITY}`);
  return { priority, budget, period };
}
