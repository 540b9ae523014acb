/**
 * The plan: which domain runs on which core of which cluster, and where in physical memory everything lies. Plain
 * data, made once by the main thread and read by every core.
 *
 * Physical memory, from address 0:
 *
 *   | interrupt controller | links between clusters, heartbeats, routes | shared regions | partition of cluster 0 | cluster 1 | …
 *
 * A partition's base is a multiple of its size, a power of two, so that its untyped memory comes in few pieces.
 */
import type { KernelImage } from '../../core/kernel.js';
import { CNODE_RADIX } from '../../core/engine/typescript/slots.js';
import type { DomainConfiguration } from '../../core/engine/typescript/configuration.js';
import { MOST_LEDGER_CLUSTERS } from '../../coordination/ledger.js';
import { CHUNK_BYTES, type MemoryPlan, memoryWords } from '../../coordination/memory.js';
import { heartbeatWords } from '../../coordination/liveness.js';
import { PAIR_WORDS } from '../../machine/interrupts.js';
import type { RingSide } from '../../core/engine/typescript/ring.js';
import type { Cluster, Topology } from '../../machine/topology/index.js';
import { DescriptionError } from '../description/index.js';
import type { Position, SystemDescription } from '../description/index.js';
import { type SchedulePlan, planSchedule } from './domain-schedule.js';
import {
  type ClusterLinks,
  type Crossing,
  type Home,
  type MemoryCrossing,
  MOST_LINES,
  planLinks,
} from './links.js';

const PAGE = 4096;
/** Slots of the root task's CNode: a fixed number, and so many for each domain, channel end and page. */
const ROOT_SLOTS = 128;
const SLOTS_PER_DOMAIN = 15;
/** The same for each core: its right to give time, and what fills its lines of small objects (initialiser.ts). */
const SLOTS_PER_CORE = 5;
/** The same for each event and proxy of the links with other clusters, and the bytes of a proxy's objects. */
const SLOTS_PER_EVENT = 6;
const SLOTS_PER_PROXY = 8;
const OBJECT_BYTES_PER_PROXY = 4096;
const OBJECT_BYTES_PER_DOMAIN = (1 << (CNODE_RADIX + 5)) + 4096;
/** What each cluster can give to others at first, where a domain may move it: bytes. */
const DEFAULT_SPARE = 2 ** 20;
/** The largest physical memory that 32-bit addresses reach. */
const MOST_MEMORY = 2 ** 32 - 65536;

export interface RegionPlan {
  readonly name: string;
  readonly size: number;
  /** Physical address of a region that lies outside of all partitions; the others are allocated by their cluster. */
  readonly sharedAddress?: number;
  readonly prefillFile?: string;
  readonly holdsTopology?: true;
}

export interface DomainPlan {
  /** Index in the description, and row in the statistics. */
  readonly index: number;
  /** The core's number within the cluster, and in the machine. */
  readonly clusterCore: number;
  readonly core: number;
  readonly budget: number;
  readonly period: number;
  readonly passive: boolean;
  /** Index of the program among the bundles. */
  readonly bundle: number;
  /** Handle of the parent and the child's identifier. */
  readonly parent?: { readonly handle: number; readonly childId: number };
  readonly maps: readonly {
    readonly region: number;
    readonly symbol: string;
    readonly writable: boolean;
    readonly ring: RingSide | undefined;
  }[];
  /** Variables whose value is a region's physical address. */
  readonly regionAddressVars: readonly { readonly symbol: string; readonly region: number }[];
  readonly irqs: readonly { readonly line: number; readonly channel: number }[];
  readonly configuration: DomainConfiguration;
}

/** One direction of a channel: `from` may notify, or call, `to` on that one's channel `id`. Handles of domains. */
export interface LocalChannel {
  readonly from: number;
  readonly fromId: number;
  readonly to: number;
  readonly toId: number;
  readonly notify: boolean;
  readonly call: boolean;
}

