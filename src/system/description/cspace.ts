import { checkAttributes, required, requiredInteger, requiredNumber } from './attributes.js';
import type { Arch, CapMap, CapMapType } from './types.js';
import type { Element } from './xml.js';

const SLOTS = 128;
const TYPES: readonly CapMapType[] = ['tcb', 'sc', 'vspace', 'smc'];

/** The `cspace` element. @param pdByName every domain of the system: a capability may be any domain's. */
export function parseCspace(element: Element, arch: Arch, pdByName: ReadonlyMap<string, number>): CapMap[] {
  checkAttributes(element, []);
  const slots = new Map<number, CapMap>();
  for (const child of element.children) {
    const cap = parseCapMap(child, arch, pdByName);
    const other = slots.get(cap.slot);
    if (other !== undefined) {
      throw child.error(
        `overlapping user caps in slot ${cap.slot}, which line ${other.at.line} maps already`,
      );
    }
    slots.set(cap.slot, cap);
  }
  return [...slots.values()];
}

function parseCapMap(element: Element, arch: Arch, pdByName: ReadonlyMap<string, number>): CapMap {
  if (!element.name.startsWith('cap_')) {
    throw element.error(`invalid XML element '${element.name}' as child of 'cspace'`);
  }
  const type = TYPES.find((known) => `cap_${known}` === element.name);
  if (type === undefined) throw element.error(`cap type '${element.name.slice(4)}' is not supported`);
  const target = type === 'smc' ? parseSmc(element, arch) : parsePd(element, pdByName);
  const slot = requiredNumber(element, 'slot');
  if (slot === 0) throw element.error('destination slot 0 is reserved for the Microkit CNode');
  if (slot >= SLOTS) throw element.error(`slot must be less than ${SLOTS}`);
  return { type, slot, ...target, at: element.at };
}

function parsePd(element: Element, pdByName: ReadonlyMap<string, number>): { pd: number } {
  checkAttributes(element, ['slot', 'pd']);
  const name = required(element, 'pd');
  const pd = pdByName.get(name);
  if (pd === undefined) throw element.error(`unknown PD name '${name}'`);
  return { pd };
}

function parseSmc(element: Element, arch: Arch): { functionId?: bigint } {
  checkAttributes(element, ['slot', 'function_id']);
  if (arch !== 'aarch64') throw element.error('cap_smc is only supported on AArch64');
  const functionId = requiredInteger(element, 'function_id');
  return functionId === 0n ? {} : { functionId };
}
