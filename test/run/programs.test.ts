import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { channel, domain, run, twoCores, type Ran } from './system.js';

/** For programs: says what an action throws, or that it does not. */
const TRY = `
  const say = (text) => pd.dbgPuts(text + '\\n');
  const attempt = (what, act) => {
    try { act(); } catch (error) { return say(what + ': ' + error.name); }
    say(what + ': nothing thrown');
  };`;

const EACH_REGISTER = 'for (let at = 0; at < 64; at++)';

describe('messages', { concurrency: 2 }, () => {
  it('carry 64 registers of 64 bits over three domains and back', async () => {
    const ran = await run({
      description:
        domain('client', 'priority="10"') +
        domain('middle', 'priority="20"') +
        domain('last', 'priority="30"') +
        channel('client 0 pp="true"', 'middle 62') +
        channel('middle 40 pp="true"', 'last 5'),
      programs: {
        client: `return { init() {
          ${EACH_REGISTER} pd.mrSet(at, 0xfedc_ba98_7654_3200n + BigInt(at));
          const reply = pd.ppcall(0, pd.msginfoNew(2 ** 46 - 1, 64));
          let wrong = 0;
          ${EACH_REGISTER} if (pd.mrGet(at) !== BigInt.asUintN(64, ~(0xfedc_ba98_7654_3200n + 2n * BigInt(at)))) wrong++;
          pd.dbgPuts('label ' + pd.msginfoGetLabel(reply) + ', count ' + pd.msginfoGetCount(reply) + ', wrong ' + wrong + '\\n');
        } };`,
        middle: `return { init() {}, protected(channel, msginfo) {
          pd.dbgPuts('middle: channel ' + channel + ', label ' + pd.msginfoGetLabel(msginfo) + ', count ' + pd.msginfoGetCount(msginfo) + '\\n');
          ${EACH_REGISTER} pd.mrSet(at, pd.mrGet(at) + BigInt(at));
          const reply = pd.ppcall(40, pd.msginfoNew(3, 64));
          return pd.msginfoNew(pd.msginfoGetLabel(reply) + 1, pd.msginfoGetCount(reply));
        } };`,
        last: `return { init() {}, protected(channel, msginfo) {
          pd.dbgPuts('last: channel ' + channel + ', label ' + pd.msginfoGetLabel(msginfo) + '\\n');
          ${EACH_REGISTER} pd.mrSet(at, ~pd.mrGet(at));
          return pd.msginfoNew(2 ** 40, 64);
        } };`,
      },
    });
    assert.deepEqual(ran.said, [
      'middle: channel 62, label 70368744177663, count 64',
      'last: channel 5, label 3',
      'label 1099511627777, count 64, wrong 0',
    ]);
    assert.deepEqual(
      ran.report.domains.map(({ entries, calls, state }) => [entries.protected, calls, state]),
      [
        [0, 1, 'waiting'],
        [1, 1, 'waiting'],
        [1, 0, 'waiting'],
      ],
    );
    assert.equal(ran.code, 0);
  });

  it('and requests refuse what is out of range, in a way that the program can catch', async () => {
    const ran = await run({
      description:
        `<memory_region name="book" size="0x1000"/>` +
        domain(
          'client',
          'priority="10"',
          '<map mr="book" vaddr="0x2000000" perms="r" setvar_vaddr="book"/>',
        ) +
        domain('server', 'priority="20"') +
        channel('client 3 pp="true" notify="false"', 'server 7'),
      programs: {
        client: `${TRY}
          attempt('in the factory', () => pd.ppcall(3, 0));
          return { init() {
            pd.mrSetNumber(5, 2 ** 53 - 1); say(String(pd.mrGet(5)));
            pd.mrSet(5, -1n); say(String(pd.mrGet(5)));
            pd.mrSet(63, 2n ** 53n - 1n); say(String(pd.mrGetNumber(63)));
            pd.mrSet(1, 2n ** 53n);
            attempt('mrGetNumber of 2^53', () => pd.mrGetNumber(1));
            for (const value of [2 ** 53, -1, 1.5, NaN, '1']) attempt('mrSetNumber ' + value, () => pd.mrSetNumber(0, value));
            for (const at of [64, -1, 0.5]) attempt('mrGet ' + at, () => pd.mrGet(at));
            attempt('mrSetNumber at 64', () => pd.mrSetNumber(64, 1));
            for (const channel of [0, 7, 63, -1, NaN, 'length']) attempt('ppcall ' + channel, () => pd.ppcall(channel, 0));
            attempt('ppcall without msginfo', () => pd.ppcall(3));
            attempt('a count of 65', () => pd.msginfoNew(0, 65));
            attempt('a label of 2^46', () => pd.msginfoNew(2 ** 46, 0));
            attempt('notify', () => pd.notify(3));
            attempt('deferredNotify', () => pd.deferredNotify(3));
            attempt('irqAck', () => pd.irqAck(3));
            attempt('deferredIrqAck', () => pd.deferredIrqAck(3));
            for (const child of ['pdRestart', 'pdStop', 'pdResume']) attempt(child, () => pd[child](0));
            attempt('region', () => pd.region('other'));
            attempt('a write', () => { pd.region('book')[0] = 1; });
            say('still served: ' + pd.msginfoGetLabel(pd.ppcall(3, pd.msginfoNew(1, 0))));
          } };`,
        server: `return { init() {}, protected() { return pd.msginfoNew(44, 0); } };`,
      },
    });
    assert.deepEqual(ran.said, [
      'in the factory: TypeError',
      '9007199254740991',
      '18446744073709551615',
      '9007199254740991',
      'mrGetNumber of 2^53: RangeError',
      ...[2 ** 53, -1, 1.5, NaN, '1'].map((value) => `mrSetNumber ${value}: RangeError`),
      ...[64, -1, 0.5].map((at) => `mrGet ${at}: RangeError`),
      'mrSetNumber at 64: RangeError',
      ...[0, 7, 63, -1, NaN, 'length'].map((id) => `ppcall ${id}: RangeError`),
      'ppcall without msginfo: TypeError',
      'a count of 65: RangeError',
      'a label of 2^46: RangeError',
      ...['notify', 'deferredNotify', 'irqAck', 'deferredIrqAck'].map((what) => `${what}: RangeError`),
      ...['pdRestart', 'pdStop', 'pdResume', 'region'].map((what) => `${what}: RangeError`),
      'a write: TypeError',
      'still served: 44',
    ]);
    assert.equal(ran.code, 0);
  });
});

