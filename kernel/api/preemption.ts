/**
 * Preemption points (as in seL4, `preemptionPoint`): an invocation that takes long stops after a bounded amount of work,
 * with all structures sound, and is made again by its thread. In between the lock is free, and interrupts come in.
 * Whoever is told to stop returns to `handleInvocation` at once.
 */
import { here } from '../model/state';

/** Units of work in one kernel entry: a capability deleted, a piece of memory cleared. */
const WORK_UNITS: u32 = 64;

export function beginWork(): void {
  here().work = 0;
}

/** A unit of work is done: whether to stop, since there have been enough. */
export function preemptionPoint(): bool {
  return ++here().work >= WORK_UNITS;
}

/** Whether the running invocation has been told to stop. */
export function isPreempted(): bool {
  return here().work >= WORK_UNITS;
}
