/** The proof of an optimum, where a system is small. */
import { Assignment, BETTER } from './assignment.js';
import { type Problem, costOf, loadCost } from './problem.js';

/** Placements that branch and bound looks at, in part or in full, before it gives up. */
const MOST_NODES = 200_000;

/** Tries all placements, but for those that begin dearer than the best is in full. */
export class BranchAndBound extends Assignment {
  private nodes = 0;
  private readonly order: readonly number[];

  constructor(
    problem: Problem,
    readonly best: Int32Array,
    private bestCost: number,
  ) {
    super(problem, problem.pinned);
    // Domains that cost most first: then what is too dear shows early.
    const weight = (domain: number): number =>
      this.pairsOf[domain].reduce((sum, { fixed, perLine }) => sum + fixed[2] + 100 * perLine[2], 0);
    this.order = [...this.free].sort((a, b) => weight(b) - weight(a) || a - b);
  }

  /** Returns whether it came to an end: `best` is an optimum then. */
  run(): boolean {
    return this.branch(0, costOf(this.fixedPart(), this.placesOfFixed()));
  }

  /** The pinned domains alone, as a problem of their own. */
  private fixedPart(): Problem {
    const { loads, pinned, pairs } = this.problem;
    return {
      ...this.problem,
      loads: loads.map((load, domain) => (pinned[domain] < 0 ? 0 : load)),
      pairs: pairs.filter(({ a, b }) => pinned[a] >= 0 && pinned[b] >= 0),
    };
  }

  private placesOfFixed(): Int32Array {
    return this.problem.pinned.map((place) => Math.max(0, place));
  }

  private branch(depth: number, cost: number): boolean {
    if (++this.nodes > MOST_NODES) return false;
    if (depth === this.order.length) {
      if (cost < this.bestCost - BETTER) {
        this.bestCost = cost;
        this.best.set(this.places);
      }
      return true;
    }
    let rest = 0;
    for (let at = depth + 1; at < this.order.length; at++) rest += this.least(this.order[at]);
    const domain = this.order[depth];
    const places = Array.from({ length: this.count }, (_, place) => ({
      place,
      added: this.added(domain, place),
    }));
    for (const { place, added } of places.sort((a, b) => a.added - b.added || a.place - b.place)) {
      if (cost + added + rest >= this.bestCost - BETTER) return true;
      this.move(domain, place);
      const ended = this.branch(depth + 1, cost + added);
      this.move(domain, -1);
      if (!ended) return false;
    }
    return true;
  }

  /** What a domain that has no place yet adds to those that have one. */
  private added(domain: number, place: number): number {
    const load = this.load[place];
    return (
      this.pairsAt[domain * this.count + place] + loadCost(load + this.problem.loads[domain]) - loadCost(load)
    );
  }

  /** What it adds at least, wherever it goes, and wherever the others go that have no place yet either. */
  private least(domain: number): number {
    let least = Infinity;
    for (let place = 0; place < this.count; place++) least = Math.min(least, this.added(domain, place));
    return least;
  }
}
