/**
 * The initialiser: a cluster's root task, which builds the cluster's part of the system from the untyped memory in
 * its kernel's bootinfo, by kernel invocations alone. There is no back door: what it does not hold, it cannot give.
 */
import { readFileSync } from 'node:fs';
import {
  InitialSlot,
  Invocation,
  ObjectType,
  ProgramCounter,
  Rights,
  SizeBits,
} from '../../../kernel/api/constants.js';
import { CALL_BADGE, CNODE_RADIX, FAULT_BADGE, Slot } from '../../core/engine/typescript/slots.js';
import type { BootInformation, Invoker } from '../../core/invocation.js';
import {
  DOORBELL_BADGE,
  HEARTBEAT_BADGE,
  MEMORY_BADGE,
  PASSIVE_BADGE,
  type MonitorCapabilities,
} from '../../coordination/monitor.js';
import { HEARTBEAT_LINE } from '../../core/core.js';
import { DOORBELL_LINE } from '../../coordination/signals.js';
import type { ClusterPlan, DomainPlan, SystemPlan } from '../placement/plan.js';
import { buildLinks } from './links.js';
import { ObjectAllocator, ROOT_CNODE } from './objects.js';

const LINE_BYTES = 64;
const PAGE = 2 ** SizeBits.SmallPage;
const BUFFER = 2 ** SizeBits.IPCBuffer;
const BUFFERS_PER_PAGE = PAGE / BUFFER;

/** What the initialiser made of a cluster's plan. */
export interface BuiltCluster {
  /** Physical addresses of TCBs: those of the domains, then of the proxies. */
  readonly tcbs: readonly number[];
  readonly proxyTcbs: readonly number[];
  /** Physical address of each region that a domain of this cluster maps, by the region's index. */
  readonly regions: ReadonlyMap<number, number>;
  readonly monitor: MonitorCapabilities;
}

export interface Domain {
  readonly plan: DomainPlan;
  readonly tcb: number;
  /** Physical address of the TCB. */
  readonly address: number;
  readonly cnode: number;
  readonly endpoint: number;
  readonly notification: number;
  readonly reply: number;
  readonly context: number;
}

/**
 * Builds everything but starts nothing. `first`: the machine starts, and memory that clusters share has no contents yet.
 * @throws InvocationError when the kernel refuses, which a plan must not cause.
 */
