/** Simulated machines where a command asks for a machine. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { ScalingPoint, ScalingReport } from '../../bench/scaling/index.js';
import { preset } from '../../src/machine/simulated/presets.js';
import type { Topology } from '../../src/machine/topology/index.js';
import type { Placement } from '../../src/system/placement/placement.js';
import { atoll, channel, domain, filesOf, withFiles } from '../run/system.js';

async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await atoll(...args, '--json');
  assert.deepEqual([code, stderr], [0, '']);
  return JSON.parse(stdout) as T;
}

describe('a simulated machine', () => {
  it('has line costs that topology shows', async () => {
    const { lineCost, lineCostSource } = await json<Topology>('topology', '--machine', 'cortex-a53');
    const { latencies, core } = preset('cortex-a53');
    assert.equal(lineCostSource, 'model');
    assert.equal(lineCost![0][0], 0);
    assert.equal(lineCost![0][3], (latencies.sharedL2 * 1000) / core.megahertz);
    assert.equal(lineCost![4][0], (latencies.package * 1000) / core.megahertz);
    const { stdout } = await atoll('topology', '--machine', 'intel-client');
    assert.match(stdout, /ns one way, as the model has it/);
  });

  it('can be planned for, by what its lines cost', async () => {
    const callsTo = (cpu: number): Promise<number> =>
      withFiles(
        filesOf({
          description:
            domain('client', 'priority="1" cpu="0"') +
            domain('server', `priority="2" cpu="${cpu}"`) +
            channel('client 0 pp="true"', 'server 0'),
          programs: { client: 'return { init() {} };', server: 'return { init() {} };' },
        }),
        async (folder) => {
          const file = join(folder, 'test.system');
          return (await json<Placement>('plan', file, '--machine', 'amd-epyc')).planned.calls;
        },
      );
    const [complex, packaged, far] = [await callsTo(1), await callsTo(9), await callsTo(127)];
    assert(complex < packaged && packaged < far, `${complex}, ${packaged}, ${far}`);
  });

  it('can be measured as this computer is, in cycles', async () => {
    const machine = ['--machine', 'cortex-a53'];
    const ipc = await json<Readonly<Record<string, number>>>('bench', 'ipc', ...machine);
    const { stdout } = await atoll('bench', 'coordination', ...machine);
    const cycles = (what: string): number => {
      const [, figure] = new RegExp(`^${what} +([\\d,]+)`, 'm').exec(stdout)!;
      return Number(figure.replace(',', ''));
    };
    const line = cycles('one cache line there and back');
    const notify = cycles('notification between two clusters, there and back');
    assert.equal(line, 2 * preset('cortex-a53').latencies.package);
    assert(ipc.ppcall_same_core_cycles > 400 && ipc.ppcall_same_core_cycles < 1200);
    assert(cycles('protected call to another core of one cluster') > 2 * ipc.ppcall_same_core_cycles);
    assert(cycles('protected call to another cluster') > notify && notify > line);
    // The same in both commands, since a run repeats.
    assert.deepEqual([ipc.notify_cross_cluster_rtt_cycles, ipc.line_rtt_cycles], [notify, line]);
  });

  it('can be measured with one kernel for all cores beside one for each', async () => {
    const machine = ['--machine', 'amd-epyc'];
    const report = await json<ScalingReport>('bench', 'scaling', ...machine);
    const { cores } = preset('amd-epyc').topology;
    assert.deepEqual(
      report.points.map((point) => point.cores),
      [1, 2, 4, 8, 16, 32, 64, 128],
    );
    const [alone, all] = [report.points[0], report.points.at(-1)!];
    const perCluster = (point: ScalingPoint): number => point.calls_per_second.image_per_cluster;
    assert(Math.abs(perCluster(all) / perCluster(alone) / cores.length - 1) < 0.05);
    // Beyond what lines cost, cores wait for the lock.
    assert(report.ratio === all.ratio && all.ratio > all.predicted_ratio! && all.predicted_ratio! > 10);
    const { stdout } = await atoll('bench', 'scaling', ...machine);
    assert.match(stdout, /^a second: means on the simulated machine amd-epyc/m);
    assert.match(stdout, new RegExp(`^ +128 .* ${all.ratio.toFixed(1)} `, 'm'));
  });
});
