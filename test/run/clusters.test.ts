import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { channel, domain, run, twoCores } from './system.js';

describe('signals between cores', { ...twoCores, concurrency: 2 }, () => {
  const ROUNDS = 10_000;

  for (const clusters of ['per-core', 'one']) {
    it(`are not lost, ten thousand each way at once, --clusters ${clusters}`, async () => {
      // What one side counted before its last signal, the other side must see when it is notified for the last time.
      const side = `
        const counters = pd.region('counters', Int32Array);
        const [mine, other] = pd.name === 'left' ? [0, 32] : [32, 0];
        let seen = 0, sent = 0;
        return {
          init() { pd.notify(1); },
          notified(channel) {
            if (channel === 1) {
              for (; sent < ${ROUNDS}; sent++) { Atomics.add(counters, mine, 1); pd.notify(0); }
              return;
            }
            const count = Atomics.load(counters, other);
            if (count === ${ROUNDS} && seen < count) pd.dbgPuts(pd.name + ' saw all\\n');
            seen = count;
          },
        };`;
      const map = '<map mr="counters" vaddr="0x2000000" perms="rw" setvar_vaddr="counters"/>';
      const ran = await run({
        args: ['--clusters', clusters],
        description:
          `<memory_region name="counters" size="0x1000"/>` +
          domain('left', 'priority="10"', map) +
          domain('right', 'priority="10" cpu="1"', map) +
          domain('ping', 'priority="20"') +
          domain('pong', 'priority="20" cpu="1"') +
          channel('left 0', 'right 0') +
          channel('left 1', 'right 1') +
          channel('ping 0', 'pong 0'),
        programs: {
          left: side,
          right: side,
          ping: `let left = ${ROUNDS};
            return { init() { pd.notify(0); }, notified() { if (--left > 0) pd.notify(0); } };`,
          pong: `return { init() {}, notified(channel) { pd.notify(channel); } };`,
        },
      });
      assert.deepEqual([...ran.said].sort(), ['left saw all', 'right saw all']);
      assert.equal(ran.domain('ping').entries.notified, ROUNDS);
      assert.equal(ran.domain('pong').entries.notified, ROUNDS);
      assert.equal(ran.report.ended, 'idle');
      assert.equal(ran.code, 0);
    });
  }

  it('go over 434 channels into one cluster', async () => {
    const pairs = Array.from({ length: 7 }, (_, pair) => pair);
    const ids = Array.from({ length: 62 }, (_, id) => id);
    const ran = await run({
      args: ['--clusters', 'per-core'],
      description: pairs
        .map(
          (pair) =>
            domain(`from_${pair}`, 'priority="10"', '', 'from') +
            domain(`to_${pair}`, 'priority="10" cpu="1"', '', 'to') +
            ids.map((id) => channel(`from_${pair} ${id}`, `to_${pair} ${61 - id}`)).join('') +
            channel(`from_${pair} 62 notify="false"`, `to_${pair} 62`),
        )
        .join(''),
      programs: {
        // Each round in another order, the next when the other side has all of the round before.
        from: `let round = 0;
          const ring = () => { for (let id = 0; id < 62; id++) pd.notify((id * (2 * round + 1)) % 62); };
          return { init() { ring(); }, notified() { if (++round < 8) ring(); } };`,
        to: `let rounds = 0, missing = new Set();
          const expect = () => { for (let id = 0; id < 62; id++) missing.add(id); };
          return { init() { expect(); }, notified(channel) {
            if (!missing.delete(channel)) pd.dbgPuts(pd.name + ': ' + channel + ' twice\\n');
            if (missing.size > 0) return;
            expect();
            if (++rounds === 8) pd.dbgPuts(pd.name + ': all\\n');
            pd.notify(62);
          } };`,
      },
    });
    assert.deepEqual(
      [...ran.said].sort(),
      pairs.map((pair) => `to_${pair}: all`),
    );
    assert.equal(ran.report.ended, 'idle');
  });
});

describe('calls between cores of one cluster', twoCores, () => {
  it('go both ways at once', async () => {
    const client = `return { init() {
      let wrong = 0;
      for (let i = 0; i < 1000; i++) {
        for (let at = 0; at < 8; at++) pd.mrSetNumber(at, i + at);
        const reply = pd.ppcall(0, pd.msginfoNew(i, 8));
        if (pd.msginfoGetLabel(reply) !== i + 1 || pd.mrGetNumber(7) !== 2 * (i + 7)) wrong++;
      }
      pd.dbgPuts(pd.name + ' wrong ' + wrong + '\\n');
    } };`;
    const server = `return { init() {}, protected(channel, msginfo) {
      for (let at = 0; at < 8; at++) pd.mrSetNumber(at, 2 * pd.mrGetNumber(at));
      return pd.msginfoNew(pd.msginfoGetLabel(msginfo) + 1, 8);
    } };`;
    const ran = await run({
      args: ['--clusters', 'one'],
      description: [0, 1]
        .flatMap((cpu) =>
          ['', ' passive="true"'].map(
            (passive, kind) =>
              domain(`client_${cpu}${kind}`, `priority="${10 + kind}" cpu="${cpu}"`, '', 'client') +
              domain(
                `server_${cpu}${kind}`,
                `priority="${20 + kind}" cpu="${1 - cpu}"${passive}`,
                '',
                'server',
              ) +
              channel(`client_${cpu}${kind} 0 pp="true"`, `server_${cpu}${kind} 0`),
          ),
        )
        .join(''),
      programs: { client, server },
    });
    assert.deepEqual([...ran.said].sort(), [
      'client_00 wrong 0',
      'client_01 wrong 0',
      'client_10 wrong 0',
      'client_11 wrong 0',
    ]);
    assert.deepEqual(new Set(ran.report.domains.map(({ state }) => state)), new Set(['waiting']));
    assert.equal(ran.report.ended, 'idle');
  });
});
