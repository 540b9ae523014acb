/**
 * The fastpath of an interrupt for which a thread waits, at the notification or, where that is bound to it, at an endpoint,
 * on a core that has nothing else to do: the thread runs at once. It touches one line of the core's state, the interrupt's
 * slot, the notification, two lines of the thread, the endpoint and the reply object: at most seven lines.
 */
import { isNull, none } from '../model/cap';
import { Notification, Reply, SUMMARY_STATUS, TCB, ThreadState, WaitQueue, summaryOf } from '../model/objects';
import { CoreState, SMP, irqSlot, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { queueRemove, setOnly } from '../object/endpoint';
import { isNothingReady } from '../scheduler/queue';
import { maskInterrupt } from '../smp/machine';
import { notSignallable } from './questions';

/** Returns the handle of the thread's program, which runs now; or 0, and nothing has changed. */
@inline
export function fastInterrupt(core: CoreState, irq: u32): u32 {
  if (irq >= <u32>Limit.Interrupts) return 0;
  if (core.current.state != ThreadState.Idle) return 0;
  if (!isNothingReady(core)) return 0;
  const cap = irqSlot(irq);
  if (notSignallable(cap) != 0) return 0;
  const notification = changetype<Notification>(cap.object);
  if (notification.active != 0) return 0;
  let thread = notification.head;
  const isBound = isNull(thread);
  const state = isBound ? ThreadState.BlockedOnReceive : ThreadState.BlockedOnNotification;
  if (isBound) thread = notification.bound;
  if (isNull(thread)) return 0;
  const summary = thread.summary;
  if ((summary & SUMMARY_STATUS) != summaryOf(state)) return 0;
  if (SMP && thread.core != thisCore()) return 0;

  // ---- Point of no return ----
  maskInterrupt(irq, true);
  const queue = changetype<WaitQueue>(thread.blockedOn);
  if ((changetype<usize>(thread.endpointNext) | changetype<usize>(thread.endpointPrev)) == 0) {
    setOnly(queue, none<TCB>());
  } else {
    queueRemove(queue, thread);
  }
  if (isBound) {
    const reply = thread.reply;
    if (!isNull(reply)) reply.caller = none<TCB>();
    thread.redo = 0;
  }
  thread.setSummary(summary ^ (state ^ ThreadState.Running), none<Reply>());
  core.current = thread;
  thread.badge = cap.badge;
  return thread.program;
}
