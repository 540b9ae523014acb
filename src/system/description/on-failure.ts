/**
 * What happens when a cluster fails, said by the description:
 *
 *     <?atoll on-failure policy="restart"?>           for all domains
 *     <?atoll on-failure policy="halt" pd="NAME"?>    for this one
 *
 * Domains fail together that are on one cluster, so what is said most strictly for any of them goes.
 */
import { checkAttributes, required } from './attributes.js';
import type { InstructionContext } from './instruction.js';
import { type FailurePolicy, ON_FAILURE, type OnFailure, type SystemDescription } from './types.js';
import type { Element } from './xml.js';

/** @param policies the description's so far. */
export function parseOnFailure(
  { pdByName }: InstructionContext,
  element: Element,
  policies: readonly FailurePolicy[],
): FailurePolicy {
  checkAttributes(element, ['policy', 'pd']);
  const written = required(element, 'policy');
  const policy = ON_FAILURE.find((each) => each === written);
  if (policy === undefined)
    throw element.error(`there is no policy '${written}': there is ${ON_FAILURE.join(', ')}`);
  const name = element.attributes.get('pd');
  const pd = name === undefined ? undefined : pdByName.get(name);
  if (name !== undefined && pd === undefined) throw element.error(`invalid protection domain name '${name}'`);
  if (policies.some((each) => each.pd === pd))
    throw element.error(
      `${name === undefined ? 'the system' : `protection domain '${name}'`} has a policy already`,
    );
  return { policy, at: element.at, ...(pd === undefined ? {} : { pd }) };
}

/** What the description says for a cluster with these domains, if it says anything. */
export function policyOf(
  { failurePolicies }: SystemDescription,
  domains: readonly number[],
): OnFailure | undefined {
  const forAll = failurePolicies.find(({ pd }) => pd === undefined);
  const said = domains.flatMap((domain) => failurePolicies.find(({ pd }) => pd === domain) ?? forAll ?? []);
  return ON_FAILURE.findLast((policy) => said.some((each) => each.policy === policy));
}
