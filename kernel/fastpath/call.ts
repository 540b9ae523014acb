/**
 * The fastpath of Call: a message of at most four words to a server that waits on this core.
 *
 * It touches one line of the core's state, two of each thread (see `TCB`), the endpoint capability, the endpoint and
 * the reply object: eight lines. What it does is what `handleInvocation` and `schedule` would do, no less, no more.
 */
import { isNull, none, slotAt } from '../model/cap';
import { Endpoint, EndpointState, Reply, SUMMARY_STATUS, TCB, ThreadState, summaryOf } from '../model/objects';
import { CoreState, SMP, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { queueRemove } from '../object/endpoint';
import { answerable, notSendable, shortLength } from './questions';
import { copyRegisters } from './registers';

/** `caller`: the current thread. Returns the handle of the server's program, which runs now; or 0, and nothing has changed. */
@inline
export function fastCall(core: CoreState, caller: TCB, cptr: u32): u32 {
  const length = shortLength(caller);
  if (length > <u32>Limit.FastMessageRegisters) return 0;
  if (cptr >= caller.ctable.span) return 0;
  const cap = slotAt(caller.ctable.object, cptr);
  if (notSendable(cap) != 0) return 0;
  if (answerable(cap) == 0) return 0;

  const endpoint = changetype<Endpoint>(cap.object);
  if (endpoint.state != EndpointState.Receive) return 0;
  const server = endpoint.head;
  const reply = server.reply;
  if (isNull(reply)) return 0;
  const serverSummary = server.summary;
  if ((serverSummary & SUMMARY_STATUS) != summaryOf(ThreadState.BlockedOnReceive)) return 0;
  // The server runs next: nothing ready may come before it.
  const callerSummary = caller.summary;
  if (serverSummary < (callerSummary & ~SUMMARY_STATUS)) return 0;
  if (SMP && server.core != thisCore()) return 0;

  // ---- Point of no return ---- What lies in one line is stored in one go: a processor takes longer where lines alternate.
  if (isNull(server.endpointNext)) {
    endpoint.head = none<TCB>();
    endpoint.tail = none<TCB>();
    endpoint.state = EndpointState.Idle;
  } else {
    queueRemove(endpoint, server);
  }
  server.reply = none<Reply>();
  server.summary = serverSummary ^ (ThreadState.BlockedOnReceive ^ ThreadState.Running);
  reply.caller = caller;
  caller.reply = reply;
  caller.summary = callerSummary ^ (ThreadState.Running ^ ThreadState.BlockedOnReply);
  core.current = server;
  server.badge = cap.badge;
  copyRegisters(caller, server, length);
  return server.program;
}
