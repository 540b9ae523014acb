import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { pinThread } from '../../src/machine/host/affinity.js';
import {
  LineCostError,
  lineRoundTrip,
  measureLineCosts,
  pairings,
} from '../../src/machine/host/line-cost.js';
import { hostTopology } from '../../src/machine/topology/index.js';

const skip = process.platform === 'linux' ? false : 'threads are pinned on Linux only';
const here = skip ? undefined : await hostTopology({ measure: 'never' });
const skipPairs = here && here.cores.length > 1 ? false : 'a pair needs two CPUs';

/** Runs `pinThread(cpu)` in a worker of its own; returns its result and the CPUs the thread may use after it. */
async function pinWorker(cpu: number): Promise<{ result: true | string; allowed: string }> {
  const affinity = new URL('../../src/machine/host/affinity.js', import.meta.url);
  const worker = new Worker(
    `import(${JSON.stringify(affinity.href)}).then(({ pinThread }) => {
       const result = pinThread(${cpu});
       const status = require('node:fs').readFileSync('/proc/thread-self/status', 'utf8');
       require('node:worker_threads').parentPort.postMessage(
         { result, allowed: /^Cpus_allowed_list:\\s*(.*)$/m.exec(status)[1] });
     })`,
    { eval: true },
  );
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
}

const threads = (): string => /^Threads:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1];

describe('pinning a thread', { skip }, () => {
  it('binds that thread to that CPU, and no other thread', async () => {
    const before = readFileSync('/proc/thread-self/status', 'utf8');
    for (const { cpu } of here!.cores) {
      assert.deepEqual(await pinWorker(cpu), { result: true, allowed: String(cpu) });
    }
    const list = /^Cpus_allowed_list:.*$/m;
    assert.equal(list.exec(readFileSync('/proc/thread-self/status', 'utf8'))![0], list.exec(before)![0]);
  });

  it('says why it is refused', () => {
    assert.equal(pinThread(100_000), 'CPU 100000 is not there, or not allowed to this process');
    assert.equal(pinThread(-1), '-1 is no CPU number');
    assert.equal(pinThread(0.5), '0.5 is no CPU number');
  });
});

describe('the cost of a line', { skip: skip || skipPairs }, () => {
  it('is measured between each two cores, the same both ways', async (test) => {
    const costs = await measureLineCosts(here!);
    test.diagnostic(`ns one way: ${JSON.stringify(costs)}`);
    costs.forEach((row, i) =>
      row.forEach((cost, j) => {
        assert.equal(cost, costs[j][i]);
        if (i === j) assert.equal(cost, 0);
        else assert(cost > 0, `${cost} ns between core ${i} and core ${j}`);
      }),
    );
  });

  it('is a number for a pair of CPUs, and threads end with the measurement', async () => {
    const [a, b] = here!.cores;
    await lineRoundTrip(a.cpu, b.cpu);
    const before = threads();
    const trip = await lineRoundTrip(a.cpu, b.cpu);
    assert(trip > 0 && Number.isFinite(trip));
    assert.equal(threads(), before);
  });

  it('is refused for a CPU that is not there, and for a CPU with itself', async () => {
    const [a] = here!.cores;
    await assert.rejects(lineRoundTrip(a.cpu, 100_000), LineCostError);
    await assert.rejects(lineRoundTrip(a.cpu, a.cpu), LineCostError);
  });

  it('is unknown where a core cannot be used, and known for the others', async () => {
    const missing = { id: 2, cpu: 100_000, package: 0, node: 0, physical: 2 };
    const costs = await measureLineCosts({ ...here!, cores: [...here!.cores.slice(0, 2), missing] });
    assert(costs[0][1] > 0);
    assert.deepEqual([costs[0][2], costs[2][1], costs[2][2]], [NaN, NaN, 0]);
  });

  it('is not measured on one core, nor on thousands', async () => {
    assert.deepEqual(await measureLineCosts({ ...here!, cores: here!.cores.slice(0, 1) }), [[0]]);
    const cores = Array.from({ length: 1024 }, (_, id) => ({ ...here!.cores[0], id }));
    assert.deepEqual((await measureLineCosts({ ...here!, cores }))[0].slice(0, 2), [0, NaN]);
  });
});

describe('the order in which pairs are measured', () => {
  it('has each pair once, and no core in two pairs at the same time', () => {
    for (const count of [2, 3, 4, 17, 64]) {
      const rounds = [...pairings(count)];
      for (const pairs of rounds) assert.equal(new Set(pairs.flat()).size, pairs.length * 2);
      const all = new Set(rounds.flat().map((pair) => pair.toSorted((a, b) => a - b).join()));
      assert.equal(all.size, (count * (count - 1)) / 2);
      assert.equal(rounds.flat().length, all.size);
    }
  });
});