describe('notifications', { concurrency: 2 }, () => {
  const ids = [0, 31, 32, 61, 62];

  it(
    'arrive on the channels that the description names, on one core and between clusters',
    twoCores,
    async () => {
      const pair = (cpu: number): string =>
        domain(`low_${cpu}`, 'priority="10"', '', 'low') +
        domain(`high_${cpu}`, `priority="20" cpu="${cpu}"`, '', 'high') +
        ids.map((id) => channel(`low_${cpu} ${id}`, `high_${cpu} ${62 - id}`)).join('');
      const ran = await run({
        args: ['--clusters', 'per-core'],
        description: pair(0) + pair(1),
        programs: {
          low: `return { init() { for (const id of [${ids.join()}]) pd.notify(id); },
          notified(channel) { pd.dbgPuts(pd.name + ' ' + channel + '\\n'); } };`,
          high: `return { init() {}, notified(channel) {
          pd.dbgPuts(pd.name + ' ' + channel + '\\n'); pd.notify(channel); } };`,
        },
      });
      const expected = [0, 1].flatMap((cpu) =>
        ids.flatMap((id) => [`high_${cpu} ${62 - id}`, `low_${cpu} ${id}`]),
      );
      assert.deepEqual([...ran.said].sort(), expected.sort());
      for (const cpu of [0, 1]) {
        assert.equal(ran.domain(`low_${cpu}`).entries.notified, ids.length);
        assert.equal(ran.domain(`high_${cpu}`).notifications, ids.length);
      }
    },
  );

  it('may be deferred to the end of a handler, once, and do not disturb its reply', async () => {
    const ran = await run({
      description:
        domain('server', 'priority="10"') +
        domain('client', 'priority="5"') +
        domain('witness', 'priority="30"') +
        channel('server 1', 'witness 1') +
        channel('server 2', 'witness 2') +
        channel('client 0 pp="true"', 'server 0'),
      programs: {
        server: `${TRY}
          return {
            init() { pd.deferredNotify(1); say('init ends'); },
            protected() {
              pd.deferredNotify(2);
              attempt('a second one', () => pd.deferredNotify(1));
              for (let at = 0; at < 6; at++) pd.mrSetNumber(at, 100 + at);
              say('protected ends');
              return pd.msginfoNew(9, 6);
            },
          };`,
        client: `return { init() {
          const reply = pd.ppcall(0, pd.msginfoNew(0, 0));
          const registers = [0, 1, 2, 3, 4, 5].map((at) => pd.mrGetNumber(at));
          pd.dbgPuts(pd.msginfoGetLabel(reply) + ' ' + pd.msginfoGetCount(reply) + ' ' + registers.join(' ') + '\\n');
        } };`,
        witness: `return { init() {}, notified(channel) { pd.dbgPuts('witness ' + channel + '\\n'); } };`,
      },
    });
    assert.deepEqual(ran.said, [
      'init ends',
      'witness 1',
      'a second one: RangeError',
      'protected ends',
      'witness 2',
      '9 6 100 101 102 103 104 105',
    ]);
    assert.equal(ran.code, 0);
  });
});

