/**
 * The abstraction: what is observed of a kernel's physical memory, and of a state of the specification, and must be the
 * same. Where the specification has a thread's place among its equals, and parents of slots, here are queues and children.
 */
import { Limit } from '../../kernel/api/constants.js';
import type { Kernel } from '../../spec/kernel.js';
import {
  NO_WAIT,
  type Cap,
  type Core,
  type Name,
  type SchedContext,
  type State,
  type Thread,
} from '../../spec/state.js';
import {
  CapType,
  Queued,
  ThreadState,
  objectSize,
  type KernelMemory,
  type Slot,
} from '../../src/core/inspect/memory.js';

export interface Observation extends Omit<State, 'slots' | 'memory'> {
  /** What slots hold. */
  caps: Map<Name, Cap>;
  /** Threads in each queue that is not empty: of an endpoint or notification, of a core, domain and priority, of a core. */
  queues: Map<string, Name[]>;
  /** Who offers a reply object, or waits to be answered through it. */
  replies: Map<Name, Name>;
  /** The children of each slot's capability, newest first; those of 0, which have no parent, by their address. */
  children: Map<Name, Name[]>;
  /** Slots whose capability is not a mere copy. */
  originals: Set<Name>;
}

const readyQueue = (core: number, domain: number, priority: number): string =>
  `ready ${core} ${domain} ${priority}`;

/** Adds to the list of a key. */
function append<K>(lists: Map<K, Name[]>, key: K, name: Name): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [name]);
  else list.push(name);
}

const byAddress = (a: Name, b: Name): number => a - b;

// ---- What is observed of a state of the specification ----

export function observed(kernel: Kernel): Observation {
  const { slots, memory: _, ...state } = kernel.state;
  const caps = new Map<Name, Cap>();
  const children = new Map<Name, Name[]>();
  const originals = new Set<Name>();
  for (const [at, { cap, parent, isOriginal }] of slots) {
    caps.set(at, cap);
    append(children, parent, at);
    if (isOriginal) originals.add(at);
  }
  children.get(0)?.sort(byAddress);
  const queues = new Map<string, Name[]>();
  const replies = new Map<Name, Name>();
  for (const { type, object } of caps.values()) {
    if (type === CapType.Endpoint || type === CapType.Notification)
      queues.set(`waiting ${object}`, kernel.waiting(object));
    if (type === CapType.Reply) replies.set(object, kernel.holderOf(object));
  }
  for (const [index, core] of state.cores.entries()) {
    queues.set(`postponed ${index}`, kernel.postponed(core));
    for (const domain of state.overruns.keys())
      for (const name of kernel.ready(core, domain))
        append(queues, readyQueue(index, domain, state.threads.get(name)!.priority), name);
  }
  for (const [key, queue] of queues) if (queue.length === 0) queues.delete(key);
  return { ...state, caps, queues, replies, children, originals };
}

/** A state of which just this is observed. */
export function stateOf({ caps, queues, replies: _, children, originals, ...rest }: Observation): State {
  const slots: State['slots'] = new Map();
  const plant = (parent: Name): void => {
    for (const slot of children.get(parent) ?? []) {
      slots.set(slot, { cap: caps.get(slot)!, parent, isOriginal: originals.has(slot) });
      plant(slot);
    }
  };
  plant(0);
  const order = new Set([...[...queues.values()].flat(), ...rest.threads.keys()]);
  const threads = new Map([...order].map((name) => [name, rest.threads.get(name)!]));
  return { ...rest, threads, slots, memory: new Map() };
}

// ---- What is observed of physical memory ----

