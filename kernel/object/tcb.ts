/** Threads: what suspends, resumes and ends them (manual section 6.1). */
import { Endpoint, TCB, ThreadState, WaitQueue } from '../model/objects';
import { SMP, cluster, coreState, homes } from '../model/state';
import { none } from '../model/cap';
import {
  isCurrent,
  possibleSwitchTo,
  removeFromScheduling,
  rescheduleRequired,
  setThreadState,
} from '../scheduler/schedule';
import { giveUpBudget, postpone, wakeUp } from '../scheduler/budget';
import { dequeue, enqueueTail } from '../scheduler/queue';
import { cancelIPC, reorderQueue } from './endpoint';
import { unbindNotification } from './notification';
import { completeYieldTo } from './schedcontext';
import { FaultType } from '../api/constants';

export function suspend(tcb: TCB): void {
  cancelIPC(tcb);
  if (tcb.yielding) completeYieldTo(tcb);
  setThreadState(tcb, ThreadState.Inactive);
  removeFromScheduling(tcb);
  if (!SMP) tcb.underWay = 0;
}

/** Makes a stopped thread go on. One that waits gives its wait up and makes its system call again. */
export function restart(tcb: TCB): void {
  if (tcb.state == ThreadState.Running || tcb.state == ThreadState.Idle) return;
  cancelIPC(tcb);
  tcb.fault = <u8>FaultType.NullFault;
  setThreadState(tcb, ThreadState.Running);
  wakeUp(tcb);
}

export function setPriority(tcb: TCB, priority: u8): void {
  dequeue(tcb);
  tcb.priority = priority;
  switch (<i32>tcb.state) {
    case ThreadState.BlockedOnReceive:
    case ThreadState.BlockedOnSend:
    case ThreadState.BlockedOnNotification:
      return reorderQueue(changetype<WaitQueue>(tcb.blockedOn), tcb);
    case ThreadState.Running:
      if (isCurrent(tcb)) rescheduleRequired();
      else possibleSwitchTo(tcb);
  }
}

/** The frame capability in the thread's buffer slot backs its IPC buffer at `address` as long as it is there. */
export function useBuffer(tcb: TCB, address: usize): void {
  tcb.ipcBuffer = address;
  tcb.bufferSlot.badge = changetype<usize>(tcb);
}

export function finaliseThread(tcb: TCB): void {
  unbindNotification(tcb);
  suspend(tcb);
  forgetStalled(tcb);
  for (let home: u32 = 0; home < homes(); home++) {
    const state = coreState(home);
    if (changetype<usize>(state.floor) == changetype<usize>(tcb)) state.floor = none<TCB>();
  }
}

/** What a thread was at when it was taken from the core that ran it, it does not do again (`CoreState.stalled`). */
export function forgetStalled(tcb: TCB): void {
  if (!SMP) return;
  for (let core: u32 = 0; core < cluster().cores; core++) {
    const state = coreState(core);
    if (changetype<usize>(state.stalled) == changetype<usize>(tcb)) state.stalled = state.idle;
  }
}

/** The thread gives way to its equals, and gives up what is left of its budget for now. */
export function yieldCore(tcb: TCB): void {
  rescheduleRequired();
  if (!SMP) tcb.underWay = 0;
  if (giveUpBudget(tcb)) postpone(tcb);
  else enqueueTail(tcb);
}
