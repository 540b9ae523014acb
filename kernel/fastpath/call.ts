/**
 * The fastpath of Call: a message of at most four words to a server that waits on this core.
 *
 * It touches one line of the core's state, two of each thread (see `TCB`), the endpoint capability, the endpoint and
 * the reply object: eight lines. What it does is what `handleInvocation` and `schedule` would do, no less, no more.
 */
import { CapType, isNull, none, slotAt } from '../model/cap';
import { Endpoint, EndpointState, Reply, TCB, ThreadState } from '../model/objects';
import { SMP, here, thisCore } from '../model/state';
import { Limit, Rights } from '../api/constants';
import { copyRegisters } from './registers';
import { queueRemove } from '../object/endpoint';
import { isActive } from '../scheduler/schedule';

/** No extra capabilities, and a length of at most `FastMessageRegisters`. */
const SLOW_MASK: u32 = 0xfff & ~7;

export function fastCall(cptr: u32): bool {
  const core = here();
  const caller = core.current;
  const info = load<u32>(changetype<usize>(caller) + offsetof<TCB>('msgInfo'));
  if (info & SLOW_MASK || (info & 7) > <u32>Limit.FastMessageRegisters) return false;

  const root = caller.ctable;
  if (
    root.badge != 0 ||
    <u32>root.guardSize + root.bits != 64 ||
    root.type != CapType.CNode ||
    cptr >> root.bits
  )
    return false;
  const cap = slotAt(root.object, cptr);
  if (
    cap.type != CapType.Endpoint ||
    !(cap.rights & (<u8>Rights.Write)) ||
    !(cap.rights & (<u8>(Rights.Grant | Rights.GrantReply)))
  )
    return false;

  const endpoint = changetype<Endpoint>(cap.object);
  if (endpoint.state != EndpointState.Receive) return false;
  const server = endpoint.head;
  const reply = server.reply;
  if (isNull(reply) || !isActive(server.sc)) return false;
  // The server runs next: nothing ready may come before it.
  if (server.priority < caller.priority) return false;
  if (SMP && server.core != thisCore()) return false;
  if (!isNull(core.floor)) return false;

  // ---- Point of no return ----
  queueRemove(endpoint, server);
  server.badge = cap.badge;
  copyRegisters(caller, server);
  reply.caller = caller;
  caller.reply = reply;
  server.reply = none<Reply>();
  caller.state = <u8>ThreadState.BlockedOnReply;
  server.state = <u8>ThreadState.Running;
  core.current = server;
  return true;
}
