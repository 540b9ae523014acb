import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MachineTopology } from '../../src/index.js';
import { atoll, domain, run, runFile, twoCores } from './system.js';

/** What a program reads, as it tells it. */
const TELL = `return { init() {
  const topology = readTopology(pd.region('topology'));
  pd.dbgPuts(JSON.stringify({ ...topology, cpu: Number(pd.vars.topology_cpu), cost: topology.lineRoundTrip(0, 1) }) + '\\n');
} };`;

/** The program as a file, since it imports the reader. */
const file = (body: string): string =>
  `import { protectionDomain, readTopology } from 'atoll';\nexport default protectionDomain((pd) => {\n${body}\n});\n`;

describe('the topology region', { concurrency: 2 }, () => {
  it('shows the machine to programs of any cluster, and to each its own core', twoCores, async () => {
    const ran = await run({
      args: ['--clusters', 'per-core', '--grant', 'topology:a', '--grant', 'topology:b'],
      description: domain('a', 'priority="1"', '', 'tell') + domain('b', 'priority="1" cpu="1"', '', 'tell'),
      programs: {},
      files: { 'tell.ts': file(TELL) },
    });
    assert.equal(ran.code, 0, ran.stderr);
    const told = ran.said
      .map((line) => JSON.parse(line) as MachineTopology & { cpu: number; cost: number })
      .sort((a, b) => a.cpu - b.cpu);
    assert.deepEqual(
      told.map(({ cpu }) => cpu),
      [0, 1],
    );
    const [{ cpu: _cpu, cost, ...seen }, { cpu: _other, ...other }] = told;
    assert.deepEqual(other, { ...seen, cost });
    if (process.platform === 'linux') assert.ok(cost > 0, `a line costs ${cost} ns`);

    const { stdout } = await atoll('topology', '--json', '--clusters', 'per-core');
    const { packages, nodes, caches, cores, clusters } = JSON.parse(stdout) as MachineTopology;
    const { memory, ...shape } = seen;
    // A virtual machine's memory may grow and shrink between the two looks.
    const nodesOf = (from: MachineTopology['nodes']): unknown => from.map(({ id, cores }) => ({ id, cores }));
    assert.deepEqual(nodesOf(shape.nodes), nodesOf(nodes));
    assert.deepEqual(shape, {
      ...{ packages, caches, nodes: shape.nodes },
      cores: cores.map((core) => ({ ...core, cluster: core.id })),
      clusters: clusters.map((each) => ({ ...each, ...(each.id < 2 ? { kernel: 'unicore' } : {}) })),
    });
    const [shared, ...partitions] = memory;
    assert.equal(shared.cluster, undefined);
    assert.deepEqual(
      partitions.slice(0, 2).map(({ cluster, size }) => ({ cluster, size })),
      ran.report.clusters.map(({ id, memory }) => ({ cluster: id, size: memory })),
    );
    const ranges = [shared, ...partitions.slice(0, 2)].sort((a, b) => a.base - b.base);
    ranges.forEach(({ base, size }, index) => {
      assert.ok(size > 0);
      assert.ok(index + 1 === ranges.length || base + size <= ranges[index + 1].base);
    });
  });

  it('is not there for a domain that is not granted it', async () => {
    const ran = await run({
      args: ['--grant', 'topology:a'],
      description: domain('a', 'priority="1"', '', 'tell') + domain('b', 'priority="1"', '', 'tell'),
      programs: {},
      files: { 'tell.ts': file(TELL) },
    });
    assert.equal(ran.code, 1);
    assert.equal(ran.domain('a').state, 'waiting');
    assert.equal(ran.domain('b').state, 'faulted');
    assert.ok(ran.said.includes("b faulted: RangeError: b has no region 'topology'"), ran.stderr);
  });

  it('cannot be written', async () => {
    const ran = await run({
      args: ['--grant', 'topology:a'],
      description: domain('a', 'priority="1"'),
      programs: {
        a: `return { init() {
          const tries = {
            index: (region) => { region[0] = 0; },
            set: (region) => { Uint8Array.prototype.set.call(region, [0]); },
            store: (region) => { Atomics.store(region, 0, 0); },
            fill: (region) => { region.fill(0); },
          };
          for (const [name, write] of Object.entries(tries)) {
            try { write(pd.region('topology')); pd.dbgPuts(name + ' returned\\n'); }
            catch (error) { pd.dbgPuts(name + ': ' + error.name + '\\n'); }
          }
          pd.dbgPuts(String.fromCharCode(...pd.region('topology').slice(0, 4)) + '\\n');
        } };`,
      },
    });
    assert.deepEqual(ran.said, [
      'index: TypeError',
      'set: TypeError',
      'store: TypeError',
      'fill: TypeError',
      'ATOL',
    ]);
  });

  it('is granted by the description, under the symbol that it names', async () => {
    const ran = await run({
      description: `${domain('a', 'priority="1"')}<?atoll grant resource="topology" pd="a" symbol="shape"?>`,
      programs: {
        a: `return { init() { pd.dbgPuts(pd.region('shape').slice(0, 4).join() + ' ' + pd.vars.shape_cpu + '\\n'); } };`,
      },
    });
    assert.deepEqual(ran.said, ['65,84,79,76 0']);
  });

  it('has the line costs of the model where the machine is simulated', async () => {
    const ran = await runFile('examples/topology/topology.system', {
      args: ['--machine', 'test/machine/fixtures/arm-shared-l2.xml', '--clusters', 'per-core'],
    });
    assert.match(ran.said[0], /^1 packages, 1 nodes, \d+ caches, 4 cores, 4 clusters$/);
    assert.match(ran.said[1], /^cluster 0: cores 0, unicore kernel at 0x\w+, \d+ KiB$/);
    assert.equal(ran.said[2], 'cluster 1: cores 1, no kernel');
    assert.equal(ran.said[5], 'I am on core 0; the nearest other cluster is 1, 14 ns there and back');
  });
});
