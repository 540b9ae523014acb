/**
 * What a Microkit system description means, once parsed and checked (Microkit user manual, "System Description
 * Format"). Plain data throughout, so that it can be cloned to another thread.
 *
 * Addresses and sizes of memory are bigint, in bytes; all else that is a number is a number. What the description
 * refers to by name is an index here: into `memoryRegions` or `protectionDomains`.
 */

/** The architectures that Microkit targets: some elements exist on one of them alone. */
export type Arch = 'aarch64' | 'riscv64' | 'x86_64';

export const ARCHITECTURES: readonly Arch[] = ['aarch64', 'riscv64', 'x86_64'];

/** Where an element starts in the file: both from 1, the column in characters. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface SystemDescription {
  /** The file as it was named to the parser. */
  readonly file: string;
  readonly arch: Arch;
  readonly memoryRegions: readonly MemoryRegion[];
  /** Every domain, children included, in document order: a parent comes before its children. */
  readonly protectionDomains: readonly ProtectionDomainDescription[];
  readonly channels: readonly ChannelDescription[];
  readonly ioAddressSpaces: readonly IoAddressSpace[];
  readonly rings: readonly RingDescription[];
  readonly domainSchedule?: DomainSchedule;
  readonly grants: readonly Grant[];
  readonly memoryGrants: readonly MemoryGrant[];
  readonly failurePolicies: readonly FailurePolicy[];
}

/** What happens when a cluster fails: it is booted afresh, or is left down, or the whole system ends. The strictest last. */
export const ON_FAILURE = ['restart', 'stop', 'halt'] as const;
export type OnFailure = (typeof ON_FAILURE)[number];

/** At most one for each domain, and one for all that have none (on-failure.ts). */
export interface FailurePolicy {
  readonly policy: OnFailure;
  /** Index into `protectionDomains`. */
  readonly pd?: number;
  readonly at: Position;
}

/** A protection domain may read the machine's topology, at most one for each domain (grant.ts). */
export interface Grant {
  /** Index into `protectionDomains`. */
  readonly pd: number;
  /** By which the program names the region. */
  readonly symbol: string;
  readonly at: Position;
}

/** A protection domain may move memory between clusters, at most one for each domain (memory-grant.ts). */
export interface MemoryGrant {
  /** Index into `protectionDomains`. */
  readonly pd: number;
  /** The channel by which it calls its cluster's monitor. */
  readonly id: number;
  readonly at: Position;
}

export interface MemoryRegion {
  readonly name: string;
  /** A multiple of `pageSize`. */
  readonly size: bigint;
  readonly pageSize: bigint;
  /** Whether the description chose the page size; else larger pages may be used where alignment allows. */
  readonly pageSizeSpecified: boolean;
  readonly physAddr?: bigint;
  /** The file whose bytes fill the region's start; the rest is zero. */
  readonly prefill?: Prefill;
  /** What the kernel's boot information fills the region with. */
  readonly prefillBootinfo?: PrefillBootinfo;
  /** Of the one region that grants make, and no element. */
  readonly prefillTopology?: true;
  readonly at: Position;
}

export interface Prefill {
  /** `prefill_path` as written. */
  readonly path: string;
  /** The file found for it on the search path. */
  readonly file: string;
  /** Bytes in the file: at least 1, and no more than the region's size. */
  readonly size: number;
}

export type PrefillBootinfo =
  'x86_vbe' | 'x86_mbmmap' | 'x86_acpi_rsdp' | 'x86_framebuffer' | 'x86_tsc_freq' | 'fdt';

export interface ProtectionDomainDescription {
  readonly name: string;
  /** 0 (least urgent) to 254. */
  readonly priority: number;
  /** Microseconds; at most `period`. */
  readonly budget: number;
  /** Microseconds. */
  readonly period: number;
  readonly passive: boolean;
  /** Bytes: 4 KiB to 16 MiB. */
  readonly stackSize: number;
  readonly smc: boolean;
  /** The core that the domain runs on; 0 where the description names none. */
  readonly cpu: number;
  /** Whether the description names it: else another core would do as well. */
  readonly cpuPinned: boolean;
  readonly fpu: boolean;
  /** The scheduling domain, 0 to 255; present exactly when the system has a domain schedule. */
  readonly domain?: number;
  /** The parent's index in `protectionDomains`; absent at the top. */
  readonly parent?: number;
  /** The identifier, 0 to 62, by which the parent knows this domain; present exactly when `parent` is. */
  readonly childId?: number;
  readonly programImage: ProgramImage;
  readonly maps: readonly MapDescription[];
  readonly irqs: readonly Irq[];
  readonly ioports: readonly IoPort[];
  /** Every variable that the description sets in this domain's program, whatever element or attribute sets it. */
  readonly setvars: readonly Setvar[];
  readonly capMaps: readonly CapMap[];
  readonly virtualMachine?: VirtualMachine;
  readonly at: Position;
}

export interface ProgramImage {
  /** As written in the description: found on the search path by `findProgram`. */
  readonly path: string;
  readonly pathForSymbols?: string;
  readonly at: Position;
}

