/**
 * The rules that hold between elements. What a single element says is checked where it is parsed.
 * None of these takes time beyond n log n in the size of the description.
 */
import { hex } from './attributes.js';
import { DescriptionError } from './diagnostic.js';
import { formatPciDevice } from './pci.js';
import type { Arch, ChannelEnd, Irq, Position, SystemDescription } from './types.js';

/** @throws DescriptionError */
export function checkSystem(system: SystemDescription): void {
  const check = new Check(system);
  check.names();
  check.irqs();
  check.channelIds();
  check.protectedProcedures();
  check.ioPorts();
  check.maps();
  check.ioAddressSpaces();
  check.physicalAddresses();
}

interface Range {
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly at: Position;
}

class Check {
  private readonly file: string;
  private readonly arch: Arch;

  constructor(private readonly system: SystemDescription) {
    this.file = system.file;
    this.arch = system.arch;
  }

  names(): void {
    const { memoryRegions, protectionDomains } = this.system;
    const machines = protectionDomains.flatMap(({ virtualMachine }) => virtualMachine ?? []);
    this.unique(memoryRegions, 'memory_region', ({ name }) => [name, `memory region name '${name}'`]);
    this.unique(protectionDomains, 'protection_domain', ({ name }) => [
      name,
      `protection domain name '${name}'`,
    ]);
    this.unique(machines, 'virtual_machine', ({ name }) => [name, `virtual machine name '${name}'`]);
  }

  irqs(): void {
    const irqs = this.system.protectionDomains.flatMap((pd) =>
      pd.irqs.map((irq) => ({ ...irq, pd: pd.name })),
    );
    const inPd = (irq: { pd: string }) => `in protection domain: '${irq.pd}'`;
    this.unique(irqs, 'irq', (irq) => [irqNumber(irq), `irq: ${irqNumber(irq)} ${inPd(irq)}`]);
    this.unique(irqs, 'irq', (irq) => {
      const source = irqSource(irq);
      return [source, `irq: ${source} ${inPd(irq)}`];
    });
  }

  /** A domain's channels and interrupts share its 63 identifiers. */
  channelIds(): void {
    const ends = this.system.channels.flatMap(({ ends }) => ends);
    const irqs = this.system.protectionDomains.flatMap(({ irqs }, pd) => irqs.map((irq) => ({ ...irq, pd })));
    const describe = ({ pd, id }: { pd: number; id: number }): [string, string] => [
      `${pd}:${id}`,
      `channel id: ${id} in protection domain: '${this.pdName(pd)}'`,
    ];
    const seen = this.unique(irqs, 'irq', describe);
    this.unique(ends, 'end', describe, seen);
  }

  protectedProcedures(): void {
    for (const { ends } of this.system.channels) {
      const [a, b] = ends;
      if (a.pp) this.protectedProcedure(a, b);
      if (b.pp) this.protectedProcedure(b, a);
    }
  }

  ioPorts(): void {
    const ports = this.system.protectionDomains.flatMap((pd) => {
      this.unique(pd.ioports, 'ioport', ({ id }) => [
        id,
        `I/O port id: ${id} in protection domain: '${pd.name}'`,
      ]);
      return pd.ioports.map(({ id, addr, size, at }) => ({
        name: `I/O port id: ${id} of protection domain '${pd.name}'`,
        start: BigInt(addr),
        end: BigInt(addr) + BigInt(size),
        at,
      }));
    });
    this.disjoint(ports, 'ioport', (range, other) => `${range} overlaps with ${other}`);
  }

  maps(): void {
    for (const { name, maps, virtualMachine } of this.system.protectionDomains) {
      this.disjointMaps(maps, `protection domain '${name}'`);
      if (virtualMachine !== undefined) {
        this.disjointMaps(virtualMachine.maps, `virtual machine '${virtualMachine.name}'`);
      }
    }
  }

  ioAddressSpaces(): void {
    const spaces = this.system.ioAddressSpaces;
    const element = 'io_address_space';
    this.unique(spaces, element, ({ name }) => [name, `name '${name}'`]);
    // Sharing a domain identifier would need the same page tables for each device.
    this.unique(spaces, element, ({ domainId }) => [domainId, `domain_id ${domainId}`]);
    this.unique(spaces, element, ({ device }) => {
      const address = formatPciDevice(device);
      return [address, `device peripheral_id 'PCI device ${address}'`];
    });
    for (const { device, maps } of spaces) {
      const ranges = maps.map(({ mr, region, iovaddr, at }) => this.range(mr, region, iovaddr, at));
      const where = `PCI device ${formatPciDevice(device)}`;
      this.disjoint(
        ranges,
        'iomap',
        (range, other) =>
          `map for ${range} has io address range which overlaps with map for ${other} in ${where}`,
      );
    }
  }

