/** What the search changes step by step. */
import { type Pair, type Problem, loadCost, pairCost } from './problem.js';

/** Steps of the annealing, for each domain that may move, and in all. */
const STEPS_PER_DOMAIN = 2000;
const FEWEST_STEPS = 20_000;
const MOST_STEPS = 2_000_000;
/** Costs that are looked at, so that the largest system on the largest machine takes seconds too. */
const MOST_WORK = 4e8;
/** Moves that are looked at to find the temperatures, and the least part of its start to which it falls. */
const SAMPLES = 1000;
const COLDEST = 1e-9;
/** Exchanges are tried up to here: there are as many as pairs of domains. */
const MOST_TO_EXCHANGE = 400;
/** What counts as better: more than rounding. */
export const BETTER = 1e-12;

/** An assignment of domains to places that changes, with what each domain would cost at each place, so that a step is looked up. */
export class Assignment {
  readonly places: Int32Array;
  protected readonly count: number;
  /** `domain * count + place`: what its pairs cost if it were there, and all others where they are. */
  protected readonly pairsAt: Float64Array;
  protected readonly load: Float64Array;
  protected readonly pairsOf: readonly (readonly Pair[])[];
  protected readonly free: readonly number[];

  constructor(
    protected readonly problem: Problem,
    start: Int32Array,
  ) {
    const { distances, loads, pairs, pinned } = problem;
    const pairsOf = Array.from(loads, () => [] as Pair[]);
    for (const pair of pairs) {
      pairsOf[pair.a].push(pair);
      pairsOf[pair.b].push(pair);
    }
    this.pairsOf = pairsOf;
    this.count = distances.cores.length;
    this.pairsAt = new Float64Array(loads.length * this.count);
    this.load = new Float64Array(this.count);
    this.places = new Int32Array(loads.length).fill(-1);
    this.free = Array.from(pinned.keys()).filter((domain) => pinned[domain] < 0);
    start.forEach((place, domain) => {
      if (place >= 0) this.move(domain, place);
    });
  }

  private isPinned(domain: number): boolean {
    return this.problem.pinned[domain] >= 0;
  }

  /** To place -1 the domain is taken away. */
  move(domain: number, to: number): void {
    const { loads, distances } = this.problem;
    const { count, pairsAt, places } = this;
    const from = places[domain];
    for (const pair of this.pairsOf[domain]) {
      const row = (pair.a === domain ? pair.b : pair.a) * count;
      for (let place = 0; place < count; place++) {
        if (to >= 0) pairsAt[row + place] += pairCost(pair, distances, to, place);
        if (from >= 0) pairsAt[row + place] -= pairCost(pair, distances, from, place);
      }
    }
    if (from >= 0) this.load[from] -= loads[domain];
    if (to >= 0) this.load[to] += loads[domain];
    places[domain] = to;
  }

  /** What the cost becomes more by, if the domain moves there. */
  change(domain: number, to: number): number {
    const own = this.problem.loads[domain];
    const from = this.places[domain];
    if (from === to) return 0;
    const row = domain * this.count;
    const { load, pairsAt } = this;
    return (
      pairsAt[row + to] -
      pairsAt[row + from] +
      (loadCost(load[to] + own) - loadCost(load[to])) +
      (loadCost(load[from] - own) - loadCost(load[from]))
    );
  }

  /** The same, if two domains change places. */
  exchange(a: number, b: number): number {
    const { count, pairsAt, load, places } = this;
    const { loads, distances } = this.problem;
    const [placeA, placeB] = [places[a], places[b]];
    const more = loads[b] - loads[a];
    let change =
      pairsAt[a * count + placeB] -
      pairsAt[a * count + placeA] +
      pairsAt[b * count + placeA] -
      pairsAt[b * count + placeB] +
      (loadCost(load[placeA] + more) - loadCost(load[placeA])) +
      (loadCost(load[placeB] - more) - loadCost(load[placeB]));
    // Their own pair stays as far apart as it is; the tables have each where the other still was.
    for (const pair of this.pairsOf[a]) {
      if (pair.a !== b && pair.b !== b) continue;
      change +=
        2 * pairCost(pair, distances, placeA, placeB) -
        pairCost(pair, distances, placeA, placeA) -
        pairCost(pair, distances, placeB, placeB);
    }
    return change;
  }

