import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clustersOf } from '../../../src/machine/topology/index.js';
import { parseHwloc } from '../../../src/machine/topology/hwloc.js';
import { lineCosts } from '../../../src/system/placement/distance.js';
import { place, placed, type Placement } from '../../../src/system/placement/placement.js';
import type { Profile } from '../../../src/system/placement/profile.js';
import { channel, domain } from '../../run/system.js';
import { manyCores } from '../../machine/fixtures.js';
import { machineOf, parse } from './problems.js';

/** Where domains are, by name. */
function coresOf({ domains }: Placement): Record<string, number> {
  return Object.fromEntries(domains.map(({ name, core }) => [name, core]));
}

function clusterOf({ domains }: Placement, name: string): number {
  return domains.find((each) => each.name === name)!.cluster;
}

/** `rates`: calls and notifications a second by `from id to`; `loads` by domain. */
function profile(
  rates: Readonly<Record<string, readonly [number, number]>>,
  loads: Readonly<Record<string, number>> = {},
): Profile {
  return {
    format: 'atoll profile',
    version: 1,
    system: 'test.system',
    seconds: 1,
    channels: Object.entries(rates).map(([ends, [callsPerSecond, notificationsPerSecond]]) => {
      const [from, fromId, to] = ends.split(' ');
      return { from, fromId: Number(fromId), to, callsPerSecond, notificationsPerSecond };
    }),
    domains: Object.entries(loads).map(([name, load]) => ({ name, entriesPerSecond: 1, load })),
  };
}

const twoPairs =
  ['a', 'b']
    .map((pair) => domain(`client_${pair}`, 'priority="1"') + domain(`server_${pair}`, 'priority="2"'))
    .join('') +
  channel('client_a 0 pp="true"', 'server_a 0') +
  channel('client_b 0 pp="true"', 'server_b 0');

