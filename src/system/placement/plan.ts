/**
 * The plan: which domain runs on which core of which cluster, and where in physical memory everything lies. Plain
 * data, made once by the main thread and read by every core.
 *
 * Physical memory, from address 0:
 *
 *   | interrupt controller | further signal flags, routes | shared regions | partition of cluster 0 | cluster 1 | …
 *
 * A partition's base is a multiple of its size, a power of two, so that its untyped memory comes in few pieces.
 */
import type { KernelImage } from '../../core/kernel.js';
import { CNODE_RADIX } from '../../core/engine/typescript/slots.js';
import type { DomainConfiguration } from '../../core/engine/typescript/domain.js';
import { farWords, flagsToRaise } from '../../coordination/signals.js';
import { CONTROLLER_BYTES } from '../../machine/interrupts.js';
import type { Cluster, Topology } from '../../machine/topology/index.js';
import { DescriptionError } from '../description/index.js';
import type { ChannelEnd, Position, SystemDescription } from '../description/index.js';

const PAGE = 4096;
/** Slots of the root task's CNode: a fixed number, and so many for each domain, channel end and page. */
const ROOT_SLOTS = 128;
const SLOTS_PER_DOMAIN = 14;
const OBJECT_BYTES_PER_DOMAIN = (1 << (CNODE_RADIX + 5)) + 4096;
/** The largest physical memory that 32-bit addresses reach. */
const MOST_MEMORY = 2 ** 32 - 65536;

export interface RegionPlan {
  readonly name: string;
  readonly size: number;
  /** Physical address of a region that several clusters share; the others are allocated by their cluster. */
  readonly sharedAddress?: number;
  readonly prefillFile?: string;
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
  readonly maps: readonly { readonly region: number; readonly symbol: string; readonly writable: boolean }[];
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

/** A channel by which a domain notifies one of another cluster, by ringing that one's first core. */
export interface OutgoingChannel {
  readonly from: number;
  readonly fromId: number;
  readonly targetCore: number;
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
  readonly outgoing: readonly OutgoingChannel[];
  /** By flag: the domain and channel that an incoming signal is for. */
  readonly incoming: readonly { readonly to: number; readonly toId: number }[];
  /** Index, in the interrupt controller's words, of its further signal flags. */
  readonly farFlags: number;
  /** Physical address of a word for each of its cores, in which the interrupt controller keeps their numbers. */
  readonly routes: number;
}

export interface SystemPlan {
  readonly clusters: readonly ClusterPlan[];
  readonly regions: readonly RegionPlan[];
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
 * Plans a description on a machine cut into clusters. `bundles`: for each domain the index of its program.
 * @throws DescriptionError for what cannot run on this machine, or not yet on Atoll.
 */
export function planSystem(
  system: SystemDescription,
  topology: Topology,
  clusters: readonly Cluster[],
  bundles: readonly number[],
): SystemPlan {
  const refuse = (message: string, at: Position): never => {
    throw new DescriptionError(message, { file: system.file, at });
  };
  refuseWhatCannotRun(system, refuse);

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
  const outgoing = new Map(
    used.map((cluster) => [
      cluster,
      [] as (OutgoingChannel & { readonly flag: number; readonly to: Cluster })[],
    ]),
  );
  const incoming = new Map(used.map((cluster) => [cluster, [] as { to: number; toId: number }[]]));
  const connect = (from: ChannelEnd, to: ChannelEnd, at: Position): void => {
    const home = homes[from.pd];
    const away = homes[to.pd];
    const ends = { from: handles[from.pd], fromId: from.id, to: handles[to.pd], toId: to.id };
    if (home === away) {
      channels.get(home)!.push({ ...ends, notify: from.notify, call: from.pp });
      return;
    }
    if (from.pp) {
      const names = `'${system.protectionDomains[from.pd].name}' and '${system.protectionDomains[to.pd].name}'`;
      refuse(
        `protected calls between clusters cannot run yet: ${names} are on clusters ${home.id} and ${away.id}; put both on one cluster (cpu, or --clusters), or use notifications and a shared region`,
        at,
      );
    }
    if (!from.notify) return;
    const flag = incoming.get(away)!.push({ to: ends.to, toId: to.id }) - 1;
    outgoing
      .get(home)!
      .push({ from: ends.from, fromId: from.id, targetCore: firstCores.get(away)![0], flag, to: away });
  };
  for (const { ends, at } of system.channels) {
    connect(ends[0], ends[1], at);
    connect(ends[1], ends[0], at);
  }

  const farBase = topology.cores.length * CONTROLLER_BYTES;
  const farFlags = new Map<Cluster, number>();
  const routes = new Map<Cluster, number>();
  let next = farBase / 4;
  for (const cluster of used) {
    farFlags.set(cluster, next);
    next += farWords(incoming.get(cluster)!.length);
    routes.set(cluster, next * 4);
    next += firstCores.get(cluster)!.length;
  }

  // Regions that domains of several clusters map lie outside of all partitions.
  const sharers = system.memoryRegions.map(
    (_, region) =>
      new Set(
        homes.filter((_, index) => system.protectionDomains[index].maps.some((map) => map.region === region)),
      ),
  );
  const pages = (bytes: bigint): number => Number((bytes + BigInt(PAGE) - 1n) / BigInt(PAGE));
  const sharedPages = system.memoryRegions.reduce(
    (sum, { size }, region) => sum + (sharers[region].size > 1 ? pages(size) : 0),
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
    };
    if (sharers[index].size <= 1) return plan;
    const sharedAddress = sharedNext;
    sharedNext += pages(region.size) * PAGE;
    return { ...plan, sharedAddress };
  });

