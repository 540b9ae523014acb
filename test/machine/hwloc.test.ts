import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseHwloc, topologyFromFile } from '../../src/machine/topology/hwloc.js';
import { TopologyError, clustersOf, type Topology } from '../../src/machine/topology/index.js';
import { layTree, machineFile, manyCores } from './fixtures.js';

const clusters = (topology: Topology): (readonly number[])[] =>
  clustersOf(topology, 'auto').map(({ cores }) => cores);

/** The message with which a description is refused. */
function refusal(xml: string): string {
  try {
    parseHwloc(xml, 'machine.xml');
  } catch (error) {
    assert(error instanceof TopologyError, String(error));
    return error.message;
  }
  return assert.fail('the description was accepted');
}

describe('a machine described in hwloc XML', () => {
  it('has the caches, node and memory of an Arm cluster with a shared L2', () => {
    const topology = topologyFromFile(machineFile('arm-shared-l2.xml'));
    assert.deepEqual(topology.packages, [{ id: 0, cores: [0, 1, 2, 3] }]);
    assert.deepEqual(topology.nodes, [{ id: 0, cores: [0, 1, 2, 3], memoryBytes: 2 ** 32 }]);
    assert.equal(topology.caches.length, 9);
    assert.deepEqual(topology.caches.at(-1), {
      level: 2,
      kind: 'unified',
      sizeBytes: 2 ** 20,
      lineBytes: 64,
      cores: [0, 1, 2, 3],
    });
    assert.deepEqual(
      topology.caches
        .filter(({ kind }) => kind === 'instruction')
        .map(({ level, cores }) => [level, ...cores]),
      [0, 1, 2, 3].map((core) => [1, core]),
    );
    assert.deepEqual(clusters(topology), [[0, 1, 2, 3]]);
  });

  it('keeps hardware threads of one physical core together, and nodes with their distances', () => {
    const topology = topologyFromFile(machineFile('two-packages-smt.xml'));
    assert.deepEqual(topology.cores[6], { id: 6, cpu: 6, package: 1, node: 1, physical: 2 });
    assert.deepEqual(topology.nodes, [
      { id: 0, cores: [0, 1, 4, 5], memoryBytes: 2 ** 34, distances: [10, 21] },
      { id: 1, cores: [2, 3, 6, 7], memoryBytes: 2 ** 33, distances: [21, 10] },
    ]);
    assert.deepEqual(clusters(topology), [
      [0, 4],
      [1, 5],
      [2, 6],
      [3, 7],
    ]);
  });

  it('may have cores of different kinds, and no node', () => {
    const topology = topologyFromFile(machineFile('big-little.xml'));
    assert.deepEqual(topology.nodes, [{ id: 0, cores: [0, 1, 2, 3, 4, 5] }]);
    assert.deepEqual(clusters(topology), [[0, 1, 2, 3], [4], [5]]);
  });

  it('numbers cores without holes, leaves out what is not allowed, and may hide its caches', () => {
    const topology = topologyFromFile(machineFile('holes-no-caches.xml'));
    assert.deepEqual(
      topology.cores.map(({ id, cpu, package: pkg }) => [id, cpu, pkg]),
      [
        [0, 2, 0],
        [1, 9, 0],
        [2, 33, 1],
      ],
    );
    assert.deepEqual(topology.caches, []);
    assert.deepEqual(clusters(topology), [[0, 1], [2]]);
  });

  it('may be written by hwloc 1', () => {
    const topology = topologyFromFile(machineFile('version-1.xml'));
    assert.deepEqual(topology.packages, [
      { id: 0, cores: [0, 1] },
      { id: 1, cores: [2, 3] },
    ]);
    assert.deepEqual(
      topology.nodes.map(({ cores }) => cores),
      [
        [0, 1],
        [2, 3],
      ],
    );
    assert.deepEqual(
      topology.caches.map(({ level, lineBytes, cores }) => [level, lineBytes, cores]),
      [
        [2, 64, [0, 1]],
        [2, 64, [2, 3]],
      ],
    );
    assert.deepEqual(clusters(topology), [
      [0, 1],
      [2, 3],
    ]);
  });

  it('may have 1,024 cores, or 10,000', () => {
    assert.equal(clusters(parseHwloc(manyCores(1024, 4), 'big.xml')).length, 256);
    const topology = parseHwloc(manyCores(10_000, 8), 'huge.xml');
    assert.equal(topology.cores.length, 10_000);
    assert.equal(topology.nodes[0].cores.length, 10_000);
    assert.deepEqual(clusters(topology)[1249], [9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999]);
  });
});

