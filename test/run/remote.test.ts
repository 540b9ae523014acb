import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { channel, domain, run, twoCores } from './system.js';

/** Each way that an event can come: by a line of its own, and as a flag on the one that all share. */
const lines = { 'a line for each': [], 'one line for all': ['--lines', '1'] };

for (const [how, more] of Object.entries(lines)) {
  const args = ['--clusters', 'per-core', ...more];

  describe(`calls between clusters, ${how}`, { ...twoCores, concurrency: 2 }, () => {
    it('carry labels and up to 64 words each way, for many clients at once', async () => {
      const client = `return { init() {
        let wrong = 0;
        for (let i = 0; i < 2000; i++) {
          const count = i % 65;
          for (let at = 0; at < count; at++) pd.mrSet(at, BigInt(i) << 32n | BigInt(at));
          const reply = pd.ppcall(3, pd.msginfoNew(i, count));
          if (pd.msginfoGetLabel(reply) !== i + 1 || pd.msginfoGetCount(reply) !== count) wrong++;
          for (let at = 0; at < count; at++) if (pd.mrGet(at) !== (BigInt(i) << 33n | BigInt(2 * at))) wrong++;
        }
        pd.dbgPuts(pd.name + ' wrong ' + wrong + '\\n');
      } };`;
      const server = `return { init() {}, protected(channel, msginfo) {
        const count = pd.msginfoGetCount(msginfo);
        for (let at = 0; at < count; at++) pd.mrSet(at, 2n * pd.mrGet(at));
        return pd.msginfoNew(pd.msginfoGetLabel(msginfo) + 1, count);
      } };`;
      const clients = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
      const ran = await run({
        args,
        description:
          clients
            .map((name, index) =>
              domain(name, `priority="${10 + (index % 3)}" cpu="${index % 2}"`, '', 'client'),
            )
            .join('') +
          domain('active', 'priority="20" cpu="1"', '', 'server') +
          domain('passive', 'priority="21" cpu="0" passive="true"', '', 'server') +
          clients
            .map((name, index) =>
              channel(`${name} 3 pp="true"`, `${index % 2 === 0 ? 'active' : 'passive'} ${index}`),
            )
            .join(''),
        programs: { client, server },
      });
      assert.deepEqual(
        [...ran.said].sort(),
        clients.map((name) => `${name} wrong 0`),
      );
      assert.equal(ran.domain('active').entries.protected, 8000);
      assert.equal(ran.domain('passive').entries.protected, 8000);
      assert.ok(ran.report.domains.every(({ state }) => state === 'waiting'));
      assert.equal(ran.report.ended, 'idle');
    });

    it('nest through both clusters, and two of one priority may call each other’s', async () => {
      const caller = `return { init() {
        let sum = 0;
        for (let i = 0; i < 3000; i++) { pd.mrSetNumber(0, i); pd.ppcall(0, pd.msginfoNew(0, 1)); sum += pd.mrGetNumber(0); }
        pd.dbgPuts(pd.name + ' ' + sum + '\\n');
      } };`;
      const middle = `return { init() {}, protected() {
        pd.mrSetNumber(0, pd.mrGetNumber(0) + 1);
        return pd.ppcall(1, pd.msginfoNew(0, 1));
      } };`;
      const leaf = `return { init() {}, protected() { pd.mrSetNumber(0, 2 * pd.mrGetNumber(0)); return pd.msginfoNew(0, 1); } };`;
      const side = (cpu: number): string =>
        domain(`caller_${cpu}`, `priority="10" cpu="${cpu}"`, '', 'caller') +
        domain(`middle_${cpu}`, `priority="20" cpu="${1 - cpu}"`, '', 'middle') +
        domain(`leaf_${cpu}`, `priority="30" cpu="${cpu}"`, '', 'leaf') +
        channel(`caller_${cpu} 0 pp="true"`, `middle_${cpu} 0`) +
        channel(`middle_${cpu} 1 pp="true"`, `leaf_${cpu} 0`);
      const ran = await run({ args, description: side(0) + side(1), programs: { caller, middle, leaf } });
      const sum = 3000 * 3001;
      assert.deepEqual([...ran.said].sort(), [`caller_0 ${sum}`, `caller_1 ${sum}`]);
      assert.equal(ran.report.ended, 'idle');
    });

    it('leave a client’s core to more urgent domains, and a slow server to its own clients', async () => {
      // The slow server answers only once the urgent domain beside its client, and another server's client, are done.
      const map = '<map mr="progress" vaddr="0x2000000" perms="rw" setvar_vaddr="progress"/>';
      const count = `const progress = pd.region('progress', Int32Array);`;
      const ran = await run({
        args,
        description:
          `<memory_region name="progress" size="0x1000"/>` +
          domain('patient', 'priority="10"') +
          domain('urgent', 'priority="40"', map) +
          domain('bell', 'priority="5" cpu="1"') +
          domain('slow', 'priority="20" cpu="1"', map) +
          domain('other', 'priority="30"', map) +
          domain('quick', 'priority="50" cpu="1"') +
          channel('patient 0 pp="true"', 'slow 0') +
          channel('slow 1', 'urgent 0') +
          channel('slow 2', 'other 0') +
          channel('slow 3', 'bell 0') +
          channel('other 1 pp="true"', 'quick 0'),
        programs: {
          bell: `return { init() {} };`,
          patient: `return { init() { pd.ppcall(0, pd.msginfoNew(0, 0)); pd.dbgPuts('answered\\n'); } };`,
          urgent: `${count} return { init() {}, notified() { Atomics.add(progress, 0, 1); } };`,
          other: `${count} return { init() {}, notified() { for (let i = 0; i < 100; i++) pd.ppcall(1, pd.msginfoNew(0, 0)); Atomics.add(progress, 16, 1); } };`,
          quick: `return { init() {}, protected() { return pd.msginfoNew(0, 0); } };`,
          // Its notification to nobody in particular is where its core takes interrupts, those for `quick` among them.
          slow: `${count} return { init() {}, protected() {
            pd.notify(1);
            pd.notify(2);
            while (Atomics.load(progress, 0) < 1 || Atomics.load(progress, 16) < 1) pd.notify(3);
            return pd.msginfoNew(0, 0);
          } };`,
        },
      });
      assert.deepEqual(ran.said, ['answered']);
      assert.equal(ran.domain('quick').entries.protected, 100);
    });

    for (const passive of ['', ' passive="true"']) {
      it(`of a server that crashes in the middle and is restarted fail, and the next are answered${passive}`, async () => {
        const crasher = `return { init() {
          const said = [];
          for (let call = 0; call < 8; call++) {
            pd.mrSetNumber(0, call);
            try {
              pd.ppcall(0, pd.msginfoNew(call % 2, 1));
              said.push(pd.mrGetNumber(0));
            } catch (error) { said.push(error.message); }
          }
          pd.dbgPuts(said.join() + '\\n');
        } };`;
        const ran = await run({
          args,
          description:
            domain('crasher', 'priority="10"') +
            domain('watch', 'priority="50"', domain('careless', 'priority="12" id="1"')) +
            domain(
              'parent',
              'priority="40" cpu="1"',
              domain('server', `priority="20" cpu="1" id="1"${passive}`),
            ) +
            channel('crasher 0 pp="true"', 'server 0') +
            channel('careless 0 pp="true"', 'server 1'),
          programs: {
            crasher,
            careless: 'return { init() { pd.ppcall(0, pd.msginfoNew(1, 0)); } };',
            watch: `return { init() {}, fault() { pd.dbgPuts('exception ' + pd.mrGetNumber(2) + '\\n'); } };`,
            server: `return { init() {}, protected(channel, msginfo) {
              if (pd.msginfoGetLabel(msginfo) === 1) throw new Error('crash');
              pd.mrSetNumber(0, 10 * pd.mrGetNumber(0));
              return pd.msginfoNew(0, 1);
            } };`,
            parent: 'return { init() {}, fault(child) { pd.pdRestart(child); } };',
          },
        });
        const lost = 'the server has given up the call: it was restarted';
        assert.ok(ran.said.includes(`0,${lost},20,${lost},40,${lost},60,${lost}`), ran.said.join('\n'));
        assert.ok(ran.said.includes('exception 3'));
        assert.equal(ran.domain('careless').state, 'faulted');
        assert.equal(ran.domain('server').restarts, 5);
        assert.equal(ran.report.ended, 'idle');
      });
    }

    it('of a client that is stopped in the middle leave the server and the next call as they should be', async () => {
      // The client is restarted by its parent while it waits; its next calls get their own answers.
      const ran = await run({
        args,
        description:
          domain('parent', 'priority="100"', domain('client', 'priority="10" id="1"')) +
          domain('server', 'priority="20" cpu="1"') +
          channel('client 0 pp="true"', 'server 0') +
          channel('server 1', 'parent 1'),
        programs: {
          parent: `let restarts = 0; return { init() {}, notified() {
            if (restarts++ < 50) pd.pdRestart(1);
          } };`,
          client: `return { init() {
            for (let i = 1; i <= 3; i++) {
              pd.mrSetNumber(0, i);
              pd.ppcall(0, pd.msginfoNew(0, 1));
              if (pd.mrGetNumber(0) !== 10 * i) pd.dbgPuts('wrong: ' + pd.mrGetNumber(0) + '\\n');
            }
            pd.dbgPuts('done\\n');
          } };`,
          server: `let calls = 0; return { init() {}, protected() {
            if (++calls <= 50) pd.notify(1);
            pd.mrSetNumber(0, 10 * pd.mrGetNumber(0));
            return pd.msginfoNew(0, 1);
          } };`,
        },
      });
      assert.ok(ran.said.every((line) => line === 'done'));
      assert.ok(ran.said.length >= 1);
      assert.ok(ran.domain('client').restarts >= 1);
      assert.equal(ran.domain('client').state, 'waiting');
      assert.equal(ran.report.ended, 'idle');
    });
  });

  describe(`a parent on another cluster, ${how}`, { ...twoCores, concurrency: 2 }, () => {
    it('hears of faults, restarts its child nine times and stops it', async () => {
      const ran = await run({
        args,
        description: domain(
          'parent',
          'priority="20"',
          domain('child', 'priority="10" id="3" cpu="1"') + domain('sibling', 'priority="1" id="2" cpu="1"'),
        ),
        programs: {
          parent: `let restarts = 0; return { init() {}, fault(child, msginfo) {
            if (child !== 3 || pd.msginfoGetLabel(msginfo) !== 3) pd.dbgPuts('wrong fault\\n');
            if (restarts < 9) { restarts++; pd.pdRestart(child); } else { pd.pdStop(child); pd.dbgPuts('stopped\\n'); }
          } };`,
          child: `return { init() { null.property; } };`,
          sibling: `return { init() {} };`,
        },
      });
      const { state, faults, restarts } = ran.domain('child');
      assert.deepEqual([state, faults, restarts], ['stopped', 10, 9]);
      assert.equal(ran.domain('parent').entries.fault, 10);
      assert.equal(ran.domain('sibling').state, 'waiting');
      assert.equal(ran.report.unhandledFaults, 0);
      assert.ok(ran.said.includes('stopped'));
      assert.equal(ran.code, 0);
    });

    it('answers a fault, so that the child goes on with its next event', async () => {
      const ran = await run({
        args,
        description:
          domain('parent', 'priority="20"', domain('child', 'priority="10" id="3" cpu="1"')) +
          channel('parent 0', 'child 0'),
        programs: {
          parent: `return { init() { pd.notify(0); }, fault() { pd.notify(0); return pd.msginfoNew(0, 0); } };`,
          child: `let times = 0; return { init() {}, notified() { if (++times <= 3) throw new Error('again'); pd.dbgPuts('went on\\n'); } };`,
        },
      });
      assert.ok(ran.said.includes('went on'));
      const { state, faults, restarts } = ran.domain('child');
      assert.deepEqual([state, faults, restarts], ['waiting', 3, 0]);
      assert.equal(ran.report.ended, 'idle');
    });

    it('stops a child, which then does nothing, and resumes it', async () => {
      const ran = await run({
        args,
        description:
          domain('parent', 'priority="20"', domain('child', 'priority="10" id="3" cpu="1"')) +
          channel('parent 0', 'child 0'),
        programs: {
          parent: `let heard = 0; return {
            init() { pd.pdStop(3); pd.notify(0); pd.pdResume(3); pd.dbgPuts('resumed\\n'); },
            notified() { if (++heard === 1) { pd.pdStop(3); pd.notify(0); pd.dbgPuts('stopped for good\\n'); } else pd.dbgPuts('heard of it\\n'); },
          };`,
          child: `return { init() {}, notified() { pd.notify(0); } };`,
        },
      });
      assert.deepEqual(ran.said, ['resumed', 'stopped for good']);
      assert.equal(ran.domain('child').state, 'stopped');
      assert.equal(ran.report.ended, 'idle');
    });
  });
}