export function buildCluster(
  system: SystemPlan,
  plan: ClusterPlan,
  invoker: Invoker,
  info: BootInformation,
  memory: SharedArrayBuffer,
  first: boolean,
): BuiltCluster {
  const objects = new ObjectAllocator(invoker, info);
  const count = plan.domains.length;
  const tcbs = objects.make(ObjectType.TCB, count);
  const cnodes = objects.make(ObjectType.CapTable, count, CNODE_RADIX);
  const contexts = objects.make(ObjectType.SchedContext, count, SizeBits.MinSchedContext);
  const endpointOf = placesByCore(plan.domains, SizeBits.Endpoint);
  const replyOf = placesByCore(plan.domains, SizeBits.Reply);
  const endpoints = objects.make(ObjectType.Endpoint, endpointOf[count] + 1);
  const notifications = objects.make(ObjectType.Notification, count + 1);
  const replies = objects.make(
    ObjectType.Reply,
    replyOf[count] + 1 + plan.links.children.length + plan.memoryGrants.length,
  );
  const pages = objects.make(ObjectType.SmallPage, Math.ceil(count / BUFFERS_PER_PAGE));
  const monitorEndpoint = endpoints.slot + endpointOf[count];
  const monitorNotification = notifications.slot + count;
  const domains = plan.domains.map((domain, index): Domain => ({
    plan: domain,
    tcb: tcbs.slot + index,
    address: tcbs.address + index * 2 ** SizeBits.TCB,
    cnode: cnodes.slot + index,
    endpoint: endpoints.slot + endpointOf[index],
    notification: notifications.slot + index,
    reply: replies.slot + replyOf[index],
    context: contexts.slot + index,
  }));

  const regions = allocateRegions(system, plan, objects, memory, first);
  /** Puts a copy of a capability into a domain's CNode. */
  const give = (domain: Domain, slot: number, source: number, rights: number, badge = 0n): void =>
    invoker.mint(domain.cnode, slot, CNODE_RADIX, ROOT_CNODE, source, 64, rights, badge);

  domains.forEach((domain, index) => {
    const { configuration, parent, budget, period, clusterCore } = domain.plan;
    const { handle, priority } = configuration;
    const page = Math.floor(index / BUFFERS_PER_PAGE);
    const buffer = pages.address + index * BUFFER;
    invoker.call(
      domain.tcb,
      Invocation.TCBConfigure,
      [64 - CNODE_RADIX, buffer],
      [domain.cnode, pages.slot + page],
    );
    invoker.call(
      InitialSlot.FirstSchedControl + clusterCore,
      Invocation.SchedControlConfigureFlags,
      [budget, period, 0, 0, 0],
      [domain.context],
    );
    const handler =
      parent === undefined
        ? objects.mint(monitorEndpoint, Rights.All, BigInt(handle))
        : objects.mint(domains[parent.handle - 1].endpoint, Rights.All, FAULT_BADGE | BigInt(parent.childId));
    invoker.call(
      domain.tcb,
      Invocation.TCBSetSchedParams,
      [priority, priority],
      [InitialSlot.ThreadTCB, domain.context, handler],
    );
    invoker.call(domain.tcb, Invocation.TCBBindNotification, [], [domain.notification]);
    give(domain, Slot.Input, domain.endpoint, Rights.Read);
    give(domain, Slot.Reply, domain.reply, Rights.All);
    if (domain.plan.passive) give(domain, Slot.Monitor, monitorNotification, Rights.Write, PASSIVE_BADGE);
    for (const child of configuration.children) {
      give(domain, Slot.FirstTCB + child.id, domains[child.handle - 1].tcb, Rights.All);
    }
    for (const { line, channel } of domain.plan.irqs) {
      const irqHandler = objects.issue(Invocation.IRQIssueIRQHandler, InitialSlot.IRQControl, [line]);
      const signal = objects.mint(domain.notification, Rights.Write, 1n << BigInt(channel));
      invoker.call(irqHandler, Invocation.IRQSetIRQHandler, [], [signal]);
      give(domain, Slot.FirstIrq + channel, irqHandler, Rights.All);
    }
  });

  for (const { from, fromId, to, toId, notify, call } of plan.channels) {
    const source = domains[from - 1];
    const target = domains[to - 1];
    if (notify) {
      give(source, Slot.FirstNotification + fromId, target.notification, Rights.Write, 1n << BigInt(toId));
    }
    if (call) {
      const rights = Rights.Write | Rights.GrantReply;
      give(source, Slot.FirstEndpoint + fromId, target.endpoint, rights, CALL_BADGE | BigInt(toId));
    }
  }

  for (const { from, id } of plan.memoryGrants) {
    const rights = Rights.Write | Rights.GrantReply;
    give(domains[from - 1], Slot.FirstEndpoint + id, monitorEndpoint, rights, MEMORY_BADGE | BigInt(from));
  }
  const linked = buildLinks(plan, domains, objects, invoker);

  invoker.call(InitialSlot.ThreadTCB, Invocation.TCBBindNotification, [], [monitorNotification]);
  /** The handler of an interrupt line that the monitor takes. */
  const handle = (line: number, badge: bigint): number => {
    const irqHandler = objects.issue(Invocation.IRQIssueIRQHandler, InitialSlot.IRQControl, [line]);
    const signal = objects.mint(monitorNotification, Rights.Write, badge);
    invoker.call(irqHandler, Invocation.IRQSetIRQHandler, [], [signal]);
    return irqHandler;
  };
  const doorbellHandler = handle(DOORBELL_LINE, DOORBELL_BADGE);
  const watches = system.clusters.length > 1;
  for (const { index, domain, duration } of plan.schedule?.entries ?? [])
    invoker.call(InitialSlot.Domain, Invocation.DomainScheduleConfigure, [index, domain, duration]);

  for (const domain of domains) {
    const words = [0, 2, ProgramCounter.Entry, domain.plan.configuration.handle];
    invoker.call(domain.tcb, Invocation.TCBWriteRegisters, words);
  }
  const addresses = (first: number, number: number): number[] =>
    Array.from({ length: number }, (_, index) => first + index * 2 ** SizeBits.TCB);
  return {
    tcbs: addresses(tcbs.address, count),
    proxyTcbs: addresses(linked.proxyTcbs, plan.links.proxies.length),
    regions,
    monitor: {
      endpoint: monitorEndpoint,
      replies: Array.from(
        { length: 1 + linked.children.length + plan.memoryGrants.length },
        (_, index) => replies.slot + replyOf[count] + index,
      ),
      doorbellHandler,
      ...(watches ? { heartbeatHandler: handle(HEARTBEAT_LINE, HEARTBEAT_BADGE) } : {}),
      events: linked.events,
      children: linked.children,
      recheck: linked.recheck,
      ...(plan.schedule === undefined
        ? {}
        : {
            schedule: {
              start: plan.schedule.start,
              domains: [
                ...domains.map(
                  ({ tcb, plan: { configuration } }) => [tcb, configuration.schedulingDomain] as const,
                ),
                [InitialSlot.ThreadTCB, plan.schedule.first] as const,
              ],
            },
          }),
      ...(system.moving === undefined
        ? {}
        : { memory: { chunks: objects.slots(system.moving.chunks), links: linked.memory } }),
      active: [
        ...linked.proxies,
        ...domains.filter(({ plan: { passive } }) => !passive).map(({ tcb }) => tcb),
      ],
      passive: domains.filter(({ plan: { passive } }) => passive),
    },
  };
}