export interface ClusterPlan {
  readonly id: number;
  readonly image: KernelImage;
  /** Cores of the machine that run domains of this cluster, its first core first. */
  readonly cores: readonly number[];
  readonly base: number;
  readonly size: number;
  readonly rootBits: number;
  /** The domain with handle h is at h - 1. */
  readonly domains: readonly DomainPlan[];
  readonly channels: readonly LocalChannel[];
  /** What it has to do with other clusters. Its proxies' handles follow that of the root task. */
  readonly links: ClusterLinks;
  readonly schedule: SchedulePlan | undefined;
  /** Of each domain that may move memory between clusters: its handle, and the channel by which it says so. */
  readonly memoryGrants: readonly { readonly from: number; readonly id: number }[];
  /** Physical address of a word for each of its cores, in which the interrupt controller keeps their numbers. */
  readonly routes: number;
}

export interface SystemPlan {
  readonly clusters: readonly ClusterPlan[];
  readonly regions: readonly RegionPlan[];
  /** Index, in the interrupt controller's words, of the heartbeats (coordination/liveness.ts). */
  readonly heartbeats: number;
  /** Memory that can move between clusters, if there is any (coordination/memory.ts). */
  readonly moving?: MemoryPlan;
  /** Cores of the machine, all of them. */
  readonly cores: number;
  readonly sharedBase: number;
  readonly sharedSize: number;
  /** Bytes of physical memory. */
  readonly memory: number;
}

/** Interrupts that the machine has for domains, by line. */
export const DEVICE_LINES: ReadonlyMap<number, string> = new Map([[16, 'the timer, 100 times a second']]);

/**
 * Plans a description on a machine cut into clusters. `bundles`: for each domain the index of its program. `lines`: how
 * many interrupt lines of a cluster the others may ring. `spare`: bytes that each cluster has at first to give to others.
 * @throws DescriptionError for what cannot run on this machine, or not yet on Atoll.
 */