  let address = Math.max(next * 4, sharedBase + sharedSize);
  const plans = used.map((cluster): ClusterPlan => {
    const indices = members.get(cluster)!;
    const cores = firstCores.get(cluster)!;
    const ownPages = system.memoryRegions.reduce(
      (sum, { size }, region) =>
        sum + (sharers[region].has(cluster) && sharers[region].size === 1 ? pages(size) : 0),
      0,
    );
    const slots =
      ROOT_SLOTS +
      indices.length * SLOTS_PER_DOMAIN +
      ownPages +
      sharedPages +
      incoming.get(cluster)!.length +
      cores.length;
    const rootBits = Math.ceil(Math.log2(slots));
    const need =
      (4 + cores.length) * PAGE +
      3 * 2 ** (rootBits + 5) +
      indices.length * OBJECT_BYTES_PER_DOMAIN +
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
        planDomain(
          system,
          index,
          handles,
          cores,
          bundles[index],
          channels.get(cluster)!,
          outgoing.get(cluster)!.filter(({ from }) => from === handles[index]),
          (flag, to) => flagsToRaise(firstCores.get(to)![0], farFlags.get(to)!, flag),
        ),
      ),
      channels: channels.get(cluster)!,
      outgoing: outgoing.get(cluster)!.map(({ from, fromId, targetCore }) => ({ from, fromId, targetCore })),
      incoming: incoming.get(cluster)!,
      farFlags: farFlags.get(cluster)!,
      routes: routes.get(cluster)!,
    };
  });
  for (const [index, pd] of system.protectionDomains.entries()) {
    if (pd.parent !== undefined && homes[pd.parent] !== homes[index]) {
      const parent = system.protectionDomains[pd.parent];
      refuse(
        `a parent on another cluster cannot run yet: '${parent.name}' and its child '${pd.name}' are on clusters ${homes[pd.parent].id} and ${homes[index].id}; put both on one cluster (cpu, or --clusters)`,
        pd.at,
      );
    }
  }
  if (address > MOST_MEMORY) {
    throw new DescriptionError(
      `the system needs ${Math.ceil(address / 2 ** 20)} MiB of memory: a machine has at most 4096 MiB`,
      { file: system.file },
    );
  }
  return {
    clusters: plans,
    regions,
    cores: topology.cores.length,
    sharedBase,
    sharedSize,
    memory: alignUp(address, 65536),
  };
}

type Refuse = (message: string, at: Position) => never;

/** What the description may say, but Atoll or this machine has not. */
function refuseWhatCannotRun(system: SystemDescription, refuse: Refuse): void {
  const { domainSchedule, ioAddressSpaces } = system;
  if (domainSchedule !== undefined) refuse('domain schedules cannot run yet', domainSchedule.at);
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
  outgoing: readonly (OutgoingChannel & { readonly flag: number; readonly to: Cluster })[],
  raise: (flag: number, to: Cluster) => { word: number; mask: number }[],
): DomainPlan {
  const pd = system.protectionDomains[index];
  const handle = handles[index];
  const own = channels.filter(({ from }) => from === handle);
  return {
    index,
    clusterCore: cores.indexOf(pd.cpu),
    core: pd.cpu,
    budget: pd.budget,
    period: pd.period,
    passive: pd.passive,
    bundle,
    ...(pd.parent === undefined ? {} : { parent: { handle: handles[pd.parent], childId: pd.childId! } }),
    maps: pd.maps.flatMap((map) =>
      map.setvarVaddr === undefined
        ? []
        : [{ region: map.region, symbol: map.setvarVaddr, writable: map.perms.w }],
    ),
    regionAddressVars: pd.setvars.flatMap(({ symbol, value, region }) =>
      value === undefined && region !== undefined ? [{ symbol, region }] : [],
    ),
    irqs: pd.irqs.flatMap((irq) => (irq.kind === 'conventional' ? [{ line: irq.irq, channel: irq.id }] : [])),
    configuration: {
      handle,
      name: pd.name,
      priority: pd.priority,
      passive: pd.passive,
      notify: [...own.filter(({ notify }) => notify), ...outgoing].map(({ fromId }) => fromId),
      call: own.filter(({ call }) => call).map(({ fromId }) => fromId),
      irqs: pd.irqs.map(({ id }) => id),
      children: system.protectionDomains.flatMap((child, at) =>
        child.parent === index ? [{ id: child.childId!, handle: handles[at] }] : [],
      ),
      flags: outgoing.flatMap(({ fromId, flag, to }) =>
        raise(flag, to).map((each) => ({ channel: fromId, ...each })),
      ),
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
