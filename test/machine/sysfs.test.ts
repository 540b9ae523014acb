import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { clustersOf, type Topology } from '../../src/machine/topology/index.js';
import { topologyFromSysfs } from '../../src/machine/topology/sysfs.js';
import { layTree } from './fixtures.js';

const ANY_CPU = { 'proc/status': 'Name:\tnode\nCpus_allowed_list:\t0-1023\n' };

function read(test: TestContext, files: Record<string, string>): Topology {
  const root = layTree(test, files);
  return topologyFromSysfs({ system: root, status: join(root, 'proc/status') });
}

function cache(
  cpu: number,
  index: number,
  level: number,
  type: string,
  size: string,
  shared: string,
): Record<string, string> {
  const directory = `cpu/cpu${cpu}/cache/index${index}`;
  return {
    [`${directory}/level`]: `${level}\n`,
    [`${directory}/type`]: `${type}\n`,
    [`${directory}/size`]: `${size}\n`,
    [`${directory}/coherency_line_size`]: '64\n',
    [`${directory}/shared_cpu_list`]: `${shared}\n`,
  };
}

describe('a machine in sysfs', () => {
  it('shows packages, nodes, caches and hardware threads', (test) => {
    const files: Record<string, string> = { ...ANY_CPU, 'cpu/online': '0-3\n', 'cpu/cpufreq/policy0': '' };
    for (const cpu of [0, 1, 2, 3]) {
      const siblings = cpu % 2 === 0 ? '0,2' : '1,3';
      files[`cpu/cpu${cpu}/topology/physical_package_id`] = `${cpu % 2}\n`;
      files[`cpu/cpu${cpu}/topology/thread_siblings_list`] = `${siblings}\n`;
      Object.assign(files, cache(cpu, 0, 1, 'Data', '48K', siblings));
      Object.assign(files, cache(cpu, 1, 1, 'Instruction', '32K', siblings));
      Object.assign(files, cache(cpu, 2, 2, 'Unified', '2048K', siblings));
    }
    for (const node of [0, 1]) {
      files[`node/node${node}/cpulist`] = `${node},${node + 2}\n`;
      files[`node/node${node}/meminfo`] =
        `Node ${node} MemTotal:       1024 kB\nNode ${node} MemFree: 5 kB\n`;
      files[`node/node${node}/distance`] = node === 0 ? '10 20\n' : '20 10\n';
    }
    const topology = read(test, files);
    assert.deepEqual(topology.packages, [
      { id: 0, cores: [0, 2] },
      { id: 1, cores: [1, 3] },
    ]);
    assert.deepEqual(topology.nodes[1], { id: 1, cores: [1, 3], memoryBytes: 2 ** 20, distances: [20, 10] });
    assert.deepEqual(topology.cores[3], { id: 3, cpu: 3, package: 1, node: 1, physical: 1 });
    assert.deepEqual(
      topology.caches.map(({ level, kind, sizeBytes, cores }) => [level, kind, sizeBytes, cores]),
      [
        [1, 'data', 48 * 1024, [0, 2]],
        [1, 'data', 48 * 1024, [1, 3]],
        [1, 'instruction', 32 * 1024, [0, 2]],
        [1, 'instruction', 32 * 1024, [1, 3]],
        [2, 'unified', 2 ** 21, [0, 2]],
        [2, 'unified', 2 ** 21, [1, 3]],
      ],
    );
    assert.deepEqual(
      clustersOf(topology, 'auto').map(({ cores }) => cores),
      [
        [0, 2],
        [1, 3],
      ],
    );
  });

  it('may have holes, CPUs that are offline, and CPUs that are not for this process', (test) => {
    const topology = read(test, {
      'proc/status': 'Cpus_allowed_list:\t4-12\n',
      'cpu/online': '0,4,9,12-13\n',
      ...cache(4, 0, 2, 'Unified', '1M', '0,4'),
      ...cache(9, 0, 2, 'Unified', '1M', '9,11-12'),
      ...cache(12, 0, 2, 'Unified', '1M', '9,11-12'),
    });
    assert.deepEqual(
      topology.cores.map(({ id, cpu }) => [id, cpu]),
      [
        [0, 4],
        [1, 9],
        [2, 12],
      ],
    );
    assert.deepEqual(
      topology.caches.map(({ cores }) => cores),
      [[0], [1, 2]],
    );
  });

  it('may hide caches, nodes and the topology of its CPUs', (test) => {
    const topology = read(test, { 'cpu/cpu0/uevent': '', 'cpu/cpu1/uevent': '' });
    assert.deepEqual(topology.packages, [{ id: 0, cores: [0, 1] }]);
    assert.deepEqual(topology.nodes, [{ id: 0, cores: [0, 1] }]);
    assert.deepEqual(topology.caches, []);
    assert.deepEqual(
      topology.cores.map(({ physical }) => physical),
      [0, 1],
    );
  });

  it('may have a node without cores', (test) => {
    const topology = read(test, {
      ...ANY_CPU,
      'cpu/online': '0',
      'node/node0/cpulist': '0\n',
      'node/node2/cpulist': '\n',
      'node/node2/meminfo': 'Node 2 MemTotal: 4 kB\n',
    });
    assert.deepEqual(topology.nodes, [
      { id: 0, cores: [0] },
      { id: 2, cores: [], memoryBytes: 4096 },
    ]);
  });

  it('is refused when there is no CPU to use', (test) => {
    assert.throws(() => read(test, ANY_CPU), { name: 'TopologyError', message: /name it with --machine/ });
    assert.throws(() => read(test, { 'proc/status': 'Cpus_allowed_list:\t7\n', 'cpu/online': '0-3' }), {
      name: 'TopologyError',
    });
  });
});