/** A mapping of a memory region into the address space of a protection domain or virtual machine. */
export interface MapDescription {
  /** Index into `memoryRegions`. */
  readonly region: number;
  /** The region's name. */
  readonly mr: string;
  readonly vaddr: bigint;
  readonly perms: Permissions;
  readonly cached: boolean;
  /** The symbol that names this map to the program; the variable itself is among the domain's `setvars`. */
  readonly setvarVaddr?: string;
  readonly setvarSize?: string;
  readonly setvarPrefillSize?: string;
  readonly at: Position;
}

export interface Permissions {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
}

/** A variable in a program's image. */
export interface Setvar {
  readonly symbol: string;
  readonly kind: SetvarKind;
  /** Absent for a `region_paddr` whose region has no `phys_addr`: known when the region is allocated. */
  readonly value?: bigint;
  /** For what a region determines, its index into `memoryRegions`. */
  readonly region?: number;
  readonly at: Position;
}

export type SetvarKind = 'vaddr' | 'size' | 'prefill_size' | 'region_paddr' | 'id' | 'ioport_addr' | 'cpu';

/** An interrupt; `id`, 0 to 62, is the channel on which it arrives. */
export type Irq = ConventionalIrq | IoapicIrq | MsiIrq;

interface IrqCommon {
  readonly id: number;
  readonly at: Position;
}

/** Arm and RISC-V. */
export interface ConventionalIrq extends IrqCommon {
  readonly kind: 'conventional';
  readonly irq: number;
  readonly trigger: 'level' | 'edge';
}

/** x86: a pin of an I/O APIC. */
export interface IoapicIrq extends IrqCommon {
  readonly kind: 'ioapic';
  readonly ioapic: number;
  readonly pin: number;
  readonly trigger: 'level' | 'edge';
  readonly polarity: 'low' | 'high';
  /** 0 to 107. */
  readonly vector: number;
}

/** x86: a message-signalled interrupt. */
export interface MsiIrq extends IrqCommon {
  readonly kind: 'msi';
  readonly pciDevice: PciDevice;
  readonly handle: number;
  /** 0 to 107. */
  readonly vector: number;
}

export interface PciDevice {
  readonly bus: number;
  readonly device: number;
  readonly function: number;
}

/** x86: the I/O ports `addr` to `addr + size - 1`; `id` is 0 to 62. */
export interface IoPort {
  readonly id: number;
  readonly addr: number;
  readonly size: number;
  readonly at: Position;
}

/** A capability of another domain (or of the domain itself) in the domain's own capability space. */
export interface CapMap {
  readonly type: CapMapType;
  /** 1 to 127. */
  readonly slot: number;
  /** Whose: an index into `protectionDomains`. Absent for `smc` alone. */
  readonly pd?: number;
  /** `smc` only: the one function that the capability allows; absent where it allows all. */
  readonly functionId?: bigint;
  readonly at: Position;
}

export type CapMapType = 'tcb' | 'sc' | 'vspace' | 'smc';

export interface VirtualMachine {
  readonly name: string;
  /** Of its own on aarch64; elsewhere a virtual machine runs with its protection domain's. */
  readonly scheduling?: { readonly priority: number; readonly budget: number; readonly period: number };
  readonly vcpus: readonly VirtualCpu[];
  readonly maps: readonly MapDescription[];
  readonly at: Position;
}

export interface VirtualCpu {
  /** 0 to 62, and no child's. */
  readonly id: number;
  readonly cpu?: number;
  readonly at: Position;
}

export interface ChannelDescription {
  readonly ends: readonly [ChannelEnd, ChannelEnd];
  readonly at: Position;
}

export interface ChannelEnd {
  /** Index into `protectionDomains`. */
  readonly pd: number;
  /** The channel's identifier in that domain, 0 to 62. */
  readonly id: number;
  /** Whether this end may notify the other. */
  readonly notify: boolean;
  /** Whether this end may call the other, which then has a strictly higher priority. */
  readonly pp: boolean;
  readonly at: Position;
}

/** A region by which one domain sends messages to another: `<?atoll ring region="…" producer="…"?>`. */
export interface RingDescription {
  /** Index into `memoryRegions`. */
  readonly region: number;
  /** Indices into `protectionDomains`: who sends, and who receives. */
  readonly producer: number;
  readonly consumer: number;
  readonly at: Position;
}

/** x86: what a device can reach through the IOMMU. */
export interface IoAddressSpace {
  readonly name: string;
  readonly domainId: bigint;
  readonly device: PciDevice;
  readonly maps: readonly IoMap[];
  readonly at: Position;
}

export interface IoMap {
  /** Index into `memoryRegions`. */
  readonly region: number;
  readonly mr: string;
  readonly iovaddr: bigint;
  readonly perms: { readonly r: boolean; readonly w: boolean };
  readonly at: Position;
}

/** seL4's domain scheduler: time is cut between domains whatever the priorities of their threads. */
export interface DomainSchedule {
  /** Domain numbers, 0 to 255, by name. */
  readonly domains: Readonly<Record<string, number>>;
  readonly entries: readonly DomainScheduleEntry[];
  /** The entry that runs first. */
  readonly startIndex: number;
  readonly indexShift?: number;
  readonly at: Position;
}

export type DomainScheduleEntry =
  { readonly domain: number; readonly duration: bigint; readonly unit: 'us' | 'ticks' } | 'end_marker';
