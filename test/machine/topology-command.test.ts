import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { topologyCommand } from '../../src/cli/topology.js';
import type { Cluster, Topology } from '../../src/machine/topology/index.js';
import { layTree, machineFile, manyCores } from './fixtures.js';

async function output(options: { machine: string; clusters?: string; json?: boolean }): Promise<string> {
  const out = new PassThrough();
  await topologyCommand({ clusters: 'auto', json: false, ...options, out });
  out.end();
  return text(out);
}

describe('atoll topology', () => {
  it('shows a described machine to people', async () => {
    const shown = await output({ machine: machineFile('two-packages-smt.xml') });
    assert.equal(
      shown,
      `Machine    test/machine/fixtures/two-packages-smt.xml (hwloc XML)
Cores      8 (0-7), hardware threads of 4 physical cores
Packages   0: cores 0-1,4-5
           1: cores 2-3,6-7
Nodes      0: cores 0-1,4-5, 16 GiB, distances 10 21
           1: cores 2-3,6-7, 8 GiB, distances 21 10
Caches     4 x L2 unified, 1 MiB, lines of 64 bytes: 0,4 | 1,5 | 2,6 | 3,7
           2 x L3 unified, 32 MiB, lines of 64 bytes: 0-1,4-5 | 2-3,6-7
Clusters   4, one for each set of cores that share an L2
           0: cores 0,4
           1: cores 1,5
           2: cores 2,6
           3: cores 3,7

Core  CPU  Package  Node  Physical  Cluster
   0    0        0     0         0        0
   1    1        0     0         1        1
   2    2        1     1         2        2
   3    3        1     1         3        3
   4    4        0     0         0        0
   5    5        0     0         1        1
   6    6        1     1         2        2
   7    7        1     1         3        3

Line costs are measured on Linux, and on this computer only.
`,
    );
  });

  it('shows which cores a list of clusters leaves unused', async () => {
    const shown = await output({ machine: machineFile('arm-shared-l2.xml'), clusters: '0-1' });
    assert.match(shown, /Clusters +1, as --clusters 0-1 says\n +0: cores 0-1\n/);
    assert.match(shown, / {3}3 +3 +0 +0 +3 +unused\n/);
  });

  it('sums up a machine of 1,024 cores', async (test) => {
    const folder = layTree(test, { 'big.xml': manyCores(1024, 4) });
    const shown = await output({ machine: `${folder}/big.xml` });
    assert.match(shown, /Cores +1024 \(0-1023\)\n/);
    assert.match(
      shown,
      /256 x L2 unified, 1 MiB, lines of 64 bytes: 0-3 \| 4-7 \| 8-11 \| .* \| 28-31 \| \.\.\.\n/,
    );
    assert.match(shown, /Clusters +256, .*\n( +\d+: cores .*\n){15} +\.\.\. and 241 more\n/);
    assert(shown.split('\n').length < 40);
  });

  it('shows this computer, with the cost of a line between its cores', async () => {
    const shown = await output({ machine: 'host', clusters: 'per-core' });
    assert.match(shown, /^Machine +this computer/);
    const topology = JSON.parse(
      await output({ machine: 'host', clusters: 'one', json: true }),
    ) as Topology & { readonly clusters: readonly Cluster[] };
    assert.deepEqual(topology.clusters, [{ id: 0, cores: topology.cores.map(({ id }) => id) }]);
    if (process.platform !== 'linux') return;
    assert.match(shown, /Cost of a cache line between two cores, in ns one way, measured/);
    assert.equal(topology.lineCostSource, 'measured');
    assert.equal(topology.lineCost?.length, topology.cores.length);
  });

  it('refuses what is no machine and no cut', async () => {
    await assert.rejects(output({ machine: 'none.xml' }), {
      name: 'TopologyError',
      message: /there is no such file/,
    });
    await assert.rejects(output({ machine: machineFile('big-little.xml'), clusters: '0;6' }), {
      name: 'TopologyError',
      message: /there is no core 6; the machine has 0-5/,
    });
  });
});
