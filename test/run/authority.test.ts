import assert from 'node:assert/strict';
import { it } from 'node:test';
import { channel, domain, run } from './system.js';

it('a channel is a number: what only looks like one at first reaches no other capability', async () => {
  const ran = await run({
    description:
      domain('hostile', 'priority="10"') +
      domain('server', 'priority="20"') +
      channel('hostile 1 pp="true"', 'server 0'),
    programs: {
      hostile: `
        // As a key it is a channel that there is; as a number it leads to another slot.
        const channel = () => ({ toString: () => '1', valueOf: () => 128 });
        const requests = {
          notify: () => pd.notify(channel()),
          ppcall: () => pd.ppcall(channel(), 0),
          deferredNotify: () => pd.deferredNotify(channel()),
          text: () => pd.notify('1'),
        };
        return {
          init() {
            for (const [name, request] of Object.entries(requests)) {
              let outcome = 'made';
              try { request(); } catch (error) { outcome = error instanceof RangeError ? 'refused' : 'failed'; }
              pd.dbgPuts(name + ' ' + outcome + '\\n');
            }
          },
        };`,
      server: `return { init() {}, protected() { return 0; } };`,
    },
  });
  assert.equal(ran.code, 0);
  assert.deepEqual([...ran.said].sort(), [
    'deferredNotify refused',
    'notify refused',
    'ppcall refused',
    'text refused',
  ]);
  assert.equal(ran.domain('server').entries.notified, 0);
});
