/**
 * The fastpath of Call: a message of at most four words to a server that waits on this core.
 *
 * It touches one line of the core's state, two of each thread (see `TCB`), the endpoint capability, the endpoint and
 * the reply object: eight lines. What it does is what `handleInvocation` and `schedule` would do, no less, no more.
 */
import { isNull, none } from '../model/cap';
import { Endpoint, EndpointState, Reply, TCB, ThreadState } from '../model/objects';
import { SMP, here, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { queueRemove } from '../object/endpoint';
import { flatSlot, notFlat } from '../api/lookup';
import { answerable, notSendable, shortLength } from './questions';
import { copyRegisters } from './registers';

/** The handle of the server's program, which runs now; or 0, and nothing has changed. */
@inline
export function fastCall(cptr: u32): u32 {
  const core = here();
  const caller = core.current;
  if (shortLength(caller) > <u32>Limit.FastMessageRegisters) return 0;
  if (notFlat(caller, cptr) != 0) return 0;
  const cap = flatSlot(caller, cptr);
  if (notSendable(cap) != 0) return 0;
  if (answerable(cap) == 0) return 0;

  const endpoint = changetype<Endpoint>(cap.object);
  if (endpoint.state != EndpointState.Receive) return 0;
  const server = endpoint.head;
  const reply = server.reply;
  if (isNull(reply)) return 0;
  if (!server.hasTime) return 0;
  // The server runs next: nothing ready may come before it.
  if (server.priority < caller.priority) return 0;
  if (SMP && server.core != thisCore()) return 0;
  if (!isNull(core.floor)) return 0;

  // ---- Point of no return ----
  if (isNull(server.endpointNext)) {
    endpoint.head = none<TCB>();
    endpoint.tail = none<TCB>();
    endpoint.state = EndpointState.Idle;
  } else {
    queueRemove(endpoint, server);
  }
  server.badge = cap.badge;
  reply.caller = caller;
  caller.reply = reply;
  server.reply = none<Reply>();
  caller.state = <u8>ThreadState.BlockedOnReply;
  server.state = <u8>ThreadState.Running;
  core.current = server;
  copyRegisters(caller, server);
  return server.program;
}
