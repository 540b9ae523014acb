/** Budgets and periods of domains: enforced, since a domain's guarantee is worth what others keep to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { channel, domain, run } from './system.js';

/** A domain that is busy for a while with each event, and has the echo send it the next at once. */
const BUSY = `
  const work = () => { let x = 1; for (let i = 0; i < 20000; i++) x = (x * 48271) % 2147483647; return x; };
  const again = () => { work(); pd.notify(0); };
  return { init: again, notified: again };`;
const ECHO = `return { init() {}, notified(channel) { pd.notify(channel); } };`;

describe('budgets', { concurrency: 2 }, () => {
  it('a domain that is always busy gets its share, and a less urgent one all the rest', async () => {
    const ran = await run({
      description:
        domain('echo', 'priority="30"') +
        domain('limited', 'priority="20" budget="2000" period="10000"') +
        domain('worker', 'priority="10"') +
        channel('limited 0', 'echo 0') +
        channel('worker 0', 'echo 1'),
      programs: { echo: ECHO, limited: BUSY, worker: BUSY },
      args: ['--for', '3s'],
    });
    const limited = ran.domain('limited').entries.notified;
    const worker = ran.domain('worker').entries.notified;
    assert.ok(limited > 1, `the limited domain made progress: ${limited} events`);
    const share = limited / (limited + worker);
    assert.ok(share < 0.35, `about a fifth of the time: ${limited} events of ${limited + worker}`);
  });

  it('a server is paid by its caller where it is passive, and its caller goes on', async () => {
    const ran = await run({
      description:
        domain('server', 'priority="30" passive="true"') +
        domain('client', 'priority="20" budget="1000" period="4000"') +
        channel('client 0 pp="true"', 'server 0'),
      programs: {
        server: `const work = () => { let x = 1; for (let i = 0; i < 500000; i++) x = (x * 48271) % 2147483647; return x; };
          return { init() {}, protected() { work(); return 0; } };`,
        client: `return { init() { for (let i = 0; i < 20; i++) pd.ppcall(0, 0); pd.dbgPuts('done\\n'); } };`,
      },
    });
    assert.deepEqual(ran.said, ['done']);
    assert.equal(ran.report.ended, 'idle');
  });

  it('a machine whose only domain waits for its budget is not idle', async () => {
    const ran = await run({
      description:
        domain('echo', 'priority="30"') +
        domain('limited', 'priority="20" budget="100" period="2000"') +
        channel('limited 0', 'echo 0'),
      programs: {
        echo: ECHO,
        limited: `let left = 10;
          const next = () => {
            let x = 1; for (let i = 0; i < 20000; i++) x = (x * 48271) % 2147483647;
            if (left-- > 0) pd.notify(0); else pd.dbgPuts('done\\n');
          };
          return { init: next, notified: next };`,
      },
    });
    assert.deepEqual(ran.said, ['done']);
    assert.equal(ran.report.ended, 'idle');
  });
});
