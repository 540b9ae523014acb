/**
 * The planner's problem as numbers: what it costs that domains are where they are. A placement gives each domain a
 * place, an index into `Distances.cores`. All costs are seconds each second, that is parts of one core's time.
 *
 * What must hold, since the search relies on it: a pair's cost is the same in both orders; and what a domain adds to
 * those that are placed already never becomes less when more are placed (`BranchAndBound` in search.ts).
 */
import {
  CALL_COST,
  DISTANCES,
  NOTIFICATION_COST,
  REGION_LINE_COST,
  type Distance,
  type Distances,
  type EventCost,
} from './distance.js';
import type { Traffic, TrafficGraph } from './traffic.js';

/** The price of a core's time that is asked for but not there: far above all that distance costs. */
const OVERLOAD = 10;
/** The price of a pair on two clusters that needs one kernel: no placement that can avoid it has it. */
const TWO_KERNELS = 1000;

/** What two domains cost at each distance: `fixed`, and `perLine` for each nanosecond of a line, by index of distance. */
export interface Pair {
  readonly a: number;
  readonly b: number;
  readonly fixed: readonly number[];
  readonly perLine: readonly number[];
}

export interface Problem {
  readonly distances: Distances;
  readonly loads: Float64Array;
  /** By domain: the place that its description pins it to, or -1. */
  readonly pinned: Int32Array;
  readonly pairs: readonly Pair[];
}

export function problemOf(graph: TrafficGraph, distances: Distances, pinned: Int32Array): Problem {
  const loads = Float64Array.from({ length: graph.order }, (_, index) =>
    graph.getNodeAttribute(index, 'load'),
  );
  const pairs = graph.mapEdges((_, traffic, source, target): Pair => {
    const [a, b] = [Number(source), Number(target)];
    const parts = DISTANCES.map((distance) => partsOf(traffic, distance));
    return {
      a,
      b,
      fixed: parts.map(
        ({ calls, notifications, memory }, index) =>
          calls.fixed +
          notifications.fixed +
          memory.fixed +
          // The load of a core counts all pairs on it as competing: not those of which one waits for the other.
          (index === 0 && traffic.callers ? -2 * loads[a] * loads[b] : 0) +
          (index === 2 && traffic.oneKernel ? TWO_KERNELS : 0),
      ),
      perLine: parts.map(
        ({ calls, notifications, memory }) => calls.lines + notifications.lines + memory.lines,
      ),
    };
  });
  return { distances, loads, pinned, pairs };
}

/** In seconds each second; `lines` for each nanosecond that a line costs. */
function partsOf(
  traffic: Traffic,
  distance: Distance,
): Record<'calls' | 'notifications' | 'memory', EventCost> {
  const times = (rate: number, { fixed, lines }: EventCost): EventCost => ({
    fixed: rate * fixed * 1e-9,
    lines: rate * lines * 1e-9,
  });
  return {
    calls: times(traffic.calls, CALL_COST[distance]),
    notifications: times(traffic.notifications, NOTIFICATION_COST[distance]),
    memory: times(traffic.lines, REGION_LINE_COST[distance]),
  };
}

/**
 * A domain that wants a core finds it taken as often as the others on it run, so n domains of loads l cost the sum of
 * l·l' over all ordered pairs: the square of the core's load, less the squares of theirs, which no placement changes.
 */
export function loadCost(load: number): number {
  return load * load + (load > 1 ? OVERLOAD * (load - 1) : 0);
}

export function pairCost(
  { fixed, perLine }: Pair,
  { distance, line, cores }: Distances,
  a: number,
  b: number,
): number {
  const at = a * cores.length + b;
  const kind = distance[at];
  return fixed[kind] + perLine[kind] * line[at];
}

/** What a placement costs, but for the constant that {@link loadCost} speaks of. */
export function costOf(problem: Problem, places: ArrayLike<number>): number {
  const { distances, loads, pairs } = problem;
  const load = new Float64Array(distances.cores.length);
  loads.forEach((each, domain) => (load[places[domain]] += each));
  let cost = load.reduce((sum, each) => sum + loadCost(each), 0);
  for (const pair of pairs) cost += pairCost(pair, distances, places[pair.a], places[pair.b]);
  return cost;
}

/** What a placement costs, by cause. */
export interface Costs {
  readonly calls: number;
  readonly notifications: number;
  /** Lines of shared regions. */
  readonly memory: number;
  /** Of domains for others on their core. */
  readonly waiting: number;
  /** Of work that does not fit on its core. */
  readonly overload: number;
  readonly total: number;
}

/** What is between two domains; `what` is the greatest part of it. */
export interface PairCosts {
  readonly a: number;
  readonly b: number;
  readonly distance: Distance;
  readonly cost: number;
  readonly what: 'calls' | 'notifications' | 'memory';
}

/** The costs of a placement by cause, and of each pair of domains what costs most between them. */
export function explain(
  graph: TrafficGraph,
  { distances, loads, pairs }: Problem,
  places: ArrayLike<number>,
): { costs: Costs; pairs: PairCosts[] } {
  const count = distances.cores.length;
  const sums = { calls: 0, notifications: 0, memory: 0 };
  let relief = 0;
  const each = pairs.map(({ a, b }): PairCosts => {
    const at = places[a] * count + places[b];
    const distance = DISTANCES[distances.distance[at]];
    const traffic = graph.getEdgeAttributes(graph.edge(a, b));
    const parts = partsOf(traffic, distance);
    if (distance === 'same core' && traffic.callers) relief += 2 * loads[a] * loads[b];
    let cost = 0;
    let what: PairCosts['what'] = 'calls';
    let most = -1;
    for (const kind of ['calls', 'notifications', 'memory'] as const) {
      const seconds = parts[kind].fixed + parts[kind].lines * distances.line[at];
      sums[kind] += seconds;
      cost += seconds;
      if (seconds > most) [what, most] = [kind, seconds];
    }
    return { a, b, distance, cost, what };
  });
  const load = new Float64Array(count);
  let waiting = -relief;
  let overload = 0;
  loads.forEach((own, domain) => {
    load[places[domain]] += own;
    waiting -= own * own;
  });
  for (const all of load) {
    waiting += all * all;
    overload += loadCost(all) - all * all;
  }
  waiting = Math.max(0, waiting);
  const total = sums.calls + sums.notifications + sums.memory + waiting + overload;
  return { costs: { ...sums, waiting, overload, total }, pairs: each.sort((x, y) => y.cost - x.cost) };
}
