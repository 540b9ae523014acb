/** What a cluster has to do with others, built: rights to ring, proxies, and what the monitor does at each event. */
import {
  InitialSlot,
  Invocation,
  ObjectType,
  ProgramCounter,
  Rights,
  SizeBits,
} from '../../../kernel/api/constants.js';
import type { MemoryLink } from '../../coordination/memory.js';
import type { MonitorEvent } from '../../coordination/monitor.js';
import { PROXY_RADIX, ProxySlot } from '../../coordination/proxy.js';
import type { ProxyCapabilities, RecheckCapabilities } from '../../coordination/recheck.js';
import type { RemoteChildCapabilities } from '../../coordination/remote-child.js';
import { CNODE_RADIX, Slot } from '../../core/engine/typescript/slots.js';
import type { Invoker } from '../../core/invocation.js';
import { type Bell, type IncomingEvent, isForFaults, proxyHandle } from '../placement/links.js';
import type { ClusterPlan } from '../placement/plan.js';
import type { Domain } from './initialiser.js';
import { type ObjectAllocator, ROOT_CNODE } from './objects.js';

const BUFFER = 2 ** SizeBits.IPCBuffer;
const BUFFERS_PER_PAGE = 2 ** (SizeBits.SmallPage - SizeBits.IPCBuffer);
/** A proxy's budget and period in microseconds: all the time there is. Its priority bounds what it may take. */
const PROXY_BUDGET = 10_000;

export interface BuiltLinks {
  /** Physical address of the first proxy's TCB, which the others follow; slots of those to be started. */
  readonly proxyTcbs: number;
  readonly proxies: readonly number[];
  /** By flag. */
  readonly events: readonly MonitorEvent[];
  readonly children: readonly RemoteChildCapabilities[];
  readonly recheck: RecheckCapabilities;
  /** By peer: how its monitor is told of messages about memory. */
  readonly memory: readonly MemoryLink[];
}

interface Proxy {
  readonly tcb: number;
  /** Physical address. */
  readonly address: number;
  readonly cnode: number;
  readonly context: number;
  readonly notification: number;
}

/** Builds what `plan.links` says. `domains`: of the cluster, by handle from 1. */
export function buildLinks(
  plan: ClusterPlan,
  domains: readonly Domain[],
  objects: ObjectAllocator,
  invoker: Invoker,
): BuiltLinks {
  const builder = new LinkBuilder(plan, domains, objects, invoker);
  return builder.build();
}

class LinkBuilder {
  private readonly bells = new Map<string, number>();
  /** By caller: the notification that answers signal. */
  private readonly answers = new Map<number, number>();

  constructor(
    private readonly plan: ClusterPlan,
    private readonly domains: readonly Domain[],
    private readonly objects: ObjectAllocator,
    private readonly invoker: Invoker,
  ) {}

  build(): BuiltLinks {
    const { links } = this.plan;
    for (const { from, fromId, bell } of links.signals)
      this.give(from, Slot.FirstNotification + fromId, this.doorbell(bell), Rights.All);
    for (const { from, id, isControl, bell } of links.calls) {
      this.give(from, (isControl ? Slot.FirstTCB : Slot.FirstEndpoint) + id, this.doorbell(bell), Rights.All);
      if (this.answers.has(from)) continue;
      const { slot } = this.objects.make(ObjectType.Notification);
      this.answers.set(from, slot);
      this.give(from, Slot.Replies, slot, Rights.Read);
    }
    const { address, proxies } = this.makeProxies();
    const children = links.children.map(({ child, cluster, fault, faultBell, control, controlBell }) => ({
      ...{ handle: child, cluster, tcb: this.domains[child - 1].tcb, fault, control },
      ...{ faultFlags: faultBell.flags, faultBell: this.doorbell(faultBell) },
      ...{ controlFlags: controlBell.flags, controlBell: this.doorbell(controlBell) },
    }));
    const { events, recheck } = this.connect(proxies, children);
    return {
      proxyTcbs: address,
      // Those for faults run when there is one.
      proxies: proxies.filter((_, index) => !isForFaults(links.proxies[index])).map(({ tcb }) => tcb),
      ...{ events, children, recheck },
      memory: links.memory.map(({ peer, bell }) => ({
        peer,
        bell: this.doorbell(bell),
        flags: bell.flags,
      })),
    };
  }

  /** Puts a copy of a capability into a domain's CNode. */
  private give(handle: number, slot: number, source: number, rights: number): void {
    const { cnode } = this.domains[handle - 1];
    this.invoker.mint(cnode, slot, CNODE_RADIX, ROOT_CNODE, source, 64, rights, 0n);
  }

  /** A slot with the right to ring what a bell names. */
  private doorbell({ core, line }: Bell): number {
    const key = `${core} ${line}`;
    const slot =
      this.bells.get(key) ??
      this.objects.issue(Invocation.IRQIssueSGISignal, InitialSlot.IRQControl, [line, core]);
    this.bells.set(key, slot);
    return slot;
  }

