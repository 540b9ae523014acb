import { checkAttributes, identifier, number, oneOf, required, requiredNumber } from './attributes.js';
import { parsePciDevice } from './pci.js';
import type { Arch, Irq } from './types.js';
import type { Element } from './xml.js';

/** What x86 leaves to users of the interrupt vectors. */
const MAX_VECTOR = 107;

/** An interrupt's kind follows from the attribute that only this kind has. */
export function parseIrq(element: Element, arch: Arch): Irq {
  const has = (name: string) => element.attributes.has(name);
  if (has('irq')) {
    if (arch === 'x86_64') throw element.error('ARM and RISC-V IRQs are not supported on x86');
    return parseConventional(element);
  }
  if (has('pin')) {
    if (arch !== 'x86_64') throw element.error('x86 I/O APIC IRQs are not supported on ARM and RISC-V');
    return parseIoapic(element);
  }
  if (has('pcidev')) {
    if (arch !== 'x86_64') throw element.error('x86 MSI IRQs are not supported on ARM and RISC-V');
    return parseMsi(element);
  }
  if (arch !== 'x86_64') required(element, 'irq');
  throw element.error("Missing required attribute 'pin' or 'pcidev'");
}

function parseConventional(element: Element): Irq {
  checkAttributes(element, ['irq', 'id', 'setvar_id', 'trigger']);
  return {
    kind: 'conventional',
    id: identifier(element),
    irq: requiredNumber(element, 'irq'),
    trigger: oneOf(element, 'trigger', ['level', 'edge'], 'level'),
    at: element.at,
  };
}

function parseIoapic(element: Element): Irq {
  checkAttributes(element, ['id', 'setvar_id', 'ioapic', 'pin', 'trigger', 'polarity', 'vector']);
  return {
    kind: 'ioapic',
    id: identifier(element),
    ioapic: number(element, 'ioapic') ?? 0,
    pin: requiredNumber(element, 'pin'),
    trigger: oneOf(element, 'trigger', ['level', 'edge'], 'level'),
    polarity: oneOf(element, 'polarity', ['low', 'high'], 'high'),
    vector: parseVector(element),
    at: element.at,
  };
}

function parseMsi(element: Element): Irq {
  checkAttributes(element, ['id', 'setvar_id', 'pcidev', 'handle', 'vector']);
  const pciDevice = parsePciDevice(required(element, 'pcidev'));
  if (typeof pciDevice === 'string') throw element.error(pciDevice);
  return {
    kind: 'msi',
    id: identifier(element),
    pciDevice,
    handle: requiredNumber(element, 'handle'),
    vector: parseVector(element),
    at: element.at,
  };
}

function parseVector(element: Element): number {
  const vector = requiredNumber(element, 'vector');
  if (vector > MAX_VECTOR) throw element.error(`vector must be within [0..${MAX_VECTOR}]`);
  return vector;
}
