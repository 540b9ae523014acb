import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { channel, domain, filesOf, run, start, twoCores, untilEnd, withFiles } from './system.js';

const CHATTER = {
  description: (cpu: number) =>
    domain('left', 'priority="10"') +
    domain('right', `priority="10" cpu="${cpu}"`) +
    channel('left 0', 'right 0'),
  programs: {
    left: `return { init() { pd.dbgPuts('started\\n'); pd.notify(0); }, notified() { pd.notify(0); } };`,
    right: `return { init() {}, notified() { pd.notify(0); } };`,
  },
};

describe('a system that never idles', { concurrency: 2 }, () => {
  it('ends when its time is over', twoCores, async () => {
    const ran = await run({
      args: ['--for', '300ms', '--clusters', 'per-core'],
      description: CHATTER.description(1),
      programs: CHATTER.programs,
    });
    assert.equal(ran.report.ended, 'time');
    assert.ok(ran.report.seconds >= 0.3);
    assert.ok(ran.domain('left').entries.notified > 3);
    assert.deepEqual(ran.report.hungCores, []);
    assert.equal(ran.code, 0);
  });

  it(
    'ends when its time is over even where a handler loops for ever: the core is named',
    twoCores,
    async () => {
      const ran = await run({
        args: ['--for', '300ms', '--clusters', 'per-core'],
        description: domain('looper', 'priority="10" cpu="1"') + domain('other', 'priority="10"'),
        programs: {
          looper: `return { init() { for (;;) { try { pd.msginfoNew(0, 99); } catch { } } } };`,
          other: `return { init() { pd.dbgPuts('the other core runs on\\n'); } };`,
        },
      });
      assert.equal(ran.report.ended, 'time');
      assert.deepEqual(ran.report.hungCores, [1]);
      assert.equal(ran.domain('looper').state, 'running');
      assert.deepEqual(ran.said, ['the other core runs on']);
      assert.equal(ran.code, 0);
    },
  );

  it('ends on an interrupt, and shows the table', async () => {
    const files = filesOf({ description: CHATTER.description(0), programs: CHATTER.programs });
    await withFiles(files, async (folder) => {
      const process = start(['run', join(folder, 'test.system'), '--clusters', 'one']);
      const ended = untilEnd(process);
      await once(process.stdout!, 'data');
      process.kill('SIGINT');
      const { code, stdout, stderr } = await ended;
      assert.match(stdout, /^started\n/);
      assert.match(stdout, /\ndomain +core +cluster +state/);
      assert.match(stdout, /\nleft +0 +0 +\w+ +1 /);
      assert.equal(stderr, '');
      assert.equal(code, 0);
    });
  });
});

describe('a parked core', () => {
  it('burns no CPU', async () => {
    const REPORT = `
      import { isMainThread } from 'node:worker_threads';
      import { writeSync } from 'node:fs';
      if (isMainThread) process.on('exit', () => {
        const { user, system } = process.cpuUsage();
        writeSync(2, 'microseconds ' + (user + system) + '\\n');
      });`;
    const used = async (notified: string): Promise<number> => {
      const ran = await run({
        args: ['--for', '800ms'],
        nodeOptions: [`--import=data:text/javascript,${encodeURIComponent(REPORT)}`],
        description:
          domain('clock', 'priority="10"', '<irq irq="16" id="0"/>') +
          channel('clock 1', 'echo 1') +
          domain('echo', 'priority="10"'),
        programs: {
          clock: `return { init() { pd.notify(1); }, notified(channel) { ${notified} } };`,
          echo: `return { init() {}, notified() { pd.notify(1); } };`,
        },
      });
      assert.equal(ran.report.ended, 'time');
      return Number(/microseconds (\d+)/.exec(ran.stderr)![1]);
    };
    const [ticking, spinning] = await Promise.all([
      used('if (channel === 0) pd.irqAck(0);'),
      used('if (channel === 1) pd.notify(1);'),
    ]);
    // What both pay is the start: the spinning one pays nearly its whole time besides, however busy the computer is.
    assert.ok(spinning - ticking > 0.3 * 800_000, `${ticking} against ${spinning} microseconds`);
  });
});
