/**
 * The fastpath of ReplyRecv: a reply of at most four words to a caller on this core, and a wait at an endpoint where
 * nobody is waiting to send. It touches what the fastpath of Call does, and the server's notification.
 */
import { isNull, none } from '../model/cap';
import { Endpoint, EndpointState, NotificationState, Reply, TCB, ThreadState } from '../model/objects';
import { SMP, here, thisCore } from '../model/state';
import { Limit } from '../api/constants';
import { queueAppend } from '../object/endpoint';
import { highestReady } from '../scheduler/queue';
import { flatSlot, notFlat } from '../api/lookup';
import { notReceivable, notReply, shortLength } from './questions';
import { copyRegisters } from './registers';

/** The handle of the caller's program, which runs now; or 0, and nothing has changed. */
@inline
export function fastReplyRecv(cptr: u32, replyCptr: u32): u32 {
  const core = here();
  const server = core.current;
  if (shortLength(server) > <u32>Limit.FastMessageRegisters) return 0;
  if ((notFlat(server, cptr) | notFlat(server, replyCptr)) != 0) return 0;
  const cap = flatSlot(server, cptr);
  const replyCap = flatSlot(server, replyCptr);
  if ((notReceivable(cap) | notReply(replyCap)) != 0) return 0;
  const endpoint = changetype<Endpoint>(cap.object);
  if (endpoint.state == EndpointState.Send) return 0;
  const notification = server.boundNotification;
  if (!isNull(notification)) {
    if (notification.state == NotificationState.Active) return 0;
    if (!isNull(notification.sc)) return 0;
  }

  const reply = changetype<Reply>(replyCap.object);
  const caller = reply.caller;
  if (isNull(caller)) return 0;
  if (((caller.state ^ <u8>ThreadState.BlockedOnReply) | caller.fault) != 0) return 0;
  // Where a scheduling context came along with the call it must go back: the slow path does that.
  if ((changetype<usize>(reply.sc) | changetype<usize>(reply.next) | changetype<usize>(reply.prev)) != 0) return 0;
  if (!caller.hasTime) return 0;
  if (SMP && caller.core != thisCore()) return 0;
  // The caller runs next: nothing ready may come before it.
  if ((core.ready0 | core.ready1 | core.ready2 | core.ready3) != 0) {
    if (<i32>caller.priority < highestReady(core)) return 0;
  }
  if (!isNull(core.floor)) return 0;

  // ---- Point of no return ----
  caller.badge = 0;
  caller.reply = none<Reply>();
  caller.state = <u8>ThreadState.Running;
  reply.caller = server;
  server.reply = reply;
  server.blockedOn = changetype<usize>(endpoint);
  server.state = <u8>ThreadState.BlockedOnReceive;
  endpoint.state = EndpointState.Receive;
  if (isNull(endpoint.tail)) {
    server.endpointPrev = none<TCB>();
    server.endpointNext = none<TCB>();
    endpoint.head = server;
    endpoint.tail = server;
  } else {
    queueAppend(endpoint, server);
  }
  core.current = caller;
  copyRegisters(server, caller);
  return caller.program;
}
