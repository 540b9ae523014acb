import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { channel, domain, run, twoCores, type Ran } from './system.js';

const MESSAGES = 20_000;

const map = '<map mr="ring" vaddr="0x2000000" perms="rw" setvar_vaddr="ring"/>';
const ring = '<memory_region name="ring" size="0x1000"/><?atoll ring region="ring" producer="sender"?>';

/** The lengths go from nothing to the longest message, and most fit a line. */
const lengthOf = `const lengthOf = (number) => number % 7 === 0 ? number % (ring.longest + 1) : number % 16;`;

function stream(args: readonly string[], cpu: number): Promise<Ran> {
  return run({
    args,
    description:
      ring +
      domain('sender', 'priority="10"', map) +
      domain('receiver', `priority="20" cpu="${cpu}"`, map) +
      channel('sender 0', 'receiver 0'),
    programs: {
      sender: `
        const ring = pd.ring('ring');
        ${lengthOf}
        const message = new Int32Array(ring.longest);
        let sent = 0, full = 0;
        const pump = () => {
          for (; sent < ${MESSAGES}; sent++) {
            const length = lengthOf(sent);
            for (let word = 0; word < length; word++) message[word] = sent + word;
            if (!ring.send(message, length, true)) { full++; break; }
          }
          ring.flush();
          pd.notify(0);
        };
        return {
          init: pump,
          notified() {
            if (sent < ${MESSAGES}) pump();
            else if (full > 0) { pd.dbgPuts('sent all\\n'); full = 0; }
          },
        };`,
      receiver: `
        const ring = pd.ring('ring');
        ${lengthOf}
        const into = new Uint32Array(ring.longest);
        let received = 0, wrong = 0;
        return {
          init() {},
          notified() {
            for (let length = ring.receive(into); length >= 0; length = ring.receive(into)) {
              if (length !== lengthOf(received)) wrong++;
              for (let word = 0; word < length; word++) if (into[word] !== received + word) wrong++;
              received++;
            }
            if (received === ${MESSAGES}) pd.dbgPuts('received all, wrong ' + wrong + '\\n');
            pd.notify(0);
          },
        };`,
    },
  });
}

describe('a ring between two domains', () => {
  for (const [where, args, cpu] of [
    ['on one core', [], 0],
    ['on two cores of a cluster', ['--clusters', 'one'], 1],
    ['on two clusters', ['--clusters', 'per-core'], 1],
  ] as const) {
    it(`loses, doubles and reorders nothing, ${where}`, cpu === 1 ? twoCores : {}, async () => {
      const { said, report, code } = await stream(args, cpu);
      assert.deepEqual([...new Set(said)].sort(), ['received all, wrong 0', 'sent all']);
      assert.equal(report.ended, 'idle');
      assert.equal(code, 0);
    });
  }

  it('goes on where it stood when an end starts afresh', async () => {
    const sender = `const ring = pd.ring('ring');
      return { init() {
        for (let number = 0; number < 5; number++) ring.send(Int32Array.of(number));
        pd.notify(0);
      } };`;
    const ran = await run({
      description:
        ring +
        domain('sender', 'priority="10"', map) +
        `<protection_domain name="parent" priority="30"><program_image path="parent.elf"/>
        ${domain('receiver', 'priority="20" id="1"', map)}</protection_domain>` +
        channel('sender 0', 'receiver 0'),
      programs: {
        sender,
        parent: `return { init() {}, fault(child) { pd.pdRestart(child); } };`,
        receiver: `const ring = pd.ring('ring');
          const into = new Int32Array(15);
          const drain = () => {
            while (ring.receive(into) >= 0) {
              pd.dbgPuts('got ' + into[0] + '\\n');
              if (into[0] === 2) throw new Error('bad message');
            }
          };
          return { init: drain, notified: drain };`,
      },
    });
    assert.deepEqual(
      ran.said.filter((line) => line.startsWith('got')),
      ['got 0', 'got 1', 'got 2', 'got 3', 'got 4'],
    );
    assert.equal(ran.domain('receiver').restarts, 1);
  });

  it('lets neither end do more than its part, nor harm the other', async () => {
    const attempt = `const attempt = (what, act) => {
      let said = 'nothing thrown';
      try { act(); } catch (error) { said = error.name + ': ' + error.message; }
      pd.dbgPuts(what + ': ' + said + '\\n');
    };
    const ring = pd.ring('ring');
    const into = new Int32Array(100);`;
    const { said } = await run({
      description:
        ring +
        '<memory_region name="plain" size="0x1000"/>' +
        domain('sender', 'priority="20"', `${map}<map mr="plain" vaddr="0x3000000" setvar_vaddr="plain"/>`) +
        domain('receiver', 'priority="10"', map) +
        channel('sender 0', 'receiver 0'),
      programs: {
        sender: `${attempt}
          return { init() {
            pd.dbgPuts(Object.keys(ring).join() + ' ' + Object.isFrozen(ring) + ' ' + (ring === pd.ring('ring')) + '\\n');
            attempt('receive', () => ring.receive(into));
            attempt('no ring', () => pd.ring('plain'));
            attempt('long', () => ring.send(into, 481));
            for (const fake of [[1], new Uint8Array(4), { length: 1 }, new Proxy(into, {}), undefined]) {
              attempt('fake', () => ring.send(fake));
            }
            const words = pd.region('ring', Int32Array);
            words[4 * 16 + 15] = 99 << 14;
            pd.notify(0);
          } };`,
        receiver: `${attempt}
          return { init() {}, notified() {
            attempt('send', () => ring.send(into));
            attempt('flush', () => ring.flush());
            attempt('corrupt', () => ring.receive(into));
          } };`,
      },
    });
    assert.deepEqual(said, [
      'longest,send,flush,receive true true',
      "receive: TypeError: sender is the ring's producer: it sends",
      "no ring: RangeError: sender has no ring 'plain'",
      'long: RangeError: a message of this ring has 0 to 480 words, not 481',
      ...Array<string>(5).fill('fake: TypeError: a message is an Int32Array or a Uint32Array'),
      "send: TypeError: receiver is the ring's consumer: it receives",
      "flush: TypeError: receiver is the ring's consumer: it receives",
      'corrupt: RingError: the ring is corrupt: its producer wrote a batch of more lines than it has',
    ]);
  });
});
