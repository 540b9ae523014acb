import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runWithFailures } from './failure-run.js';
import { channel, domain, run, runFile, twoCores } from './system.js';

describe('clusters that fail at random points, with doorbells that do', twoCores, () => {
  it('lose and double no message, and leak nothing', async () => {
    const fresh = await runWithFailures(0, 3);
    const run = await runWithFailures(12, 3);
    const kinds = Object.values(run.failures);
    assert.equal(
      kinds.reduce((sum, each) => sum + each, 0),
      12,
    );
    assert.ok(Math.min(...kinds) > 0, 'each kind comes');
    assert.ok(run.outages.length >= 12, `${run.outages.length} were found`);
    assert.ok(run.dropped > 0 && run.doubled > 0);
    assert.ok(run.handOvers > 0 && run.died >= run.failures['hand-over']);
    assert.ok(run.calls > 0 && run.tokens > 0);
    assert.deepEqual([run.lostMessages, run.doubledMessages, run.wrongAnswers], [0, 0, 0]);
    assert.deepEqual(run.accounts, fresh.accounts);
    assert.equal(run.after.threads, run.before.threads);
  });
});

describe('a machine whose doorbells fail', twoCores, () => {
  for (const lines of ['1', '15']) {
    it(`slows a system down and changes nothing, --lines ${lines}`, async () => {
      const inject = ['--inject', 'drop=0.01,double=0.2,seed=5'];
      const ran = await runFile('examples/key-value/key-value.system', {
        args: ['--clusters', 'per-core', '--lines', lines, ...inject],
      });
      assert.equal(ran.code, 0);
      const said = ran.said.filter((line) => line.startsWith('checker: 128 keys'));
      assert.equal(said.length, 1, ran.said.join());
      assert.equal(ran.report.unhandledFaults, 0);
      const { dropped, doubled } = ran.report.injected!;
      assert.ok(dropped > 0 && doubled > 0, `${dropped} dropped, ${doubled} doubled`);
    });
  }

  it('loses no signal of which each is awaited, whatever announces it', async () => {
    // Each goes back and forth alone, so that one that is lost is the last.
    const pair = (at: number): string =>
      domain(`ping_${at}`, 'priority="10"', '', 'ping') +
      domain(`pong_${at}`, 'priority="10" cpu="1"', '', 'pong') +
      channel(`ping_${at} 0`, `pong_${at} 0`);
    const pairs = [0, 1, 2, 3];
    const ran = await run({
      args: ['--clusters', 'per-core', '--lines', '3', '--inject', 'drop=0.02,seed=7'],
      description: pairs.map(pair).join(''),
      programs: {
        ping: `let left = 500; return { init() { pd.notify(0); }, notified() { if (--left > 0) pd.notify(0); else pd.dbgPuts('done\\n'); } };`,
        pong: `return { init() {}, notified() { pd.notify(0); } };`,
      },
    });
    assert.deepEqual(
      ran.said,
      pairs.map(() => 'done'),
    );
    for (const at of pairs) assert.equal(ran.domain(`pong_${at}`).entries.notified, 500);
    assert.ok(ran.report.injected!.dropped > 0);
  });
});
