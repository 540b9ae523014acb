/** Systems with a domain schedule, in virtual time: whose turn it is, and that nobody is locked out. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { channel, domain, run, type Ran, type System } from './system.js';

const MACHINE = ['--machine', 'cortex-a53'];

/** Scheduling domains `a` and `b`, and turns in microseconds. */
const schedule = (...entries: readonly [name: string, microseconds: number][]): string =>
  `<domains><domain name="a" /><domain name="b" /><domain_schedule>${entries
    .map(([name, time]) => `<schedule_entry domain="${name}" duration="${time} us" />`)
    .join('')}</domain_schedule></domains>`;

/** Two domains that hand each other work for ever; each piece takes so many cycles. */
const busy = (name: string, priority: number, schedulingDomain: string): string =>
  [0, 1]
    .map((at) => domain(`${name}${at}`, `priority="${priority}" domain="${schedulingDomain}"`, '', name))
    .join('') + channel(`${name}0 0`, `${name}1 0`);
const work = (cycles: number): string => `return {
  init() { if (pd.name.endsWith('0')) pd.notify(0); },
  notified() { pd.compute(${cycles}); pd.notify(0); },
};`;
const done = (ran: Ran, name: string): number =>
  ran.domain(`${name}0`).entries.notified + ran.domain(`${name}1`).entries.notified;

