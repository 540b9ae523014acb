/** Threads: what suspends, resumes and ends them (manual section 6.1). */
import { Endpoint, TCB, ThreadState } from '../model/objects';
import { SMP, thisCore } from '../model/state';
import {
  isCurrent,
  possibleSwitchTo,
  removeFromScheduling,
  rescheduleRequired,
  setThreadState,
} from '../scheduler/schedule';
import { dequeue, enqueueTail } from '../scheduler/queue';
import { cancelIPC, reorderQueue } from './endpoint';
import { unbindNotification } from './notification';
import { FaultType } from '../api/constants';

export function suspend(tcb: TCB): void {
  cancelIPC(tcb);
  if (SMP && tcb.core != thisCore() && tcb.state == ThreadState.Running && !tcb.queued) tcb.redo = 1;
  setThreadState(tcb, ThreadState.Inactive);
  removeFromScheduling(tcb);
}

/** Makes a stopped thread go on. One that waits gives its wait up and makes its system call again. */
export function restart(tcb: TCB): void {
  if (tcb.state == ThreadState.Running || tcb.state == ThreadState.Idle) return;
  cancelIPC(tcb);
  tcb.fault = FaultType.NullFault;
  setThreadState(tcb, ThreadState.Running);
  possibleSwitchTo(tcb);
}

export function setPriority(tcb: TCB, priority: u8): void {
  dequeue(tcb);
  tcb.priority = priority;
  switch (<i32>tcb.state) {
    case ThreadState.BlockedOnReceive:
    case ThreadState.BlockedOnSend:
    case ThreadState.BlockedOnNotification:
      reorderQueue(changetype<Endpoint>(tcb.blockedOn), tcb);
      break;
    case ThreadState.Running:
      if (isCurrent(tcb)) rescheduleRequired();
      else possibleSwitchTo(tcb);
      break;
  }
}

export function finaliseThread(tcb: TCB): void {
  unbindNotification(tcb);
  suspend(tcb);
}

/** The thread gives way to its equals. */
export function yieldTo(tcb: TCB): void {
  enqueueTail(tcb);
  rescheduleRequired();
}