describe('a file that describes no machine', () => {
  const machine = (inside: string): string =>
    `<topology version="2.0">\n  <object type="Machine">${inside}</object>\n</topology>`;

  it('is refused when it is not there or cannot be read', (test) => {
    const folder = layTree(test, {});
    assert.throws(() => topologyFromFile(`${folder}/none.xml`), {
      name: 'TopologyError',
      message: `cannot read the machine description '${folder}/none.xml': there is no such file`,
    });
    assert.throws(() => topologyFromFile(folder), { name: 'TopologyError', message: /it is a folder/ });
  });

  it('is refused with the place where it stops being hwloc XML', () => {
    assert.match(refusal(''), /^this is not hwloc XML.*: machine\.xml:1:1$/);
    assert.match(refusal('\0\x01\x02 binary'), /^this is not hwloc XML/);
    assert.match(refusal('{"cores": 2}'), /^this is not hwloc XML/);
    assert.match(
      refusal('<?xml version="1.0"?>\n<system/>'),
      /the root is 'system', not 'topology': machine\.xml:2:1$/,
    );
    assert.match(
      refusal('<topology>\n  <object type="Machine">\n</topology>'),
      /^bad XML: .*: machine\.xml:3:\d+$/,
    );
    assert.match(refusal('<topology version="2.0"/>'), /machine\.xml has no processing unit/);
    assert.match(
      refusal(machine('<object/>')),
      /^missing attribute 'type' on element 'object': machine\.xml:2:26$/,
    );
  });

  it('is refused when its numbers or sets are broken', () => {
    assert.match(
      refusal(machine('\n    <object type="PU" os_index="0" cpuset="0xzz"/>')),
      /^the cpuset '0xzz' of PU is no bitmap: machine\.xml:3:5$/,
    );
    assert.match(refusal(machine('<object type="PU" os_index="0" cpuset="0x123456789"/>')), /is no bitmap/);
    assert.match(
      refusal(machine('<object type="PU" os_index="x"/>')),
      /^the os_index 'x' of PU is no number/,
    );
    assert.match(refusal(machine('<object type="PU"/>')), /^missing os_index on PU/);
    assert.match(
      refusal(machine('<object type="PU" os_index="3"/><object type="PU" os_index="3"/>')),
      /^there are two processing units with os_index="3"/,
    );
    assert.match(
      refusal(
        machine('<object type="Core" cpuset="0x2"><object type="PU" os_index="0" cpuset="0x1"/></object>'),
      ),
      /^the cpuset of Core does not contain the PU with os_index="0" inside it/,
    );
    assert.match(
      refusal(
        `<topology><object type="PU" os_index="0"/><distances2 type="NUMANode" nbobjs="2" kind="5" indexing="os">
         <indexes length="3">0 1</indexes><u64values length="5">10 20</u64values></distances2></topology>`,
      ),
      /^a matrix of 2 objects has 2 indexes and 2 values/,
    );
  });

  it('is refused when it declares entities or nests without end', () => {
    const bomb = `<?xml version="1.0"?>\n<!DOCTYPE topology [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
      <topology>&b;</topology>`;
    assert.match(refusal(bomb), /^a machine description must not declare entities.*: machine\.xml:2:\d+$/);
    assert.match(refusal('<topology>&b;</topology>'), /^bad XML: undefined entity/);
    assert.match(
      refusal(`<topology>${'<object type="Group">'.repeat(100_000)}`),
      /^objects are nested more than 100 deep/,
    );
  });

  it('never fails but with a message for people, however it is damaged', () => {
    const whole = readFileSync(machineFile('two-packages-smt.xml'), 'utf8');
    const at = fc.nat(whole.length);
    fc.assert(
      fc.property(
        at,
        fc.nat(40),
        fc.oneof(fc.constantFrom('"', '<', '>', '/', '-1', ','), fc.string()),
        (from, length, put) => {
          try {
            parseHwloc(whole.slice(0, from) + put + whole.slice(from + length), 'machine.xml');
          } catch (error) {
            assert(error instanceof TopologyError, String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
