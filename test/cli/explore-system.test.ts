import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Chart } from '../../src/cli/report-file.js';
import type { SweepRow } from '../../src/system/simulate/sweep.js';
import { layTree } from '../machine/fixtures.js';
import { atoll } from '../run/system.js';

const SYSTEM = 'examples/quickstart/quickstart.system';

describe('atoll explore SYSTEM', () => {
  const explore = (...args: string[]) =>
    atoll('explore', SYSTEM, '--machine', 'cortex-a72', '--for', '2ms', ...args);

  it('says which cut gets most done, and takes from a file what was run before', async (test) => {
    const folder = layTree(test, {});
    const results = join(folder, 'results.jsonl');
    const report = join(folder, 'report.html');
    const designs = 'single,single-elided,per-core';
    const args = ['--json', '--designs', designs, '--place', 'written', '--results', results];
    const first = await explore(...args, '--report', report);
    assert.equal(first.stderr, '');
    assert.equal(first.code, 0);
    const { rows, best } = JSON.parse(first.stdout) as { rows: SweepRow[]; best: SweepRow[] };
    assert.deepEqual(
      rows.map(({ clusters, kernels, elided }) => [clusters, kernels, elided]),
      [
        ['one', 1, false],
        ['one', 1, true],
        ['per-core', 2, false],
      ],
    );
    // Both cores call servers of their own: they share nothing but a kernel.
    const [single, elided, separate] = rows;
    assert.deepEqual(best, [separate]);
    assert.ok(separate.events_per_second > elided.events_per_second);
    assert.ok(elided.events_per_second > single.events_per_second);
    assert.ok(single.lock_waiting_cycles > elided.lock_waiting_cycles && elided.aborts! > 0);
    assert.ok(separate.lock_waiting_cycles === 0 && separate.aborts === undefined);
    assert.ok(single.lines_moved > elided.lines_moved && elided.lines_moved > separate.lines_moved);

    const page = readFileSync(report, 'utf8');
    const [, data] = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(page)!;
    const [done] = JSON.parse(data) as Chart[];
    assert.deepEqual(
      done.lines.map(({ points }) => points),
      [[single, separate], [elided]].map((those) => those.map((row) => [row.kernels, row.events_per_second])),
    );

    // Marked, so that it shows where a row comes from; and the end of what a sweep wrote that was stopped.
    const kept = readFileSync(results, 'utf8').replaceAll(/"faults":0/g, '"faults":7');
    writeFileSync(results, kept);
    appendFileSync(results, '{"key":"0123');
    const again = await explore(...args, '--clusters', '0,1');
    assert.equal(again.code, 0, again.stderr);
    const { rows: more } = JSON.parse(again.stdout) as { rows: SweepRow[] };
    assert.deepEqual(
      more.map(({ clusters, faults }) => [clusters, faults]),
      [
        ['one', 7],
        ['one', 7],
        ['per-core', 7],
        ['0,1', 0],
      ],
    );
    assert.equal(readFileSync(results, 'utf8').startsWith(kept), true);
    assert.equal(readFileSync(results, 'utf8').split('\n').length, 5);

    // Of another time.
    const longer = await explore(...args, '--for', '3ms');
    const { rows: others } = JSON.parse(longer.stdout) as { rows: SweepRow[] };
    assert.deepEqual(
      others.map(({ faults }) => faults),
      [0, 0, 0],
    );
  });

  it('says what is wrong', async (test) => {
    const file = join(layTree(test, { 'results.jsonl': 'none\n' }), 'results.jsonl');
    const refused = async (error: RegExp, ...args: string[]): Promise<void> => {
      const { code, stdout, stderr } = await atoll('explore', ...args);
      assert.match(stderr, error);
      assert.equal(stdout, '');
      assert.equal(code, 2);
    };
    const here = [SYSTEM, '--machine', 'cortex-a72'];
    await refused(
      /^Error: '.*' holds no results of atoll explore: line 1 is none\n$/,
      ...here,
      '--results',
      file,
    );
    await refused(/^Error: .*clustered, per-core, single, single-elided/, ...here, '--designs', 'double');
    await refused(/^Error: 4 cores cannot be cut into clusters of 3\n$/, ...here, '--clusters', 'size:3');
    await refused(/^Error: .*there is no core 9/, ...here, '--clusters', '9');
    await refused(/^Error: .*none.system/, 'none.system', '--machine', 'cortex-a72');
  });
});
