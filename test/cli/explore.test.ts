import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Script } from 'node:vm';
import type { Chart } from '../../src/cli/report-file.js';
import { layTree, machineFile, manyCores } from '../machine/fixtures.js';
import { atoll } from '../run/system.js';

describe('atoll explore founding', () => {
  const explore = (...args: string[]) => atoll('explore', 'founding', '--calls', '2', ...args);

  it('shows what an IPC costs and how calls scale', async () => {
    const { code, stdout, stderr } = await explore('--machine', 'cortex-a72');
    assert.match(
      stderr,
      /^Kernel entries simulated a second, by each thread: single [\d,–]+, single-elided [\d,–]+, per-core [\d,–]+, clustered [\d,–]+\.\n$/,
    );
    assert.match(stdout, /cortex-a72 +single +far +\d+ +\d+\.\d +\d\.\d\n/);
    assert.match(stdout, /cortex-a72 +per-core +4 +0\.\d+ +\d\.\d\d +4\.0 +4\n/);
    assert.equal(code, 0);
  });

  it('prints the same bytes each time, whatever thread does what', async () => {
    const args = ['--json', '--machine', 'cortex-a53', '--machine', machineFile('two-packages-smt.xml')];
    const first = await explore(...args);
    const rows = JSON.parse(first.stdout) as { machine: string; design: string }[];
    assert.deepEqual(
      [...new Set(rows.map(({ design }) => design))],
      ['single', 'single-elided', 'per-core', 'clustered'],
    );
    assert.equal(new Set(rows.map(({ machine }) => machine)).size, 2);
    assert.equal((await explore(...args)).stdout, first.stdout);
  });

  const a72 = {
    topology: {
      packages: 1,
      coresPerPackage: 4,
      l1: 32768,
      l2: { bytes: 1048576, cores: 2 },
    },
    latencies: {
      l2: 10,
      l3: 0,
      sharedL2: 15,
      sharedL3: 0,
      package: 90,
      machine: 0,
      hop: 0,
      memory: 200,
      remoteMemory: 200,
    },
    core: {
      megahertz: 1500,
      cyclesPerInstruction: 0.5,
      kernelEntry: 150,
      atomic: 8,
      window: 128,
      misses: 6,
      atomicsStall: 1,
    },
  };

  it('writes a page with plots that needs nothing else', async (test) => {
    const file = join(layTree(test, {}), 'report.html');
    const { code, stdout } = await explore('--json', '--machine', 'cortex-a53', '--report', file);
    assert.equal(code, 0);
    const rows = JSON.parse(stdout) as Record<string, unknown>[];
    const html = readFileSync(file, 'utf8');
    assert.doesNotMatch(html, /<(?:link|img)|src=|https?:/);
    const [data, script] = [...html.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(([, text]) => text);
    assert.doesNotThrow(() => new Script(script));
    assert.match(script, /uplot/);
    const charts = JSON.parse(data) as Chart[];
    for (const { id } of charts) assert.match(html, new RegExp(`<div id="${id}">`));
    const lines = charts.flatMap(({ lines }) => lines);
    const single = rows.filter(
      ({ design, calls_per_kilocycle: calls }) => design === 'single' && calls !== undefined,
    );
    assert.deepEqual(
      lines.filter(({ name }) => name === 'single')[1].points,
      single.map((row) => [row.cores, row.calls_per_kilocycle]),
    );
    assert.deepEqual(lines.find(({ name }) => name === 'cortex-a53')!.points.length, 3);
    assert.match(html, /<caption>single: who \(row\) waits for whom \(column\)/);

    const refused = await explore('--machine', 'cortex-a53', '--report', '/none/report.html');
    assert.match(refused.stderr, /^Error: cannot write the report '\/none\/report.html': /);
    assert.equal(refused.code, 2);
  });

  it('takes machines from files: as presets have them, changes to a preset, and what hwloc writes', async (test) => {
    const folder = layTree(test, {
      'whole.json': JSON.stringify(a72),
      'slower.json': JSON.stringify({ base: 'cortex-a72', core: { kernelEntry: 307 } }),
      'hwloc.json': JSON.stringify({ base: 'some.xml', latencies: { sharedL2: 5 } }),
      'some.xml': readFileSync(machineFile('arm-shared-l2.xml'), 'utf8'),
    });
    const warm = async (...args: string[]): Promise<Record<string, number>> => {
      const { stdout, code } = await explore('--json', ...args);
      assert.equal(code, 0);
      const rows = JSON.parse(stdout) as { design: string; state?: string; ipc_cycles: number }[];
      const single = rows.filter(({ design }) => design === 'single');
      return Object.fromEntries(single.map((row) => [`${row.state}`, row.ipc_cycles]));
    };
    const preset = await warm('--machine', 'cortex-a72');
    const slower = await warm('--machine', join(folder, 'slower.json'));
    assert.equal(slower.warm, preset.warm + 100);
    const whole = await warm('--machine', join(folder, 'whole.json'));
    assert.ok(whole.warm < preset.warm && whole['same-cluster'] < whole.far);
    const hwloc = await warm('--machine', join(folder, 'some.xml'));
    const nearer = await warm('--machine', join(folder, 'hwloc.json'));
    assert.ok(nearer.warm === hwloc.warm && nearer['same-cluster'] < hwloc['same-cluster']);
  });

  it('takes what hwloc says of machines without caches, with holes in the numbers, or with unlike clusters', async () => {
    for (const [file, cores] of [
      ['holes-no-caches.xml', 3],
      ['big-little.xml', 6],
      ['version-1.xml', 4],
    ] as const) {
      const { stdout, stderr, code } = await explore('--json', '--machine', machineFile(file));
      assert.match(stderr, /^Kernel entries .*\n$/, file);
      assert.equal(code, 0);
      const rows = JSON.parse(stdout) as { cores: number; design: string; calls_per_kilocycle?: number }[];
      const last = rows.filter((row) => row.design === 'clustered' && row.calls_per_kilocycle).at(-1)!;
      assert.equal(last.cores, cores, file);
    }
  });

  it('says what is wrong with a machine file', async (test) => {
    const refused = async (error: RegExp, contents: string, name = 'machine.json'): Promise<void> => {
      const file = join(layTree(test, { [name]: contents }), name);
      const { code, stdout, stderr } = await explore('--machine', file);
      assert.match(stderr, error);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
      assert.equal(stdout, '');
      assert.equal(code, 2);
    };
    const { hop: _, ...missing } = a72.latencies;
    const change = (changes: object): string => JSON.stringify({ ...a72, ...changes });
    await refused(/^Error: machine '.*': latencies.hop is missing/, change({ latencies: missing }));
    await refused(
      /^Error: machine '.*': latencies.l2 is -4; give a number from 0/,
      change({ latencies: { ...a72.latencies, l2: -4 } }),
    );
    await refused(/^Error: this is not hwloc XML.*machine.xml:1:\d/, 'nonsense', 'machine.xml');
    await refused(
      /machine.xml' has 10000 cores; at most 4096 can be simulated/,
      manyCores(10_000, 4),
      'machine.xml',
    );
  });

  it('says what is wrong', async () => {
    const refused = async (error: RegExp, ...args: string[]): Promise<void> => {
      const { code, stdout, stderr } = await explore(...args);
      assert.match(stderr, error);
      assert.equal(stdout, '');
      assert.equal(code, 2);
    };
    await refused(
      /^Error: there is no preset 'cray'; there are cortex-a72, .*mesh-1024\n$/,
      '--machine',
      'cray',
    );
    await refused(
      /^Error: cannot read the machine description 'none.xml': there is no such file\n$/,
      '--machine',
      'none.xml',
    );
    await refused(/^Error: .*a number of cycles, from 0/, '--latency', 'l2=-4');
    await refused(/^Error: .*one of l2, l3, .*as in l2=12/, '--latency', 'l9=4');
    await refused(/^Error: .*a whole number, from 0/, '--seed', 'x');
  });
});
