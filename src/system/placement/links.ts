/**
 * What spans clusters: for each event that one cluster announces to another, the interrupt line or the flag by which it
 * does, and for each call the memory of its messages. Plain data, part of the plan.
 *
 * An event is a signal on a channel, a request or a reply of a call. Interrupt lines are few and events are many: calls
 * come first and get a line each, then signals, as long as the receiving cluster has any; the rest share one line
 * (coordination/signals.ts), and the cluster's monitor passes them on, as it does what is for itself.
 */
import { MORE_WORDS, type CallLines, type CallPair } from '../../core/call-lines.js';
import { DOORBELL_LINE, farWords, flagsToRaise } from '../../coordination/signals.js';
import {
  CONTROLLER_BYTES,
  DOORBELL_DATA,
  FIRST_DOORBELL,
  type Flag,
  LAST_DOORBELL,
  PAIR_WORDS,
  doorbellIndex,
} from '../../machine/interrupts.js';
import { CALL_BADGE, FAULT_BADGE } from '../../core/engine/typescript/slots.js';
import { type DoorbellSignal, HEARD_WORDS } from '../../core/doorbell-signals.js';
import type { ClusterPlan } from './plan.js';

/** Lines of a cluster that others ring: the shared one and the doorbells. */
export const MOST_LINES = 1 + LAST_DOORBELL - FIRST_DOORBELL + 1;

/** What an event is for. Domains by handle, proxies and calls by index. */
export type Purpose =
  /** A notification on a channel. */
  | {
      readonly kind: 'signal';
      readonly to: number;
      readonly toId: number;
      /** The sender's core, and the index of its cluster. */
      readonly from: { readonly core: number; readonly cluster: number };
    }
  /** A call, for a proxy to make here. */
  | { readonly kind: 'request'; readonly proxy: number }
  /** The same of a fault. */
  | { readonly kind: 'fault'; readonly proxy: number }
  /** The answer to a call, of those of the cluster. */
  | { readonly kind: 'reply'; readonly call: number }
  /** The answer of the parent, on another cluster, of a domain that has faulted. */
  | { readonly kind: 'fault-reply'; readonly child: number }
  /** What the parent, on another cluster, wants done with a domain. */
  | { readonly kind: 'control'; readonly child: number }
  /** What the monitor of another cluster, by its index, has to say about memory. */
  | { readonly kind: 'memory'; readonly peer: number };

/** How an event arrives: by a doorbell of its own, or as a flag on the shared line. */
export type IncomingEvent = Purpose & {
  readonly line?: number;
  readonly flag?: number;
  /** Of a signal by a doorbell. */
  readonly doorbell?: DoorbellSignal;
};

/** How an event is announced. */
export interface Bell {
  /** The core to ring, by its number in the machine, and the line. */
  readonly core: number;
  readonly line: number;
  /** To be raised before, in this order. */
  readonly flags: readonly Flag[];
  /** Where it is a doorbell: index, in the controller's words, of the first that goes out with it. */
  readonly data?: number;
}

export interface OutgoingSignal {
  readonly from: number;
  readonly fromId: number;
  readonly bell: Bell;
}

/** A call by a domain: on a channel, or of a child's monitor. */
export interface OutgoingCall extends CallPair {
  readonly from: number;
  /** The channel, or the child's identifier. */
  readonly id: number;
  readonly isControl: boolean;
  readonly bell: Bell;
  /** Whether its answers have a doorbell of their own. */
  readonly hasDoorbell: boolean;
  /** Index of the cluster that is called. */
  readonly cluster: number;
}

/** A thread that calls a domain of its own cluster on behalf of one elsewhere. */
export interface ProxyPlan extends CallPair {
  /** The domain that it calls, and with which badge. */
  readonly to: number;
  readonly badge: bigint;
  readonly priority: number;
  /** Announces the reply. */
  readonly bell: Bell;
  /** Whether its requests have a doorbell of their own. */
  readonly hasDoorbell: boolean;
}

/** Whether a proxy tells a parent of its child's faults. */
export function isForFaults({ badge }: ProxyPlan): boolean {
  return (badge & FAULT_BADGE) === FAULT_BADGE;
}

/** The root task's handle follows those of the domains, the proxies' follow it. */
export function rootHandle({ domains }: ClusterPlan): number {
  return domains.length + 1;
}

export function proxyHandle(plan: ClusterPlan, index: number): number {
  return rootHandle(plan) + 1 + index;
}

/** A domain of this cluster whose parent is on another. */
export interface RemoteChild {
  readonly child: number;
  /** Index of the parent's cluster. */
  readonly cluster: number;
  /** Its faults, and their bell. */
  readonly fault: CallPair;
  readonly faultBell: Bell;
  /** What its parent wants done, and the bell for the answer. */
  readonly control: CallPair;
  readonly controlBell: Bell;
}

