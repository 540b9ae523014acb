import { architectures } from './architecture.js';
import { parseChannel } from './channel.js';
import type { Context } from './context.js';
import { parseCspace } from './cspace.js';
import { DescriptionError } from './diagnostic.js';
import { parseDomainSchedule } from './domain-schedule.js';
import { parseInstructions } from './instruction.js';
import { parseIoAddressSpace } from './io-address-space.js';
import { parseMemoryRegion } from './memory-region.js';
import { type Draft, parseProtectionDomain } from './protection-domain.js';
import type { Arch, SystemDescription } from './types.js';
import { type Element, parseXml } from './xml.js';

export interface ParseOptions {
  /** The file's name, for diagnostics. */
  readonly file: string;
  readonly arch: Arch;
  /** The number of the machine's cores, which `cpu` must be below; without it, any core may be named. */
  readonly cores?: number;
  /** Where `prefill_path` is looked for, in order. */
  readonly searchPath: readonly string[];
}

/** Each element by itself: rules between elements are left to `checkSystem`. @throws DescriptionError */
export function parseDescription(text: string, options: ParseOptions): SystemDescription {
  const { file, arch, cores, searchPath } = options;
  const architecture = architectures[arch];
  const root = parseXml(text, file);
  if (root.name !== 'system') throw root.error("the root element must be 'system'");
  const elements = byName(root);

  const memoryRegions = elements.memory_region.map((element) =>
    parseMemoryRegion(element, architecture, searchPath),
  );
  const [domains, secondDomains] = elements.domains;
  if (secondDomains !== undefined) throw secondDomains.error('domains must only be specified once');
  const domainSchedule = domains && parseDomainSchedule(domains);
  const context: Context = {
    arch,
    architecture,
    cores,
    memoryRegions,
    regionByName: indexByName(memoryRegions),
    domainSchedule,
  };

  const drafts: Draft[] = [];
  for (const element of elements.protection_domain) parseProtectionDomain(context, element, drafts);
  if (drafts.length === 0) {
    throw new DescriptionError('at least one protection domain must be defined', { file, at: root.at });
  }
  const pdByName = indexByName(drafts.map(({ description }) => description));
  const channels = elements.channel.map((element) => {
    const channel = parseChannel(element, pdByName);
    channel.ends.forEach((end, index) => {
      drafts[end.pd].setvars.addId(element.children[index], end.id);
    });
    return channel;
  });

  const protectionDomains = drafts.map(({ description, setvars, cspace }) => ({
    ...description,
    setvars: setvars.all(),
    capMaps: cspace === undefined ? [] : parseCspace(cspace, arch, pdByName),
  }));
  return {
    file,
    arch,
    memoryRegions,
    protectionDomains,
    channels,
    ...parseInstructions({ ...context, protectionDomains, pdByName, channels }, root.instructions),
    ioAddressSpaces: elements.io_address_space.map((element) => parseIoAddressSpace(context, element)),
    ...(domainSchedule && { domainSchedule }),
  };
}

function byName(root: Element) {
  const elements = {
    memory_region: [] as Element[],
    protection_domain: [] as Element[],
    channel: [] as Element[],
    io_address_space: [] as Element[],
    domains: [] as Element[],
  };
  for (const child of root.children) {
    if (child.name === 'virtual_machine') {
      throw child.error('virtual machine must be a child of a protection domain');
    }
    if (!Object.hasOwn(elements, child.name)) throw child.error(`invalid XML element '${child.name}'`);
    elements[child.name as keyof typeof elements].push(child);
  }
  return elements;
}

/** Where a name is given twice the first counts; `checkSystem` refuses the second. */
function indexByName(items: readonly { readonly name: string }[]): Map<string, number> {
  const index = new Map<string, number>();
  items.forEach(({ name }, position) => {
    if (!index.has(name)) index.set(name, position);
  });
  return index;
}
