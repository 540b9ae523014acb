/** What comes at the next ticks of the heartbeat by itself, though nothing else is under way (coordination/recheck.ts). */
import { RegisterState } from '../../../kernel/api/constants.js';
import type { ClusterStates } from '../../coordination/liveness.js';
import { OrderWord } from '../../core/core.js';
import { unheard } from '../../core/doorbell-signals.js';
import { Injected } from '../../machine/host/injection.js';
import { isForFaults, proxyHandle } from '../placement/links.js';
import type { ClusterPlan } from '../placement/plan.js';
import type { CoreOrders } from './order.js';

/** So many ticks after an interrupt was dropped all is made up for. */
const RECHECK_TICKS = 4;

/**
 * Whether a core does something at its next tick that makes up for what went wrong: then the machine is not idle for
 * good. Where an interrupt was dropped, nobody knows where. @param controller words of the interrupt controller.
 */
export function awaitsTick(
  machine: Pick<CoreOrders, 'plan' | 'tcbs' | 'memory' | 'states' | 'orders' | 'injection'>,
  controller: Int32Array,
): boolean {
  const { plan, tcbs, memory, states, orders, injection } = machine;
  const up = plan.clusters.filter((_, index) => Atomics.load(states, index) > 0);
  if (
    up.some((cluster) =>
      monitorDoes(cluster, tcbs[plan.clusters.indexOf(cluster)], memory, controller, states),
    )
  )
    return true;
  if (injection === undefined) return false;
  const { counters } = injection;
  const dropped = Atomics.load(counters, Injected.Dropped);
  if (dropped !== counters[Injected.Noticed]) {
    counters[Injected.Noticed] = dropped;
    counters[Injected.LookedFor] = Atomics.load(orders.words, OrderWord.Ticks) + RECHECK_TICKS;
  }
  return up.some(({ cores }) =>
    cores.some((core) => Atomics.load(orders.ticksTaken, core) < counters[Injected.LookedFor]),
  );
}

/** Whether a cluster's monitor finds that a proxy stands still and is to start afresh, or a signal's ring was lost. */
function monitorDoes(
  plan: ClusterPlan,
  tcbs: Uint32Array,
  memory: WebAssembly.Memory,
  controller: Int32Array,
  states: ClusterStates,
): boolean {
  const { links, domains } = plan;
  const bytes = new Uint8Array(memory.buffer);
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
