import assert from 'node:assert/strict';
import { it } from 'node:test';
import { channel, domain, run } from './system.js';

// All domains of a core share its stack: see src/core/headroom.ts.
it('a program at the end of the stack harms no server that it calls', async () => {
  const ran = await run({
    description:
      domain('hostile', 'priority="10"') +
      domain('server', 'priority="20"') +
      channel('hostile 0 pp="true"', 'server 0'),
    programs: {
      hostile: `
        let answered = 0;
        let refused = 0;
        const down = () => {
          try { down(); } catch {}
          try { pd.notify(0); } catch {}
          try { pd.ppcall(0, 0); answered++; } catch (error) { refused += error instanceof RangeError ? 1 : 0; }
        };
        return {
          init() {
            for (let i = 0; i < 3; i++) down();
            pd.dbgPuts('refused ' + (refused > 0) + ', answered ' + (answered > 1000) + ' ' + answered + '\\n');
          },
        };`,
      server: `
        const deep = (n) => (n === 0 ? 0 : 1 + deep(n - 1));
        return {
          init() {},
          notified() { deep(100); },
          protected() { return pd.msginfoNew(deep(100), 0); },
        };`,
    },
  });
  assert.equal(ran.code, 0);
  const said = ran.said.join('\n');
  const [, answered] = /^refused true, answered true (\d+)$/m.exec(said) ?? [];
  assert.ok(answered, said);
  const { state, faults, entries } = ran.domain('server');
  assert.deepEqual(
    { state, faults, calls: entries.protected },
    { state: 'waiting', faults: 0, calls: Number(answered) },
  );
  assert.equal(ran.domain('hostile').state, 'waiting');
});
