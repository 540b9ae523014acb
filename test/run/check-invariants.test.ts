/** `atoll run --check-invariants`: the same system, its kernel's memory looked at after each entry. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { atoll, channel, domain, filesOf, run, twoCores, withFiles } from './system.js';
import { join } from 'node:path';

const system = {
  description:
    domain('client', 'priority="10" budget="500" period="1000"', domain('child', 'id="3" priority="5"')) +
    domain('server', 'priority="20" passive="true"') +
    channel('client 0 pp="true"', 'server 7'),
  programs: {
    client: `return {
      init() { for (let i = 0; i < 50; i++) pd.ppcall(0, 0); pd.dbgPuts('done\\n'); },
      fault(child) { pd.pdStop(child); pd.dbgPuts('stopped ' + child + '\\n'); } };`,
    child: `return { init() { throw new Error('on purpose'); } };`,
    server: `return { init() {}, protected() { return 0; } };`,
  },
};

describe('--check-invariants', { concurrency: 2 }, () => {
  it('runs a system as without', async () => {
    const ran = await run({ ...system, args: ['--clusters', 'per-core', '--check-invariants'] });
    assert.equal(ran.code, 0);
    assert.ok(ran.said.includes('done'));
    assert.ok(ran.said.includes('stopped 3'));
    assert.equal(ran.domain('client').calls, 50);
  });

  it('says that it is for clusters of one core', twoCores, async () => {
    const description = system.description.replace('passive="true"', 'passive="true" cpu="1"');
    await withFiles(
      filesOf({ ...system, description: description.replace('pp="true"', '') }),
      async (folder) => {
        const file = join(folder, 'test.system');
        const { code, stderr } = await atoll('run', file, '--clusters', 'one', '--check-invariants');
        assert.equal(code, 2);
        assert.match(
          stderr,
          /^Error: --check-invariants needs clusters of one core: give --clusters per-core\n$/,
        );
      },
    );
  });
});