  private makeProxies(): { address: number; proxies: Proxy[] } {
    const { objects, invoker, plan } = this;
    const count = plan.links.proxies.length;
    const tcbs = objects.make(ObjectType.TCB, count);
    const buffers = objects.make(ObjectType.SmallPage, Math.ceil(count / BUFFERS_PER_PAGE));
    const proxies = plan.links.proxies.map(({ to, badge, priority, bell }, index): Proxy => {
      const tcb = tcbs.slot + index;
      const cnode = objects.make(ObjectType.CapTable, 1, PROXY_RADIX).slot;
      const context = objects.make(ObjectType.SchedContext, 1, SizeBits.MinSchedContext).slot;
      const notification = objects.make(ObjectType.Notification).slot;
      const server = this.domains[to - 1];
      const put = (slot: ProxySlot, source: number, rights: number, badge = 0n): void =>
        invoker.mint(cnode, slot, PROXY_RADIX, ROOT_CNODE, source, 64, rights, badge);
      put(ProxySlot.Request, notification, Rights.Read);
      put(ProxySlot.Server, server.endpoint, Rights.Write | Rights.GrantReply, badge);
      put(ProxySlot.Reply, this.doorbell(bell), Rights.All);
      invoker.call(
        tcb,
        Invocation.TCBConfigure,
        [64 - PROXY_RADIX, buffers.address + index * BUFFER],
        [cnode, buffers.slot + Math.floor(index / BUFFERS_PER_PAGE)],
      );
      invoker.call(
        InitialSlot.FirstSchedControl + server.plan.clusterCore,
        Invocation.SchedControlConfigureFlags,
        [PROXY_BUDGET, PROXY_BUDGET, 0, 0, 0],
        [context],
      );
      const params = [InitialSlot.ThreadTCB, context, 0];
      invoker.call(tcb, Invocation.TCBSetSchedParams, [priority, priority], params);
      const handle = proxyHandle(plan, index);
      invoker.call(tcb, Invocation.TCBWriteRegisters, [0, 2, ProgramCounter.Entry, handle]);
      const address = tcbs.address + index * 2 ** SizeBits.TCB;
      return { tcb, address, cnode, context, notification };
    });
    return { address: tcbs.address, proxies };
  }

  /** Has each incoming event come to whom it is for; returns what the monitor does, by flag. */
  private connect(
    proxies: readonly Proxy[],
    children: readonly RemoteChildCapabilities[],
  ): { events: MonitorEvent[]; recheck: RecheckCapabilities } {
    const { invoker, objects, plan } = this;
    const events: MonitorEvent[] = [];
    const requests: RecheckCapabilities['requests'][number][] = [];
    const replies: RecheckCapabilities['replies'][number][] = [];
    const doorbells: RecheckCapabilities['doorbells'][number][] = [];
    for (const event of plan.links.incoming) {
      const { line, flag } = event;
      if (event.kind === 'fault') {
        const handle = proxyHandle(plan, event.proxy);
        events[flag!] = {
          kind: 'fault',
          handle,
          tcb: proxies[event.proxy].tcb,
          pair: plan.links.proxies[event.proxy],
        };
        continue;
      }
      if (event.kind === 'memory') {
        events[flag!] = { kind: 'memory', peer: event.peer };
        continue;
      }
      if (event.kind === 'fault-reply' || event.kind === 'control') {
        const child = children.findIndex(({ handle }) => handle === event.child);
        events[flag!] = { kind: event.kind, child };
        continue;
      }
      const { notification, badge, cnode, radix, slot } = this.receiverOf(event, proxies);
      const signal = objects.mint(notification, Rights.Write, badge);
      if (event.kind === 'request') {
        requests.push(this.recheckOf(event.proxy, proxies[event.proxy], signal));
      } else if (event.kind === 'reply') {
        const { request, reply, cluster } = plan.links.calls[event.call];
        replies.push({ pair: { request, reply }, signal, cluster });
      }
      if (line === undefined) {
        events[flag!] = { kind: 'signal', signal };
        continue;
      }
      if (event.kind === 'signal')
        doorbells.push({ ...event.doorbell!, line, signal, from: event.from.core });
      const handler = objects.issue(Invocation.IRQIssueIRQHandler, InitialSlot.IRQControl, [line]);
      invoker.call(handler, Invocation.IRQSetIRQHandler, [], [signal]);
      invoker.mint(cnode, slot, radix, ROOT_CNODE, handler, 64, Rights.All, 0n);
    }
    return { events, recheck: { requests, replies, doorbells } };
  }

  /** Whom an event notifies, with which badge, and where the handler of its doorbell goes, if it has one. */
  private receiverOf(
    event: IncomingEvent & { kind: 'signal' | 'request' | 'reply' },
    proxies: readonly Proxy[],
  ) {
    if (event.kind === 'request') {
      const { notification, cnode } = proxies[event.proxy];
      return { notification, badge: 1n, cnode, radix: PROXY_RADIX, slot: ProxySlot.Doorbell as number };
    }
    if (event.kind === 'reply') {
      const { from, id } = this.plan.links.calls[event.call];
      const { cnode } = this.domains[from - 1];
      const notification = this.answers.get(from)!;
      return { notification, badge: 1n, cnode, radix: CNODE_RADIX, slot: Slot.FirstReplyIrq + id };
    }
    const { notification, cnode } = this.domains[event.to - 1];
    const badge = 1n << BigInt(event.toId);
    return { notification, badge, cnode, radix: CNODE_RADIX, slot: Slot.FirstIrq + event.toId };
  }

  /** What the monitor needs to look after a proxy for calls. */
  private recheckOf(index: number, { tcb, address, context }: Proxy, signal: number): ProxyCapabilities {
    const { to, bell, request, reply } = this.plan.links.proxies[index];
    const server = this.domains[to - 1];
    return {
      ...{ pair: { request, reply }, signal, handle: proxyHandle(this.plan, index), tcb, context, address },
      ...(server.plan.passive ? { passiveServer: server.address } : {}),
      ...{ bell: this.doorbell(bell), flags: bell.flags },
    };
  }
}
