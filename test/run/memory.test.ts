/** Memory that clusters give to one another, on real clusters (docs/memory.md). */
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isOffered, ownerOf } from '../../src/coordination/ledger.js';
import { ledgerOf } from '../../src/coordination/memory.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { loadSystem, withGrants } from '../../src/system/description/index.js';
import { runSystem, type RunReport, type RunningSystem } from '../../src/system/run.js';
import { atoll, domain, run, twoCores, withFiles, filesOf } from './system.js';

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

  it('may be granted by the description, on a channel that it names', async () => {
    const asks = `return { init() {
      pd.mrSetNumber(0, 0);
      const reply = pd.ppcall(5, pd.msginfoNew(0, 1));
      pd.dbgPuts(pd.msginfoGetLabel(reply) + ' ' + pd.mrGetNumber(0) + '\\n');
    } };`;
    const grant = '<?atoll grant resource="memory" pd="a" id="5"?>';
    const { description, ...rest } = pair([], asks, idle);
    const ran = await run({ ...rest, description: description + grant });
    assert.deepEqual(ran.said, ['0 4']);
    const twice = { ...rest, description: description + grant + grant };
    await assert.rejects(
      run(twice),
      /'a' is granted memory already on element '\?atoll grant': .*test\.system:3:48/,
    );
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

describe('memory between clusters that are killed at any moment', twoCores, () => {
  const MAP = '<map mr="words" vaddr="0x2000000" perms="rw" setvar_vaddr="words"/>';
  /** Takes memory from the other cluster until it is told to stop, and counts how often. */
  const greedy = (own: number): string => `return { init() {
    const words = pd.region('words', Int32Array);
    Atomics.store(words, ${3 + own}, 0);
    while (Atomics.load(words, 2) === 0) {
      pd.mrSetNumber(0, ${1 - own});
      pd.ppcall(62, pd.msginfoNew(1, 1));
      Atomics.add(words, ${own}, 1);
    }
    Atomics.store(words, ${3 + own}, 1);
  } };`;
  const system = {
    description:
      '<memory_region name="words" size="0x1000"/>' +
      domain('a', 'priority="10" cpu="0"', MAP) +
      domain('b', 'priority="10" cpu="1"', MAP),
    programs: { a: greedy(0), b: greedy(1) },
  };

  /** Runs it in this process, and `use` beside it. */
  const supervise = (use: (running: RunningSystem, words: Int32Array) => Promise<void>): Promise<RunReport> =>
    withFiles(filesOf(system), async (folder) => {
      const stop = new AbortController();
      const console = openSync(devNull, 'w');
      let used: Promise<void> | undefined;
      try {
        const description = loadSystem(join(folder, 'test.system'), {
          arch: 'aarch64',
          searchPath: [folder],
        });
        const report = await runSystem(withGrants(description, ['memory:a,b']), {
          topology: await machineTopology('host', { measure: 'never' }),
          ...{ clusters: 'per-core', searchPath: [folder], console, onFailure: 'restart' },
          signal: stop.signal,
          onStart: (running) => {
            const { sharedAddress } = running.plan.regions[0];
            const words = new Int32Array(running.memory.buffer, sharedAddress, 1024);
            used = use(running, words).finally(() => stop.abort());
          },
        });
        await used;
        return report;
      } finally {
        closeSync(console);
      }
    });

  async function until(condition: () => boolean): Promise<void> {
    const giveUp = performance.now() + 60_000;
    while (!condition()) {
      assert.ok(performance.now() < giveUp, 'waited too long');
      await sleep(1);
    }
  }

  it('ends with every chunk in one place, on the real clusters', async () => {
    const kills = 8;
    const report = await supervise(async (running, words) => {
      for (let kill = 0; kill < kills; kill++) {
        const before = [words[0], words[1]];
        await until(() => words[0] > before[0] + 20 && words[1] > before[1] + 20);
        running.kill(kill % 2);
      }
      const before = [words[0], words[1]];
      await until(() => words[0] > before[0] + 20 && words[1] > before[1] + 20);
      Atomics.store(words, 2, 1);
      await until(() => words[3] === 1 && words[4] === 1);
      const ledger = ledgerOf(new Int32Array(running.memory.buffer), running.plan.moving!);
      assert.equal(ledger.chunks, 8);
      await until(() =>
        Array.from({ length: 8 }, (_, chunk) => ledger.entry(chunk)).every((e) => !isOffered(e)),
      );
      for (let chunk = 0; chunk < 8; chunk++) assert.ok(ownerOf(ledger.entry(chunk)) < 2);
    });
    // A kernel that is issued what it has, or a monitor that loses count, would have brought its cluster down once more.
    assert.deepEqual(
      report.clusters.map(({ state, restarts }) => [state, restarts]),
      [
        ['up', kills / 2],
        ['up', kills / 2],
      ],
    );
    const [a, b] = report.clusters.map(({ moving }) => moving!);
    assert.equal(a.owned + b.owned, 2 * MIB);
    assert.ok(a.taken > 0 && b.taken > 0);
  });
});
