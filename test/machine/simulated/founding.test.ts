/** The founding message's figures come out of the kernel and the machines, not of the message. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SimulatedMachine } from '../../../src/machine/simulated/machine.js';
import { clustersOf } from '../../../src/machine/topology/index.js';
import { PRESETS, preset } from '../../../src/machine/simulated/presets.js';
import type { Design } from '../../../src/system/simulate/design.js';
import {
  founding,
  type ConflictRow,
  type DistanceRow,
  type FoundingRow,
  type IpcRow,
  type State,
  type ThroughputRow,
} from '../../../src/system/simulate/founding.js';
import { bootPairs, partitionSize } from '../../../src/system/simulate/pairs.js';

const OPTIONS = { seed: 1, work: 2000, calls: 3 };

const results = new Map<string, readonly FoundingRow[]>();

function rowsOf(machine: string, design: Design): readonly FoundingRow[] {
  const key = `${machine} ${design}`;
  const rows = results.get(key) ?? founding(preset(machine), design, OPTIONS).rows;
  results.set(key, rows);
  return rows;
}

function explore(machine: string, design: Design) {
  const rows = rowsOf(machine, design);
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

  it('takes a quarter more where another core of the cluster used the state last', () => {
    for (const machine of ['cortex-a72', 'cortex-a53']) {
      const { slowdown, lines_moved } = explore(machine, 'clustered').ipc('same-cluster');
      within(slowdown, 1.2, 1.6);
      within(lines_moved, 8, 20);
    }
  });

  it('costs more the farther the core is that used the state last', () => {
    for (const machine of ['intel-server', 'mesh-1024']) {
      const rows = explore(machine, 'single').rows.filter((row): row is DistanceRow => 'line_cycles' in row);
      assert.ok(rows.length > 3);
      assert.ok(rows.at(-1)!.ipc_cycles_at_distance > 1.1 * rows[0].ipc_cycles_at_distance);
      assert.ok(rows.at(-1)!.line_cycles > 1.1 * rows[0].line_cycles);
    }
  });

  it('takes thousands of cycles where a core across a die of 1,024 used it last', () => {
    for (const design of ['single', 'single-elided'] as const)
      within(explore('mesh-1024', design).ipc('far').slowdown, 10, 35);
  });
});

describe('independent pairs', () => {
  const atAll = (pairs: readonly ThroughputRow[]): number => pairs.at(-1)!.calls_per_kilocycle;

  it('scale with the cores where kernels share nothing but a cluster', () => {
    for (const machine of PRESETS) {
      const shared = clustersOf(preset(machine).topology, 'auto').some(({ cores }) => cores.length > 1);
      for (const design of shared ? (['per-core', 'clustered'] as const) : (['per-core'] as const)) {
        const { pairs } = explore(machine, design);
        for (const { cores, calls_per_kilocycle } of pairs)
          within(calls_per_kilocycle / cores / pairs[0].calls_per_kilocycle, 0.95, 1.05);
      }
    }
  });

  it('stop scaling at the lock of a single kernel, on every machine of more cores than a lock can serve', () => {
    for (const machine of ['ampere-altra', 'intel-server', 'amd-epyc', 'mesh-1024']) {
      const { pairs } = explore(machine, 'single');
      const quarter = pairs.find(({ cores }) => 4 * cores >= pairs.at(-1)!.cores)!;
      assert.ok(atAll(pairs) < 1.1 * quarter.calls_per_kilocycle, machine);
      assert.ok(atAll(pairs) < 0.2 * pairs.at(-1)!.cores * pairs[0].calls_per_kilocycle, machine);
    }
  });

  it('do better where the lock is elided, but not as well as without one, and worse where they conflict', () => {
    for (const machine of PRESETS.filter((name) => name !== 'mesh-1024')) {
      const elided = explore(machine, 'single-elided');
      // Four cores of an A72 hardly ever want the lock at a time: a transaction costs more than it saves.
      const least = (machine === 'cortex-a72' ? 0.95 : 1) * atAll(explore(machine, 'single').pairs);
      within(atAll(elided.pairs), least, atAll(explore(machine, 'per-core').pairs));
      const conflicting = elided.conflicts.at(-1)!;
      assert.ok(conflicting.aborts_per_call > 0, machine);
      assert.ok(conflicting.conflicting_calls_per_kilocycle < atAll(elided.pairs), machine);
    }
  });

  it('wait at the lock for each other, and only there', () => {
    const waiting = (design: Design): number[][] =>
      explore('ampere-altra', design).rows.flatMap((row) =>
        'lock_waiting_cycles_per_call' in row
          ? row.lock_waiting_cycles_per_call.map((cycles) => [...cycles])
          : [],
      );
    const single = waiting('single');
    assert.deepEqual([single.length, single[0].length], [16, 16]);
    assert.ok(single.every((cycles) => cycles.reduce((a, b) => a + b) > 1000));
    assert.ok(
      waiting('clustered')
        .flat()
        .every((cycles) => cycles === 0),
    );
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
