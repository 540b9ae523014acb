/**
 * Grants: what a protection domain may have besides what Microkit's elements give it. There is one resource, the
 * topology region, by the processing instruction
 *
 *     <?atoll grant resource="topology" pd="NAME" symbol="topology"?>
 *
 * or by `--grant topology:NAME` where the description is not to be touched.
 */
import { DescriptionError } from './diagnostic.js';
import type { Grant, Position, SystemDescription } from './types.js';

const DEFAULT_SYMBOL = 'topology';

/** The description, with what texts such as `topology:client,server` grant. @throws DescriptionError */
export function withGrants(system: SystemDescription, texts: readonly string[]): SystemDescription {
  const grants = [...system.grants];
  for (const text of texts) {
    const [, resource, names] = /^([^:]*):(.*)$/s.exec(text) ?? [];
    const fail = (problem: string): never => {
      throw new DescriptionError(`--grant ${text}: ${problem}`, { file: system.file });
    };
    if (names === undefined)
      fail('a grant is topology: and the names of protection domains, as in topology:client');
    for (const name of names.split(','))
      grants.push(makeGrant(system, grants, { resource, pd: name }, { line: 1, column: 1 }, fail));
  }
  return { ...system, grants };
}

/**
 * A grant as it is written, checked against the domains and the grants before it.
 * @param fail throws the error that says what is wrong.
 */
export function makeGrant(
  { protectionDomains }: Pick<SystemDescription, 'protectionDomains'>,
  grants: readonly Grant[],
  { resource, pd: name, symbol = DEFAULT_SYMBOL }: { resource: string; pd: string; symbol?: string },
  at: Position,
  fail: (problem: string) => never,
): Grant {
  if (resource !== 'topology') fail(`there is no resource '${resource}' to grant: there is 'topology'`);
  const pd = protectionDomains.findIndex((each) => each.name === name);
  if (pd < 0) fail(`there is no protection domain '${name}'`);
  if (grants.some((each) => each.pd === pd))
    fail(`protection domain '${name}' is granted the topology already`);
  const { setvars, maps } = protectionDomains[pd];
  for (const variable of [symbol, `${symbol}_cpu`]) {
    if (setvars.some((each) => each.symbol === variable) || maps.some((map) => map.setvarVaddr === variable))
      fail(`the symbol '${variable}' is set already in protection domain '${name}'`);
  }
  return { pd, symbol, at };
}
