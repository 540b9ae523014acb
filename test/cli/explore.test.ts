import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineFile } from '../machine/fixtures.js';
import { atoll } from '../run/system.js';

describe('atoll explore founding', () => {
  const explore = (...args: string[]) => atoll('explore', 'founding', '--calls', '2', ...args);

  it('shows what an IPC costs and how calls scale', async () => {
    const { code, stdout, stderr } = await explore('--machine', 'cortex-a72');
    assert.equal(stderr, '');
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
