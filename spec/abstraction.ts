/** The abstraction function: from a kernel's physical memory to the abstract state. */
import { Limit } from '../kernel/api/constants.js';
import { CapType, ThreadState, type KernelMemory, type Slot } from '../src/core/inspect/memory.js';
import type { Cap, Name, SchedContext, State, Thread } from './state.js';

export function abstraction(memory: KernelMemory): State {
  const slots = memory.allSlots();
  const core = memory.core(0);
  const state: State = {
    caps: new Map(),
    children: new Map(),
    originals: new Set(),
    threads: new Map(),
    endpoints: new Map(),
    notifications: new Map(),
    replies: new Map(),
    contexts: new Map(),
    ready: new Map(),
    release: chain(core.releaseHead, (at) => memory.thread(at).queueNext),
    current: core.current === core.idle ? 0 : core.current,
    issuedIrqs: new Set(),
    ...{ domain: core.domain, domainEnd: core.domainEnd, overruns: [] },
    schedule: { entries: memory.schedule(), index: core.scheduleIndex, start: core.scheduleStart },
  };
  for (const slot of slots.values()) {
    const { at, type, object, rights, bits, guardSize, badge, revocable } = slot;
    state.caps.set(at, { type, object, rights, bits, guardSize, badge } satisfies Cap);
    if (revocable) state.originals.add(at);
    if (slot.prev === 0) plantTree(slots, slot, state.children);
    if (type === CapType.Thread) state.threads.set(object, threadAt(memory, object));
    if (type === CapType.Endpoint) state.endpoints.set(object, { queue: queueOf(memory, object) });
    if (type === CapType.Notification) {
      const { state: kind, badge, bound, sc } = memory.notification(object);
      const queue = queueOf(memory, object);
      state.notifications.set(object, { active: kind === 2, badge, queue, thread: bound, sc });
    }
    if (type === CapType.Reply) state.replies.set(object, memory.reply(object).caller);
    if (type === CapType.SchedContext) state.contexts.set(object, contextAt(memory, object));
    if (type === CapType.IRQHandler) state.issuedIrqs.add(object);
  }
  for (let domain = 0; domain < memory.domains; domain++) {
    const { head, overrun } = memory.core(domain);
    state.overruns.push(overrun);
    for (let priority = 0; priority < (Limit.Priorities as number); priority++) {
      const queue = chain(head(priority), (at) => memory.thread(at).queueNext);
      if (queue.length > 0) state.ready.set(Limit.Priorities * domain + priority, queue);
    }
  }
  return state;
}

function chain(first: Name, next: (at: Name) => Name): Name[] {
  const names: Name[] = [];
  for (let at = first; at !== 0; at = next(at)) names.push(at);
  return names;
}

const queueOf = (memory: KernelMemory, at: Name): Name[] =>
  chain(memory.queue(at).head, (thread) => memory.thread(thread).endpointNext);

/** A derivation list is its tree in preorder: a slot's parent is the nearest before it that can be. */
function plantTree(slots: ReadonlyMap<Name, Slot>, root: Slot, children: Map<Name, Name[]>): void {
  const path: Slot[] = [];
  for (let slot: Slot | undefined = root; slot !== undefined; slot = slots.get(slot.next)) {
    while (path.length > 0 && !isParent(path.at(-1)!, slot)) path.pop();
    const parent = path.at(-1)?.at ?? 0;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent)!.push(slot.at);
    path.push(slot);
  }
}

function isParent(a: Slot, b: Slot): boolean {
  if (!a.revocable) return false;
  if (a.type === CapType.Untyped)
    return rangeOf(b) !== 0 && a.object <= b.object && b.object + rangeOf(b) <= a.object + rangeOf(a);
  if (a.type === CapType.UntypedControl) return b.type === CapType.UntypedControl || rangeOf(b) !== 0;
  if (a.type === CapType.IRQControl)
    return b.type === CapType.IRQHandler || b.type === CapType.SGISignal || b.type === CapType.IRQControl;
  if (a.type !== b.type || a.object !== b.object) return false;
  if (a.type === CapType.SGISignal) return a.badge === b.badge;
  if (a.type !== CapType.Endpoint && a.type !== CapType.Notification) return a.type !== CapType.Zombie;
  return a.badge === 0n || (a.badge === b.badge && !b.firstBadged);
}

const FIXED: Partial<Record<CapType, number>> = {
  [CapType.Endpoint]: 16,
  [CapType.Notification]: 64,
  [CapType.Reply]: 32,
  [CapType.Thread]: 1024,
};

/** Bytes of memory that a capability is to, 0 for none. */
export function rangeOf({ type, bits }: Pick<Cap, 'type' | 'bits'>): number {
  if (type === CapType.CNode || type === CapType.Zombie) return bits === 255 ? 1024 : 32 * 2 ** bits;
  if (type === CapType.Untyped || type === CapType.Frame || type === CapType.SchedContext) return 2 ** bits;
  return FIXED[type] ?? 0;
}

function threadAt(memory: KernelMemory, at: Name): Thread {
  const thread = memory.thread(at);
  const { state, reply, sc, priority, mcp, fault, domain, underWay } = thread;
  const { sendBadge, sendRights, sendIsCall } = thread;
  const waits =
    state === ThreadState.BlockedOnReceive ||
    state === ThreadState.BlockedOnSend ||
    state === ThreadState.BlockedOnNotification;
  const sends = state === ThreadState.BlockedOnSend;
  return {
    state,
    waitsFor: waits ? thread.blockedOn : 0,
    reply,
    sc,
    notification: thread.boundNotification,
    priority,
    mcp,
    fault,
    yieldTo: thread.yielding ? thread.yieldTo : 0,
    ...{ domain, underWay },
    send: sends
      ? { badge: sendBadge, rights: sendRights, isCall: sendIsCall }
      : { badge: 0n, rights: 0, isCall: false },
    badge: memory.u64(at),
    info: memory.u64(at + 8),
    mrs: [16, 24, 32, 40].map((offset) => memory.u64(at + offset)),
    pc: memory.u32(at + 48),
    program: memory.u32(at + 56),
    redo: memory.u32(at + 52) !== 0,
    buffer: thread.ipcBuffer,
    faultWords: [],
  };
}

function contextAt(memory: KernelMemory, at: Name): SchedContext {
  const { tcb, notification, reply, budget, period, badge, refillMax, refills, yieldFrom } =
    memory.schedContext(at);
  return {
    thread: tcb,
    notification,
    calls: chain(reply, (each) => memory.reply(each).prev),
    budget,
    period,
    badge,
    sporadic: memory.u8(at + 14) !== 0,
    maxRefills: refillMax,
    // What all the time of a core is made of, nobody can see.
    refills: budget === period ? [] : refills,
    consumed: memory.u64(at + 56),
    yieldFrom,
  };
}
