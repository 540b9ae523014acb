/**
 * A system description cut into one for each cluster. It is made of the elements as written, so nothing is lost and
 * nothing is added but a `cpu` for each domain and a `phys_addr` for each region that clusters share.
 */
import { DescriptionError, Element, hex, type SystemDescription } from '../description/index.js';
import { FileError } from './file-error.js';
import type { Placement } from './placement.js';

/** Where a board's shared regions begin unless told: in the memory of QEMU's `virt` machine for AArch64. */
export const SHARED_BASE = 0x7000_0000n;

export class Cut {
  /** By domain. */
  readonly clusterOf: readonly number[];
  /** The elements of the protection domains, in the order of the description's. */
  private readonly domains: readonly Element[];
  private readonly indexOf: ReadonlyMap<Element, number>;
  private readonly clusterNamed: ReadonlyMap<string, number>;
  /** By region: the clusters that use it. */
  private readonly users = new Map<string, Set<number>>();
  private readonly addresses = new Map<string, bigint>();

  /**
   * @param elements what `system` was parsed from.
   * @param sharedBase the physical address of the first shared region.
   * @throws DescriptionError for what cannot be cut so; FileError where shared regions find no room.
   */
  constructor(
    private readonly system: SystemDescription,
    private readonly elements: Element,
    private readonly placement: Placement,
    sharedBase: bigint,
  ) {
    this.clusterOf = placement.domains.map(({ cluster }) => cluster);
    this.domains = domainElements(elements);
    this.indexOf = new Map(this.domains.map((element, index) => [element, index]));
    this.clusterNamed = new Map(placement.domains.map(({ name, cluster }) => [name, cluster]));
    this.refuseSharedCapabilities();
    this.findUsers();
    this.placeShared(sharedBase);
  }

  /** The description of one cluster, as XML. */
  describe(cluster: number): string {
    const root = new Element('system', '', this.elements.at);
    const kept = this.elements.children.flatMap((child) => this.keep(child, cluster));
    const orphans = this.domains.filter((_, index) => this.isOrphan(index, cluster));
    root.children.push(
      ...kept.filter(({ name }) => name !== 'channel'),
      ...orphans.map((element) => this.domain(element, cluster)),
      ...kept.filter(({ name }) => name === 'channel'),
    );
    return `<?xml version="1.0" encoding="UTF-8"?>\n${write(root, '')}`;
  }

  /** The regions that several clusters use, each at its physical address. */
  shared(): { name: string; size: bigint; physAddr: bigint; clusters: number[] }[] {
    return this.system.memoryRegions.flatMap(({ name, size, physAddr = this.addresses.get(name) }) => {
      const clusters = [...(this.users.get(name) ?? [])].sort((a, b) => a - b);
      return clusters.length < 2 || physAddr === undefined ? [] : [{ name, size, physAddr, clusters }];
    });
  }

  /** A capability of another domain's object is one of its own kernel: it cannot be had from another cluster. */
  private refuseSharedCapabilities(): void {
    const { clusterOf } = this;
    const { protectionDomains, file } = this.system;
    protectionDomains.forEach(({ name, capMaps }, index) => {
      for (const { pd, at } of capMaps) {
        if (pd === undefined || clusterOf[pd] === clusterOf[index]) continue;
        throw new DescriptionError(
          `'${name}' has a capability of '${protectionDomains[pd].name}', and they are on clusters ${clusterOf[index]} and ${clusterOf[pd]}: let both have one cluster (cpu, or --clusters)`,
          { file, at },
        );
      }
    });
  }

  private findUsers(): void {
    const use = (element: Element, cluster: number): void => {
      for (const name of regionsOf(element)) {
        const clusters = this.users.get(name) ?? new Set();
        this.users.set(name, clusters.add(cluster));
      }
    };
    this.domains.forEach((element, index) => use(element, this.clusterOf[index]));
    for (const child of this.elements.children)
      if (child.name === 'io_address_space') use(child, this.ownerOfSpace(child));
  }

  /** An I/O address space is of a device, and that is of whoever uses the memory that the device may reach. */
  private ownerOfSpace(space: Element): number {
    for (const name of regionsOf(space)) for (const cluster of this.users.get(name) ?? []) return cluster;
    return this.clusterOf[0];
  }

