import { isNull } from '../model/cap';
import { TCB, WaitQueue } from '../model/objects';
import { queueAppend, setOnly } from '../object/endpoint';

/** Puts a thread that waits from now on into the queue of an endpoint or notification. Most wait where they waited last. */
@inline
export function waitAt(queue: WaitQueue, thread: TCB): void {
  if (thread.blockedOn != changetype<usize>(queue)) thread.blockedOn = changetype<usize>(queue);
  if (isNull(queue.head)) {
    setOnly(queue, thread);
  } else {
    queueAppend(queue, thread);
  }
}
