import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bundlePrograms } from '../../src/core/engine/typescript/bundle.js';

const HOSTILE = 'test/core/fixtures/hostile.ts';
const VICTIM = 'test/core/fixtures/victim.ts';

let memory: Uint8Array;
let outcome: { before: string[]; attempts: string[]; after: string[] };

before(async () => {
  const bundles = await bundlePrograms([HOSTILE, VICTIM]);
  const shared = new SharedArrayBuffer(32768);
  memory = new Uint8Array(shared).fill(0xa5);
  const worker = new Worker(new URL('breakout-worker.js', import.meta.url), {
    workerData: { hostile: bundles.get(HOSTILE), victim: bundles.get(VICTIM), memory: shared },
  });
  [outcome] = (await once(worker, 'message')) as [typeof outcome];
});

test('a hostile program gets hold of nothing that it was not given', () => {
  const attempts = outcome.attempts.map((line) => JSON.parse(line) as [string, string]);
  assert.ok(attempts.length > 60, `only ${attempts.length} attempts were made`);
  assert.deepEqual(
    attempts.filter(([, got]) => got !== ''),
    [],
  );
});

test('it changed no memory outside its writable region', () => {
  const touched = memory.findIndex(
    (byte, at) => byte !== 0xa5 && !(at >= 4096 && at < 8192) && !(at >= 16384 && at < 20480),
  );
  assert.equal(touched, -1);
});

test('its neighbour on the same core runs as before', () => {
  assert.deepEqual(outcome.after, outcome.before);
  assert.deepEqual(JSON.parse(outcome.after[0]), {
    list: [2, 7],
    called: 'called',
    added: 'undefined',
    buffer: 4,
    subarray: [2, 3],
  });
});
