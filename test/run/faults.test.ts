import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { channel, domain, run, type Ran } from './system.js';

describe('faults without a parent', () => {
  /** Each domain faults in its own way; `victim_…` call or notify those that need it. */
  const faulty: Readonly<Record<string, string>> = {
    in_factory: `throw new Error('my factory');`,
    in_init: `return { init() { throw new RangeError('my init'); } };`,
    in_notified: `return { init() {}, notified() { null.property; } };`,
    in_protected: `return { init() {}, protected() { throw 'just text'; } };`,
    no_protected: `return { init() {} };`,
    bad_reply: `return { init() {}, protected() { return 'a reply'; } };`,
    no_reply: `return { init() {}, protected() {} };`,
    uncaught: `return { init() { pd.notify(40); } };`,
    deep: `const again = () => 1 + again(); return { init() { again(); } };`,
  };
  const called = ['in_protected', 'no_protected', 'bad_reply', 'no_reply'];
  let ran: Ran;
  before(async () => {
    ran = await run({
      description:
        Object.keys(faulty)
          .map((name) => domain(name, 'priority="50"'))
          .join('') +
        called
          .map(
            (name) =>
              domain(`client_of_${name}`, 'priority="20"', '', 'client') +
              channel(`client_of_${name} 0 pp="true"`, `${name} 0`),
          )
          .join('') +
        domain('bell', 'priority="10"') +
        channel('bell 0', 'in_notified 0') +
        domain('bystander', 'priority="1"'),
      programs: {
        ...faulty,
        client: `return { init() { pd.ppcall(0, pd.msginfoNew(0, 0)); pd.dbgPuts('answered\\n'); } };`,
        bell: `return { init() { pd.notify(0); } };`,
        bystander: `return { init() { pd.dbgPuts('the others run on\\n'); } };`,
      },
    });
  });

  it('stop the domain, and no other', () => {
    for (const name of Object.keys(faulty)) {
      const { state, faults } = ran.domain(name);
      assert.deepEqual([name, state, faults], [name, 'faulted', 1]);
    }
    assert.ok(ran.said.includes('the others run on'));
    assert.equal(ran.domain('bystander').state, 'waiting');
    assert.equal(ran.report.ended, 'idle');
  });

  it('leave the clients of a crashed server calling', () => {
    for (const name of called) assert.equal(ran.domain(`client_of_${name}`).state, 'calling');
    assert.ok(!ran.said.includes('answered'));
  });

  it('say what was thrown, and where', () => {
    const output = ran.said.join('\n');
    assert.match(output, /in_factory faulted: Error: my factory\n +at .*in_factory\.ts:\d+:\d+/);
    assert.match(output, /in_init faulted: RangeError: my init\n/);
    assert.match(output, /in_notified faulted: TypeError: Cannot read properties of null/);
    assert.match(output, /in_protected faulted: just text\n/);
    assert.match(output, /no_protected faulted: .*no entry point 'protected'/);
    assert.match(output, /bad_reply faulted: TypeError: .*is no msginfo/);
    assert.match(output, /no_reply faulted: TypeError: undefined is no msginfo/);
    assert.match(output, /uncaught faulted: RangeError: uncaught has no channel to notify 40/);
    assert.match(output, /deep faulted: RangeError: Maximum call stack size exceeded/);
    assert.match(output, /protection domain 'in_init' has no parent to handle its fault/);
  });

  it('are counted, and end with exit code 1', () => {
    assert.equal(ran.report.unhandledFaults, Object.keys(faulty).length);
    assert.equal(ran.code, 1);
  });
});