/** What one cluster has to do with the others. */
export interface ClusterLinks {
  readonly incoming: readonly IncomingEvent[];
  readonly signals: readonly OutgoingSignal[];
  readonly calls: readonly OutgoingCall[];
  readonly proxies: readonly ProxyPlan[];
  readonly children: readonly RemoteChild[];
  /** How the monitors of others hear of messages about memory, if it can move. */
  readonly memory: readonly { readonly peer: number; readonly bell: Bell }[];
  /** Index, in the controller's words, of the shared line's further flags. */
  readonly farFlags: number;
  readonly flags: number;
}

/** A domain's place, as links need it. */
export interface Home {
  /** Index of its cluster. */
  readonly cluster: number;
  /** Its number in the machine. */
  readonly core: number;
  readonly handle: number;
  readonly priority: number;
  readonly passive: boolean;
}

/** A channel or a child that spans clusters. */
export type Crossing =
  | (ChannelCrossing & { readonly kind: 'signal' })
  | (ChannelCrossing & { readonly kind: 'call' })
  | { readonly kind: 'child'; readonly parent: Home; readonly child: Home; readonly childId: number };

/** One direction between two clusters, by their indices, whose monitors hand memory over. */
export interface MemoryCrossing {
  readonly kind: 'memory';
  readonly from: number;
  readonly to: number;
}

/** One direction of a channel. */
interface ChannelCrossing {
  readonly from: Home;
  readonly fromId: number;
  readonly to: Home;
  readonly toId: number;
}

interface Pending {
  readonly cluster: number;
  readonly purpose: Purpose;
  /** Whether a line of its own makes it faster: not where the monitor handles it in any case. */
  readonly direct: boolean;
  assigned?: { line?: number; flag?: number };
}

export interface Planned {
  /** By cluster. */
  readonly links: readonly ClusterLinks[];
  /** By crossing: a signal's, a call's request and its reply, a child's fault, fault's reply, control and its reply. */
  readonly rings: readonly (readonly Ring[])[];
  /** Index of the first word of physical memory behind the interrupt controller and all that the links need. */
  readonly next: number;
}

/** The interrupt by which an event is announced: a line of its own, or a flag behind the line that others share too. */
export interface Ring {
  readonly core: number;
  readonly line: number;
  readonly flag?: number;
}

/**
 * Plans all that crosses between clusters. `firstCores`: of each cluster. `lines`: how many interrupt lines of a
 * cluster others may ring, from 1. `cores`: of the machine.
 */
export function planLinks(
  crossings: readonly (Crossing | MemoryCrossing)[],
  firstCores: readonly number[],
  lines: number,
  cores: number,
): Planned {
  const planner = new LinkPlanner(firstCores, lines, cores);
  return planner.plan(crossings);
}

class LinkPlanner {
  private readonly events: Pending[][];
  private readonly proxies: number[];
  private readonly calls: number[];
  private next: number;

  constructor(
    private readonly firstCores: readonly number[],
    private readonly lines: number,
    private readonly cores: number,
  ) {
    this.next = (cores * CONTROLLER_BYTES) / 4;
    this.events = firstCores.map(() => []);
    this.proxies = firstCores.map(() => 0);
    this.calls = firstCores.map(() => 0);
  }

  plan(crossings: readonly (Crossing | MemoryCrossing)[]): Planned {
    const expected = crossings.map((crossing) => this.expect(crossing));
    this.assign();
    const farFlags = this.events.map((events) => {
      const at = this.next;
      this.next += farWords(flagsOf(events));
      return at;
    });
    const links = this.events.map((events, cluster) => ({
      incoming: this.incoming(events, cluster),
      signals: [] as OutgoingSignal[],
      calls: [] as OutgoingCall[],
      proxies: [] as ProxyPlan[],
      children: [] as RemoteChild[],
      memory: [] as ClusterLinks['memory'][number][],
      farFlags: farFlags[cluster],
      flags: flagsOf(events),
    }));
    const bell = (event: Pending): Bell => this.bell(event, farFlags[event.cluster]);
    const pair = (request: Pending, reply: Pending): CallPair => ({
      request: this.callLines(request),
      reply: this.callLines(reply),
    });
    crossings.forEach((crossing, index) => {
      const [first, second, third, fourth] = expected[index];
      if (crossing.kind === 'signal') {
        const { from, fromId } = crossing;
        links[from.cluster].signals.push({ from: from.handle, fromId, bell: bell(first) });
      } else if (crossing.kind === 'memory') {
        links[crossing.from].memory.push({ peer: crossing.to, bell: bell(first) });
      } else if (crossing.kind === 'call') {
        const { from, fromId, to, toId } = crossing;
        const calls = pair(first, second);
        links[from.cluster].calls.push({
          ...calls,
          ...{ from: from.handle, id: fromId, isControl: false, bell: bell(first), cluster: to.cluster },
          hasDoorbell: hasDoorbell(second),
        });
        // One above the client: two clients of one priority, each waiting for the other's cluster, do not keep each
        // other's proxies from running. The server is above the client, so its priority is this one at least.
        links[to.cluster].proxies.push({
          ...calls,
          ...{
            to: to.handle,
            badge: CALL_BADGE | BigInt(toId),
            priority: from.priority + 1,
            bell: bell(second),
            hasDoorbell: hasDoorbell(first),
          },
        });
      } else {
        const { parent, child, childId } = crossing;
        const fault = pair(first, second);
        const control = pair(third, fourth);
        links[parent.cluster].proxies.push({
          ...fault,
          ...{
            to: parent.handle,
            badge: FAULT_BADGE | BigInt(childId),
            priority: parent.priority,
            bell: bell(second),
            hasDoorbell: hasDoorbell(first),
          },
        });
        links[parent.cluster].calls.push({
          ...control,
          ...{ from: parent.handle, id: childId, isControl: true, bell: bell(third), cluster: child.cluster },
          hasDoorbell: hasDoorbell(fourth),
        });
        links[child.cluster].children.push({
          ...{
            child: child.handle,
            cluster: parent.cluster,
            fault,
            faultBell: bell(first),
            control,
            controlBell: bell(fourth),
          },
        });
      }
    });
    const rings = expected.map((events) =>
      events.map(({ cluster, assigned }) => ({
        core: this.firstCores[cluster],
        line: DOORBELL_LINE,
        ...assigned,
      })),
    );
    return { links, rings, next: this.next };
  }

