/** A machine of two clusters, the second of two cores, whose ticks the tests hand out one by one. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Liveness, MOST_MISSED, heartbeatWords } from '../../src/coordination/liveness.js';
import { OrderWord, makeOrders, type Orders } from '../../src/core/core.js';

const CLUSTERS = [[0], [1, 2]] as const;

let orders: Orders;
let states: Int32Array;
let monitors: Liveness[];
let events: string[];

beforeEach(() => {
  orders = makeOrders(3);
  states = new Int32Array(new SharedArrayBuffer(4 * CLUSTERS.length)).fill(1);
  const words = new Int32Array(new SharedArrayBuffer(4 * heartbeatWords(CLUSTERS.length)));
  events = [];
  monitors = CLUSTERS.map(
    (cores, own) =>
      new Liveness(own, cores, states, orders, words, 0, {
        silent: (cluster, incarnation, missed) =>
          events.push(`${own}: ${cluster}.${incarnation} silent ${missed}`),
        heard: (cluster) => events.push(`${own}: ${cluster} heard`),
        peerChanged: (cluster, up) => events.push(`${own}: ${cluster} ${up ? 'up' : 'down'}`),
      }),
  );
});

/** The timer ticks, and `cores` take the tick. */
function tick(...cores: number[]): void {
  const now = Atomics.add(orders.words, OrderWord.Ticks, 1) + 1;
  for (const core of cores) Atomics.store(orders.ticksTaken, core, now);
  if (cores.includes(0)) monitors[0].tick();
  if (cores.includes(1)) monitors[1].tick();
}

function ticks(count: number, ...cores: number[]): void {
  for (let each = 0; each < count; each++) tick(...cores);
}

describe('monitors that watch each other', () => {
  it('find nothing amiss while all cores take their ticks', () => {
    ticks(100, 0, 1, 2);
    assert.deepEqual(events, []);
  });

  for (const [what, cores] of [
    ['the core of the monitor', [0, 2]],
    ['another core', [0, 1]],
    ['all cores', [0]],
  ] as const) {
    it(`report a cluster of which ${what} hangs`, () => {
      ticks(10, 0, 1, 2);
      ticks(MOST_MISSED + 1, ...cores);
      assert.equal(events[0], `0: 1.1 silent ${MOST_MISSED}`);
      assert.ok(events.every((event) => event.startsWith('0: 1.1 silent')));
    });
  }

  it('report nobody whose core misses fewer ticks than that', () => {
    for (let round = 0; round < 10; round++) {
      ticks(MOST_MISSED - 2, 0, 1);
      ticks(2, 0, 1, 2);
    }
    assert.deepEqual(events, []);
  });

  it('report nobody where the whole computer stood still', () => {
    ticks(10, 0, 1, 2);
    ticks(1000);
    ticks(10, 0, 1, 2);
    assert.deepEqual(events, []);
  });

  it('say that a cluster is heard again', () => {
    ticks(MOST_MISSED + 1, 0);
    ticks(2, 0, 1, 2);
    assert.equal(events.at(-1), '0: 1 heard');
    events = [];
    ticks(10, 0, 1, 2);
    assert.deepEqual(events, []);
  });

  it('learn that a cluster is down, and do not miss it then', () => {
    ticks(MOST_MISSED - 1, 0);
    Atomics.store(states, 1, -1);
    ticks(20, 0);
    assert.deepEqual(events, ['0: 1 down']);
  });

  it('give a cluster that is up again all its time', () => {
    ticks(MOST_MISSED - 1, 0);
    Atomics.store(states, 1, 2);
    ticks(MOST_MISSED - 1, 0);
    assert.deepEqual(events, ['0: 1 down', '0: 1 up']);
    tick(0);
    assert.equal(events.at(-1), `0: 1.2 silent ${MOST_MISSED}`);
  });

  it('look at once when they are rung between two ticks, and count no tick for it', () => {
    Atomics.store(states, 1, -1);
    for (let ring = 0; ring < 20; ring++) monitors[0].tick();
    assert.deepEqual(events, ['0: 1 down']);
    Atomics.store(states, 1, 2);
    for (let ring = 0; ring < 20; ring++) monitors[0].tick();
    assert.deepEqual(events, ['0: 1 down', '0: 1 up']);
  });
});
