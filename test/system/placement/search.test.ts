import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { UndirectedGraph } from 'graphology';
import type { Distances } from '../../../src/system/placement/distance.js';
import { costOf, problemOf, type Problem } from '../../../src/system/placement/problem.js';
import { search } from '../../../src/system/placement/search.js';
import type { TrafficGraph } from '../../../src/system/placement/traffic.js';

interface Case {
  readonly graph: TrafficGraph;
  readonly problem: Problem;
  readonly written: Int32Array;
}

/** Rates from none to more than a core can do, so that now distance decides, now load. */
const rate = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 6, noNaN: true }).map((power) => 10 ** power),
);

/**
 * Small enough to enumerate: at most 4^6 placements. `kernels`: whether domains may need one kernel, whose groups the
 * search alone does not move as a whole.
 */
const small = (kernels: boolean): fc.Arbitrary<Case> =>
  fc
    .record({
      domains: fc.integer({ min: 1, max: 6 }),
      clusters: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 }),
      lines: fc.array(fc.integer({ min: 5, max: 500 }), { minLength: 16, maxLength: 16 }),
      loads: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 }),
      pins: fc.array(fc.integer({ min: -4, max: 3 }), { minLength: 6, maxLength: 6 }),
      written: fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
      pairs: fc.array(
        fc.record({
          a: fc.nat({ max: 5 }),
          b: fc.nat({ max: 5 }),
          calls: rate,
          notifications: rate,
          lines: rate,
          callers: fc.boolean(),
          oneKernel: kernels ? fc.boolean() : fc.constant(false),
        }),
        { maxLength: 12 },
      ),
    })
    .map(({ domains, clusters: names, lines, loads, pins, written, pairs }) => {
      const used = [...new Set(names)];
      const clusters = names.map((name) => used.indexOf(name));
      const count = clusters.length;
      const at = (i: number, j: number): number => Math.min(i, j) * 4 + Math.max(i, j);
      const square = Array.from({ length: count * count }, (_, k) => [Math.floor(k / count), k % count]);
      const distances: Distances = {
        cores: clusters.map((_, core) => core),
        clusters,
        distance: Uint8Array.from(square, ([i, j]) => (i === j ? 0 : clusters[i] === clusters[j] ? 1 : 2)),
        line: Float64Array.from(square, ([i, j]) => (i === j ? 0 : lines[at(i, j)])),
      };
      const graph: TrafficGraph = new UndirectedGraph();
      for (let domain = 0; domain < domains; domain++) graph.addNode(domain, { load: loads[domain] });
      for (const { a, b, ...traffic } of pairs)
        if (a < b && b < domains && !graph.hasEdge(a, b)) graph.addEdge(a, b, traffic);
      const pinned = Int32Array.from(pins.slice(0, domains), (pin) => (pin < count ? Math.max(pin, -1) : -1));
      return {
        graph,
        problem: problemOf(graph, distances, pinned),
        written: pinned.map((pin, domain) => (pin < 0 ? written[domain] % count : pin)),
      };
    });

/** The least that any placement costs: all are tried. */
function optimum({ distances, pinned, ...rest }: Problem): number {
  const count = distances.cores.length;
  const places = pinned.map((pin) => Math.max(pin, 0));
  const next = (domain: number): number => {
    if (domain === pinned.length) return costOf({ distances, pinned, ...rest }, places);
    if (pinned[domain] >= 0) return next(domain + 1);
    let least = Infinity;
    for (let place = 0; place < count; place++) {
      places[domain] = place;
      least = Math.min(least, next(domain + 1));
    }
    return least;
  };
  return next(0);
}

function assertWithin5Percent({ graph, problem, written }: Case, prove: boolean): void {
  const { places, optimal } = search(graph, problem, written, prove);
  const cost = costOf(problem, places);
  const least = optimum(problem);
  assert(cost <= least * 1.05 + 1e-9, `${cost} instead of ${least}`);
  if (optimal) assert(cost <= least + 1e-9, `${cost} is not the optimum ${least}`);
  if (prove) assert(optimal, 'not proved');
  problem.pinned.forEach((pin, domain) => pin >= 0 && assert.equal(places[domain], pin));
}

describe('the search', () => {
  it('finds and proves the optimum of systems small enough to enumerate', () => {
    fc.assert(
      fc.property(small(true), (each) => assertWithin5Percent(each, true)),
      { numRuns: 150 },
    );
  });

  it('is within 5% of it by trying alone', () => {
    fc.assert(
      fc.property(small(false), (each) => assertWithin5Percent(each, false)),
      { numRuns: 150 },
    );
  });

  it('finds the same for the same input', () => {
    fc.assert(
      fc.property(small(true), ({ graph, problem, written }) =>
        assert.deepEqual(search(graph, problem, written), search(graph, problem, written)),
      ),
      { numRuns: 20 },
    );
  });

  it('keeps what is written where nothing is cheaper', () => {
    fc.assert(
      fc.property(small(true), ({ graph, problem, written }) => {
        const { places } = search(graph, problem, written);
        assert.deepEqual(search(graph, problem, places).places, places);
      }),
      { numRuns: 50 },
    );
  });
});
