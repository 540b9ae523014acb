import { checkAttributes, hex, required, requiredInteger } from './attributes.js';
import { type Context, regionNamed } from './context.js';
import { parsePciDevice } from './pci.js';
import type { IoAddressSpace, IoMap } from './types.js';
import type { Element } from './xml.js';

/** The first address that Microkit's three levels of I/O page tables do not reach. */
const END = 2n ** 39n;

export function parseIoAddressSpace(context: Context, element: Element): IoAddressSpace {
  if (context.arch !== 'x86_64') throw element.error('io address space requires an IOMMU, as on x86');
  checkAttributes(element, ['name', 'peripheral_id', 'domain_id']);
  const name = required(element, 'name');
  const domainId = requiredInteger(element, 'domain_id');
  const peripheral = required(element, 'peripheral_id');
  const device = parsePciDevice(peripheral);
  if (typeof device === 'string') {
    throw element.error(`failed to parse device peripheral_id '${peripheral}': ${device}`);
  }
  const maps = element.children.map((child) => {
    if (child.name !== 'iomap') throw child.error(`invalid XML element '${child.name}'`);
    return parseIoMap(context, child);
  });
  return { name, domainId, device, maps, at: element.at };
}

function parseIoMap(context: Context, element: Element): IoMap {
  checkAttributes(element, ['mr', 'iovaddr', 'perms']);
  const mr = required(element, 'mr');
  const iovaddr = requiredInteger(element, 'iovaddr');
  if (iovaddr >= END) throw element.error(`iovaddr (${hex(iovaddr)}) must be less than ${hex(END)}`);
  const perms = element.attributes.get('perms') ?? 'rw';
  if (!/^[rw]+$/.test(perms)) {
    throw element.error("perms for io mapped memory must only be a combination of 'r' and 'w'");
  }
  const region = regionNamed(context, element, mr);
  const { size, pageSize } = context.memoryRegions[region];
  if (pageSize !== context.architecture.pageSizes[0]) {
    throw element.error('large pages are not supported for the IOMMU');
  }
  if (iovaddr % pageSize !== 0n) throw element.error('invalid iovaddr alignment');
  if (iovaddr + size > END) {
    throw element.error(
      `iomap for '${mr}' has io address range [${hex(iovaddr)}..${hex(iovaddr + size)}) which exceeds valid ` +
        `address space [0x0..${hex(END)})`,
    );
  }
  return { region, mr, iovaddr, perms: { r: perms.includes('r'), w: perms.includes('w') }, at: element.at };
}
