/** Memory that clusters give to one another, on real clusters (docs/memory.md). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { atoll, domain, run, twoCores, withFiles, filesOf } from './system.js';
import { join } from 'node:path';

const MIB = 2 ** 20;
const CHUNK = 2 ** 18;

/** A program that has its cluster take `count` chunks from cluster `from`, and says what came of it. */
const taker = (from: number, count: number): string => `return { init() {
  const ask = (label, cluster) => { pd.mrSetNumber(0, cluster); return pd.msginfoGetLabel(pd.ppcall(62, pd.msginfoNew(label, 1))); };
  const taken = [0, 0, 0];
  for (let i = 0; i < ${count}; i++) taken[ask(1, ${from})]++;
  ask(0, ${1 - from});
  pd.dbgPuts(pd.name + ' ' + taken.join(' ') + ', owns ' + pd.mrGetNumber(0) + ' of ' + pd.mrGetNumber(1) + '\\n');
} };`;

describe('memory between clusters', { ...twoCores, concurrency: 2 }, () => {
  const pair = (args: readonly string[], a: string, b: string) => ({
    args: ['--clusters', 'per-core', ...args],
    description: domain('a', 'priority="10" cpu="0"') + domain('b', 'priority="10" cpu="1"'),
    programs: { a, b },
  });
  const idle = 'return { init() {} };';

  it('goes to who asks for it, until the other has no more', async () => {
    const ran = await run(pair(['--grant', 'memory:a'], taker(1, 6), idle));
    assert.deepEqual(ran.said, [`a 4 2 0, owns 8 of ${CHUNK}`]);
    assert.deepEqual(
      ran.report.clusters.map(({ moving }) => moving),
      [
        { owned: 2 * MIB, given: 0, taken: MIB },
        { owned: 0, given: MIB, taken: 0 },
      ],
    );
    assert.equal(ran.report.ended, 'idle');
  });

  it('goes hundreds of times both ways at once, and none is lost or doubled', async () => {
    const grants = ['--grant', 'memory:a,b', '--spare', '768K'];
    const ran = await run(pair(grants, taker(1, 400), taker(0, 400)));
    const [a, b] = ran.report.clusters.map(({ moving }) => moving!);
    assert.equal(ran.said.length, 2);
    assert.equal(a.owned + b.owned, 6 * CHUNK);
    assert.equal(a.given, b.taken);
    assert.equal(b.given, a.taken);
    assert.equal(a.owned, 3 * CHUNK + a.taken - a.given);
    assert.ok(a.taken > 0 && b.taken > 0);
  });

  it('is refused where there is nothing to give, and is nobody’s who is not granted it', async () => {
    const wrong = `return { init() {
      const label = (reply) => pd.msginfoGetLabel(reply);
      pd.mrSetNumber(0, 0);
      const said = [label(pd.ppcall(62, pd.msginfoNew(1, 1))), label(pd.ppcall(62, pd.msginfoNew(7, 1)))];
      pd.mrSet(0, 1n << 40n);
      said.push(label(pd.ppcall(62, pd.msginfoNew(1, 1))), label(pd.ppcall(62, pd.msginfoNew(1, 0))));
      pd.dbgPuts(said.join(' ') + '\\n');
    } };`;
    const ran = await run(pair(['--grant', 'memory:a', '--spare', '0'], wrong, idle));
    assert.deepEqual(ran.said, ['2 2 2 2']);
    const other = await run(pair([], 'return { init() { pd.ppcall(62, pd.msginfoNew(1, 1)); } };', idle));
    assert.equal(other.domain('a').state, 'faulted');
  });

  it('wants a domain, a free channel and a size', async () => {
    const files = filesOf({
      description:
        domain('a', 'priority="10"', '<irq irq="16" id="62"/>') + domain('b', 'priority="10"', '', 'a'),
      programs: { a: idle },
    });
    await withFiles(files, async (folder) => {
      const refused = async (...args: string[]): Promise<string> => {
        const { code, stderr } = await atoll(
          'run',
          join(folder, 'test.system'),
          '--clusters',
          'one',
          ...args,
        );
        assert.equal(code, 2, stderr);
        return stderr;
      };
      assert.match(await refused('--grant', 'memory:nobody'), /there is no protection domain 'nobody'/);
      assert.match(
        await refused('--grant', 'memory:a'),
        /^Error: .*channel 62 of protection domain 'a' is in use/,
      );
      assert.match(await refused('--grant', 'memory:b,b'), /'b' is granted memory already/);
      assert.match(await refused('--spare', 'much'), /a size is a number with K, M or G/);
    });
  });
});
