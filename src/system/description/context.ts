import type { Architecture } from './architecture.js';
import type { Arch, DomainSchedule, MemoryRegion } from './types.js';
import type { Element } from './xml.js';

/** What the parsers of single elements need to know of the rest. */
export interface Context {
  readonly arch: Arch;
  readonly architecture: Architecture;
  /** The number of the machine's cores, where the machine is known. */
  readonly cores: number | undefined;
  readonly memoryRegions: readonly MemoryRegion[];
  readonly regionByName: ReadonlyMap<string, number>;
  readonly domainSchedule: DomainSchedule | undefined;
}

/** The index of the region that `attribute` names. */
export function regionNamed(context: Context, element: Element, name: string): number {
  const region = context.regionByName.get(name);
  if (region === undefined) throw element.error(`invalid memory region name '${name}'`);
  return region;
}

export function checkCpu(context: Context, element: Element, cpu: number): void {
  if (context.cores !== undefined && cpu >= context.cores) {
    throw element.error(`cpu core must be less than ${context.cores}, got ${cpu}`);
  }
}
