/**
 * The fastpath of ReplyRecv: a reply of at most four words to a caller on this core, and a wait at an endpoint where
 * nobody is waiting to send. The same eight lines as the fastpath of Call.
 */
import { CapType, isNull, none, slotAt } from '../model/cap';
import { Endpoint, EndpointState, NotificationState, Reply, TCB, ThreadState } from '../model/objects';
import { SMP, here, thisCore } from '../model/state';
import { FaultType, Limit, Rights } from '../api/constants';
import { copyRegisters } from './registers';
import { queueAppend } from '../object/endpoint';
import { highestReady } from '../scheduler/queue';
import { isActive } from '../scheduler/schedule';

const SLOW_MASK: u32 = 0xfff & ~7;

export function fastReplyRecv(cptr: u32, replyCptr: u32): bool {
  const core = here();
  const server = core.current;
  const info = load<u32>(changetype<usize>(server) + offsetof<TCB>('msgInfo'));
  if (info & SLOW_MASK || (info & 7) > <u32>Limit.FastMessageRegisters) return false;

  const root = server.ctable;
  if (root.badge != 0 || <u32>root.guardSize + root.bits != 64 || root.type != CapType.CNode) return false;
  if (cptr >> root.bits || replyCptr >> root.bits) return false;
  const cap = slotAt(root.object, cptr);
  if (cap.type != CapType.Endpoint || !(cap.rights & (<u8>Rights.Read))) return false;
  const endpoint = changetype<Endpoint>(cap.object);
  if (endpoint.state == EndpointState.Send) return false;
  const notification = server.boundNotification;
  if (!isNull(notification) && (notification.state == NotificationState.Active || !isNull(notification.sc)))
    return false;

  const replyCap = slotAt(root.object, replyCptr);
  if (replyCap.type != CapType.Reply) return false;
  const reply = changetype<Reply>(replyCap.object);
  const caller = reply.caller;
  if (isNull(caller) || caller.state != ThreadState.BlockedOnReply || caller.fault != FaultType.NullFault)
    return false;
  // Where a scheduling context came along with the call it must go back: the slow path does that.
  if (!isNull(reply.sc) || !isNull(reply.next) || !isNull(reply.prev) || !isActive(caller.sc)) return false;
  if (SMP && caller.core != thisCore()) return false;
  // The caller runs next: nothing ready may come before it.
  if (<i32>caller.priority < highestReady(core) || !isNull(core.floor)) return false;

  // ---- Point of no return ----
  caller.badge = 0;
  copyRegisters(server, caller);
  caller.reply = none<Reply>();
  caller.state = <u8>ThreadState.Running;
  reply.caller = server;
  server.reply = reply;
  server.blockedOn = changetype<usize>(endpoint);
  server.state = <u8>ThreadState.BlockedOnReceive;
  endpoint.state = EndpointState.Receive;
  queueAppend(endpoint, server);
  core.current = caller;
  return true;
}