export function planSystem(
  system: SystemDescription,
  topology: Topology,
  clusters: readonly Cluster[],
  bundles: readonly number[],
  lines = MOST_LINES,
  spare = system.memoryGrants.length > 0 ? DEFAULT_SPARE : 0,
): SystemPlan {
  const refuse = (message: string, at: Position): never => {
    throw new DescriptionError(message, { file: system.file, at });
  };
  refuseWhatCannotRun(system, refuse);
  const schedule = planSchedule(system, refuse);

  const homes = system.protectionDomains.map((pd) => {
    if (pd.cpu >= topology.cores.length) {
      refuse(
        `cpu ${pd.cpu}: this machine has the cores 0 to ${topology.cores.length - 1}, on element 'protection_domain'`,
        pd.at,
      );
    }
    const cluster = clusters.find(({ cores }) => cores.includes(pd.cpu));
    return cluster ?? refuse(`cpu ${pd.cpu} is in no cluster: --clusters leaves it out`, pd.at);
  });
  const used = clusters.filter((cluster) => homes.includes(cluster));
  const handles: number[] = [];
  const members = new Map(used.map((cluster) => [cluster, [] as number[]]));
  homes.forEach((cluster, index) => {
    handles[index] = members.get(cluster)!.push(index);
  });

  const firstCores = new Map(
    used.map((cluster) => [
      cluster,
      [...new Set(members.get(cluster)!.map((index) => system.protectionDomains[index].cpu))].sort(
        (a, b) => a - b,
      ),
    ]),
  );
  const channels = new Map(used.map((cluster) => [cluster, [] as LocalChannel[]]));
  const home = (index: number): Home => ({
    cluster: used.indexOf(homes[index]),
    core: system.protectionDomains[index].cpu,
    handle: handles[index],
    priority: system.protectionDomains[index].priority,
    passive: system.protectionDomains[index].passive,
  });
  for (const { ends } of system.channels) {
    if (homes[ends[0].pd] !== homes[ends[1].pd]) continue;
    for (const [from, to] of [ends, ends.toReversed()]) {
      const between = { from: handles[from.pd], fromId: from.id, to: handles[to.pd], toId: to.id };
      channels.get(homes[from.pd])!.push({ ...between, notify: from.notify, call: from.pp });
    }
  }

  const chunks = used.length * Math.ceil(spare / CHUNK_BYTES);
  const moves = chunks > 0 || system.memoryGrants.length > 0;
  if (moves && used.length > MOST_LEDGER_CLUSTERS) {
    throw new DescriptionError(
      `memory can move between ${MOST_LEDGER_CLUSTERS} clusters at most, and there are ${used.length}: leave out --spare and grants of memory, or join clusters with --clusters`,
      { file: system.file },
    );
  }
  const between: MemoryCrossing[] = [];
  for (const from of moves ? used.keys() : [])
    for (const to of used.keys()) if (from !== to) between.push({ kind: 'memory', from, to });

  const planned = planLinks(
    [...crossingsOf(system, home), ...between],
    used.map((cluster) => firstCores.get(cluster)![0]),
    lines,
    topology.cores.length,
  );
  let { next } = planned;
  const routes = new Map<Cluster, number>();
  const heartbeats = Math.ceil(next / PAIR_WORDS) * PAIR_WORDS;
  next = heartbeats + heartbeatWords(used.length);
  const movingWords = next;
  if (moves) next += memoryWords(chunks, used.length);
  for (const cluster of used) {
    routes.set(cluster, next * 4);
    next += firstCores.get(cluster)!.length;
  }

  // Regions that domains of several clusters map, and the topology, lie outside of all partitions.
  const sharers = system.memoryRegions.map(
    (_, region) =>
      new Set(
        homes.filter((_, index) => system.protectionDomains[index].maps.some((map) => map.region === region)),
      ),
  );
  const isShared = (region: number): boolean =>
    sharers[region].size > 1 || system.memoryRegions[region].prefillTopology === true;
  const pages = (bytes: bigint): number => Number((bytes + BigInt(PAGE) - 1n) / BigInt(PAGE));
  const sharedPages = system.memoryRegions.reduce(
    (sum, { size }, region) => sum + (isShared(region) ? pages(size) : 0),
    0,
  );
  const sharedSize = sharedPages === 0 ? 0 : powerOfTwo(sharedPages * PAGE);
  const sharedBase = sharedSize === 0 ? 0 : alignUp(next * 4, Math.max(sharedSize, PAGE));
  let sharedNext = sharedBase;
  const regions = system.memoryRegions.map((region, index): RegionPlan => {
    const plan = {
      name: region.name,
      size: Number(region.size),
      ...(region.prefill === undefined ? {} : { prefillFile: region.prefill.file }),
      ...(region.prefillTopology === true ? { holdsTopology: true as const } : {}),
    };
    if (!isShared(index)) return plan;
    const sharedAddress = sharedNext;
    sharedNext += pages(region.size) * PAGE;
    return { ...plan, sharedAddress };
  });

  let address = Math.max(next * 4, sharedBase + sharedSize);
  const plans = used.map((cluster, at): ClusterPlan => {
    const links = planned.links[at];
    const indices = members.get(cluster)!;
    const cores = firstCores.get(cluster)!;
    const ownPages = system.memoryRegions.reduce(
      (sum, { size }, region) => sum + (sharers[region].has(cluster) && !isShared(region) ? pages(size) : 0),
      0,
    );
    const slots =
      ROOT_SLOTS +
      indices.length * SLOTS_PER_DOMAIN +
      ownPages +
      sharedPages +
      links.incoming.length * SLOTS_PER_EVENT +
      links.proxies.length * SLOTS_PER_PROXY +
      chunks +
      cores.length * SLOTS_PER_CORE;
    const rootBits = Math.ceil(Math.log2(slots));
    const need =
      (4 + Math.max(cores.length, schedule?.domains ?? 1)) * PAGE +
      3 * 2 ** (rootBits + 5) +
      indices.length * OBJECT_BYTES_PER_DOMAIN +
      links.proxies.length * OBJECT_BYTES_PER_PROXY +
      2 * ownPages * PAGE;
    const size = powerOfTwo(Math.max(need, 2 ** 20));
    const base = alignUp(address, size);
    address = base + size;
    return {
      id: cluster.id,
      image: cores.length > 1 ? 'smp' : 'unicore',
      cores,
      base,
      size,
      rootBits,
      domains: indices.map((index) =>
        planDomain(system, index, handles, cores, bundles[index], channels.get(cluster)!, links),
      ),
      channels: channels.get(cluster)!,
      links,
      schedule,
      memoryGrants: system.memoryGrants
        .filter(({ pd }) => homes[pd] === cluster)
        .map(({ pd, id }) => ({ from: handles[pd], id })),
      routes: routes.get(cluster)!,
    };
  });
  const movingBase = alignUp(address, CHUNK_BYTES);
  if (moves) address = movingBase + chunks * CHUNK_BYTES;
  if (address > MOST_MEMORY) {
    throw new DescriptionError(
      `the system needs ${Math.ceil(address / 2 ** 20)} MiB of memory: a machine has at most 4096 MiB`,
      { file: system.file },
    );
  }
  return {
    clusters: plans,
    regions,
    heartbeats,
    ...(moves ? { moving: { words: movingWords, base: movingBase, chunks, clusters: used.length } } : {}),
    cores: topology.cores.length,
    sharedBase,
    sharedSize,
    memory: alignUp(address, 65536),
  };
}