describe('a domain schedule', { concurrency: 2 }, () => {
  it('gives each domain its share of the time, whatever the priorities', async () => {
    const system: System = {
      description: schedule(['a', 300], ['b', 100]) + busy('low', 10, 'a') + busy('high', 200, 'b'),
      programs: { low: work(2000), high: work(2000) },
      args: [...MACHINE, '--for', '20ms'],
    };
    const ran = await run(system);
    assert.equal(ran.code, 0);
    const share = done(ran, 'low') / (done(ran, 'low') + done(ran, 'high'));
    assert.ok(Math.abs(share - 0.75) < 0.02, `three quarters for the less urgent: ${share}`);
    const again = await run({ ...system, programs: { low: work(2000), high: work(4000) } });
    assert.ok(Math.abs(done(again, 'low') / done(ran, 'low') - 1) < 0.05, 'whatever the others do in theirs');
  });

  it('makes good what handlers took too much', async () => {
    const ran = await run({
      description: schedule(['a', 100], ['b', 100]) + busy('long', 10, 'a') + busy('short', 200, 'b'),
      programs: { long: work(500_000), short: work(50_000) },
      args: [...MACHINE, '--for', '60ms'],
    });
    const share = (10 * done(ran, 'long')) / (10 * done(ran, 'long') + done(ran, 'short'));
    assert.ok(
      Math.abs(share - 0.5) < 0.02,
      `half of the time, a handler of several turns after the other: ${share}`,
    );
  });

  it('does not cut a handler short', async () => {
    const ran = await run({
      description:
        schedule(['a', 100], ['b', 100]) +
        domain('long', 'priority="10" domain="a"') +
        domain('server', 'priority="20" domain="a"') +
        domain('other', 'priority="100" domain="b"') +
        channel('long 0 pp="true"', 'server 0') +
        channel('long 1', 'other 1'),
      programs: {
        long: `return { init() {
          pd.notify(1);
          pd.compute(1_000_000);
          pd.ppcall(0, pd.msginfoNew(0, 0));
          pd.dbgPuts('done\\n');
        } };`,
        server: `return { init() {}, protected() { pd.compute(1_000_000); pd.dbgPuts('served\\n'); return pd.msginfoNew(0, 0); } };`,
        other: `return { init() { pd.dbgPuts('other\\n'); }, notified() { pd.dbgPuts('notified\\n'); } };`,
      },
      args: [...MACHINE, '--check-invariants'],
    });
    assert.equal(ran.report.ended, 'idle', 'a system that has nothing to do ends, though turns could go on');
    assert.deepEqual(ran.said, ['served', 'done', 'other', 'notified']);
  });

  it('lets domains call servers of others, each in its turn', async () => {
    const ran = await run({
      description:
        schedule(['b', 50], ['a', 50]) +
        domain('client', 'priority="10" domain="a"') +
        domain('server', 'priority="20" domain="b" passive="true"') +
        domain('below', 'priority="5" domain="b"') +
        busy('filler', 8, 'a') +
        channel('client 0 pp="true"', 'server 0') +
        channel('below 1', 'client 1'),
      programs: {
        client: `return { init() {
          let sum = 0;
          for (let i = 0; i < 20; i++) { pd.mrSetNumber(0, i); pd.ppcall(0, pd.msginfoNew(0, 1)); sum += pd.mrGetNumber(0); }
          pd.dbgPuts('sum ' + sum + '\\n');
        }, notified() { pd.dbgPuts('notified\\n'); } };`,
        server: `return { init() {}, protected() { pd.mrSetNumber(0, pd.mrGetNumber(0) + 1); return pd.msginfoNew(0, 1); } };`,
        below: `return { init() { pd.dbgPuts('below\\n'); pd.notify(1); } };`,
        filler: work(6000),
      },
      args: [...MACHINE, '--for', '20ms'],
    });
    assert.deepEqual(ran.said, ['below', 'sum 210', 'notified']);
    assert.ok(done(ran, 'filler') > 100, 'and those below the client are not held up for good');
  });

  it('finishes handlers that have waited under each other', async () => {
    const calls = (name: string): string => `return { init() {
      for (let i = 0; i < 30; i++) {
        pd.compute(i * 700);
        pd.mrSetNumber(0, i);
        pd.ppcall(0, pd.msginfoNew(0, 1));
        if (pd.mrGetNumber(0) !== i + 1) throw new Error('a wrong answer');
      }
      pd.dbgPuts('${name} is done\\n');
    } };`;
    const server = `return { init() {}, protected() {
      pd.compute(3000);
      pd.mrSetNumber(0, pd.mrGetNumber(0) + 1);
      return pd.msginfoNew(0, 1);
    } };`;
    const ran = await run({
      description:
        schedule(['a', 20], ['b', 30], ['a', 10]) +
        domain('first', 'priority="10" domain="a"') +
        domain('second', 'priority="12" domain="b"') +
        domain('of_first', 'priority="20" domain="b"', '', 'server') +
        domain('of_second', 'priority="15" domain="a"', '', 'server') +
        busy('filler', 5, 'a') +
        channel('first 0 pp="true"', 'of_first 0') +
        channel('second 0 pp="true"', 'of_second 0'),
      programs: { first: calls('first'), second: calls('second'), server, filler: work(500) },
      args: [...MACHINE, '--check-invariants', '--for', '10ms'],
    });
    assert.deepEqual([...ran.said].sort(), ['first is done', 'second is done']);
    assert.ok(done(ran, 'filler') > 100, 'and others in between');
  });

  it('leaves the monitor its turns', async () => {
    const ran = await run({
      description:
        schedule(['b', 1000], ['a', 1000]) +
        domain('faulty', 'priority="10" domain="a"') +
        busy('high', 254, 'b') +
        busy('low', 254, 'a'),
      programs: {
        faulty: `return { init() { throw new Error('on purpose'); } };`,
        high: work(6000),
        low: work(6000),
      },
      args: [...MACHINE, '--for', '20ms'],
    });
    assert.equal(ran.code, 0, 'those of its own domain and more urgent never let the faulty one run');
    const other = await run({
      description:
        schedule(['b', 1000], ['a', 1000]) +
        domain('faulty', 'priority="10" domain="a"') +
        busy('high', 254, 'b'),
      programs: { faulty: `return { init() { throw new Error('on purpose'); } };`, high: work(6000) },
      args: [...MACHINE, '--for', '20ms'],
    });
    assert.equal(other.code, 1);
    assert.ok(other.said.some((line) => line.startsWith("Fault: protection domain 'faulty'")));
    assert.equal(other.domain('faulty').state, 'faulted');
  });

  it('runs on this computer, too', async () => {
    const ran = await run({
      description: schedule(['a', 2000], ['b', 1000]) + busy('low', 10, 'a') + busy('high', 200, 'b'),
      programs: { low: work(0), high: work(0) },
      args: ['--for', '200ms'],
    });
    assert.equal(ran.code, 0);
    assert.ok(done(ran, 'low') > 100 && done(ran, 'high') > 100, 'both have run');
  });
});
