/**
 * The grant of memory: a protection domain may have its cluster take memory from others, by protected calls of the
 * cluster's monitor (memory-request.ts) on a channel of its own.
 *
 *     <?atoll grant resource="memory" pd="NAME" id="62"?>
 */
import { checkAttributes, identifier, required } from './attributes.js';
import type { InstructionContext } from './instruction.js';
import type { MemoryGrant, Position, SystemDescription } from './types.js';
import type { Element } from './xml.js';

/** The channel, unless the grant names another. */
const DEFAULT_CHANNEL = 62;

/** The instruction. @param memoryGrants those so far. @throws DescriptionError */
export function parseMemoryGrant(
  { protectionDomains, channels }: InstructionContext,
  element: Element,
  memoryGrants: readonly MemoryGrant[],
): MemoryGrant {
  checkAttributes(element, ['resource', 'pd', 'id']);
  const id = element.attributes.has('id') ? identifier(element) : DEFAULT_CHANNEL;
  const system = { protectionDomains, channels, memoryGrants };
  return makeMemoryGrant(
    system,
    required(element, 'pd'),
    element.at,
    (problem) => {
      throw element.error(problem);
    },
    id,
  );
}

/** A grant as it is written, checked. @param fail throws the error that says what is wrong. */
export function makeMemoryGrant(
  {
    protectionDomains,
    channels,
    memoryGrants,
  }: Pick<InstructionContext, 'protectionDomains' | 'channels'> & Pick<SystemDescription, 'memoryGrants'>,
  name: string,
  at: Position,
  fail: (problem: string) => never,
  id = DEFAULT_CHANNEL,
): MemoryGrant {
  const pd = protectionDomains.findIndex((each) => each.name === name);
  if (pd < 0) fail(`there is no protection domain '${name}'`);
  if (memoryGrants.some((each) => each.pd === pd))
    fail(`protection domain '${name}' is granted memory already`);
  const used =
    protectionDomains[pd].irqs.some((irq) => irq.id === id) ||
    channels.some(({ ends }) => ends.some((end) => end.pd === pd && end.id === id));
  if (used) fail(`channel ${id} of protection domain '${name}' is in use: name another, as in id="61"`);
  return { pd, id, at };
}
