import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { topologyFromFile, clustersOf, type Topology } from '../../src/machine/topology/index.js';
import { machineFile } from './fixtures.js';

const smt = topologyFromFile(machineFile('two-packages-smt.xml'));
const cut = (spec: string, topology: Topology = smt): (readonly number[])[] =>
  clustersOf(topology, spec).map(({ cores }) => cores);

/** A machine that hides its caches, on which a line costs this much between cores. */
function measured(...lineCost: number[][]): Topology {
  return {
    source: 'a test',
    packages: [{ id: 0, cores: lineCost.map((_, id) => id) }],
    nodes: [{ id: 0, cores: lineCost.map((_, id) => id) }],
    caches: [],
    cores: lineCost.map((_, id) => ({ id, cpu: id, package: 0, node: 0, physical: id })),
    lineCost,
    lineCostSource: 'measured',
  };
}

describe('clusters', () => {
  it('are all cores, or a core each', () => {
    assert.deepEqual(clustersOf(smt, 'one'), [{ id: 0, cores: [0, 1, 2, 3, 4, 5, 6, 7] }]);
    assert.deepEqual(cut('per-core'), [[0], [1], [2], [3], [4], [5], [6], [7]]);
  });

  it('are as listed, and cores that are not listed are left unused', () => {
    assert.deepEqual(clustersOf(smt, '4-5,0;2'), [
      { id: 0, cores: [0, 4, 5] },
      { id: 1, cores: [2] },
    ]);
    assert.deepEqual(cut(' 0 , 1 ; 2 - 3 '), [
      [0, 1],
      [2, 3],
    ]);
  });

  it('follow measured costs where caches are hidden', () => {
    const two = [
      [0, 12, 140, 150],
      [12, 0, 145, 141],
      [140, 145, 0, 15],
      [150, 141, 15, 0],
    ];
    assert.deepEqual(cut('auto', measured(...two)), [
      [0, 1],
      [2, 3],
    ]);
    assert.deepEqual(cut('auto', measured([0, 230], [230, 0])), [[0], [1]]);
  });

  it('do not grow along a chain of neighbours', () => {
    const chain = measured([0, 20, 40], [20, 0, 20], [40, 20, 0]);
    assert.deepEqual(cut('auto', chain), [[0, 1], [2]]);
  });

  it('keep apart what could not be measured', () => {
    assert.deepEqual(cut('auto', measured([0, 10, NaN], [10, 0, NaN], [NaN, NaN, 0])), [[0, 1], [2]]);
    assert.deepEqual(cut('auto', measured([0, NaN], [NaN, 0])), [[0], [1]]);
  });

  it('are refused when the list is not one', () => {
    const refused: [string, RegExp][] = [
      ['', /cluster 0 has no core; --clusters is auto, one, per-core, or lists/],
      ['0;;1', /cluster 1 has no core/],
      ['0,1;', /cluster 1 has no core/],
      ['all', /'all' is no number and no range such as 0-3/],
      ['-1', /'-1' is no number/],
      ['0x1', /'0x1' is no number/],
      ['0,,1', /'' is no number/],
      ['3-1', /the range 3-1 runs backwards/],
      ['0-99999999999', /99999999999 is too large/],
      ['0,8', /there is no core 8; the machine has 0-7/],
      ['0,1,0', /core 0 is twice in cluster 0; name each core once/],
      ['0-2;2', /core 2 is in two clusters; name each core once/],
    ];
    for (const [spec, message] of refused) {
      assert.throws(() => clustersOf(smt, spec), { name: 'TopologyError', message }, spec);
    }
  });
});