/** All that has its ends on two clusters, of domains that are where `home` says. */
export function crossingsOf(system: SystemDescription, home: (domain: number) => Home): Crossing[] {
  const crossings: Crossing[] = [];
  for (const { ends } of system.channels) {
    for (const [from, to] of [ends, ends.toReversed()]) {
      const between = { from: home(from.pd), fromId: from.id, to: home(to.pd), toId: to.id };
      if (between.from.cluster === between.to.cluster) continue;
      if (from.pp) crossings.push({ kind: 'call', ...between });
      if (from.notify) crossings.push({ kind: 'signal', ...between });
    }
  }
  system.protectionDomains.forEach(({ parent, childId }, index) => {
    if (parent === undefined || home(parent).cluster === home(index).cluster) return;
    crossings.push({ kind: 'child', parent: home(parent), child: home(index), childId: childId! });
  });
  return crossings;
}

type Refuse = (message: string, at: Position) => never;

/** What the description may say, but Atoll or this machine has not. */
function refuseWhatCannotRun(system: SystemDescription, refuse: Refuse): void {
  const { ioAddressSpaces } = system;
  if (ioAddressSpaces.length > 0)
    refuse('I/O address spaces cannot run: this machine has no IOMMU', ioAddressSpaces[0].at);
  for (const region of system.memoryRegions) {
    if (region.physAddr !== undefined) {
      refuse(
        `memory region '${region.name}' cannot run: this machine has no device at physical address 0x${region.physAddr.toString(16)}`,
        region.at,
      );
    }
    if (region.prefillBootinfo !== undefined) {
      refuse(
        `memory region '${region.name}' cannot run: this machine has no boot information '${region.prefillBootinfo}'`,
        region.at,
      );
    }
  }
  const lines = [...DEVICE_LINES].map(([line, what]) => `${line} (${what})`).join(', ');
  for (const pd of system.protectionDomains) {
    const { virtualMachine: vm } = pd;
    if (vm !== undefined)
      refuse(`virtual machine '${vm.name}' cannot run: Atoll does not run virtual machines yet`, vm.at);
    if (pd.smc)
      refuse(`protection domain '${pd.name}' cannot run: this machine has no secure monitor to call`, pd.at);
    for (const port of pd.ioports) refuse('I/O ports cannot run: this machine has none', port.at);
    for (const map of pd.capMaps)
      refuse(
        'capability mappings cannot run yet: TypeScript programs make no system calls of their own',
        map.at,
      );
    for (const irq of pd.irqs) {
      if (irq.kind !== 'conventional')
        refuse('this interrupt cannot run: this machine has neither I/O APIC nor MSI', irq.at);
      else if (!DEVICE_LINES.has(irq.irq))
        refuse(`irq ${irq.irq} cannot run: this machine has the interrupts ${lines}`, irq.at);
    }
  }
}