it('a domain that lends its channel less than a call makes none elsewhere', twoCores, async () => {
  const ran = await run({
    args: ['--clusters', 'per-core'],
    description:
      domain('client', 'priority="10"') +
      domain('server', 'priority="20" cpu="1"') +
      channel('client 0', 'server 0'),
    programs: {
      client: `return { init() { pd.ppcall(0, pd.msginfoNew(0, 0)); } };`,
      server: `return { init() {}, protected() { pd.dbgPuts('called\\n'); return pd.msginfoNew(0, 0); } };`,
    },
  });
  assert.ok(ran.said.some((line) => line.includes('client has no channel to call 0')));
  assert.ok(!ran.said.includes('called'));
});

describe('calls of a cluster that fails', { ...twoCores, concurrency: 2 }, () => {
  const counters = '<memory_region name="counters" size="0x1000"/>';
  const map = '<map mr="counters" vaddr="0x2000000" perms="rw" setvar_vaddr="counters"/>';
  /** Hangs in its first call, in its first life. */
  const server = `const lives = Atomics.add(pd.region('counters', Int32Array), 0, 1);
    return { init() {}, protected() {
      if (lives === 0) for (;;) { try { pd.msginfoNew(0, 99); } catch { } }
      pd.mrSetNumber(0, 2 * pd.mrGetNumber(0));
      return pd.msginfoNew(0, 1);
    } };`;
  const description =
    counters +
    domain('client', 'priority="10"', map) +
    domain('server', 'priority="20" cpu="1"', map) +
    channel('client 0 pp="true"', 'server 0');

  it('throw, and work again when it is back', async () => {
    const ran = await run({
      args: ['--clusters', 'per-core', '--on-failure', 'restart', '--for', '60s'],
      description:
        description +
        domain('clock', 'priority="5"', '<irq irq="16" id="1"/>') +
        channel('clock 0', 'client 1'),
      programs: {
        server,
        clock: `return { init() {}, notified(channel) { pd.irqAck(channel); pd.notify(0); } };`,
        client: `let lost = 0, done = false;
          const call = () => {
            if (done) return;
            try {
              pd.mrSetNumber(0, 21);
              pd.ppcall(0, pd.msginfoNew(0, 1));
              done = true;
              pd.dbgPuts('answer ' + pd.mrGetNumber(0) + ' after ' + (lost > 0 ? 'a failure' : 'none') + '\\n');
              for (;;) pd.ppcall(9, 0);
            } catch (error) {
              if (done) throw error;
              if (lost++ === 0) pd.dbgPuts(error.message + '\\n');
            }
          };
          return { init() { call(); }, notified() { call(); } };`,
      },
    });
    assert.equal(ran.said[0], 'the cluster of the server has failed');
    assert.ok(ran.said.includes('answer 42 after a failure'));
  });

  it('are faults of callers that do not catch them, and say so to the parent', async () => {
    const ran = await run({
      args: ['--clusters', 'per-core', '--on-failure', 'stop'],
      description:
        counters +
        domain('parent', 'priority="30"', domain('client', 'priority="10" id="1"')) +
        domain('server', 'priority="20" cpu="1"', map) +
        channel('client 0 pp="true"', 'server 0'),
      programs: {
        server,
        client: `return { init() { pd.ppcall(0, pd.msginfoNew(0, 0)); } };`,
        parent: `return { init() {}, fault(child) { pd.dbgPuts('exception ' + pd.mrGetNumber(2) + '\\n'); } };`,
      },
    });
    assert.ok(
      ran.said.some((line) => line.startsWith('client faulted: Error: the cluster of the server has failed')),
    );
    assert.ok(ran.said.includes('exception 2'));
    assert.equal(ran.domain('client').state, 'faulted');
    assert.equal(ran.code, 1);
  });

  it('a parent that comes back with its cluster hears of a fault that was open', async () => {
    const ran = await run({
      args: ['--clusters', 'per-core', '--on-failure', 'restart'],
      description:
        counters +
        domain('parent', 'priority="20" cpu="1"', map + domain('child', 'priority="10" id="3" cpu="0"', map)),
      programs: {
        parent: `const lives = Atomics.add(pd.region('counters', Int32Array), 0, 1);
          return { init() {}, fault(child) {
            if (lives === 0) for (;;) { try { pd.msginfoNew(0, 99); } catch { } }
            pd.dbgPuts('fault of ' + child + '\\n');
            pd.pdStop(child);
          } };`,
        child: `return { init() { null.property; } };`,
      },
    });
    assert.equal(ran.said.filter((line) => line === 'fault of 3').length, 1);
    assert.equal(ran.domain('child').state, 'stopped');
    assert.equal(ran.report.ended, 'idle');
  });
});

