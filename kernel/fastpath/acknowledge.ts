/**
 * The fastpath of NBSendRecv by which a thread acknowledges an interrupt and waits for the next, at a notification that has
 * nothing for it, or at an endpoint where nobody is waiting to send, on a core that has nothing else to do: it is idle then.
 */
import { CapType, isNull, none, slotAt } from '../model/cap';
import { Endpoint, Notification, Reply, TCB, ThreadState, WaitQueue } from '../model/objects';
import { CoreState } from '../model/state';
import { Invocation } from '../api/constants';
import { isAwaitedBy } from '../object/endpoint';
import { isNothingReady } from '../scheduler/queue';
import { maskInterrupt } from '../smp/machine';
import { isOfUse, notAwaitable, notReceivable, notReply } from './questions';
import { waitAt } from './wait';

/** `thread`: the current one. Whether it waits now; if not, nothing has changed. */
@inline
export function fastAcknowledge(core: CoreState, thread: TCB, dest: u32, cptr: u32, replyCptr: u32): bool {
  if (thread.msgInfo != (<u64>Invocation.IRQAckIRQ) << 12) return false;
  const span = thread.ctable.span;
  if (dest >= span) return false;
  if (cptr >= span) return false;
  const slots = thread.ctable.object;
  const handler = slotAt(slots, dest);
  if (handler.type != CapType.IRQHandler) return false;
  if (!isNothingReady(core)) return false;
  const cap = slotAt(slots, cptr);
  let state = ThreadState.BlockedOnReceive;
  let reply = none<Reply>();
  if (notReceivable(cap) == 0) {
    if (replyCptr >= span) return false;
    const replyCap = slotAt(slots, replyCptr);
    if (notReply(replyCap) != 0) return false;
    reply = changetype<Reply>(replyCap.object);
    if (!isNull(reply.caller)) return false;
    if (isAwaitedBy(changetype<Endpoint>(cap.object), ThreadState.BlockedOnSend)) return false;
    const bound = thread.boundNotification;
    if (!isNull(bound) && isOfUse(bound)) return false;
  } else {
    if (notAwaitable(cap) != 0) return false;
    const notification = changetype<Notification>(cap.object);
    if (!isNull(notification.bound) || isOfUse(notification)) return false;
    state = ThreadState.BlockedOnNotification;
  }

  // ---- Point of no return ----
  maskInterrupt(<u32>handler.object, false);
  thread.setSummary(thread.summary ^ (ThreadState.Running ^ state), reply);
  if (!isNull(reply)) reply.caller = thread;
  waitAt(changetype<WaitQueue>(cap.object), thread);
  core.current = core.idle;
  return true;
}
