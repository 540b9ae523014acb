import { checkAttributes, hex, required, requiredInteger, boolean } from './attributes.js';
import { type Context, regionNamed } from './context.js';
import type { MapDescription, Permissions } from './types.js';
import type { Element } from './xml.js';

const ATTRIBUTES = ['mr', 'vaddr', 'perms', 'cached'];
const SETVAR_ATTRIBUTES = ['setvar_vaddr', 'setvar_size', 'setvar_prefill_size'];

/**
 * @param allowSetvar a virtual machine has no program image whose variables could be set.
 * @param end the first address that cannot be mapped.
 */
export function parseMap(
  context: Context,
  element: Element,
  allowSetvar: boolean,
  end: bigint,
): MapDescription {
  checkAttributes(element, allowSetvar ? [...ATTRIBUTES, ...SETVAR_ATTRIBUTES] : ATTRIBUTES);
  const mr = required(element, 'mr');
  const vaddr = requiredInteger(element, 'vaddr');
  if (vaddr >= end) throw element.error(`vaddr (${hex(vaddr)}) must be less than ${hex(end)}`);
  const perms = parsePermissions(element);
  const region = regionNamed(context, element, mr);
  const { size, pageSize, prefill } = context.memoryRegions[region];
  if (vaddr % pageSize !== 0n) throw element.error('invalid vaddr alignment');
  if (vaddr + size > end) {
    throw element.error(
      `map for '${mr}' has virtual address range [${hex(vaddr)}..${hex(vaddr + size)}) which exceeds valid ` +
        `address space [0x0..${hex(end)})`,
    );
  }
  const setvarVaddr = element.attributes.get('setvar_vaddr');
  const setvarSize = element.attributes.get('setvar_size');
  const setvarPrefillSize = element.attributes.get('setvar_prefill_size');
  if (setvarPrefillSize !== undefined && prefill === undefined) {
    throw element.error(`setvar_prefill_size used for memory region '${mr}' without a prefill_path`);
  }
  return {
    region,
    mr,
    vaddr,
    perms,
    cached: boolean(element, 'cached', true),
    ...(setvarVaddr !== undefined && { setvarVaddr }),
    ...(setvarSize !== undefined && { setvarSize }),
    ...(setvarPrefillSize !== undefined && { setvarPrefillSize }),
    at: element.at,
  };
}

function parsePermissions(element: Element): Permissions {
  const text = element.attributes.get('perms') ?? 'rw';
  if (!/^[rwx]*$/.test(text)) throw element.error("perms must only be a combination of 'r', 'w', and 'x'");
  const perms = { r: text.includes('r'), w: text.includes('w'), x: text.includes('x') };
  // No architecture's kernel maps a frame for writing alone.
  if (perms.w && !perms.r) {
    throw element.error("perms must not be 'w', write-only mappings are not allowed");
  }
  return perms;
}