function planDomain(
  system: SystemDescription,
  index: number,
  handles: readonly number[],
  cores: readonly number[],
  bundle: number,
  channels: readonly LocalChannel[],
  links: ClusterLinks,
): DomainPlan {
  const pd = system.protectionDomains[index];
  const handle = handles[index];
  const own = channels.filter(({ from }) => from === handle);
  const signals = links.signals.filter(({ from }) => from === handle);
  const calls = links.calls.filter(({ from }) => from === handle);
  return {
    index,
    clusterCore: cores.indexOf(pd.cpu),
    core: pd.cpu,
    budget: pd.budget,
    period: pd.period,
    passive: pd.passive,
    bundle,
    ...(pd.parent === undefined || links.children.some(({ child }) => child === handle)
      ? {}
      : { parent: { handle: handles[pd.parent], childId: pd.childId! } }),
    maps: pd.maps.flatMap((map) =>
      map.setvarVaddr === undefined
        ? []
        : [
            {
              region: map.region,
              symbol: map.setvarVaddr,
              writable: map.perms.w,
              ring: ringSide(system, map.region, index),
            },
          ],
    ),
    regionAddressVars: pd.setvars.flatMap(({ symbol, value, region }) =>
      value === undefined && region !== undefined ? [{ symbol, region }] : [],
    ),
    irqs: pd.irqs.flatMap((irq) => (irq.kind === 'conventional' ? [{ line: irq.irq, channel: irq.id }] : [])),
    configuration: {
      handle,
      name: pd.name,
      priority: pd.priority,
      schedulingDomain: pd.domain ?? 0,
      passive: pd.passive,
      notify: [...own.filter(({ notify }) => notify), ...signals].map(({ fromId }) => fromId),
      call: [
        ...own.filter(({ call }) => call).map(({ fromId }) => fromId),
        ...system.memoryGrants.filter((grant) => grant.pd === index).map(({ id }) => id),
      ],
      irqs: pd.irqs.map(({ id }) => id),
      children: system.protectionDomains.flatMap((child, at) =>
        child.parent === index && !calls.some(({ isControl, id }) => isControl && id === child.childId)
          ? [{ id: child.childId!, handle: handles[at] }]
          : [],
      ),
      flags: signals.flatMap(({ fromId, bell }) =>
        (bell.data === undefined ? bell.flags : [{ word: bell.data, mask: 0 }]).map((flag) => ({
          channel: fromId,
          ...flag,
        })),
      ),
      doorbells: links.incoming.flatMap((event) =>
        event.kind === 'signal' && event.to === handle && event.doorbell !== undefined
          ? [{ channel: event.toId, ...event.doorbell }]
          : [],
      ),
      remoteCalls: calls.map(({ id, isControl, request, reply, bell, cluster, hasDoorbell }) => ({
        ...{ id, isControl, request, reply, cluster, flags: bell.flags, hasDoorbell },
      })),
      vars: pd.setvars.flatMap(({ symbol, value }) =>
        value === undefined ? [] : [[symbol, value] as const],
      ),
    },
  };
}

function powerOfTwo(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}

function alignUp(address: number, size: number): number {
  return Math.ceil(address / size) * size;
}

/** Which end of the ring in a region a domain has that maps it; undefined where the region is none. */
function ringSide(system: SystemDescription, region: number, pd: number): RingSide | undefined {
  const ring = system.rings.find((ring) => ring.region === region);
  if (ring === undefined) return undefined;
  return ring.producer === pd ? 'producer' : 'consumer';
}
