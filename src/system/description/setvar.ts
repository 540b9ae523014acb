import { checkAttributes, required } from './attributes.js';
import { type Context, regionNamed } from './context.js';
import type { MapDescription, Setvar } from './types.js';
import type { Element } from './xml.js';

/** The variables of one program. Each symbol is set once. */
export class Setvars {
  private readonly bySymbol = new Map<string, Setvar>();

  /** @param element what sets the variable. */
  add(element: Element, symbol: string | undefined, what: Omit<Setvar, 'symbol' | 'at'>): void {
    if (symbol === undefined) return;
    if (this.bySymbol.has(symbol)) throw element.error(`setvar on symbol '${symbol}' already exists`);
    this.bySymbol.set(symbol, { symbol, ...what, at: element.at });
  }

  /** The `setvar_id` attribute, which many elements have. */
  addId(element: Element, id: number): void {
    this.add(element, element.attributes.get('setvar_id'), { kind: 'id', value: BigInt(id) });
  }

  addMap(context: Context, element: Element, map: MapDescription): void {
    const { size, prefill } = context.memoryRegions[map.region];
    const { region } = map;
    this.add(element, map.setvarVaddr, { kind: 'vaddr', value: map.vaddr, region });
    this.add(element, map.setvarSize, { kind: 'size', value: size, region });
    const value = BigInt(prefill?.size ?? 0);
    this.add(element, map.setvarPrefillSize, { kind: 'prefill_size', value, region });
  }

  /** The `setvar` element. */
  addElement(context: Context, element: Element): void {
    checkAttributes(element, ['symbol', 'region_paddr']);
    const symbol = required(element, 'symbol');
    const region = regionNamed(context, element, required(element, 'region_paddr'));
    const { name, physAddr: value } = context.memoryRegions[region];
    if (value === undefined && context.arch === 'x86_64') {
      throw element.error(
        `setvar with region_paddr for memory region '${name}' without a specified phys_addr is unsupported on x86-64`,
      );
    }
    this.add(element, symbol, { kind: 'region_paddr', ...(value !== undefined && { value }), region });
  }

  all(): Setvar[] {
    return [...this.bySymbol.values()];
  }
}
