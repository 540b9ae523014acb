/**
 * What must hold of a kernel's memory whenever no core is in the kernel. Each rule is also stated at the structure that
 * it is about (kernel/model, kernel/scheduler, kernel/object); here they are checked, over raw memory.
 */
import { Limit, Rights } from '../../../kernel/api/constants.js';
import {
  CapType,
  Queued,
  ThreadState,
  objectSize,
  type KernelMemory,
  type Slot,
  type Thread,
} from './memory.js';

export class InvariantViolation extends Error {}

function check(holds: boolean, what: () => string): void {
  if (!holds) throw new InvariantViolation(what());
}

const hex = (address: number): string => `0x${address.toString(16)}`;

/** @throws InvariantViolation which says what does not hold, and where. */
export function checkInvariants(memory: KernelMemory): void {
  const slots = memory.allSlots();
  checkDerivation(slots);
  checkMemory(memory, slots);
  const objects = (type: CapType): number[] => [
    ...new Set([...slots.values()].filter((slot) => slot.type === type).map(({ object }) => object)),
  ];
  const threads = new Map(objects(CapType.Thread).map((at) => [at, memory.thread(at)] as const));
  const waiting = new Set<number>();
  for (const at of objects(CapType.Endpoint))
    checkQueue(memory, at, threads, waiting, [ThreadState.BlockedOnSend, ThreadState.BlockedOnReceive]);
  for (const at of objects(CapType.Notification)) checkNotification(memory, at, threads, waiting);
  for (const at of objects(CapType.Reply)) checkReply(memory, at);
  for (const at of objects(CapType.SchedContext)) checkSchedContext(memory, at);
  checkDomains(memory);
  for (let core = 0; core < memory.cores; core++) checkCore(memory, core, threads);
  for (const thread of threads.values()) checkThread(memory, thread, waiting);
  checkInterrupts(memory, slots);
}

/** The derivation tree is a list in preorder, so that all to one object stand together and final ones are known. */
function checkDerivation(slots: ReadonlyMap<number, Slot>): void {
  for (const { at, type, bits, guardSize, span, prev, next, firstBadged, badge } of slots.values()) {
    check(type <= (CapType.Domain as number), () => `slot ${hex(at)} holds a capability of no type`);
    const isFlat = type === CapType.CNode && bits + guardSize === 64 && badge === 0n;
    check(span === (isFlat ? 2 ** bits : 0), () => `slot ${hex(at)}: its span is not what it resolves`);
    check(
      next === 0 || slots.get(next)?.prev === at,
      () => `slot ${hex(at)}: the next slot does not lead back`,
    );
    check(
      prev === 0 || slots.get(prev)?.next === at,
      () => `slot ${hex(at)}: the previous slot does not lead here`,
    );
    if (type === CapType.Endpoint && !firstBadged && prev !== 0 && badge !== 0n) {
      const before = slots.get(prev)!;
      const sibling = before.type === type && before.badge === badge;
      check(sibling, () => `slot ${hex(at)}: the first of its badge is not marked`);
    }
  }
  const seen = new Set<string>();
  for (const first of slots.values()) {
    if (first.prev !== 0) continue;
    let last = '';
    const open: Slot[] = [];
    for (let slot: Slot | undefined = first; slot !== undefined; slot = slots.get(slot.next)) {
      const { at, type, object } = slot;
      // An interrupt-sending capability names a line and a core, and each is issued for itself.
      const isObject = type !== CapType.Untyped && type !== CapType.SGISignal && object !== 0;
      const key = isObject ? `${type} ${object}` : '';
      check(
        key === '' || key === last || !seen.has(key),
        () => `slot ${hex(at)}: apart from others to its object`,
      );
      seen.add(key);
      last = key;
      while (open.length > 0 && !contains(open.at(-1)!, slot)) open.pop();
      const parent = open.at(-1);
      if (parent?.type === CapType.Untyped) {
        const end = object + objectSize(slot) - parent.object;
        check(
          slot.type === CapType.Untyped && object === parent.object && slot.bits === parent.bits
            ? true
            : BigInt(end) <= parent.badge,
          () => `slot ${hex(at)}: object ${hex(object)} is beyond the watermark of its untyped memory`,
        );
      }
      if (type === CapType.Untyped) {
        check(slot.badge <= 1n << BigInt(slot.bits), () => `slot ${hex(at)}: a watermark outside the memory`);
        open.push(slot);
      }
    }
  }
}

