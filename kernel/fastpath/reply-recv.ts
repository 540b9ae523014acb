/**
 * The fastpath of ReplyRecv: a reply of at most four words to a caller on this core, and a wait at an endpoint where
 * nobody is waiting to send. It touches what the fastpath of Call does, and the server's notification.
 */
import { isNull, none, slotAt } from '../model/cap';
import {
  Endpoint,
  Reply,
  SUMMARY_STATUS,
  TCB,
  ThreadState,
  summaryOf,
} from '../model/objects';
import { CoreState, SMP, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { isAwaitedBy } from '../object/endpoint';
import { isReadyAbove } from '../scheduler/queue';
import { isOfUse, notReceivable, notReply, shortLength } from './questions';
import { copyRegisters } from './registers';
import { waitAt } from './wait';

/** `server`: the current thread. Returns the handle of the caller's program, which runs now; or 0, and nothing has changed. */
@inline
export function fastReplyRecv(core: CoreState, server: TCB, cptr: u32, replyCptr: u32): u32 {
  const length = shortLength(server);
  if (length > <u32>Limit.FastMessageRegisters) return 0;
  const span = server.ctable.span;
  if (cptr >= span) return 0;
  if (replyCptr >= span) return 0;
  const cap = slotAt(server.ctable.object, cptr);
  const replyCap = slotAt(server.ctable.object, replyCptr);
  if ((notReceivable(cap) | notReply(replyCap)) != 0) return 0;
  const endpoint = changetype<Endpoint>(cap.object);
  if (isAwaitedBy(endpoint, ThreadState.BlockedOnSend)) return 0;
  const notification = server.boundNotification;
  if (!isNull(notification)) {
    if (isOfUse(notification)) return 0;
  }

  const reply = changetype<Reply>(replyCap.object);
  const caller = reply.caller;
  if (isNull(caller)) return 0;
  const callerSummary = caller.summary;
  if ((callerSummary & SUMMARY_STATUS) != summaryOf(ThreadState.BlockedOnReply)) return 0;
  // Where a scheduling context came along with the call it must go back: the slow path does that.
  if ((changetype<usize>(reply.sc) | changetype<usize>(reply.next) | changetype<usize>(reply.prev)) != 0) return 0;
  if (SMP && caller.core != thisCore()) return 0;
  // The caller runs next: nothing ready may come before it.
  if (isReadyAbove(core, caller)) return 0;

  // ---- Point of no return ---- Few stores, line by line, as in Call.
  caller.setSummary(callerSummary ^ (ThreadState.BlockedOnReply ^ ThreadState.Running), none<Reply>());
  reply.caller = server;
  server.setSummary(server.summary ^ (ThreadState.Running ^ ThreadState.BlockedOnReceive), reply);
  waitAt(endpoint, server);
  core.current = caller;
  caller.badge = 0;
  copyRegisters(server, caller, length);
  return caller.program;
}
