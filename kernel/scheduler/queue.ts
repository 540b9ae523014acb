/**
 * Ready queues: one for each core (where there is one core, for each scheduling domain) and priority, first in, first out,
 * and a bitmap of those that are not empty. What must hold: a thread is in the queue of its core or domain and priority
 * exactly when it could run and does not; the current thread is in none; a priority's bit is set exactly when its queue is
 * not empty; an empty queue has neither head nor tail.
 */
import { Queued, TCB } from '../model/objects';
import { isNull, none } from '../model/cap';
import { CoreState, ReadyQueue, SMP, coreState, homeOf, readyQueue } from '../model/state';
import { refillHead } from './refill';

const READY_OFFSET: usize = offsetof<CoreState>('ready0');

@inline
function readyWord(tcb: TCB): usize {
  return changetype<usize>(homeOf(tcb)) + READY_OFFSET + ((<usize>tcb.priority >> 6) << 3);
}

/**
 * Puts a thread at the head of its queue: it was about to run, or runs next among its equals. One that is under way stays
 * before those that are not (scheduler/domain.ts).
 */
export function enqueueHead(tcb: TCB): void {
  if (tcb.queued != Queued.Nowhere) return;
  const queue = readyQueue(homeOf(tcb), tcb.priority);
  const head = queue.head;
  if (!SMP && !isNull(head) && head.underWay > tcb.underWay) insert(tcb, queue, head, head.queueNext);
  else insert(tcb, queue, none<TCB>(), head);
}

/** Puts a thread that is in no queue at the tail of its own. */
export function enqueueTail(tcb: TCB): void {
  const queue = readyQueue(homeOf(tcb), tcb.priority);
  insert(tcb, queue, queue.tail, none<TCB>());
}

/** Puts a thread between two that follow each other in its queue; none stands for the queue's end. */
function insert(tcb: TCB, queue: ReadyQueue, before: TCB, after: TCB): void {
  if (isNull(queue.head)) setReady(tcb);
  tcb.queuePrev = before;
  tcb.queueNext = after;
  if (isNull(before)) queue.head = tcb;
  else before.queueNext = tcb;
  if (isNull(after)) queue.tail = tcb;
  else after.queuePrev = tcb;
  tcb.queued = <u8>Queued.Ready;
}

export function dequeue(tcb: TCB): void {
  if (tcb.queued != Queued.Ready) return;
  const queue = readyQueue(homeOf(tcb), tcb.priority);
  if (isNull(tcb.queuePrev)) queue.head = tcb.queueNext;
  else tcb.queuePrev.queueNext = tcb.queueNext;
  if (isNull(tcb.queueNext)) queue.tail = tcb.queuePrev;
  else tcb.queueNext.queuePrev = tcb.queuePrev;
  if (isNull(queue.head)) {
    const word = readyWord(tcb);
    store<u64>(word, load<u64>(word) & ~((<u64>1) << (tcb.priority & 63)));
  }
  tcb.queued = <u8>Queued.Nowhere;
}

function setReady(tcb: TCB): void {
  const word = readyWord(tcb);
  store<u64>(word, load<u64>(word) | ((<u64>1) << (tcb.priority & 63)));
}

/** The highest priority with a ready thread among those of a core or domain, or -1. */
@inline
export function highestReady(core: CoreState): i32 {
  if (core.ready3 != 0) return 255 - <i32>clz(core.ready3);
  if (core.ready2 != 0) return 191 - <i32>clz(core.ready2);
  if (core.ready1 != 0) return 127 - <i32>clz(core.ready1);
  if (core.ready0 != 0) return 63 - <i32>clz(core.ready0);
  return -1;
}

@inline
export function isNothingReady(core: CoreState): bool {
  return (core.ready0 | core.ready1 | core.ready2 | core.ready3) == 0;
}

/** Whether a thread that is ready on this core is more urgent than `tcb`. */
@inline
export function isReadyAbove(core: CoreState, tcb: TCB): bool {
  if (isNothingReady(core)) return false;
  return <i32>tcb.priority < highestReady(core);
}

/** Puts a thread into its core's release queue, behind all whose budgets are replenished at `time` or before. */
export function releaseInsert(tcb: TCB, time: u64): void {
  const core = coreState(tcb.core);
  let before = none<TCB>();
  let after = core.releaseHead;
  while (!isNull(after) && refillHead(after.sc).time <= time) {
    before = after;
    after = after.queueNext;
  }
  tcb.queuePrev = before;
  tcb.queueNext = after;
  if (isNull(before)) core.releaseHead = tcb;
  else before.queueNext = tcb;
  if (!isNull(after)) after.queuePrev = tcb;
  tcb.queued = <u8>Queued.Release;
}

export function releaseRemove(tcb: TCB): void {
  if (tcb.queued != Queued.Release) return;
  if (isNull(tcb.queuePrev)) coreState(tcb.core).releaseHead = tcb.queueNext;
  else tcb.queuePrev.queueNext = tcb.queueNext;
  if (!isNull(tcb.queueNext)) tcb.queueNext.queuePrev = tcb.queuePrev;
  tcb.queued = <u8>Queued.Nowhere;
}