describe('a plan', () => {
  it('keeps who calls each other on one cluster, and takes both clusters', () => {
    const topology = machineOf(4, 2);
    const plan = place(parse(twoPairs), topology, clustersOf(topology, 'auto'));
    assert.equal(clusterOf(plan, 'client_a'), clusterOf(plan, 'server_a'));
    assert.equal(clusterOf(plan, 'client_b'), clusterOf(plan, 'server_b'));
    assert(plan.planned.total < plan.written!.total);
    assert.equal(plan.optimal, true);
  });

  it('leaves a domain on the cpu that the description names, 0 as well, and moves one that names none', () => {
    const topology = machineOf(4, 1);
    const system = parse(
      domain('zero', 'priority="1" cpu="0"') +
        domain('three', 'priority="1" cpu="3"') +
        domain('free', 'priority="1"'),
    );
    const plan = place(system, topology, clustersOf(topology, 'auto'));
    const { zero, three, free } = coresOf(plan);
    assert.deepEqual([zero, three], [0, 3]);
    assert([1, 2].includes(free), `on core ${free}`);
    assert.deepEqual(
      placed(system, plan).protectionDomains.map(({ cpu }) => cpu),
      [0, 3, free],
    );
  });

  it('goes by what a profile says: where domains hardly call each other, load decides', () => {
    const topology = machineOf(2, 1);
    const clusters = clustersOf(topology, 'auto');
    const system = parse(domain('a', 'priority="1"') + domain('b', 'priority="2"') + channel('a 0', 'b 0'));
    const loads = { a: 0.5, b: 0.5 };
    const busy = place(system, topology, clusters, profile({ 'a 0 b': [0, 10_000_000] }, loads));
    assert.equal(clusterOf(busy, 'a'), clusterOf(busy, 'b'));
    const quiet = place(system, topology, clusters, profile({ 'a 0 b': [0, 10] }, loads));
    assert.notEqual(clusterOf(quiet, 'a'), clusterOf(quiet, 'b'));
    assert.equal(quiet.planned.waiting, 0);
  });

  it('names what costs most, and costs are the sum of their causes', () => {
    const topology = machineOf(2, 1);
    const system = parse(
      `<memory_region name="r" size="0x1000"/>` +
        ['0', '1']
          .map((cpu) => domain(`pd${cpu}`, `priority="${cpu}" cpu="${cpu}"`, `<map mr="r" vaddr="0x1000"/>`))
          .join('') +
        channel('pd0 0', 'pd1 0'),
    );
    const { planned, written, dominant } = place(
      system,
      topology,
      clustersOf(topology, 'auto'),
      profile({ 'pd0 0 pd1': [0, 1000] }),
    );
    // A line is 60 ns through the shared L3: 300 ns and 1.6 lines for each notification; 8 lines with each, 1000 anyway.
    assert.deepEqual(
      dominant.map(({ between, distance, what }) => [between, distance, what]),
      [[['pd0', 'pd1'], 'other cluster', 'memory']],
    );
    assert(Math.abs(planned.notifications - 1000 * (300 + 1.6 * 60) * 1e-9) < 1e-12);
    assert(Math.abs(planned.memory - (8 * 1000 + 1000) * 60e-9) < 1e-12);
    assert(Math.abs(planned.total - (planned.notifications + planned.memory)) < 1e-12);
    assert.deepEqual(written, planned);
  });

  it('uses no core that is in no cluster, and says when as written it could not run', () => {
    const topology = machineOf(4, 1);
    const plan = place(parse(twoPairs), topology, clustersOf(topology, '2;3'));
    assert.deepEqual(new Set(Object.values(coresOf(plan))), new Set([2, 3]));
    assert.equal(plan.written, undefined);
  });

  it('refuses a cpu that is in no cluster, or not there', () => {
    const topology = machineOf(4, 1);
    const system = parse(domain('a', 'priority="1" cpu="1"'));
    assert.throws(() => place(system, topology, clustersOf(topology, '2;3')), /cpu 1 is in no cluster.*:1:9/);
    const far = parse(domain('a', 'priority="1" cpu="9"'));
    assert.throws(
      () => place(far, topology, clustersOf(topology, 'auto')),
      /cpu 9 is not there: this machine has the cores 0 to 3 on element 'protection_domain'/,
    );
  });

  it('keeps on one cluster who has capabilities of whom', () => {
    const topology = machineOf(2, 1);
    const system = parse(
      domain('a', 'priority="1"', '<cspace><cap_tcb slot="1" pd="b"/></cspace>') +
        domain('b', 'priority="1"'),
    );
    const plan = place(system, topology, clustersOf(topology, 'auto'));
    assert.equal(clusterOf(plan, 'a'), clusterOf(plan, 'b'));
  });

  it('of 1,000 domains on 80 cores keeps each of 200 servers on the cluster of its clients', () => {
    const groups = Array.from({ length: 200 }, (_, group) => group);
    const system = parse(
      groups
        .map(
          (group) =>
            domain(`server${group}`, 'priority="2"') +
            [0, 1, 2, 3].map((client) => domain(`client${group}_${client}`, 'priority="1"')).join(''),
        )
        .join('') +
        groups
          .map(
            (group) =>
              [0, 1, 2, 3]
                .map((client) => channel(`client${group}_${client} 0 pp="true"`, `server${group} ${client}`))
                .join('') + channel(`server${group} 10`, `server${(group + 1) % 200} 11`),
          )
          .join(''),
    );
    const topology = parseHwloc(manyCores(80, 4), '80 cores');
    const plan = place(system, topology, clustersOf(topology, 'auto'));
    for (const group of groups)
      for (const client of [0, 1, 2, 3])
        assert.equal(clusterOf(plan, `client${group}_${client}`), clusterOf(plan, `server${group}`));
    const members = new Map<number, number>();
    for (const { cluster } of plan.domains) members.set(cluster, (members.get(cluster) ?? 0) + 1);
    assert.deepEqual([...members.values()], Array<number>(20).fill(50));
  });
});

describe('the cost of a line', () => {
  it('is what was measured, and where nothing was, by what two cores share', () => {
    const machine = machineOf(4, 2);
    const at = (costs: Float64Array, a: number, b: number): number => costs[a * 4 + b];
    const shared = lineCosts(machine);
    assert.deepEqual([at(shared, 1, 1), at(shared, 0, 1), at(shared, 1, 2)], [0, 22, 60]);
    const lineCost = machine.cores.map(({ id: a }) =>
      machine.cores.map(({ id: b }) => (Math.max(a, b) === 3 ? NaN : 10 * (a + b))),
    );
    const measured = lineCosts({ ...machine, lineCost });
    assert.deepEqual([at(measured, 1, 2), at(measured, 2, 3)], [30, 22]);
  });

  it('grows with the distance of nodes', () => {
    const machine = machineOf(2, 1);
    const costs = lineCosts({
      ...machine,
      caches: [],
      nodes: [0, 1].map((id) => ({ id, cores: [id], distances: id === 0 ? [10, 40] : [40, 10] })),
      cores: machine.cores.map((core) => ({ ...core, node: core.id, package: core.id })),
    });
    assert.equal(costs[1], 400);
  });
});