  private incoming(events: readonly Pending[], cluster: number): IncomingEvent[] {
    // What is heard of signals is on lines of this cluster's own.
    this.align();
    const incoming = events.map(({ purpose, assigned = {} }): IncomingEvent => {
      const { line } = assigned;
      if (purpose.kind !== 'signal' || line === undefined) return { ...purpose, ...assigned };
      const sent = doorbellIndex(this.cores, this.firstCores[cluster], line) + DOORBELL_DATA;
      return { ...purpose, ...assigned, doorbell: { sent, heard: this.allocate(HEARD_WORDS) } };
    });
    this.align();
    return incoming;
  }

  private align(): void {
    this.next = Math.ceil(this.next / PAIR_WORDS) * PAIR_WORDS;
  }

  /** Notes the events of a crossing, in the order in which `plan` takes them. */
  private expect(crossing: Crossing | MemoryCrossing): Pending[] {
    if (crossing.kind === 'signal') {
      const { from, to, toId } = crossing;
      // A passive domain must hear of nothing before the monitor has made it so (coordination/monitor.ts).
      return [
        this.event(
          to.cluster,
          { kind: 'signal', to: to.handle, toId, from: { core: from.core, cluster: from.cluster } },
          !to.passive,
        ),
      ];
    }
    if (crossing.kind === 'memory')
      return [this.event(crossing.to, { kind: 'memory', peer: crossing.from }, false)];
    if (crossing.kind === 'call') {
      const { from, to } = crossing;
      return [
        this.event(to.cluster, { kind: 'request', proxy: this.proxies[to.cluster]++ }, true),
        this.event(from.cluster, { kind: 'reply', call: this.calls[from.cluster]++ }, true),
      ];
    }
    const { parent, child } = crossing;
    return [
      this.event(parent.cluster, { kind: 'fault', proxy: this.proxies[parent.cluster]++ }, false),
      this.event(child.cluster, { kind: 'fault-reply', child: child.handle }, false),
      this.event(child.cluster, { kind: 'control', child: child.handle }, false),
      this.event(parent.cluster, { kind: 'reply', call: this.calls[parent.cluster]++ }, false),
    ];
  }

  private event(cluster: number, purpose: Purpose, direct: boolean): Pending {
    const event: Pending = { cluster, purpose, direct };
    this.events[cluster].push(event);
    return event;
  }

  private assign(): void {
    for (const events of this.events) {
      const direct = events.filter((event) => event.direct);
      const calls = direct.filter(({ purpose }) => purpose.kind !== 'signal');
      const signals = direct.filter(({ purpose }) => purpose.kind === 'signal');
      [...calls, ...signals]
        .slice(0, this.lines - 1)
        .forEach((event, index) => (event.assigned = { line: FIRST_DOORBELL + index }));
      let flag = 0;
      for (const event of events) event.assigned ??= { flag: flag++ };
    }
  }

  private bell({ cluster, assigned }: Pending, farFlags: number): Bell {
    const core = this.firstCores[cluster];
    const { line } = assigned!;
    if (line !== undefined)
      return { core, line, flags: [], data: doorbellIndex(this.cores, core, line) + DOORBELL_DATA };
    return { core, line: DOORBELL_LINE, flags: flagsToRaise(core, farFlags, assigned!.flag!) };
  }

  /** Where the message of an event lies: with its doorbell, or in a line of its own. */
  private callLines({ cluster, assigned }: Pending): CallLines {
    const { line } = assigned!;
    const at =
      line === undefined
        ? this.allocate(PAIR_WORDS)
        : doorbellIndex(this.cores, this.firstCores[cluster], line);
    return { line: at, more: this.allocate(Math.ceil(MORE_WORDS / PAIR_WORDS) * PAIR_WORDS) };
  }

  private allocate(words: number): number {
    const at = this.next;
    this.next += words;
    return at;
  }
}

function hasDoorbell({ assigned }: Pending): boolean {
  return assigned?.line !== undefined;
}

function flagsOf(events: readonly Pending[]): number {
  return events.filter(({ assigned }) => assigned?.flag !== undefined).length;
}
