import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runFile, twoCores, type Ran } from './system.js';

function example(name: string, ...args: string[]): Promise<Ran> {
  return runFile(`examples/${name}/${name}.system`, { args });
}

/** It ended by itself, and no domain is stuck. */
function assertDone({ code, report }: Ran): void {
  assert.equal(code, 0);
  assert.equal(report.ended, 'idle');
  for (const { name, state } of report.domains) {
    assert.ok(state === 'waiting' || name === 'crasher', `${name} is ${state}`);
  }
}

describe('the examples', { concurrency: 3 }, () => {
  it('hello says hello', async () => {
    const ran = await example('hello');
    assertDone(ran);
    assert.deepEqual(ran.said, ['hello, world, from the protection domain hello']);
  });

  it('domains parts the time by its schedule', async () => {
    const ran = await example('domains', '--machine', 'cortex-a53', '--for', '40ms');
    assert.equal(ran.code, 0);
    const notified = (name: string): number =>
      ran.domain(`${name}_ping`).entries.notified + ran.domain(`${name}_pong`).entries.notified;
    const share = notified('calm') / (notified('calm') + notified('eager'));
    assert.ok(Math.abs(share - 0.75) < 0.01, `${share}`);
  });

  it('passive_server answers on its clients time', async () => {
    const ran = await example('passive_server');
    assertDone(ran);
    assert.deepEqual(ran.said, [
      'server: ready; from here on it runs only on the time of its callers',
      'server: asked for the square of 3',
      'client: the square of 3 is 9',
      'server: asked for the square of 4',
      'client: the square of 4 is 16',
      'server: asked for the square of 5',
      'client: the square of 5 is 25',
    ]);
    assert.equal(ran.domain('server').entries.protected, 3);
  });

  it('hierarchy restarts its crasher nine times and then stops it', async () => {
    const ran = await example('hierarchy');
    assertDone(ran);
    const { state, faults, restarts } = ran.domain('crasher');
    assert.deepEqual({ state, faults, restarts }, { state: 'stopped', faults: 10, restarts: 9 });
    assert.equal(ran.domain('restarter').entries.fault, 10);
    const told = ran.said.filter((line) => line.startsWith('restarter: child'));
    assert.equal(told.length, 10);
    assert.equal(told[8], 'restarter: child 1 faulted, restart 9 of 9');
    assert.equal(told[9], 'restarter: child 1 faulted once too often, stopped');
    assert.ok(ran.said.includes('hello: my sibling is not my problem'));
    assert.equal(ran.report.unhandledFaults, 0);
  });

  it('setvar shows what its description sets', async () => {
    const ran = await example('setvar');
    assertDone(ran);
    const said = ran.said.join('\n');
    assert.match(said, /setvar: small_vaddr = 0x20000000\n.*small_size = 0x1000\n.*large_vaddr = 0x40000000/);
    assert.match(said, /setvar: peer_channel = 0x11\nsetvar: small_paddr = 0x\w+000\n/);
    assert.match(said, /large_paddr = 0x\w*[02468ace]00000\n/);
    assert.match(said, /peer: notified on channel 42/);
  });

  it('mr_prefill shows the file in its region', async () => {
    const ran = await example('mr_prefill');
    assertDone(ran);
    assert.match(ran.said[0], /^130 bytes of 4096 are prefilled:$/);
    assert.equal(ran.said[1], 'A ring of islands, each its own,');
  });

  it('topology finds the nearest other cluster', twoCores, async () => {
    const ran = await example('topology', '--clusters', 'per-core');
    assertDone(ran);
    assert.match(ran.said[0], /^\d+ packages, \d+ nodes, \d+ caches, \d+ cores, \d+ clusters$/);
    assert.match(ran.said[1], /^cluster 0: cores 0, unicore kernel at 0x\w+, 1024 KiB$/);
    const last = /^I am on core 0; the nearest other cluster is \d+, \d+ ns there and back$/;
    if (process.platform === 'linux') assert.match(ran.said.at(-1)!, last);
  });

  for (const clusters of ['one', 'per-core']) {
    it(`key-value loses no acknowledged write to crashes, --clusters ${clusters}`, twoCores, async () => {
      const ran = await example('key-value', '--clusters', clusters);
      assertDone(ran);
      assert.deepEqual(ran.said.filter((line) => /^(client|checker)/.test(line)).sort(), [
        'checker: 128 keys on 2 shards, no acknowledged write is lost',
        'client_0: 5000 writes acknowledged, and read what I wrote',
        'client_1: 5000 writes acknowledged, and read what I wrote',
      ]);
      for (const name of ['shard_0', 'shard_1']) {
        const { faults, restarts, entries } = ran.domain(name);
        assert.ok(faults >= 2, `${name} crashed ${faults} times`);
        assert.deepEqual([restarts, entries.init], [faults, faults + 1]);
      }
      assert.equal(ran.report.unhandledFaults, 0);
    });

    it(`quickstart serves and exchanges on two cores, --clusters ${clusters}`, twoCores, async () => {
      const ran = await example('quickstart', '--clusters', clusters);
      assertDone(ran);
      assert.deepEqual([...ran.said].sort(), [
        'client_0: 5000 calls to the adder on my core, every sum is right',
        'client_1: 5000 calls to the adder on my core, every sum is right',
        'consumer: 100 blocks, 400 KiB, every checksum is right',
        'producer: all 100 blocks were taken by the consumer on the other core',
      ]);
      assert.deepEqual(
        ran.report.clusters.map(({ cores, kernel }) => [kernel, ...cores]),
        clusters === 'one'
          ? [['smp', 0, 1]]
          : [
              ['unicore', 0],
              ['unicore', 1],
            ],
      );
      assert.equal(ran.domain('adder_1').entries.protected, 5000);
      assert.equal(ran.domain('consumer').entries.notified, 100);
    });
  }
});
