/** What comes at the next ticks of the heartbeat by itself, though nothing else is under way. */
import { RegisterState } from '../../../kernel/api/constants.js';
import type { ClusterStates } from '../../coordination/liveness.js';
import { unheard } from '../../core/doorbell-signals.js';
import { isForFaults, proxyHandle } from '../placement/links.js';
import type { ClusterPlan } from '../placement/plan.js';

/**
 * Whether a cluster's monitor makes up for something then (coordination/recheck.ts): a proxy stands still and is to
 * start afresh, or a signal's ring was lost.
 * @param tcbs by handle. @param memory physical memory. @param controller words of the interrupt controller.
 */
export function awaitsTick(
  plan: ClusterPlan,
  tcbs: Uint32Array,
  memory: SharedArrayBuffer,
  controller: Int32Array,
  states: ClusterStates,
): boolean {
  const { links, domains } = plan;
  const bytes = new Uint8Array(memory);
  const is = (handle: number, state: RegisterState): boolean =>
    bytes[tcbs[handle] + RegisterState.Byte] === Number(state);
  return (
    links.proxies.some(
      (proxy, index) =>
        !isForFaults(proxy) &&
        is(proxyHandle(plan, index), RegisterState.Inactive) &&
        (!domains[proxy.to - 1].passive || is(proxy.to, RegisterState.Receiving)),
    ) ||
    links.incoming.some(
      (event) =>
        event.kind === 'signal' &&
        event.doorbell !== undefined &&
        unheard(controller, event.doorbell) >= 0 &&
        Atomics.load(states, event.from.cluster) > 0 &&
        is(event.to, RegisterState.Receiving),
    )
  );
}
