/** Whole systems on simulated machines: the same programs, in virtual time. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { preset } from '../../src/machine/simulated/presets.js';
import { machineFile } from '../machine/fixtures.js';
import { atoll, channel, domain, filesOf, run, runFile, withFiles, type Ran, type System } from './system.js';

/** A client on core 0 that makes 200 calls of a server on some core. */
function calls(core: number): System {
  return {
    description:
      domain('client', 'priority="100"') +
      domain('server', `priority="200" cpu="${core}"`) +
      channel('client 0 pp="true"', 'server 0'),
    programs: {
      client: `return { init() {
        let sum = 0;
        for (let i = 0; i < 200; i++) {
          pd.mrSetNumber(0, i);
          pd.ppcall(0, pd.msginfoNew(0, 1));
          sum += pd.mrGetNumber(0);
        }
        pd.dbgPuts('sum ' + sum + '\\n');
      } };`,
      server: `return { init() {}, protected() {
        pd.mrSetNumber(0, pd.mrGetNumber(0) + 1);
        return pd.msginfoNew(0, 1);
      } };`,
    },
  };
}

/** On each core a client and a server of its own; or but one server, on core 0. */
function clients(cores: number, shared: boolean): System {
  const pair = (core: number): string => {
    const server = `server_${shared ? 0 : core}`;
    return (
      (shared && core > 0 ? '' : domain(server, `priority="200" cpu="${core}"`, '', 'server')) +
      domain(`client_${core}`, `priority="1" cpu="${core}"`, '', 'client') +
      channel(`client_${core} 0 pp="true"`, `${server} ${core}`)
    );
  };
  return {
    description: Array.from({ length: cores }, (_, core) => pair(core)).join(''),
    programs: calls(0).programs,
  };
}

async function callCycles(core: number, machine: string, clusters: string): Promise<number> {
  const { report, said, code } = await run({
    ...calls(core),
    args: ['--machine', machine, '--clusters', clusters],
  });
  assert.equal(code, 0);
  assert.deepEqual(said, ['sum 20100']);
  assert.equal(report.ended, 'idle');
  assert.equal(report.channels[0].calls, 200);
  return report.channels[0].callCycles!;
}