  /** Gives shared regions that have no physical address one after the other. */
  private placeShared(base: bigint): void {
    const { memoryRegions } = this.system;
    let next = base;
    for (const { name, size, pageSize, physAddr } of memoryRegions) {
      if (physAddr !== undefined || (this.users.get(name)?.size ?? 0) < 2) continue;
      next = ((next + pageSize - 1n) / pageSize) * pageSize;
      this.addresses.set(name, next);
      next += size;
    }
    if (this.addresses.size === 0) return;
    const range = `the shared regions, from ${hex(base)} to ${hex(next)},`;
    if (next > 2n ** 64n) throw new FileError(`${range} do not fit: choose another --shared-base`);
    for (const { name, size, physAddr } of memoryRegions) {
      if (physAddr !== undefined && physAddr < next && base < physAddr + size)
        throw new FileError(
          `${range} would overlap the region '${name}' at ${hex(physAddr)}: choose another --shared-base`,
        );
    }
  }

  /** What a cluster's description has of a top-level element: one, or none. */
  private keep(element: Element, cluster: number): Element[] {
    switch (element.name) {
      case 'memory_region': {
        const name = element.attributes.get('name')!;
        if (this.users.get(name)?.has(cluster) !== true) return [];
        const address = this.addresses.get(name);
        return [
          address === undefined ? element : copy(element, element.children, { phys_addr: hex(address) }),
        ];
      }
      case 'protection_domain':
        return this.clusterOf[this.indexOf.get(element)!] === cluster ? [this.domain(element, cluster)] : [];
      case 'channel': {
        const inside = element.children.every(
          (end) => this.clusterNamed.get(end.attributes.get('pd')!) === cluster,
        );
        return inside ? [element] : [];
      }
      case 'io_address_space':
        return this.ownerOfSpace(element) === cluster ? [element] : [];
      default:
        return [element];
    }
  }

  /** Whether a domain of this cluster has its parent on another: then it stands at the top. */
  private isOrphan(index: number, cluster: number): boolean {
    const { parent } = this.system.protectionDomains[index];
    return this.clusterOf[index] === cluster && parent !== undefined && this.clusterOf[parent] !== cluster;
  }

  /** A domain with its core, and those of its children that are on its cluster. */
  private domain(element: Element, cluster: number): Element {
    const index = this.indexOf.get(element)!;
    const children = element.children.flatMap((child) => {
      const at = this.indexOf.get(child);
      if (at === undefined) return [child];
      return this.clusterOf[at] === cluster ? [this.domain(child, cluster)] : [];
    });
    const made = copy(element, children, { cpu: `${this.placement.domains[index].core}` });
    if (this.isOrphan(index, cluster)) for (const name of ['id', 'setvar_id']) made.attributes.delete(name);
    return made;
  }
}

function domainElements(element: Element): Element[] {
  return element.children.flatMap((child) =>
    child.name === 'protection_domain' ? [child, ...domainElements(child)] : [],
  );
}

/** Names of the regions that an element and what is in it use, but for domains inside of it. */
function regionsOf({ children }: Element): string[] {
  return children.flatMap((child) => {
    if (child.name === 'protection_domain') return [];
    const own = ['mr', 'region_paddr'].flatMap((name) => child.attributes.get(name) ?? []);
    return [...own, ...regionsOf(child)];
  });
}

function copy(
  element: Element,
  children: readonly Element[],
  set: Readonly<Record<string, string>>,
): Element {
  const made = new Element(element.name, element.file, element.at);
  for (const [name, value] of [...element.attributes, ...Object.entries(set)])
    made.attributes.set(name, value);
  made.children.push(...children);
  return made;
}

function write({ name, attributes, children }: Element, indent: string): string {
  const opened = `${indent}<${name}${[...attributes].map(([key, value]) => ` ${key}="${escape(value)}"`).join('')}`;
  if (children.length === 0) return `${opened} />\n`;
  return `${opened}>\n${children.map((child) => write(child, `${indent}    `)).join('')}${indent}</${name}>\n`;
}

function escape(value: string): string {
  return value.replace(/[&<>"\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