  /** The same, if both of a pair, which are at one place, move on to another. */
  together(pair: Pair, to: number): number {
    const { count, pairsAt, load, places } = this;
    const { loads, distances } = this.problem;
    const { a, b } = pair;
    const from = places[a];
    const both = loads[a] + loads[b];
    return (
      pairsAt[a * count + to] -
      pairsAt[a * count + from] +
      pairsAt[b * count + to] -
      pairsAt[b * count + from] +
      pairCost(pair, distances, to, to) +
      pairCost(pair, distances, from, from) -
      2 * pairCost(pair, distances, from, to) +
      (loadCost(load[to] + both) - loadCost(load[to])) +
      (loadCost(load[from] - both) - loadCost(load[from]))
    );
  }

  /** Moves, of one or of a pair, and exchanges, until none makes it cheaper. */
  descend(): void {
    const { free, count } = this;
    for (let improved = true; improved;) {
      improved = false;
      for (const domain of free) {
        let best = -BETTER;
        let to = -1;
        for (let place = 0; place < count; place++) {
          const change = this.change(domain, place);
          if (change < best) [best, to] = [change, place];
        }
        if (to < 0) continue;
        this.move(domain, to);
        improved = true;
      }
      for (const pair of this.problem.pairs) {
        const { a, b } = pair;
        if (this.places[a] !== this.places[b] || this.isPinned(a) || this.isPinned(b)) continue;
        let best = -BETTER;
        let to = -1;
        for (let place = 0; place < count; place++) {
          if (place === this.places[a]) continue;
          const change = this.together(pair, place);
          if (change < best) [best, to] = [change, place];
        }
        if (to < 0) continue;
        this.move(a, to);
        this.move(b, to);
        improved = true;
      }
      if (improved || free.length > MOST_TO_EXCHANGE) continue;
      for (const a of free) {
        for (const b of free) {
          if (a >= b || this.places[a] === this.places[b] || this.exchange(a, b) >= -BETTER) continue;
          const place = this.places[a];
          this.move(a, this.places[b]);
          this.move(b, place);
          improved = true;
        }
      }
    }
  }

  /** Random moves: those that make it dearer too, the less often the dearer and the later. */
  anneal(random: () => number): void {
    const { free, count } = this;
    if (free.length === 0 || count < 2) return;
    const any = (below: number): number => Math.floor(random() * below);
    const candidate = (): [number, number] => {
      const domain = free[any(free.length)];
      const pairs = this.pairsOf[domain];
      if (pairs.length === 0 || random() < 0.5) return [domain, any(count)];
      const { a, b } = pairs[any(pairs.length)];
      return [domain, this.places[a === domain ? b : a]];
    };
    const dearer = Float64Array.from({ length: SAMPLES }, () => this.change(...candidate()))
      .filter((change) => change > BETTER)
      .sort();
    if (dearer.length === 0) return;
    // From where most moves pass to where next to none does: costs differ by orders of magnitude.
    const hot = dearer[Math.floor(dearer.length * 0.9)];
    const cold = Math.max(dearer[Math.floor(dearer.length * 0.1)] / 10, hot * COLDEST);
    const perMove = count * (1 + (2 * this.problem.pairs.length) / free.length);
    const steps = Math.min(
      MOST_STEPS,
      MOST_WORK / perMove,
      Math.max(FEWEST_STEPS, free.length * STEPS_PER_DOMAIN),
    );
    const cooling = Math.pow(cold / hot, 1 / steps);
    for (let step = 0, heat = hot; step < steps; step++, heat *= cooling) {
      const [domain, to] = candidate();
      const change = this.change(domain, to);
      if (to !== this.places[domain] && (change <= 0 || random() < Math.exp(-change / heat)))
        this.move(domain, to);
    }
  }
}
