/** What overlaps in a core, and what waits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Coherence } from '../../../src/machine/simulated/coherence.js';
import { preset } from '../../../src/machine/simulated/presets.js';
import { Window } from '../../../src/machine/simulated/window.js';

const model = preset('amd-epyc');
const { memory, sharedL3 } = model.latencies;
const COSTS = { ...model.core, cyclesPerInstruction: 1, atomic: 10, window: 100, misses: 4 };

/** A core that begins at time 0, on a machine of which no line is in a cache. */
function core(changes: Partial<typeof COSTS> = {}) {
  const coherence = new Coherence(model, 1 << 20);
  const window = new Window({ ...COSTS, ...changes }, coherence);
  window.begin(0, 0, 0);
  return { window, coherence };
}

describe('a core', () => {
  it('has loads under way at once whose addresses it knows', () => {
    const { window } = core();
    for (const line of [1, 2, 3]) assert.equal(window.load(line, 0), memory);
    window.execute(20);
    assert.equal(window.now, 20);
    window.wait();
    assert.equal(window.now, memory);
  });

  it('asks for a line when it knows its address', () => {
    const { window } = core();
    const first = window.load(1, 0);
    assert.equal(window.load(2, first), 2 * memory);
    assert.equal(window.load(3, 0), memory);
    assert.equal(window.end, 2 * memory);
  });

  it('waits for what is on its way already', () => {
    const { window } = core();
    window.load(1, 0);
    window.execute(30);
    assert.equal(window.load(1, 0), memory);
    assert.equal(window.store(1, 0), memory);
  });

  it('goes on so many instructions behind a load that is not done', () => {
    const { window } = core();
    window.load(1, 0);
    window.execute(99);
    assert.equal(window.now, 99);
    window.execute(1);
    assert.equal(window.now, memory);
  });

  it('waits for each load where it executes in order', () => {
    const { window } = core({ window: 0 });
    window.load(1, 0);
    assert.equal(window.now, memory);
    assert.equal(window.load(2, 0), 2 * memory);
  });

  it('has only so many lines on their way', () => {
    const { window } = core();
    const done = [1, 2, 3, 4, 5, 6].map((line) => window.load(line, 0));
    assert.deepEqual(
      done,
      [1, 1, 1, 1, 2, 2].map((times) => times * memory),
    );
  });

  it('does not wait for stores, but an atomic operation does', () => {
    const { window } = core();
    window.store(1, 0);
    window.execute(10);
    window.wait();
    assert.equal(window.now, 10);
    assert.equal(window.drained, memory);
    assert.equal(window.atomic(1, 0), memory + 10);
    window.wait();
    assert.equal(window.now, memory + 10);
  });

  it('asks for lines behind an atomic operation, unless that stalls it', () => {
    const behind = (atomicsStall: number): number => {
      const { window } = core({ atomicsStall });
      assert.equal(window.atomic(1, 0), memory + 10);
      return window.load(2, 0);
    };
    assert.equal(behind(0), memory + 10);
    assert.equal(behind(1), 2 * memory + 10);
  });

  it('releases a lock when all before is done, and goes on', () => {
    const { window, coherence } = core();
    coherence.access(1, 9, true, 0);
    window.begin(0, 1000, 1000);
    window.store(1, 0);
    assert.equal(window.release(9, 0), 1000 + memory);
    assert.equal(window.now, 1000);
    assert(window.load(9, 0) === 1000 + sharedL3);
  });
});