function contains(untyped: Slot, slot: Slot): boolean {
  const size = objectSize(slot);
  return (
    size !== 0 && untyped.object <= slot.object && slot.object + size <= untyped.object + 2 ** untyped.bits
  );
}

/**
 * Each object lies in memory of its own, aligned; inside the partition or memory that came into the kernel's care, unless
 * it is a frame that clusters share.
 */
function checkMemory(memory: KernelMemory, slots: ReadonlyMap<number, Slot>): void {
  const untypeds = [...slots.values()].filter(({ type, rights }) => type === CapType.Untyped && rights === 0);
  const objects = new Map<number, number>();
  for (const slot of slots.values()) {
    const size = objectSize(slot);
    if (size === 0 || slot.type === CapType.Untyped) continue;
    const { at, object } = slot;
    check(object % Math.min(size, 4096) === 0, () => `slot ${hex(at)}: object ${hex(object)} is not aligned`);
    const inside =
      (object >= memory.base && object + size <= memory.base + memory.size) ||
      untypeds.some((untyped) => contains(untyped, slot));
    check(inside || slot.type === CapType.Frame, () => `slot ${hex(at)}: object ${hex(object)} is elsewhere`);
    const other = objects.get(object);
    check(other === undefined || other === size, () => `object ${hex(object)} has two types`);
    objects.set(object, size);
  }
  let end = 0;
  for (const [object, size] of [...objects].sort(([a], [b]) => a - b)) {
    check(object >= end, () => `object ${hex(object)} overlaps the one before`);
    end = object + size;
  }
}

/** Whoever waits is in the queue of what it waits for, most urgent first, all for the same, and nobody else is. */
function checkQueue(
  memory: KernelMemory,
  at: number,
  threads: ReadonlyMap<number, Thread>,
  waiting: Set<number>,
  states: readonly ThreadState[],
): void {
  const { head, tail } = memory.queue(at);
  const state = threads.get(head)?.state;
  let previous = 0;
  let priority = 255;
  for (let next = head; next !== 0;) {
    const thread = threads.get(next);
    check(thread !== undefined, () => `${hex(at)}: ${hex(next)} in the queue is no thread`);
    const { state: threadState, blockedOn, endpointPrev, endpointNext } = thread!;
    check(
      threadState === state && states.includes(threadState) && blockedOn === at,
      () => `thread ${hex(next)} is queued but does not wait`,
    );
    check(endpointPrev === previous, () => `${hex(at)}: the queue is broken at ${hex(next)}`);
    check(thread!.priority <= priority, () => `${hex(at)}: thread ${hex(next)} is behind a less urgent one`);
    check(!waiting.has(next), () => `thread ${hex(next)} waits twice`);
    waiting.add(next);
    priority = thread!.priority;
    previous = next;
    next = endpointNext;
  }
  check(tail === previous, () => `${hex(at)}: the tail is not the last`);
}

function checkNotification(
  memory: KernelMemory,
  at: number,
  threads: ReadonlyMap<number, Thread>,
  waiting: Set<number>,
): void {
  checkQueue(memory, at, threads, waiting, [ThreadState.BlockedOnNotification]);
  const { head, active, badge, bound, sc } = memory.notification(at);
  check(active || badge === 0n, () => `notification ${hex(at)} has a badge but is not active`);
  check(!active || head === 0, () => `notification ${hex(at)} is active, but threads wait for it`);
  if (bound !== 0) {
    const thread = memory.thread(bound);
    check(thread.boundNotification === at, () => `notification ${hex(at)}: its thread is not bound to it`);
    const missed = active && thread.state === ThreadState.BlockedOnReceive;
    check(!missed, () => `thread ${hex(bound)} waits though its notification is active`);
  }
  check(
    sc === 0 || memory.schedContext(sc).notification === at,
    () => `notification ${hex(at)}: not its context's`,
  );
}

/** A chain of calls is linked both ways, and its last call has the context that was lent along. */
function checkReply(memory: KernelMemory, at: number): void {
  const { caller, prev, next, sc } = memory.reply(at);
  if (caller === 0) {
    check((prev | next | sc) === 0, () => `reply ${hex(at)} is in a chain, but nobody waits for it`);
    return;
  }
  const { reply, state } = memory.thread(caller);
  check(reply === at, () => `reply ${hex(at)}: its caller waits for another`);
  const waits = state === ThreadState.BlockedOnReply || state === ThreadState.BlockedOnReceive;
  check(waits, () => `reply ${hex(at)}: its caller does not wait`);
  check(
    prev === 0 || memory.reply(prev).next === at,
    () => `reply ${hex(at)}: the chain is broken before it`,
  );
  check(next === 0 || memory.reply(next).prev === at, () => `reply ${hex(at)}: the chain is broken after it`);
  check(
    sc === 0 || memory.schedContext(sc).reply === at,
    () => `reply ${hex(at)}: not the last call of its context`,
  );
}

