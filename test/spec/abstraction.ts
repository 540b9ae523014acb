/** The abstraction function: from a kernel's physical memory to the abstract state. */
import { Limit } from '../../kernel/api/constants.js';
import {
  CapType,
  ThreadState,
  objectSize,
  type KernelMemory,
  type Slot,
} from '../../src/core/inspect/memory.js';
import type { Cap, Core, Name, SchedContext, State, Thread } from '../../spec/state.js';

export function abstraction(memory: KernelMemory): State {
  const slots = memory.allSlots();
  const { domain, domainEnd, scheduleIndex, scheduleStart } = memory.core(0);
  const state: State = {
    caps: new Map(),
    children: new Map(),
    originals: new Set(),
    threads: new Map(),
    endpoints: new Map(),
    notifications: new Map(),
    replies: new Map(),
    contexts: new Map(),
    cores: Array.from({ length: memory.cores }, (_, core) => coreAt(memory, core)),
    issuedIrqs: new Set(),
    ...{ domain, domainEnd, overruns: [] },
    schedule: { entries: memory.schedule(), index: scheduleIndex, start: scheduleStart },
  };
  for (const slot of slots.values()) {
    const { at, type, object, rights, bits, guardSize, badge, revocable } = slot;
    state.caps.set(at, { type, object, rights, bits, guardSize, badge } satisfies Cap);
    if (revocable) state.originals.add(at);
    if (slot.prev === 0) plantTree(slots, slot, state.children);
    if (type === CapType.Thread) state.threads.set(object, threadAt(memory, object));
    if (type === CapType.Endpoint) state.endpoints.set(object, queueOf(memory, object));
    if (type === CapType.Notification) {
      const { active, badge, bound } = memory.notification(object);
      const queue = queueOf(memory, object);
      state.notifications.set(object, { active, badge, queue, thread: bound });
    }
    if (type === CapType.Reply) state.replies.set(object, memory.reply(object).caller);
    if (type === CapType.SchedContext) state.contexts.set(object, contextAt(memory, object));
    if (type === CapType.IRQHandler) state.issuedIrqs.add(object);
  }
  for (let each = 0; each < memory.domains; each++) state.overruns.push(memory.core(each).overrun);
  return state;
}

function coreAt(memory: KernelMemory, index: number): Core {
  const core = memory.core(index);
  const queue = (first: Name): Name[] => chain(first, (at) => memory.thread(at).queueNext);
  const ready = new Map<number, Name[]>();
  for (let domain = 0; domain < memory.domains; domain++) {
    const home = memory.core(index + domain);
    for (let priority = 0; priority < (Limit.Priorities as number); priority++)
      if (home.ready(priority)) ready.set(Limit.Priorities * domain + priority, queue(home.head(priority)));
  }
  const named = (thread: Name): Name => (thread === core.idle ? 0 : thread);
  return {
    current: named(core.current),
    ready,
    release: queue(core.releaseHead),
    stalled: core.stalled === 0 ? undefined : named(core.stalled),
    charging: core.sc === 0 ? undefined : { sc: core.sc, since: core.charged },
  };
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
    return (
      objectSize(b) !== 0 && a.object <= b.object && b.object + objectSize(b) <= a.object + objectSize(a)
    );
  if (a.type === CapType.UntypedControl) return b.type === CapType.UntypedControl || objectSize(b) !== 0;
  if (a.type === CapType.IRQControl)
    return b.type === CapType.IRQHandler || b.type === CapType.SGISignal || b.type === CapType.IRQControl;
  if (a.type !== b.type || a.object !== b.object) return false;
  if (a.type === CapType.SGISignal) return a.badge === b.badge;
  if (a.type !== CapType.Endpoint && a.type !== CapType.Notification) return a.type !== CapType.Zombie;
  return a.badge === 0n || (a.badge === b.badge && !b.firstBadged);
}

function threadAt(memory: KernelMemory, at: Name): Thread {
  const thread = memory.thread(at);
  const { state, priority, mcp, fault, domain, underWay, sendBadge, sendRights, sendIsCall } = thread;
  const sends = state === ThreadState.BlockedOnSend;
  return {
    state,
    priority,
    mcp,
    core: thread.core,
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
  const { tcb, core, notification, reply, budget, period, badge, refillMax, refills } =
    memory.schedContext(at);
  return {
    thread: tcb,
    notification,
    calls: chain(reply, (each) => memory.reply(each).prev),
    core,
    budget,
    period,
    badge,
    sporadic: memory.u8(at + 14) !== 0,
    maxRefills: refillMax,
    // What all the time of a core is made of, nobody can see.
    refills: budget === period ? [] : refills,
    consumed: memory.u64(at + 56),
  };
}
