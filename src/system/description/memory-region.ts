import { statSync } from 'node:fs';
import type { Architecture } from './architecture.js';
import { checkAttributes, hex, integer, required } from './attributes.js';
import { findFile } from './search.js';
import type { MemoryRegion, Prefill, PrefillBootinfo } from './types.js';
import type { Element } from './xml.js';

const BOOTINFO: readonly PrefillBootinfo[] = [
  'x86_vbe',
  'x86_mbmmap',
  'x86_acpi_rsdp',
  'x86_framebuffer',
  'x86_tsc_freq',
  'fdt',
];

export function parseMemoryRegion(
  element: Element,
  architecture: Architecture,
  searchPath: readonly string[],
): MemoryRegion {
  checkAttributes(element, ['name', 'size', 'page_size', 'phys_addr', 'prefill_path', 'prefill_bootinfo']);
  const name = required(element, 'name');
  const chosenPageSize = integer(element, 'page_size');
  const pageSize = chosenPageSize ?? architecture.pageSizes[0];
  if (!architecture.pageSizes.includes(pageSize)) {
    throw element.error(`page size ${hex(pageSize)} not supported`);
  }
  const prefill = parsePrefill(element, searchPath);
  const prefillBootinfo = parseBootinfo(element);
  if (prefill !== undefined && prefillBootinfo !== undefined) {
    throw element.error('prefill_path and prefill_bootinfo cannot be both specified');
  }
  const size = integer(element, 'size') ?? defaultSize(element, pageSize, prefill, prefillBootinfo);
  if (size % pageSize !== 0n) throw element.error('size is not a multiple of the page size');
  if (size === 0n) throw element.error('size must be > 0');
  if (prefill !== undefined && BigInt(prefill.size) > size) {
    throw element.error(
      `size of prefill file exceeds memory region size: ${hex(BigInt(prefill.size))} > ${hex(size)}`,
    );
  }
  const physAddr = integer(element, 'phys_addr');
  if (physAddr !== undefined) {
    if (physAddr % pageSize !== 0n) throw element.error('phys_addr is not aligned to the page size');
    if (physAddr + size > 2n ** 64n) throw element.error('physical address range overflows');
  }
  return {
    name,
    size,
    pageSize,
    pageSizeSpecified: chosenPageSize !== undefined,
    ...(physAddr !== undefined && { physAddr }),
    ...(prefill && { prefill }),
    ...(prefillBootinfo && { prefillBootinfo }),
    at: element.at,
  };
}

function defaultSize(
  element: Element,
  pageSize: bigint,
  prefill: Prefill | undefined,
  prefillBootinfo: PrefillBootinfo | undefined,
): bigint {
  if (prefillBootinfo !== undefined) return pageSize;
  if (prefill === undefined) {
    throw element.error('size must be specified if memory region is not prefilled');
  }
  return ((BigInt(prefill.size) + pageSize - 1n) / pageSize) * pageSize;
}

function parsePrefill(element: Element, searchPath: readonly string[]): Prefill | undefined {
  const path = element.attributes.get('prefill_path');
  if (path === undefined) return undefined;
  const file = findFile(path, searchPath);
  if (file === undefined) {
    throw element.error(`unable to find prefill file: '${path}' (searched ${searchPath.join(', ')})`);
  }
  const { size } = statSync(file);
  if (size === 0) throw element.error(`prefill file '${path}' is empty`);
  return { path, file, size };
}

function parseBootinfo(element: Element): PrefillBootinfo | undefined {
  const value = element.attributes.get('prefill_bootinfo');
  if (value === undefined) return undefined;
  const type = BOOTINFO.find((known) => known === value);
  if (type === undefined) throw element.error(`boot information type '${value}' is not supported`);
  return type;
}