  physicalAddresses(): void {
    const ranges = this.system.memoryRegions.flatMap(({ name, size, physAddr, at }) =>
      physAddr === undefined ? [] : [{ name: `'${name}'`, start: physAddr, end: physAddr + size, at }],
    );
    this.disjoint(
      ranges,
      'memory_region',
      (range, other) =>
        `physical address range of memory region ${range} overlaps with memory region ${other}`,
    );
  }

  private protectedProcedure(caller: ChannelEnd, callee: ChannelEnd): void {
    const from = this.system.protectionDomains[caller.pd];
    const to = this.system.protectionDomains[callee.pd];
    if (from.priority >= to.priority) {
      throw this.error(
        'PPCs must be to protection domains of strictly higher priorities; channel with PPC exists from pd ' +
          `${from.name} (priority: ${from.priority}) to pd ${to.name} (priority: ${to.priority})`,
        'end',
        caller.at,
      );
    }
    if (this.arch === 'x86_64' && to.virtualMachine !== undefined) {
      throw this.error(
        `PPC from PD '${from.name}' to PD '${to.name}' with a virtual machine is not possible on x86_64`,
        'end',
        caller.at,
      );
    }
  }

  private disjointMaps(
    maps: readonly { mr: string; region: number; vaddr: bigint; at: Position }[],
    where: string,
  ): void {
    this.disjoint(
      maps.map(({ mr, region, vaddr, at }) => this.range(mr, region, vaddr, at)),
      'map',
      (range, other) =>
        `map for ${range} has virtual address range which overlaps with map for ${other} in ${where}`,
    );
  }

  private range(mr: string, region: number, start: bigint, at: Position): Range {
    return { name: `'${mr}'`, start, end: start + this.system.memoryRegions[region].size, at };
  }

  /** Among the overlaps, the error is at the element that comes first in the document and is not alone there. */
  private disjoint(
    ranges: readonly Range[],
    element: string,
    problem: (range: string, other: string) => string,
  ): void {
    const order = new Map(ranges.map((range, index) => [range, index]));
    const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    let first: { later: Range; earlier: Range } | undefined;
    let widest = sorted[0];
    for (const range of sorted.slice(1)) {
      if (range.start < widest.end) {
        const swapped = order.get(range)! < order.get(widest)!;
        const [earlier, later] = swapped ? [range, widest] : [widest, range];
        if (first === undefined || order.get(later)! < order.get(first.later)!) first = { later, earlier };
      }
      if (range.end > widest.end) widest = range;
    }
    if (first === undefined) return;
    const show = ({ name, start, end }: Range) => `${name} [${hex(start)}..${hex(end)})`;
    throw this.error(problem(show(first.later), show(first.earlier)), element, first.later.at);
  }

  /**
   * @param describe an item's key, and what to call it.
   * @param seen keys taken already. @returns these and the items' keys.
   */
  private unique<T extends { at: Position }, K>(
    items: readonly T[],
    element: string,
    describe: (item: T) => [K, string],
    seen = new Set<K>(),
  ): Set<K> {
    for (const item of items) {
      const [key, what] = describe(item);
      if (seen.has(key)) throw this.error(`duplicate ${what}`, element, item.at);
      seen.add(key);
    }
    return seen;
  }

  private pdName(pd: number): string {
    return this.system.protectionDomains[pd].name;
  }

  private error(problem: string, element: string, at: Position): DescriptionError {
    return new DescriptionError(problem, { file: this.file, at, element });
  }
}

/** What must be unique in the kernel's table of interrupts. */
function irqNumber(irq: Irq): number {
  return irq.kind === 'conventional' ? irq.irq : irq.vector;
}

/** What raises the interrupt. */
function irqSource(irq: Irq): string {
  switch (irq.kind) {
    case 'conventional':
      return `${irq.irq}`;
    case 'ioapic':
      return `pin ${irq.pin} of I/O APIC ${irq.ioapic}`;
    case 'msi':
      return `handle ${irq.handle} of PCI device ${formatPciDevice(irq.pciDevice)}`;
  }
}
