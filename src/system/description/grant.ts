/**
 * Grants: what a protection domain may have besides what Microkit's elements give it. One resource is memory
 * (memory-grant.ts); the other, here, is the topology region, by the processing instruction
 *
 *     <?atoll grant resource="topology" pd="NAME" symbol="topology"?>
 *
 * or by `--grant topology:NAME` where the description is not to be touched.
 */
import { checkAttributes, required } from './attributes.js';
import { DescriptionError } from './diagnostic.js';
import type { InstructionContext } from './instruction.js';
import { makeMemoryGrant } from './memory-grant.js';
import type { Grant, Position, SystemDescription } from './types.js';
import type { Element } from './xml.js';

const DEFAULT_SYMBOL = 'topology';

/** The instruction `grant`. @param grants the description's grants so far. @throws DescriptionError */
export function parseGrant(
  { protectionDomains }: InstructionContext,
  element: Element,
  grants: readonly Grant[],
): Grant {
  checkAttributes(element, ['resource', 'pd', 'symbol']);
  const wanted = {
    ...{ resource: required(element, 'resource'), pd: required(element, 'pd') },
    symbol: element.attributes.get('symbol') ?? DEFAULT_SYMBOL,
  };
  return makeGrant({ protectionDomains, grants }, wanted, element.at, (problem) => {
    throw element.error(problem);
  });
}

/** The description, with what texts such as `topology:client,server` grant. @throws DescriptionError */
export function withGrants(description: SystemDescription, texts: readonly string[]): SystemDescription {
  return texts.reduce((system, text) => {
    const fail = (problem: string): never => {
      throw new DescriptionError(`--grant ${text}: ${problem}`, { file: system.file });
    };
    const [, resource, names] =
      /^([^:]*):(.*)$/s.exec(text) ??
      fail('a grant is topology: or memory: and names of protection domains, as in topology:client,server');
    return names.split(',').reduce((granted, pd) => {
      if (resource === 'memory') {
        const grant = makeMemoryGrant(granted, pd, { line: 1, column: 1 }, fail);
        return { ...granted, memoryGrants: [...granted.memoryGrants, grant] };
      }
      const wanted = { resource, pd, symbol: DEFAULT_SYMBOL };
      const grant = makeGrant(granted, wanted, { line: 1, column: 1 }, fail);
      return { ...granted, grants: [...granted.grants, grant] };
    }, system);
  }, description);
}

/** A grant as it is written, checked. @param fail throws the error that says what is wrong. */
function makeGrant(
  {
    protectionDomains,
    grants,
  }: Pick<InstructionContext, 'protectionDomains'> & Pick<SystemDescription, 'grants'>,
  wanted: { readonly resource: string; readonly pd: string; readonly symbol: string },
  at: Position,
  fail: (problem: string) => never,
): Grant {
  const { resource, pd: name, symbol } = wanted;
  if (resource !== 'topology')
    fail(`there is no resource '${resource}' to grant: there is topology, and memory`);
  const pd = protectionDomains.findIndex((each) => each.name === name);
  if (pd < 0) fail(`there is no protection domain '${name}'`);
  if (grants.some((each) => each.pd === pd)) fail(`protection domain '${name}' has the topology already`);
  const { setvars, maps } = protectionDomains[pd];
  for (const variable of [symbol, `${symbol}_cpu`]) {
    if (setvars.some((each) => each.symbol === variable) || maps.some((map) => map.setvarVaddr === variable))
      fail(`the symbol '${variable}' is set already in protection domain '${name}'`);
  }
  return { pd, symbol, at };
}
