import { checkAttributes, identifier, requiredNumber } from './attributes.js';
import type { Arch, IoPort } from './types.js';
import type { Element } from './xml.js';

export function parseIoPort(element: Element, arch: Arch): IoPort {
  if (arch !== 'x86_64') throw element.error('I/O Ports are only available on x86');
  checkAttributes(element, ['id', 'setvar_id', 'setvar_addr', 'addr', 'size']);
  const port = {
    id: identifier(element),
    addr: requiredNumber(element, 'addr'),
    size: requiredNumber(element, 'size'),
    at: element.at,
  };
  if (port.size === 0) throw element.error('size must be > 0');
  return port;
}
