/** Cores whose threads the operating system runs, or does not, as the test says. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { ThreadTime } from '../../src/machine/host/thread-time.js';
import { LateCores, TICK_MILLISECONDS } from '../../src/system/late-cores.js';

const CORES = [3, 5];
let tick: number;
let taken: Record<number, number>;
let times: Record<number, ThreadTime | undefined>;
let late: LateCores;

beforeEach(() => {
  tick = 0;
  taken = { 3: 0, 5: 0 };
  times = { 3: { ran: 100, waited: 0 }, 5: { ran: 100, waited: 0 } };
  late = new LateCores((core) => times[core]);
});

/** So many ticks pass, in which core 5 has a CPU, waits for one, or does neither; core 3 takes them all. */
function pass(ticks: number, what: 'takes' | 'runs' | 'waits' | 'sleeps'): void {
  for (; ticks > 0; ticks--) {
    tick++;
    taken[3] = tick;
    if (what === 'takes') taken[5] = tick;
    const { ran, waited } = times[5] ?? { ran: 0, waited: 0 };
    if (what === 'runs') times[5] = { ran: ran + TICK_MILLISECONDS, waited };
    if (what === 'waits') times[5] = { ran, waited: waited + TICK_MILLISECONDS };
    for (const core of CORES) late.note(core, tick, taken[core]);
  }
}

const culprit = (missed: number): string | undefined => late.culprit(CORES, missed);

describe('a cluster that is silent', () => {
  it('has a core that hangs, where its thread has had a CPU and took no tick', () => {
    pass(10, 'takes');
    pass(3, 'runs');
    assert.equal(culprit(3), undefined);
    pass(1, 'runs');
    assert.equal(culprit(4), 'core 5');
  });

  it('has a core that hangs, where its thread has had less of a CPU that others share for long', () => {
    pass(10, 'takes');
    pass(6, 'waits');
    pass(1, 'runs');
    assert.equal(culprit(7), undefined);
    pass(1, 'runs');
    assert.equal(culprit(8), 'core 5');
  });

  it('has a core that hangs by how much of a CPU it has had, the less the later it is', () => {
    for (const [waits, runs] of [
      [0, 3],
      [3, 3],
      [4, 2],
      [5, 2],
      [7, 2],
    ]) {
      pass(10, 'takes');
      pass(1, 'sleeps');
      pass(waits, 'waits');
      pass(runs - 1, 'runs');
      assert.equal(culprit(waits + runs), undefined, `${runs - 1} ticks of a CPU after ${waits}`);
      pass(1, 'runs');
      assert.equal(culprit(waits + runs + 1), 'core 5', `${runs} ticks of a CPU after ${waits}`);
    }
  });

  it('may yet answer, however long its thread waits for a CPU', () => {
    pass(10, 'takes');
    pass(10_000, 'waits');
    assert.equal(culprit(10_000), undefined);
    pass(1, 'runs');
    assert.equal(culprit(10_001), undefined);
    pass(1, 'takes');
    assert.equal(culprit(1), undefined);
  });

  it('has a core that is blocked, where its thread neither runs nor waits for a CPU', () => {
    pass(1, 'takes');
    pass(100, 'sleeps');
    assert.equal(culprit(100), undefined);
    pass(110, 'sleeps');
    assert.equal(culprit(210), 'core 5');
  });

  it('has a monitor that does not answer, where all cores take their ticks for long', () => {
    pass(100, 'takes');
    assert.equal(culprit(100), undefined);
    assert.equal(culprit(200), 'its monitor');
  });

  it('is taken for hung where the system tells no times', () => {
    times[5] = undefined;
    pass(5, 'sleeps');
    assert.equal(culprit(5), undefined);
    assert.equal(culprit(6), 'core 5');
  });

  it('starts afresh with its next life', () => {
    pass(10, 'runs');
    late.forget(CORES);
    taken[5] = tick;
    pass(2, 'runs');
    assert.equal(culprit(6), undefined);
  });
});