for (const [how, more] of Object.entries(lines)) {
  it(`a cluster that is rung without end does its own work, ${how}`, twoCores, async () => {
    const map = '<map mr="words" vaddr="0x2000000" perms="rw" setvar_vaddr="words"/>';
    const ran = await run({
      args: ['--clusters', 'per-core', '--for', '60s', ...more],
      description:
        '<memory_region name="words" size="0x1000"/>' +
        domain('flood', 'priority="10" cpu="1"', map) +
        domain('victim', 'priority="1"') +
        domain('worker', 'priority="50"') +
        domain('stop', 'priority="60" cpu="1"', map) +
        channel('flood 0', 'victim 0') +
        channel('worker 1', 'worker_2 1') +
        domain('worker_2', 'priority="50"') +
        channel('worker 2', 'stop 2'),
      programs: {
        // Its notifications are where its core takes interrupts: so the end of the work ends the flood.
        flood: `const words = pd.region('words', Int32Array);
          return { init() { while (Atomics.load(words, 0) === 0) pd.notify(0); } };`,
        victim: `return { init() {}, notified() {} };`,
        worker: `let left = 20000; return { init() { pd.notify(1); }, notified() { if (--left > 0) pd.notify(1); else pd.notify(2); } };`,
        worker_2: `return { init() {}, notified() { pd.notify(1); } };`,
        stop: `return { init() {}, notified() {
          Atomics.store(pd.region('words', Int32Array), 0, 1);
          pd.dbgPuts('the work is done\\n');
        } };`,
      },
    });
    assert.ok(ran.said.includes('the work is done'));
    assert.equal(ran.report.ended, 'idle');
    assert.equal(ran.domain('worker').entries.notified, 20000);
  });
}
