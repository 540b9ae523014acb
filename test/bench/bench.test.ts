import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BootReport } from '../../bench/boot/index.js';
import type { KernelReport } from '../../bench/kernel/index.js';
import { BaselineError, compileBaseline } from '../../bench/coordination/baseline.js';
import { coordinationReport, type CoordinationReport } from '../../bench/coordination/index.js';
import type { IpcReport } from '../../bench/ipc/index.js';
import type { ScalingReport } from '../../bench/scaling/index.js';
import { machineTopology } from '../../src/machine/topology/index.js';

const atoll = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

function bench(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [atoll, 'bench', ...args], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.equal(status, 0);
  return stdout;
}

describe('atoll bench', () => {
  it('ipc measures calls and notifications, and relates them to each other', () => {
    const report = JSON.parse(bench('ipc', '--json')) as IpcReport;
    const oneCore = report.cores === 1;
    const positive = (figure: number | null): void => assert(figure !== null && figure > 0);
    const across = (figure: number | null): void => (oneCore ? assert.equal(figure, null) : positive(figure));
    positive(report.ppcall_same_core_ns);
    positive(report.wasm_crossing_pair_ns);
    positive(report.kernel_call_ns);
    positive(report.post_message_rtt_ns);
    positive(report.single_image_call_local_ns);
    across(report.notify_cross_cluster_rtt_ns);
    across(report.single_image_call_ns);
    across(report.far_line_ns);
    if (report.tsc_mhz !== null) positive(report.tsc_mhz);
    const { ratios, targets } = report;
    assert.equal(ratios.ppcall_per_crossing_pair, report.ppcall_same_core_ns / report.wasm_crossing_pair_ns);
    assert.equal(ratios.post_message_per_ppcall, report.post_message_rtt_ns / report.ppcall_same_core_ns);
    assert.equal(targets.ppcall_per_crossing_pair.met, ratios.ppcall_per_crossing_pair <= 6);
    assert.equal(targets.post_message_per_ppcall.met, ratios.post_message_per_ppcall >= 400);
    if (oneCore) return;
    assert.equal(ratios.single_image_per_ppcall, report.single_image_call_ns! / report.ppcall_same_core_ns);
    const { simulated_single_image_per_ppcall: simulated, simulation_error: error } = ratios;
    const { simulated_single_image_call_ns: inTurn, simulated_ppcall_same_core_ns: alone } = report;
    assert.equal(simulated, inTurn! / alone!);
    assert(simulated > 1);
    assert.equal(error, simulated / ratios.single_image_per_ppcall - 1);
    assert.equal(targets.simulation_error.met, Math.abs(error) <= 0.3);
    // Where threads cannot be pinned, no line is passed back and forth.
    if (report.line_rtt_ns === null && process.platform !== 'linux') return;
    positive(report.line_rtt_ns);
    assert.equal(ratios.notify_per_line_rtt, report.notify_cross_cluster_rtt_ns! / report.line_rtt_ns!);
    assert.equal(targets.notify_per_line_rtt.met, ratios.notify_per_line_rtt <= 3);
  });

  it('kernel counts what its entries touch and execute, and that they do not grow with the tree', () => {
    const report = JSON.parse(bench('kernel', '--json')) as KernelReport;
    assert(report.call_fastpath_lines >= 6 && report.call_fastpath_lines <= 10);
    assert(report.reply_recv_fastpath_lines >= 6 && report.reply_recv_fastpath_lines <= 10);
    assert(report.smp_call_fastpath_lines >= report.call_fastpath_lines);
    assert(report.fastpath_pair_instructions > 100);
    assert(report.longest_entry_instructions > 1000);
    assert.equal(report.longest_entry_instructions, report.longest_entry_instructions_2000);
    assert(report.unicore_bytes < 49152 && report.smp_bytes < 49152);
    assert.match(bench('kernel'), /cache lines of Call on the fastpath/);
  });

  it('coordination measures what crosses cores, beside the same in C and C++ where they compile', () => {
    const report = JSON.parse(bench('coordination', '--json')) as CoordinationReport;
    const { figures, targets, missing } = report;
    for (const [key, ns] of Object.entries(figures) as [keyof typeof figures, number | null][]) {
      assert.equal(report[key], ns);
      if (report.cores === 1 || missing[key] !== undefined) assert.equal(ns, null, key);
      else assert(ns !== null && ns > 0, key);
    }
    if (figures.boost_spsc_message_ns === null) {
      assert.equal(targets.ring_per_boost.met, null);
    } else {
      const ratio = figures.ring_message_ns! / figures.boost_spsc_message_ns;
      assert.deepEqual(targets.ring_per_boost, { ratio, at_most: 0.6, met: ratio <= 0.6 });
    }
  });

  it('coordination takes its ratios where cores shared no cache, and leaves out turns in which they moved', () => {
    const turn = (line: number, after = line) => {
      const { figures } = coordinationReport(1, [], {});
      const measured = {
        ring_message_ns: 10 * line,
        c_line_rtt_ns: line,
        c_two_lines_rtt_ns: 2 * line,
        notify_cross_cluster_rtt_ns: line,
      };
      return { figures: { ...figures, ...measured, line_rtt_ns: line }, lines: [line, after] as const };
    };
    const { turns, near, figures, targets } = coordinationReport(
      2,
      [turn(80), turn(400), turn(90), turn(420), turn(100, 400), turn(400, 80)],
      {},
    );
    assert.deepEqual([turns, figures.line_rtt_ns, figures.ring_message_ns], [2, 410, 4100]);
    assert.deepEqual([near!.turns, near!.figures.line_rtt_ns, near!.figures.ring_message_ns], [2, 85, 850]);
    assert.deepEqual(targets.notify_per_c_line_rtt, { ratio: 1, at_most: 1.6, met: true });
    assert.deepEqual(targets.notify_per_c_two_lines_rtt, { ratio: 0.5, at_most: 1.6, met: true });
    const alike = coordinationReport(2, [turn(80), turn(100)], {});
    assert.deepEqual([alike.turns, alike.near, alike.figures.line_rtt_ns], [2, null, 90]);
    const moved = coordinationReport(2, [turn(100, 400), turn(300, 80)], {});
    assert.equal(moved.turns + moved.near!.turns, 2, 'where no turn is left, all are taken');
  });

  it('a baseline that cannot run says so, and is no figure', async (context) => {
    const baseline = await compileBaseline('line.c');
    if (typeof baseline === 'string') return context.skip(baseline);
    const NO_SUCH_CPU = 100_000;
    await assert.rejects(
      baseline.run(0, NO_SUCH_CPU, 1, 1, 1),
      new BaselineError('line.c ended with 3, as where a CPU is not to be had'),
    );
    await baseline.remove();
  });

  it('boot measures how long many domains take to initialise, and their memory', () => {
    const report = JSON.parse(bench('boot', '--json', '--quick')) as BootReport;
    assert(report.boot_1000_seconds > 0);
    assert(report.boot_1000_mb > 0);
    assert(report.boot_63_seconds > 0);
    assert.equal(report.targets.boot_63_seconds.met, report.boot_63_seconds <= 0.5);
  });

  it('scaling measures one image for all cores and one for each, up to all cores, and predicts their ratio', async () => {
    const { cores } = await machineTopology('host', { measure: 'never' });
    const report = JSON.parse(bench('scaling', '--json', '--quick')) as ScalingReport;
    const { points, call_ns: callNs } = report;
    assert.equal(points[0].cores, 1);
    assert.equal(points.at(-1)!.cores, cores.length);
    assert.equal(callNs, 1e9 / points[0].calls_per_second.image_per_cluster);
    for (const [at, point] of points.entries()) {
      const { one_image: one, image_per_cluster: perCluster } = point.calls_per_second;
      if (at > 0) assert(point.cores > points[at - 1].cores);
      assert(one > 0);
      assert(perCluster > 0);
      assert.equal(point.ratio, perCluster / one);
      if (point.cores === 1) {
        assert.equal(point.ratio, 1);
        assert.equal(point.predicted_ratio, 1);
      } else if (point.line_cost_ns === null) {
        // Where threads cannot be pinned, no line is measured.
        assert.notEqual(process.platform, 'linux');
        assert.equal(point.predicted_ratio, null);
      } else {
        // Call and ReplyRecv, ten lines each.
        assert(point.line_cost_ns > 0);
        const predicted = 1 + (20 * point.line_cost_ns) / callNs;
        assert(Math.abs(point.predicted_ratio! / predicted - 1) < 1e-9);
      }
    }
    assert.equal(report.ratio, points.at(-1)!.ratio);
    assert.equal(report.predicted_ratio, points.at(-1)!.predicted_ratio);
  });

  it('scaling shows people a row for each number of cores, and says in words what is predicted', async () => {
    const { cores } = await machineTopology('host', { measure: 'never' });
    const text = bench('scaling', '--quick');
    assert.match(text, /^cores +one image, calls\/s +an image a core, calls\/s +ratio +predicted/m);
    assert.match(text, new RegExp(`^ *${cores.length} +[\\d,]+ +[\\d,]+ +[\\d.]+`, 'm'));
    if (cores.length > 1) assert.match(text, /an image for each core makes [\d.,]+ times the calls/);
  });
});