function checkSchedContext(memory: KernelMemory, at: number): void {
  const sc = memory.schedContext(at);
  check(sc.tcb === 0 || memory.thread(sc.tcb).sc === at, () => `context ${hex(at)}: its thread has another`);
  check(
    sc.reply === 0 || memory.reply(sc.reply).sc === at,
    () => `context ${hex(at)}: its last call has another`,
  );
  const { notification, yieldFrom, refills, refillMax } = sc;
  check(
    notification === 0 || memory.notification(notification).sc === at,
    () => `context ${hex(at)}: its notification has another`,
  );
  check(
    yieldFrom === 0 || memory.thread(yieldFrom).yieldTo === at,
    () => `context ${hex(at)}: nobody yields to it`,
  );
  if (refillMax === 0) return;
  check(
    refills.length >= 1 && refills.length <= refillMax,
    () => `context ${hex(at)} has ${refills.length} refills`,
  );
  const sum = refills.reduce((total, { amount }) => total + amount, 0n);
  check(sum === sc.budget, () => `context ${hex(at)}: its refills sum up to ${sum} of ${sc.budget}`);
  const sorted = refills.every(({ time }, index) => index === 0 || time >= refills[index - 1].time);
  check(sorted, () => `context ${hex(at)}: its refills are not in order`);
}

function isSchedulable(memory: KernelMemory, { state, queued, sc }: Thread): boolean {
  const able = state === ThreadState.Running && (queued === Queued.Nowhere || queued === Queued.Ready);
  return able && sc !== 0 && memory.schedContext(sc).refillMax !== 0;
}

/** The ready queues of a core or scheduling domain, and their bitmap. Returns who is in them. */
function checkReady(memory: KernelMemory, index: number, threads: ReadonlyMap<number, Thread>): number[] {
  const core = memory.core(index);
  const listed: number[] = [];
  for (let priority = 0; priority < (Limit.Priorities as number); priority++) {
    const head = core.head(priority);
    check(
      core.ready(priority) === (head !== 0),
      () => `core ${index}, priority ${priority}: the bitmap is wrong`,
    );
    let previous = 0;
    for (let at = head; at !== 0;) {
      const thread = threads.get(at);
      check(thread !== undefined, () => `core ${index}: ${hex(at)} in a ready queue is no thread`);
      const { queued, queuePrev, queueNext } = thread!;
      // One of the two is 0.
      const home = thread!.core + thread!.domain;
      const fits = queued === Queued.Ready && home === index && thread!.priority === priority;
      check(fits && isSchedulable(memory, thread!), () => `thread ${hex(at)} is ready but should not be`);
      check(queuePrev === previous, () => `core ${index}, priority ${priority}: the queue is broken`);
      listed.push(at);
      previous = at;
      at = queueNext;
    }
    check(
      head === 0 || core.tail(priority) === previous,
      () => `core ${index}, priority ${priority}: wrong tail`,
    );
  }
  return listed;
}

/** Who is ready on a core, who waits for its budget, and who runs. */
function checkCore(memory: KernelMemory, index: number, threads: ReadonlyMap<number, Thread>): void {
  const core = memory.core(index);
  check(core.action === 0, () => `core ${index} has left the kernel undecided`);
  const homes = memory.cores > 1 ? [index] : [...Array(memory.domains).keys()];
  const listed = new Set(homes.flatMap((home) => checkReady(memory, home, threads)));
  let time = 0n;
  let previous = 0;
  for (let at = core.releaseHead; at !== 0;) {
    const thread = threads.get(at);
    check(thread !== undefined, () => `core ${index}: ${hex(at)} in the release queue is no thread`);
    const { queued, queuePrev, queueNext, core: home, state, sc } = thread!;
    const fits = queued === Queued.Release && home === index && state === ThreadState.Running && sc !== 0;
    check(fits && queuePrev === previous, () => `core ${index}: the release queue is broken at ${hex(at)}`);
    const [refill] = memory.schedContext(sc).refills;
    check(refill.time >= time, () => `core ${index}: the release queue is not in order`);
    time = refill.time;
    listed.add(at);
    previous = at;
    at = queueNext;
  }
  check(
    core.releaseHead === 0 || core.timed !== 0,
    () => `core ${index}: a thread waits, but no time passes`,
  );
  for (const thread of threads.values()) {
    if (thread.core !== index) continue;
    const should =
      thread.queued === Queued.Release || (thread.at !== core.current && isSchedulable(memory, thread));
    const queued = thread.queued === Queued.Release || thread.queued === Queued.Ready;
    const listedRightly = listed.has(thread.at) === should && queued === should;
    check(listedRightly, () => `thread ${hex(thread.at)}: ready and queued do not agree`);
  }
  if (core.current === core.idle) return;
  const current = threads.get(core.current);
  check(current !== undefined && isSchedulable(memory, current), () => `core ${index} runs what cannot run`);
  check(current!.domain === core.domain, () => `core ${index} runs a thread whose domain's turn it is not`);
}

