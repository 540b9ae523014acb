import { checkAttributes, required } from './attributes.js';
import { regionNamed } from './context.js';
import type { InstructionContext } from './instruction.js';
import type { RingDescription } from './types.js';
import type { Element } from './xml.js';

/** The instruction that makes a region a ring. @param rings the description's rings so far. */
export function parseRing(
  context: InstructionContext,
  element: Element,
  rings: readonly RingDescription[],
): RingDescription {
  checkAttributes(element, ['region', 'producer']);
  const name = required(element, 'region');
  const region = regionNamed(context, element, name);
  const { prefill, prefillBootinfo } = context.memoryRegions[region];
  if (rings.some((ring) => ring.region === region)) {
    throw element.error(`memory region '${name}' is a ring already`);
  }
  if (prefill !== undefined || prefillBootinfo !== undefined) {
    throw element.error(`memory region '${name}' cannot be a ring: it is prefilled`);
  }
  const producerName = required(element, 'producer');
  const producer = context.pdByName.get(producerName);
  if (producer === undefined) throw element.error(`invalid protection domain name '${producerName}'`);

  const maps = context.protectionDomains.flatMap(({ maps, virtualMachine }, pd) =>
    [...maps, ...(virtualMachine?.maps ?? [])]
      .filter((map) => map.region === region)
      .map((map) => ({ ...map, pd })),
  );
  const consumer = maps.find(({ pd }) => pd !== producer)?.pd;
  if (maps.length !== 2 || consumer === undefined || !maps.some(({ pd }) => pd === producer)) {
    throw element.error(
      `ring '${name}' must be mapped twice: by its producer '${producerName}' and by one other protection domain`,
    );
  }
  for (const { pd, perms, setvarVaddr } of maps) {
    const who = `ring '${name}' in protection domain '${context.protectionDomains[pd].name}'`;
    if (!perms.w) throw element.error(`${who} must be mapped with perms="rw": both ends write to it`);
    if (setvarVaddr === undefined) {
      throw element.error(`${who} must be mapped with setvar_vaddr: by that name the program knows it`);
    }
  }
  return { region, producer, consumer, at: element.at };
}
