/**
 * What a description says to Atoll alone: `<?atoll NAME key="value" …?>` directly in `<system>`. To Microkit, and to
 * every other reader of XML, a processing instruction is a comment, so that the description stays valid for the board.
 */
import type { Context } from './context.js';
import { parseGrant } from './grant.js';
import { parseMemoryGrant } from './memory-grant.js';
import { parseOnFailure } from './on-failure.js';
import { parseRing } from './ring.js';
import type {
  ChannelDescription,
  FailurePolicy,
  Grant,
  MemoryGrant,
  ProtectionDomainDescription,
  RingDescription,
} from './types.js';
import { type Element, INSTRUCTION } from './xml.js';

/** What instructions may refer to, besides what elements may. */
export interface InstructionContext extends Context {
  readonly protectionDomains: readonly Pick<
    ProtectionDomainDescription,
    'name' | 'maps' | 'setvars' | 'virtualMachine' | 'irqs'
  >[];
  readonly channels: readonly ChannelDescription[];
  readonly pdByName: ReadonlyMap<string, number>;
}

export interface Instructions {
  readonly grants: readonly Grant[];
  readonly memoryGrants: readonly MemoryGrant[];
  readonly rings: readonly RingDescription[];
  readonly failurePolicies: readonly FailurePolicy[];
}

/** @param elements the instructions, in document order. @throws DescriptionError */
export function parseInstructions(context: InstructionContext, elements: readonly Element[]): Instructions {
  const grants: Grant[] = [];
  const memoryGrants: MemoryGrant[] = [];
  const rings: RingDescription[] = [];
  const failurePolicies: FailurePolicy[] = [];
  const table: Readonly<Record<string, (element: Element) => void>> = {
    grant: (element) =>
      element.attributes.get('resource') === 'memory'
        ? memoryGrants.push(parseMemoryGrant(context, element, memoryGrants))
        : grants.push(parseGrant(context, element, grants)),
    'on-failure': (element) => failurePolicies.push(parseOnFailure(context, element, failurePolicies)),
    ring: (element) => rings.push(parseRing(context, element, rings)),
  };
  for (const element of elements) {
    const name = element.name.slice(INSTRUCTION.length);
    if (!Object.hasOwn(table, name)) {
      throw element.error(`unknown instruction '${name}': there is ${Object.keys(table).join(', ')}`);
    }
    table[name](element);
  }
  return { grants, memoryGrants, rings, failurePolicies };
}