describe('a system on a simulated machine', () => {
  it('runs as on the host, and what a call takes follows the distance', async () => {
    const [same, cluster, across] = await Promise.all([
      callCycles(0, 'cortex-a53', '0-7'),
      callCycles(1, 'cortex-a53', 'auto'),
      callCycles(4, 'cortex-a53', 'auto'),
    ]);
    assert(same > 400 && same < 1200, `${same} cycles on one core`);
    assert(cluster > 2 * same && across > 2 * same);
    // One kernel for both clusters has its lines moved between them.
    assert((await callCycles(4, 'cortex-a53', 'one')) > 1.2 * cluster);
  });

  it('repeats to the byte', async () => {
    const keyValue = 'examples/key-value/key-value.system';
    const args = ['--machine', 'ampere-altra', '--clusters', 'per-core', '--timestamps'];
    const [first, second] = await Promise.all([runFile(keyValue, { args }), runFile(keyValue, { args })]);
    assert.equal(first.stdout, second.stdout);
    assert.equal(first.stderr, second.stderr);
    assert.equal(first.code, 0);
    assert(first.said.some((line) => line.includes('no acknowledged write is lost')));
    assert(first.domain('shard_0').restarts > 0 && first.domain('shard_1').restarts > 0);
  });

  it('has more cores than this computer', async () => {
    const cores = Array.from({ length: 12 }, (_, core) => core * 7);
    const { report, said, code } = await run({
      description: cores
        .map(
          (core, at) =>
            domain(`d${core}`, `cpu="${core}"`, '', 'ring') +
            channel(`d${core} 1`, `d${cores[(at + 1) % cores.length]} 0`),
        )
        .join(''),
      programs: {
        // The first starts a token, which goes round three times.
        ring: `
          let seen = 0;
          return {
            init() { if (pd.name === 'd0') pd.notify(1); },
            notified() {
              if (pd.name === 'd0' && ++seen === 3) pd.dbgPuts('three rounds\\n');
              else pd.notify(1);
            },
          };`,
      },
      args: ['--machine', 'ampere-altra', '--clusters', 'auto'],
    });
    assert.equal(code, 0);
    assert.deepEqual(said, ['three rounds']);
    assert.equal(report.clusters.length, 12);
    assert.equal(
      report.domains.reduce((sum, { entries }) => sum + entries.notified, 0),
      36,
    );
  });

  it('takes for computing what a program says, and lets what is more urgent come between', async () => {
    const { report, said } = await run({
      description:
        domain('slow', 'priority="10"') +
        domain('urgent', 'priority="20"') +
        domain('far', 'priority="10" cpu="4"') +
        channel('far 0', 'urgent 0'),
      programs: {
        slow: `return { init() {
          pd.dbgPuts('begin\\n');
          pd.compute(1200000);
          pd.dbgPuts('end\\n');
          for (const wrong of [-1, NaN, Infinity, '5']) {
            try { pd.compute(wrong); } catch (error) { pd.dbgPuts(error.name + '\\n'); }
          }
        } };`,
        urgent: `return { init() {}, notified() { pd.dbgPuts('urgent\\n'); } };`,
        far: `return { init() { pd.compute(600000); pd.notify(0); } };`,
      },
      args: ['--machine', 'cortex-a53', '--clusters', 'auto', '--timestamps'],
    });
    const times = said.map((line) => [Number(line.slice(1, 12)), line.slice(14)] as const);
    assert.deepEqual(
      times.map(([, what]) => what),
      ['begin', 'urgent', 'end', ...Array<string>(4).fill('RangeError')],
    );
    // At 1,200 MHz: a millisecond, and half of one.
    const [begin, urgent, end] = times.map(([time]) => time);
    assert(Math.abs(urgent - begin - 0.0005) < 0.00001);
    assert(Math.abs(end - begin - 0.001) < 0.00001);
    assert(report.cycles! > 1_200_000 && report.cycles! < 1_220_000);
  });

  it('has timers in virtual time, and stops when it is over', async () => {
    const ran = await run({
      description: domain('clock', '', '<irq irq="16" id="0"/>'),
      programs: {
        clock: `return { init() {}, notified() { pd.irqAck(0); } };`,
      },
      args: ['--machine', 'cortex-a72', '--for', '35ms'],
    });
    assert.equal(ran.report.ended, 'time');
    assert.equal(ran.report.seconds, 0.035);
    assert.equal(ran.report.cycles, 35 * 1_500_000);
    assert.equal(ran.domain('clock').entries.notified, 3);
  });

  it('charges what rings move', async () => {
    const stream = (core: number): Promise<Ran> =>
      run({
        description:
          '<memory_region name="ring" size="0x2000"/><?atoll ring region="ring" producer="from"?>' +
          domain(
            'from',
            'priority="100"',
            '<map mr="ring" vaddr="0x2000000" perms="rw" setvar_vaddr="ring"/>',
          ) +
          domain(
            'to',
            `priority="50" cpu="${core}"`,
            '<map mr="ring" vaddr="0x2000000" perms="rw" setvar_vaddr="ring"/>',
          ) +
          channel('from 0', 'to 0'),
        programs: {
          from: `return { init() {
            const message = new Int32Array(8);
            for (let i = 0; i < 64; i++) { message[0] = i; pd.ring('ring').send(message); }
            pd.notify(0);
          } };`,
          to: `return { init() {}, notified() {
            const message = new Int32Array(8);
            let sum = 0;
            while (pd.ring('ring').receive(message) >= 0) sum += message[0];
            pd.dbgPuts(sum + '\\n');
          } };`,
        },
        args: ['--machine', 'ampere-altra', '--clusters', 'per-core'],
      });
    const [near, far] = await Promise.all([stream(0), stream(79)]);
    assert.deepEqual([near.said, far.said], [['2016'], ['2016']]);
    assert.equal(near.report.clusters[0].simulated!.linesMoved[0], 0);
    // 64 messages of a line each.
    const moved = far.report.clusters[1].simulated!.linesMoved[0];
    assert(moved >= 64 && moved < 110, `${moved} lines`);
  });

  it('charges who rings a doorbell for the way to its line', async () => {
    const COUNT = 50;
    const busy = async (core: number): Promise<number> => {
      const ran = await run({
        description: domain('from', '') + domain('to', `cpu="${core}"`) + channel('from 0', 'to 0'),
        programs: {
          from: `return { init() {
            for (let i = 0; i < ${COUNT}; i++) { pd.compute(20000); pd.notify(0); }
          } };`,
          to: 'return { init() {}, notified() {} };',
        },
        args: ['--machine', 'amd-epyc', '--clusters', 'per-core'],
      });
      assert.equal(ran.domain('to').entries.notified, COUNT);
      return ran.report.clusters[0].simulated!.busyCycles[0];
    };
    const { sharedL3, machine } = preset('amd-epyc').latencies;
    const [near, far] = await Promise.all([busy(1), busy(127)]);
    const more = (far - near) / COUNT;
    // The line is asked for when the signal is counted, and comes while the kernel is entered.
    assert(more > 0.5 * (machine - sharedL3) && more < machine - sharedL3, `${more} cycles`);
  });

  it('has the cores of one kernel wait for its lock', async () => {
    const { report } = await run({
      ...clients(4, false),
      args: ['--machine', 'cortex-a72', '--clusters', 'auto'],
    });
    const [{ kernel, simulated }] = report.clusters;
    assert.equal(kernel, 'smp');
    for (const waited of simulated!.lockWaitingCycles) assert(waited > 1000);
    for (const entries of simulated!.kernelEntries) assert(entries >= 400);
  });

  it('elides the lock, which is good for those who share nothing else, and bad for those who do', async () => {
    const on = (machine: string, shared: boolean, ...args: string[]): Promise<Ran> =>
      run({ ...clients(4, shared), args: ['--machine', machine, '--clusters', 'one', ...args] });
    const [pairs, elidedPairs, shared, elidedShared, again] = await Promise.all([
      on('ampere-altra', false),
      on('ampere-altra', false, '--elide-lock'),
      on('cortex-a72', true),
      on('cortex-a72', true, '--elide-lock'),
      on('cortex-a72', true, '--elide-lock'),
    ]);
    const sum = (figures: readonly number[]): number => figures.reduce((a, b) => a + b, 0);
    const simulated = ({ report }: Ran) => report.clusters[0].simulated!;
    // Whatever is undone, each client has its answers.
    for (const ran of [elidedPairs, elidedShared]) {
      assert.deepEqual(ran.said, Array<string>(4).fill('sum 20100'));
      assert.equal(ran.report.ended, 'idle');
      assert.equal(sum(ran.report.domains.map(({ calls }) => calls)), 800);
    }
    assert(elidedPairs.report.cycles! < 0.8 * pairs.report.cycles!);
    assert(sum(simulated(elidedPairs).linesMoved) < 0.2 * sum(simulated(pairs).linesMoved));
    assert(sum(simulated(elidedPairs).aborts!) < 0.1 * sum(simulated(elidedPairs).kernelEntries));
    assert(elidedShared.report.cycles! > 1.2 * shared.report.cycles!);
    assert(sum(simulated(elidedShared).aborts!) > 0.5 * sum(simulated(elidedShared).kernelEntries));
    assert.equal(simulated(shared).aborts, undefined);
    assert.equal(elidedShared.stdout, again.stdout);
  });

  it('supervises children of other clusters, and checks invariants', async () => {
    const ran = await run({
      description:
        '<memory_region name="starts" size="0x1000"/>' +
        domain(
          'parent',
          'cpu="4"',
          domain(
            'child',
            'id="3" cpu="0"',
            '<map mr="starts" vaddr="0x2000000" perms="rw" setvar_vaddr="starts"/>',
          ),
        ),
      programs: {
        parent: `return { init() {}, fault(child) {
          pd.dbgPuts('child ' + child + ' faulted\\n');
          pd.pdRestart(child);
        } };`,
        child: `return { init() { if (pd.region('starts')[0]++ < 2) throw new Error('no luck'); } };`,
      },
      args: ['--machine', 'cortex-a53', '--clusters', 'per-core', '--check-invariants'],
    });
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.domain('child').restarts, 2);
    assert.equal(ran.report.ended, 'idle');
  });

  it('goes on until a client is told that its call was given up', async () => {
    const ran = await run({
      description:
        domain('client', 'priority="10"') +
        domain('parent', 'priority="40" cpu="4"', domain('server', 'priority="20" cpu="4" id="1"')) +
        channel('client 0 pp="true"', 'server 0'),
      programs: {
        client: `return { init() {
          const said = [];
          for (let call = 0; call < 4; call++) {
            try {
              pd.ppcall(0, pd.msginfoNew(call % 2, 0));
              said.push('answered');
            } catch (error) { said.push(error.message); }
          }
          pd.dbgPuts(said.join() + '\\n');
        } };`,
        server: `return { init() {}, protected(channel, msginfo) {
          if (pd.msginfoGetLabel(msginfo) === 1) throw new Error('crash');
          return pd.msginfoNew(0, 0);
        } };`,
        parent: 'return { init() {}, fault(child) { pd.pdRestart(child); } };',
      },
      args: ['--machine', 'cortex-a53', '--clusters', 'auto'],
    });
    const lost = 'the server has given up the call: it was restarted';
    assert.ok(ran.said.includes(`answered,${lost},answered,${lost}`), ran.said.join('\n'));
    assert.equal(ran.report.ended, 'idle');
  });

  it('drops and doubles doorbells, the same each time, and loses nothing', async () => {
    const failing = (seed: number): Promise<Ran> =>
      run({
        ...calls(4),
        args: [
          '--machine',
          'cortex-a53',
          '--clusters',
          'auto',
          '--inject',
          `drop=0.1,double=0.1,seed=${seed}`,
        ],
      });
    const [first, second, other] = await Promise.all([failing(1), failing(1), failing(2)]);
    for (const { said, report } of [first, other]) {
      assert.deepEqual(said, ['sum 20100']);
      assert.equal(report.ended, 'idle');
      assert.ok(report.injected!.dropped > 5 && report.injected!.doubled > 5);
    }
    assert.equal(first.stdout, second.stdout);
    assert.notDeepEqual(first.report.cycles, other.report.cycles);
  });

  it('is what an hwloc file describes', async () => {
    const machine = machineFile('two-packages-smt.xml');
    const { report, code } = await run({ ...calls(3), args: ['--machine', machine, '--simulate'] });
    assert.equal(code, 0);
    assert.equal(report.machine, machine);
    assert(report.cycles! > 0);
  });

  it('refuses what is for this computer, and machines that are none', () =>
    withFiles(filesOf(calls(0)), async (folder) => {
      const refused = async (error: RegExp, ...args: string[]): Promise<void> => {
        const { code, stdout, stderr } = await atoll('run', join(folder, 'test.system'), ...args);
        assert.match(stderr, error);
        assert.match(stderr, /^Error: /);
        assert.deepEqual([code, stdout], [2, '']);
      };
      await refused(/there is no preset 'cortex-a99'; there are cortex-a72/, '--machine', 'cortex-a99');
      const still = join(folder, 'still.json');
      writeFileSync(still, '{"base":"cortex-a53","core":{"megahertz":0}}');
      await refused(/core.megahertz is 0; give a number above that/, '--machine', still);
      await refused(/--elide-lock is for a simulated machine/, '--elide-lock');
      await refused(/--on-failure is for this computer/, '--machine', 'cortex-a53', '--on-failure', 'stop');
      await refused(/--inject die is for this computer/, '--machine', 'cortex-a53', '--inject', 'die=0.1');
    }));
});
