/**
 * What Atoll adds to a description: processing instructions, which Microkit's parser passes over, so that the file stays
 * a Microkit description.
 *
 *     <?atoll NAME key="value" …?>
 *
 * They stand directly inside of `system`.
 */
import { parseGrant } from './grant.js';
import type { SystemDescription } from './types.js';
import type { Element } from './xml.js';

/** By name: what reads the instruction, and yields the description with what it adds. */
const INSTRUCTIONS: Readonly<
  Record<string, (system: SystemDescription, instruction: Element) => SystemDescription>
> = { grant: parseGrant };

/** @param instructions those of the file, in its order. @throws DescriptionError */
export function applyInstructions(
  system: SystemDescription,
  instructions: readonly Element[],
): SystemDescription {
  return instructions.reduce((described, instruction) => {
    if (Object.hasOwn(INSTRUCTIONS, instruction.name))
      return INSTRUCTIONS[instruction.name](described, instruction);
    const known = Object.keys(INSTRUCTIONS).join(', ');
    throw instruction.error(`invalid atoll instruction '${instruction.name}': there is ${known}`);
  }, system);
}