describe('a parent', { concurrency: 2 }, () => {
  it('restarts a child with fresh state, lets one go on, and leaves one stopped', async () => {
    const ran = await run({
      description:
        domain(
          'parent',
          'priority="50"',
          domain('fresh', 'priority="20" id="0"') +
            domain('forgiven', 'priority="20" id="1"') +
            domain('left', 'priority="20" id="62"'),
        ) +
        domain('bell', 'priority="10"') +
        ['fresh', 'forgiven', 'left'].map((name, id) => channel(`bell ${id}`, `${name} 5`)).join(''),
      programs: {
        parent: `return { init() {}, fault(child, msginfo) {
          pd.dbgPuts('fault of ' + child + ', label ' + pd.msginfoGetLabel(msginfo) + '\\n');
          if (child === 0) pd.pdRestart(0);
          if (child === 1) return pd.msginfoNew(0, 0);
        } };`,
        ...Object.fromEntries(
          ['fresh', 'forgiven', 'left'].map((name) => [
            name,
            `let events = 0;
             return { init() {}, notified() { pd.dbgPuts(pd.name + ' ' + ++events + '\\n'); throw new Error('crash'); } };`,
          ]),
        ),
        bell: `return { init() { for (let round = 0; round < 3; round++) for (const id of [0, 1, 2]) pd.notify(id); } };`,
      },
    });
    const said = (name: string): string[] =>
      ran.said.filter((line) => line.startsWith(`${name} `) && !line.includes('faulted'));
    assert.deepEqual(said('fresh'), ['fresh 1', 'fresh 1', 'fresh 1']);
    assert.deepEqual(said('forgiven'), ['forgiven 1', 'forgiven 2', 'forgiven 3']);
    assert.deepEqual(said('left'), ['left 1']);
    assert.equal(said('fault').filter((line) => line === 'fault of 0, label 3').length, 3);
    assert.equal(said('fault').filter((line) => line === 'fault of 62, label 3').length, 1);
    assert.deepEqual(
      ['fresh', 'forgiven', 'left'].map((name) => [ran.domain(name).state, ran.domain(name).restarts]),
      [
        ['waiting', 3],
        ['waiting', 0],
        ['faulted', 0],
      ],
    );
    assert.equal(ran.domain('parent').entries.fault, 7);
    assert.equal(ran.code, 0);
  });

  /** A child calls a server, which tells the parent in the middle of the call; so all three are on the stack. */
  const nested = (parent: string, child: string, more: Record<string, string> = {}) => ({
    description:
      `<memory_region name="book" size="0x1000"/>` +
      domain(
        'parent',
        'priority="50"',
        domain(
          'child',
          'priority="10" id="3"',
          '<map mr="book" vaddr="0x2000000" perms="rw" setvar_vaddr="book"/>',
        ) + domain('server', 'priority="30" id="4"'),
      ) +
      domain('last', 'priority="1"') +
      channel('child 0 pp="true"', 'server 0') +
      channel('server 1', 'parent 1') +
      channel('last 0', 'parent 2') +
      channel('last 1', 'child 1'),
    programs: {
      parent,
      child,
      server: `return { init() {}, protected() {
        pd.notify(1);
        pd.dbgPuts('the server goes on\\n');
        return pd.msginfoNew(7, 0);
      } };`,
      last: `return { init() { pd.dbgPuts('last\\n'); pd.notify(0); pd.notify(1); } };`,
      ...more,
    },
  });
  /** Counts its starts in a region; calls once, and then asks again and again, whatever it catches. */
  const stubborn = `return { init() {
      const start = ++pd.region('book')[0];
      pd.dbgPuts('start ' + start + '\\n');
      if (start > 1) return;
      let caught = 0;
      for (let again = 0; again < 5; again++) {
        try { pd.ppcall(0, pd.msginfoNew(0, 0)); }
        catch { caught++; }
        finally { if (again === 0) pd.dbgPuts('unwinding\\n'); }
      }
      pd.dbgPuts('caught ' + caught + '\\n');
    }, notified(channel) { pd.dbgPuts('child is notified on ' + channel + '\\n'); } };`;

  it('restarts a child whose handler waits in the middle: it is unwound, whatever it catches', async () => {
    const ran = await run(
      nested(`return { init() {}, notified(channel) { if (channel === 1) pd.pdRestart(3); } };`, stubborn),
    );
    assert.deepEqual(ran.said, [
      'start 1',
      'the server goes on',
      'unwinding',
      'caught 5',
      'start 2',
      'last',
      'child is notified on 1',
    ]);
    assert.equal(ran.domain('child').restarts, 1);
    assert.equal(ran.domain('child').calls, 1);
    assert.equal(ran.domain('server').state, 'waiting');
    assert.equal(ran.report.ended, 'idle');
    assert.equal(ran.code, 0);
  });

  it('stops such a child, and resumes it later: it goes on with its next event', async () => {
    const ran = await run(
      nested(
        `return { init() {}, notified(channel) {
          if (channel === 1) pd.pdStop(3);
          if (channel === 2) { pd.dbgPuts('resume\\n'); pd.pdResume(3); }
        } };`,
        stubborn,
      ),
    );
    assert.deepEqual(ran.said, [
      'start 1',
      'the server goes on',
      'unwinding',
      'caught 5',
      'last',
      'resume',
      'child is notified on 1',
    ]);
    assert.equal(ran.domain('child').restarts, 0);
    assert.equal(ran.domain('child').state, 'waiting');
    assert.equal(ran.code, 0);
  });

  it('stops a server in the middle of a call, and others run on', async () => {
    const ran = await run(
      nested(
        `return { init() {}, notified(channel) { if (channel === 1) pd.pdStop(4); } };`,
        `return { init() { pd.ppcall(0, pd.msginfoNew(0, 0)); pd.dbgPuts('answered\\n'); } };`,
      ),
    );
    assert.deepEqual(ran.said, ['last']);
    assert.equal(ran.domain('server').state, 'stopped');
    assert.equal(ran.domain('child').state, 'calling');
    assert.equal(ran.report.ended, 'idle');
    assert.equal(ran.code, 0);
  });

  it('restarts a server that crashed in a call: its next client is served, by a fresh instance', async () => {
    const ran = await run({
      description:
        domain('parent', 'priority="50"', domain('server', 'priority="30" id="4"')) +
        domain('first', 'priority="20"', '', 'client') +
        domain('second', 'priority="10"', '', 'client') +
        channel('first 0 pp="true"', 'server 0') +
        channel('second 0 pp="true"', 'server 1'),
      programs: {
        parent: `return { init() {}, fault(child) { pd.pdRestart(child); } };`,
        server: `let calls = 0;
          return { init() {}, protected(channel) {
            calls++;
            if (channel === 0) throw new Error('crash');
            return pd.msginfoNew(calls, 0);
          } };`,
        client: `return { init() {
          pd.dbgPuts(pd.name + ' got ' + pd.msginfoGetLabel(pd.ppcall(0, pd.msginfoNew(0, 0))) + '\\n');
        } };`,
      },
    });
    assert.equal(ran.said.at(-1), 'second got 1');
    assert.ok(!ran.said.some((line) => line.startsWith('first got')));
    assert.deepEqual([ran.domain('server').faults, ran.domain('server').restarts], [1, 1]);
    assert.equal(ran.domain('server').state, 'waiting');
    assert.equal(ran.report.ended, 'idle');
    assert.equal(ran.code, 0);
  });
});
