/** The founding message's figures come out of the kernel and the machines, not of the message. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SimulatedMachine } from '../../../src/machine/simulated/machine.js';
import { PRESETS, preset } from '../../../src/machine/simulated/presets.js';
import {
  founding,
  type ConflictRow,
  type Design,
  type IpcRow,
  type State,
  type ThroughputRow,
} from '../../../src/system/simulate/founding.js';
import { bootPairs, partitionSize } from '../../../src/system/simulate/pairs.js';

const OPTIONS = { seed: 1, work: 2000, calls: 4 };

function explore(machine: string, design: Design) {
  const { rows } = founding(preset(machine), design, OPTIONS);
  const ipc = (state: State): IpcRow => {
    const found = rows.find((row): row is IpcRow => 'state' in row && row.state === state);
    assert.ok(found, `${machine} ${design} ${state}`);
    return found;
  };
  const pairs = rows.filter((row): row is ThroughputRow => 'calls_per_kilocycle' in row);
  const conflicts = rows.filter((row): row is ConflictRow => 'aborts_per_call' in row);
  return { rows, ipc, pairs, conflicts };
}

function within(value: number, low: number, high: number): void {
  assert.ok(value >= low && value <= high, `${value} is not within ${low} and ${high}`);
}

describe('a fastpath IPC', () => {
  it('takes 200 to 500 cycles where its state is warm, and moves no line', () => {
    for (const machine of PRESETS.filter((name) => name !== 'mesh-1024')) {
      const { ipc_cycles, lines_moved } = explore(machine, 'per-core').ipc('warm');
      within(ipc_cycles, 200, 500);
      assert.equal(lines_moved, 0);
    }
  });

  it('takes a third to a half more where another core of the cluster used the state last', () => {
    for (const machine of ['cortex-a72', 'cortex-a53']) {
      const { slowdown, lines_moved } = explore(machine, 'clustered').ipc('same-cluster');
      within(slowdown, 1.2, 1.6);
      within(lines_moved, 8, 20);
    }
  });

  it('takes thousands of cycles where a core across a die of 1,024 used it last', () => {
    within(explore('mesh-1024', 'single').ipc('far').slowdown, 10, 35);
  });
});

describe('independent pairs', () => {
  it('scale with the cores where kernels share nothing but a cluster', () => {
    for (const machine of ['cortex-a72', 'cortex-a53', 'ampere-altra', 'amd-epyc'])
      for (const design of ['per-core', 'clustered'] as const)
        for (const { cores, calls_per_kilocycle } of explore(machine, design).pairs)
          within(
            calls_per_kilocycle / cores / explore(machine, design).pairs[0].calls_per_kilocycle,
            0.95,
            1.05,
          );
  });

  it('stop scaling at the lock of a single kernel, and not where it is elided, unless they conflict', () => {
    const single = explore('ampere-altra', 'single').pairs;
    const elided = explore('ampere-altra', 'single-elided');
    const last = single.length - 1;
    assert.ok(single[last].calls_per_kilocycle < single[last - 2].calls_per_kilocycle * 1.1);
    const separate = explore('ampere-altra', 'per-core').pairs;
    within(
      elided.pairs[last].calls_per_kilocycle,
      single[last].calls_per_kilocycle,
      separate[last].calls_per_kilocycle,
    );
    const conflicting = elided.conflicts[last];
    assert.ok(conflicting.aborts_per_call > 0);
    assert.ok(conflicting.conflicting_calls_per_kilocycle < elided.pairs[last].calls_per_kilocycle * 0.95);
  });

  it('give the same rows for the same seed, and others for another', () => {
    const run = (seed: number): string =>
      JSON.stringify(founding(preset('cortex-a53'), 'single-elided', { ...OPTIONS, seed }).rows);
    assert.equal(run(1), run(1));
    assert.notEqual(run(1), run(2));
  });
});

describe('a machine of 1,024 cores and 4,096 domains', () => {
  it('fits into 2 GiB', () => {
    const model = preset('mesh-1024');
    const pairsPerCore = 2;
    const size = partitionSize(1, pairsPerCore);
    const base = 1 << 20;
    const machine = new SimulatedMachine(model, base + 1024 * size);
    for (let core = 0; core < 1024; core++)
      bootPairs(machine, { image: 'unicore', base: base + core * size, size, cores: 1, pairsPerCore });
    assert.ok(process.memoryUsage().rss < 2 * 2 ** 30);
  });
});