/**
 * Where the domains' objects of a size come among all in a row, and where the monitor's begin: so that no cache line has
 * those of two cores, which would take it from each other at each use.
 */
function placesByCore(domains: readonly DomainPlan[], sizeBits: number): number[] {
  const perLine = LINE_BYTES >> sizeBits;
  const places: number[] = [];
  let next = 0;
  const cores = Math.max(0, ...domains.map(({ clusterCore }) => clusterCore + 1));
  for (let core = 0; core < cores; core++) {
    domains.forEach(({ clusterCore }, index) => {
      if (clusterCore === core) places[index] = next++;
    });
    next = Math.ceil(next / perLine) * perLine;
  }
  return [...places, next];
}

/** Frames for the regions that this cluster's domains map, and their first contents. */
function allocateRegions(
  system: SystemPlan,
  plan: ClusterPlan,
  objects: ObjectAllocator,
  memory: SharedArrayBuffer,
  first: boolean,
): ReadonlyMap<number, number> {
  const mapped = new Set(
    plan.domains.flatMap(({ maps, regionAddressVars }) =>
      [...maps, ...regionAddressVars].map(({ region }) => region),
    ),
  );
  const regions = new Map<number, number>();
  system.regions.forEach((region, index) => {
    const pages = Math.ceil(region.size / PAGE);
    let address = region.sharedAddress;
    // Every kernel retypes all shared regions, in one order, so that all find them at the planned addresses.
    if (address !== undefined) objects.make(ObjectType.SmallPage, pages, 0, true);
    else if (mapped.has(index)) address = objects.make(ObjectType.SmallPage, pages).address;
    if (address === undefined || !mapped.has(index)) return;
    regions.set(index, address);
    if (region.prefillFile !== undefined && (first || region.sharedAddress === undefined))
      new Uint8Array(memory, address, region.size).set(readFileSync(region.prefillFile));
  });
  return regions;
}