describe('regions', twoCores, () => {
  let ran: Ran;
  before(async () => {
    ran = await run({
      args: ['--clusters', 'per-core'],
      files: { 'text.txt': 'lagoon' },
      description:
        `<memory_region name="shared" size="0x3000"/><memory_region name="text" prefill_path="text.txt"/>` +
        domain(
          'writer',
          'priority="10"',
          `<map mr="shared" vaddr="0x2000000" perms="rw" setvar_vaddr="book"/>` +
            `<map mr="text" vaddr="0x3000000" perms="rw" setvar_vaddr="text"/>`,
        ) +
        domain(
          'reader',
          'priority="10" cpu="1"',
          `<map mr="shared" vaddr="0x2000000" perms="r" setvar_vaddr="journal"/>` +
            `<map mr="text" vaddr="0x3000000" perms="r" setvar_vaddr="text"/>`,
        ) +
        channel('writer 0', 'reader 0'),
      programs: {
        writer: `return { init() {
          const words = pd.region('book', Int32Array);
          words[0] = -7;
          Atomics.store(words, words.length - 1, 1234);
          pd.notify(0);
        } };`,
        reader: `${TRY}
          return { init() {
            const text = pd.region('text');
            say('text: ' + String.fromCharCode(...text.slice(0, 6)) + ', then ' + text[6] + ', of ' + text.length);
          }, notified() {
            const words = pd.region('journal', Int32Array);
            say('words: ' + words.length + ', ' + words[0] + ', ' + words[words.length - 1]);
            attempt('write', () => { words[0] = 1; });
            attempt('set', () => words.set([1]));
            attempt('fill', () => pd.region('journal').fill(0));
            attempt('Atomics', () => Atomics.store(words, 0, 1));
            say('afterwards ' + words[0]);
            attempt('symbol of another domain', () => pd.region('book'));
          } };`,
      },
    });
  });

  it('are shared by the clusters that map them', () => {
    assert.ok(ran.said.includes('words: 3072, -7, 1234'));
    assert.ok(ran.said.includes('afterwards -7'));
    assert.equal(ran.code, 0);
  });

  it('that are mapped without w cannot be written', () => {
    for (const what of ['write', 'set', 'fill', 'Atomics'])
      assert.ok(ran.said.includes(`${what}: TypeError`));
  });

  it('hold what they are prefilled with', () => {
    assert.ok(ran.said.includes('text: lagoon, then 0, of 4096'));
  });

  it('are found by the symbols of the domain alone', () => {
    assert.ok(ran.said.includes('symbol of another domain: RangeError'));
  });
});

describe('a passive server', { concurrency: 2 }, () => {
  const system = {
    description:
      domain('server', 'priority="20" passive="true"') +
      domain('first', 'priority="10"') +
      domain('second', 'priority="5"') +
      channel('first 0 pp="true"', 'server 1') +
      channel('second 0 pp="true"', 'server 2'),
    programs: {
      server: `let served = 0;
        return {
          init() { pd.dbgPuts('server starts\\n'); },
          notified(channel) { pd.dbgPuts('notified on ' + channel + '\\n'); pd.notify(channel); },
          protected(channel) { served++; pd.dbgPuts('called on ' + channel + '\\n'); return pd.msginfoNew(served, 0); },
        };`,
      first: `return { init() { pd.notify(0); pd.ppcall(0, pd.msginfoNew(0, 0)); },
        notified() { pd.dbgPuts('first is notified\\n'); } };`,
      second: `return { init() { pd.dbgPuts('served ' + pd.msginfoGetLabel(pd.ppcall(0, pd.msginfoNew(0, 0))) + '\\n'); pd.notify(0); },
        notified() { pd.dbgPuts('second is notified\\n'); } };`,
    },
  };

  it('is called and notified after its init', async () => {
    const ran = await run(system);
    assert.deepEqual(ran.said, [
      'server starts',
      'notified on 1',
      'called on 1',
      'first is notified',
      'called on 2',
      'served 2',
      'notified on 2',
      'second is notified',
    ]);
    assert.equal(ran.code, 0);
  });

  it('serves clients on other cores of its cluster', twoCores, async () => {
    const description = system.description.replace('name="server"', 'name="server" cpu="1"');
    const ran = await run({ ...system, description, args: ['--clusters', 'one'] });
    assert.equal(ran.domain('server').entries.protected, 2);
    for (const line of ['notified on 1', 'notified on 2', 'served 2', 'second is notified']) {
      assert.ok(ran.said.includes(line), `not said: ${line}`);
    }
    assert.deepEqual(new Set(ran.report.domains.map(({ state }) => state)), new Set(['waiting']));
  });
});

describe('the timer', () => {
  it('interrupts again after each irqAck and deferredIrqAck, and no more without', async () => {
    const ran = await run({
      args: ['--for', '600ms'],
      description: domain('clock', 'priority="10"', '<irq irq="16" id="4"/>'),
      programs: {
        clock: `let ticks = 0;
          return { init() {}, notified(channel) {
            ticks++;
            if (ticks <= 4) pd.irqAck(channel);
            else if (ticks <= 8) pd.deferredIrqAck(channel);
          } };`,
      },
    });
    assert.equal(ran.report.ended, 'time');
    assert.equal(ran.domain('clock').entries.notified, 9);
    assert.equal(ran.code, 0);
  });
});