/** The schedule that is followed has an entry to begin with, and ends; turns end where there are several domains. */
function checkDomains(memory: KernelMemory): void {
  const { domain, domainEnd, scheduleIndex, scheduleStart, timed } = memory.core(0);
  const several = memory.domains > 1;
  check(domain < memory.domains, () => `domain ${domain} is none of ${memory.domains}`);
  check((domainEnd !== 0n) === several && (!several || timed !== 0), () => 'the turns of domains do not end');
  const entries = memory.schedule();
  const usable = Limit.DomainSchedule as number;
  const inside = scheduleIndex < usable && scheduleStart < usable;
  check(inside && !entries.has(usable), () => 'the domain schedule has no end');
  check(!several || entries.has(scheduleStart), () => 'the domain schedule begins with its end');
  for (const [index, entry] of entries)
    check(
      entry.domain < memory.domains && entry.duration > 0n,
      () => `entry ${index} of the domain schedule is none`,
    );
}

function checkThread(memory: KernelMemory, thread: Thread, waiting: ReadonlySet<number>): void {
  const { at, state, sc, reply, boundNotification, ipcBuffer } = thread;
  check(state < (ThreadState.Idle as number), () => `thread ${hex(at)} is in no state`);
  const queues =
    state === ThreadState.BlockedOnReceive ||
    state === ThreadState.BlockedOnSend ||
    state === ThreadState.BlockedOnNotification;
  check(waiting.has(at) === queues, () => `thread ${hex(at)} waits, but in no queue`);
  const isLinked = (thread.endpointNext | thread.endpointPrev) !== 0;
  check(queues || !isLinked, () => `thread ${hex(at)} is in no queue, but has neighbours there`);
  check(reply === 0 || memory.reply(reply).caller === at, () => `thread ${hex(at)}: its reply is another's`);
  check(state !== ThreadState.BlockedOnReply || reply !== 0, () => `thread ${hex(at)} waits for no reply`);
  check(
    boundNotification === 0 || memory.notification(boundNotification).bound === at,
    () => `thread ${hex(at)}: its notification is another's`,
  );
  const context = sc === 0 ? undefined : memory.schedContext(sc);
  check(context === undefined || context.tcb === at, () => `thread ${hex(at)}: its context is another's`);
  const unlimited = context !== undefined && context.refillMax !== 0 && context.budget === context.period;
  check(thread.hasTime === unlimited, () => `thread ${hex(at)}: hasTime does not agree with its context`);
  if (thread.yielding) {
    const from = memory.schedContext(thread.yieldTo).yieldFrom;
    check(from === at, () => `thread ${hex(at)} yields to a context that does not know`);
  }
  if (ipcBuffer === 0) return;
  const frame = memory.slot(at + 192);
  const backed = frame.type === CapType.Frame && Number(frame.badge) === at;
  const inside = frame.object <= ipcBuffer && ipcBuffer + 1024 <= frame.object + objectSize(frame);
  check(backed && inside, () => `thread ${hex(at)}: no frame backs its buffer`);
}

function checkInterrupts(memory: KernelMemory, slots: ReadonlyMap<number, Slot>): void {
  const issued = new Set(
    [...slots.values()].filter(({ type }) => type === CapType.IRQHandler).map(({ object }) => object),
  );
  for (let irq = 0; irq < (Limit.Interrupts as number); irq++) {
    check(
      memory.irqIsIssued(irq) === issued.has(irq),
      () => `interrupt ${irq}: issued, or not, against its capabilities`,
    );
    const { type, rights } = memory.slot(memory.irqSlot(irq));
    const usable = type === CapType.Null || (type === CapType.Notification && (rights & Rights.Write) !== 0);
    check(usable, () => `interrupt ${irq} leads to no notification`);
  }
}
