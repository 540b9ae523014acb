/**
 * The fastpath of Call: a message of at most four words to a server that waits on this core.
 *
 * It touches one line of the core's state, two of each thread (see `TCB`), the endpoint capability, the endpoint and
 * the reply object: eight lines. What it does is what `handleInvocation` and `schedule` would do, no less, no more.
 */
import { isNull, none, slotAt } from '../model/cap';
import { Endpoint, Reply, SUMMARY_STATUS, TCB, ThreadState, summaryOf } from '../model/objects';
import { CoreState, SMP, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { queueRemove, setOnly } from '../object/endpoint';
import { isReadyAbove } from '../scheduler/queue';
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
  const server = endpoint.head;
  if (isNull(server)) return 0;
  const reply = server.reply;
  if (isNull(reply)) return 0;
  const serverSummary = server.summary;
  if ((serverSummary & SUMMARY_STATUS) != summaryOf(ThreadState.BlockedOnReceive)) return 0;
  // The server runs next: nothing ready may come before it.
  const callerSummary = caller.summary;
  if (serverSummary < (callerSummary & ~SUMMARY_STATUS)) return 0;
  if (SMP && server.core != thisCore()) return 0;
  // Unless another core has put somebody there, and this one has not been interrupted yet.
  if (SMP && isReadyAbove(core, server)) return 0;

  // ---- Point of no return ----
  // Stores are what takes longest from here on: so there are few, and those to one line follow each other.
  if (isNull(server.endpointNext)) {
    setOnly(endpoint, none<TCB>());
  } else {
    queueRemove(endpoint, server);
  }
  server.setSummary(serverSummary ^ (ThreadState.BlockedOnReceive ^ ThreadState.Running), none<Reply>());
  reply.caller = caller;
  caller.setSummary(callerSummary ^ (ThreadState.Running ^ ThreadState.BlockedOnReply), reply);
  core.current = server;
  server.badge = cap.badge;
  copyRegisters(caller, server, length);
  return server.program;
}
