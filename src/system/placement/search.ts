/**
 * The search for the cheapest placement. It is the quadratic assignment of domains to cores, for which nothing better is
 * known than to try: communities of domains as a start, single moves and exchanges until none helps, simulated
 * annealing to leave what is cheapest only nearby (Kirkpatrick, Gelatt, Vecchi 1983), and where the system is small
 * enough branch and bound, which proves the optimum. Deterministic: chance comes from a generator with a fixed seed.
 */
import louvainModule from 'graphology-communities-louvain';
import { randomNumbers } from '../../machine/random.js';
import { Assignment, BETTER } from './assignment.js';
import { BranchAndBound } from './branch-and-bound.js';
import { type Problem, costOf } from './problem.js';
import type { TrafficGraph } from './traffic.js';

/** The package is CommonJS, and its types are written as if it were not. */
const louvain = louvainModule as unknown as typeof louvainModule.default;

const SEED = 0x41544f4c;
/** Beyond so many domains and cores it would give up anyway. */
const MOST_TO_BOUND = 20;

export interface Found {
  readonly places: Int32Array;
  /** Whether nothing is cheaper, which branch and bound has proved. */
  readonly optimal: boolean;
}

/**
 * @param written a placement to start from, which is kept where none is better.
 * @param prove whether to look for a proof; without, what the search alone finds.
 */
export function search(
  graph: TrafficGraph,
  problem: Problem,
  written: Int32Array | undefined,
  prove = true,
): Found {
  const random = randomNumbers(SEED);
  let best = written && Int32Array.from(written);
  let bestCost = written === undefined ? Infinity : costOf(problem, written);
  const consider = (assignment: Assignment): void => {
    assignment.descend();
    const cost = costOf(problem, assignment.places);
    if (best === undefined || cost < bestCost - BETTER * Math.max(1, bestCost))
      [best, bestCost] = [Int32Array.from(assignment.places), cost];
  };
  const starts = [communityStart(graph, problem, random), ...(written === undefined ? [] : [written])];
  for (const start of starts) consider(new Assignment(problem, start));
  const assignment = new Assignment(problem, best!);
  assignment.anneal(random);
  consider(assignment);
  const free = problem.pinned.filter((place) => place < 0).length;
  if (free === 0) return { places: best!, optimal: true };
  if (!prove || Math.max(free, problem.distances.cores.length) > MOST_TO_BOUND)
    return { places: best!, optimal: false };
  const bound = new BranchAndBound(problem, best!, bestCost);
  return { places: bound.best, optimal: bound.run() };
}

/** Communities of domains that have much to do with each other, each on the cluster that has most room for it. */
function communityStart(graph: TrafficGraph, problem: Problem, random: () => number): Int32Array {
  const { distances, loads, pinned, pairs } = problem;
  const { cores, clusters } = distances;
  const places = Int32Array.from(pinned);
  const communities = new Map<number, number[]>();
  if (pairs.length > 0) {
    const gain = new Map(
      pairs.map(({ a, b, fixed, perLine }) => [`${a} ${b}`, fixed[2] + 100 * perLine[2] - fixed[0]]),
    );
    const weight = (_edge: string, _traffic: unknown, a: string, b: string): number =>
      Math.max(1e-9, gain.get(`${a} ${b}`) ?? gain.get(`${b} ${a}`)!);
    const found = louvain(graph, { getEdgeWeight: weight, rng: random });
    for (const [domain, community] of Object.entries(found)) {
      const members = communities.get(community) ?? [];
      communities.set(community, members);
      members.push(Number(domain));
    }
  } else {
    loads.forEach((_, domain) => communities.set(domain, [domain]));
  }

  const count = Math.max(...clusters) + 1;
  const coresOf = Array.from({ length: count }, (_, cluster) =>
    cores.flatMap((_, place) => (clusters[place] === cluster ? [place] : [])),
  );
  const load = new Float64Array(cores.length);
  const clusterLoad = new Float64Array(count);
  const put = (domain: number, place: number): void => {
    places[domain] = place;
    load[place] += loads[domain];
    clusterLoad[clusters[place]] += loads[domain] / coresOf[clusters[place]].length;
  };
  pinned.forEach((place, domain) => {
    if (place >= 0) put(domain, place);
  });
  const sum = (domains: readonly number[]): number => domains.reduce((all, domain) => all + loads[domain], 0);
  for (const domains of [...communities.values()].sort((a, b) => sum(b) - sum(a))) {
    const homes = domains.filter((domain) => pinned[domain] >= 0).map((domain) => clusters[pinned[domain]]);
    const cluster = homes[0] ?? argmin(clusterLoad);
    for (const domain of domains) {
      if (pinned[domain] >= 0) continue;
      const own = coresOf[cluster];
      put(
        domain,
        own.reduce((least, place) => (load[place] < load[least] ? place : least), own[0]),
      );
    }
  }
  return places;
}

function argmin(values: Float64Array): number {
  return values.reduce((least, value, index) => (value < values[least] ? index : least), 0);
}