export function observedIn(memory: KernelMemory): Observation {
  const slots = memory.allSlots();
  const { domain, domainEnd, scheduleIndex, scheduleStart } = memory.core(0);
  const state: Observation = {
    caps: new Map(),
    ...{ children: new Map(), originals: new Set(), queues: new Map(), replies: new Map() },
    ...{ threads: new Map(), notifications: new Map(), contexts: new Map() },
    cores: Array.from({ length: memory.cores }, (_, core) => coreAt(memory, core)),
    issuedIrqs: new Set(),
    irqSlots: Array.from({ length: Limit.Interrupts }, (_, irq) => memory.irqSlot(irq)),
    ...{ domain, domainEnd, overruns: [] },
    schedule: { entries: memory.schedule(), index: scheduleIndex, start: scheduleStart },
  };
  const { caps, children, originals, queues, threads, notifications, replies, contexts } = state;
  for (const slot of slots.values()) {
    const { at, type, object, rights, bits, guardSize, badge, revocable } = slot;
    caps.set(at, { type, object, rights, bits, guardSize, badge } satisfies Cap);
    if (revocable) originals.add(at);
    if (slot.prev === 0) plantTree(slots, slot, children);
    if (type === CapType.Thread) threads.set(object, threadAt(memory, object));
    if (type === CapType.Endpoint || type === CapType.Notification)
      addQueue(
        queues,
        `waiting ${object}`,
        memory.queue(object).head,
        (at) => memory.thread(at).endpointNext,
      );
    if (type === CapType.Notification) {
      const { active, badge, bound } = memory.notification(object);
      notifications.set(object, { signal: active ? badge : undefined, thread: bound });
    }
    if (type === CapType.Reply) replies.set(object, memory.reply(object).caller);
    if (type === CapType.SchedContext) contexts.set(object, contextAt(memory, object));
    if (type === CapType.IRQHandler) state.issuedIrqs.add(object);
  }
  children.get(0)?.sort(byAddress);
  const next = (at: Name): Name => memory.thread(at).queueNext;
  for (let core = 0; core < memory.cores; core++) {
    addQueue(queues, `postponed ${core}`, memory.core(core).releaseHead, next);
    for (let each = 0; each < memory.domains; each++) {
      const home = memory.core(core + each);
      for (let priority = 0; priority < (Limit.Priorities as number); priority++)
        if (home.ready(priority))
          addQueue(queues, readyQueue(core, each, priority), home.head(priority), next);
    }
  }
  for (let each = 0; each < memory.domains; each++) state.overruns.push(memory.core(each).overrun);
  return state;
}

function coreAt(memory: KernelMemory, index: number): Core {
  const core = memory.core(index);
  const named = (thread: Name): Name => (thread === core.idle ? 0 : thread);
  return {
    current: named(core.current),
    stalled: core.stalled === 0 ? undefined : named(core.stalled),
    charging: core.sc === 0 ? undefined : { sc: core.sc, since: core.charged },
  };
}

function chain(first: Name, next: (at: Name) => Name): Name[] {
  const names: Name[] = [];
  for (let at = first; at !== 0; at = next(at)) names.push(at);
  return names;
}

function addQueue(queues: Observation['queues'], key: string, head: Name, next: (at: Name) => Name): void {
  if (head !== 0) queues.set(key, chain(head, next));
}

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
  if (a.type === CapType.UntypedControl) return objectSize(b) !== 0;
  if (a.type === CapType.IRQControl) return b.type === CapType.IRQHandler || b.type === CapType.SGISignal;
  if (a.type !== b.type || a.object !== b.object) return false;
  if (a.type === CapType.SGISignal) return a.badge === b.badge && !b.firstBadged;
  if (a.type !== CapType.Endpoint && a.type !== CapType.Notification) return a.type !== CapType.Zombie;
  return a.badge === 0n || (a.badge === b.badge && !b.firstBadged);
}

function threadAt(memory: KernelMemory, at: Name): Thread {
  const thread = memory.thread(at);
  const { state, priority, mcp, core, fault, domain, underWay, reply, queued } = thread;
  const { blockedOn, sendBadge, sendRights, sendIsCall } = thread;
  const sends = state === ThreadState.BlockedOnSend;
  const waits =
    sends || state === ThreadState.BlockedOnReceive || state === ThreadState.BlockedOnNotification;
  return {
    state,
    priority,
    mcp,
    core,
    fault,
    domain,
    underWay,
    wait: {
      on: waits ? blockedOn : 0,
      badge: sends ? sendBadge : NO_WAIT.badge,
      rights: sends ? sendRights : NO_WAIT.rights,
      isCall: sends && sendIsCall,
      reply,
    },
    isPostponed: queued === Queued.Release,
    yieldTo: thread.yielding ? thread.yieldTo : 0,
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
    calls: chain(reply, (each) => memory.reply(each).prev),
    notification,
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
