/** What an access costs, by where the line was before. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Caches } from '../../../src/machine/simulated/cache.js';
import { Coherence } from '../../../src/machine/simulated/coherence.js';
import { CoreSets, PER_LINE } from '../../../src/machine/simulated/core-sets.js';
import { distanceOf } from '../../../src/machine/simulated/distance.js';
import { checkModel, type MachineModel } from '../../../src/machine/simulated/model.js';
import { PRESETS, preset, simulatedModel } from '../../../src/machine/simulated/presets.js';
import { TopologyError } from '../../../src/machine/topology/topology.js';
import { layTree, machineFile } from '../fixtures.js';

describe('coherence', () => {
  const model = preset('cortex-a53');
  const { latencies } = model;
  const world = () => new Coherence(model, 1 << 20);

  it('fetches a line from memory once, and then has it', () => {
    const caches = world();
    assert.equal(caches.access(0, 7, false, 100), 100 + latencies.memory);
    assert.equal(caches.access(0, 7, false, 1000), 1000);
    assert.equal(caches.access(0, 7, true, 1000), 1000);
    assert.equal(caches.moved, 0);
  });

  it('brings a line from a core of the cluster, or, dearer, from another cluster', () => {
    const caches = world();
    caches.access(0, 7, true, 0);
    assert.equal(caches.access(1, 7, true, 1000), 1000 + latencies.sharedL2);
    assert.equal(caches.access(5, 7, true, 2000), 2000 + latencies.package);
    assert.equal(caches.moved, 2);
  });

  it('lets several read, and takes the line from all of them for one to write', () => {
    const caches = world();
    for (const core of [0, 1, 5]) caches.access(core, 7, false, 1000);
    for (const core of [0, 1, 5]) assert.equal(caches.access(core, 7, false, 5000), 5000);
    assert.equal(caches.access(1, 7, true, 5000), 5000 + latencies.package);
    assert.equal(caches.access(0, 7, false, 9000), 9000 + latencies.sharedL2);
  });

  it('serves one writer of a line after the other', () => {
    const caches = world();
    caches.access(0, 7, true, 0);
    const first = caches.access(1, 7, true, 1000);
    assert.equal(caches.access(2, 7, true, 1000), first + latencies.sharedL2);
  });

  it('finds what its L1 had no room for in the L2', () => {
    const caches = world();
    const lines = (64 * 1024) / 64;
    for (let line = 0; line < lines; line++) caches.access(0, line, false, 0);
    assert.equal(caches.access(0, 0, false, 10_000), 10_000 + latencies.l2);
  });
});

describe('a cache', () => {
  it('gives up the least recently used line of a set', () => {
    const caches = new Caches([16, 2], 2);
    caches.insert(0, 1);
    assert.equal(caches.insert(1, 1), -1);
    assert.equal(caches.insert(1, 2), -1);
    assert.ok(caches.touch(1, 1));
    assert.equal(caches.insert(1, 3), 2);
    caches.remove(1, 1);
    assert.ok(!caches.touch(1, 1));
    assert.ok(caches.touch(1, 3));
    assert.ok(caches.touch(0, 1));
  });
});

describe('sets of cores', () => {
  it('hold what was added, in the order of the cores, for one core or many', () => {
    const sets = new CoreSets(new Int32Array(4 * PER_LINE), 1, 100);
    const members = (line: number): number[] => {
      const found: number[] = [];
      for (let core = sets.next(line, 0); core >= 0; core = sets.next(line, core + 1)) found.push(core);
      return found;
    };
    for (const core of [64, 3, 99, 31, 3]) sets.add(1, core);
    sets.add(2, 31);
    assert.deepEqual([0, 1, 2].map(members), [[], [3, 31, 64, 99], [31]]);
    assert.ok(sets.has(1, 99) && !sets.has(1, 98) && sets.has(2, 31) && !sets.has(2, 30));
    for (const core of [3, 64, 99, 31]) sets.delete(1, core);
    sets.delete(2, 30);
    sets.clear(3);
    assert.deepEqual([sets.isEmpty(1), sets.isEmpty(2), sets.isEmpty(3)], [true, false, true]);
    sets.add(3, 1);
    sets.add(3, 2);
    assert.deepEqual(members(3), [1, 2]);
  });
});

describe('distance', () => {
  it('grows with the hops, on a ring the shorter way round, and is the same in both directions', () => {
    const mesh = distanceOf(preset('mesh-1024'));
    assert.ok(mesh.transfer(0, 1023, 5) > mesh.transfer(0, 33, 5));
    const ring = distanceOf(preset('intel-client'));
    const mean = (core: number): number => {
      let sum = 0;
      for (let line = 0; line < 512; line++) sum += ring.transfer(0, core, line);
      return sum / 512;
    };
    assert.ok(mean(4) > mean(1));
    assert.ok(Math.abs(mean(7) - mean(1)) < 1);
    assert.equal(ring.transfer(2, 6, 9), ring.transfer(6, 2, 9));
  });

  it('agrees with what was measured on such machines, an exchange and the L1 included', () => {
    // The README of github.com/nviennot/core-to-core-latency, and the clocks in presets.ts.
    const measured: [
      string,
      ghz: number,
      ns: number,
      which: (model: MachineModel, other: number) => boolean,
    ][] = [
      ['intel-client', 4.7, 21, () => true],
      ['intel-server', 3.6, 47, ({ topology }, other) => topology.cores[other].package === 0],
      ['intel-server', 3.6, 134, ({ topology }, other) => topology.cores[other].package === 1],
      ['amd-epyc', 3.6, 23, (_, other) => other < 8],
      ['amd-epyc', 3.6, 107, ({ topology }, other) => other >= 8 && topology.cores[other].package === 0],
      ['amd-epyc', 3.6, 197, ({ topology }, other) => topology.cores[other].package === 1],
      ['ampere-altra', 2.5, 47, () => true],
    ];
    for (const [name, ghz, ns, which] of measured) {
      const model = preset(name);
      const distance = distanceOf(model);
      const perPackage = model.topology.packages[0].cores;
      const costs = perPackage.flatMap((core) =>
        model.topology.cores
          .filter(({ id }) => id !== core && which(model, id) && (name !== 'amd-epyc' || core < 8))
          .flatMap(({ id }) => Array.from({ length: 64 }, (_, line) => distance.transfer(core, id, line))),
      );
      const mean = costs.reduce((a, b) => a + b, 0) / costs.length;
      const l1 = 4;
      const ratio = (mean + model.core.atomic + l1) / (ghz * ns);
      assert.ok(Math.abs(ratio - 1) < 0.02, `${name}, ${ns} ns: ${ratio} times that`);
    }
  });

  it('is never less than the least that is said of a core', () => {
    for (const name of PRESETS) {
      const model = preset(name);
      const distance = distanceOf(model);
      const last = model.topology.cores.length - 1;
      for (let owner = 1; owner <= last; owner += 1 + (last >> 6))
        for (const core of [0, last >> 1])
          if (core !== owner) assert.ok(distance.least(core, 5) <= distance.transfer(core, owner, 5), name);
    }
  });

  it('is a few hundred to a thousand cycles across the die of 1,024 cores', () => {
    const mesh = distanceOf(preset('mesh-1024'));
    for (let line = 0; line < 100; line++) {
      const cost = mesh.transfer(0, 1023, line);
      assert.ok(cost >= 300 && cost <= 1000, `${cost}`);
    }
  });
});

describe('a model', () => {
  it('is sound for every preset', () => {
    for (const name of PRESETS) assert.equal(preset(name).name, name);
  });

  it('is made of any hwloc file', () => {
    for (const file of [
      'two-packages-smt.xml',
      'holes-no-caches.xml',
      'big-little.xml',
      'arm-shared-l2.xml',
    ]) {
      const model = simulatedModel(machineFile(file));
      const caches = new Coherence(model, 1 << 16);
      const last = model.topology.cores.length - 1;
      caches.access(0, 3, true, 0);
      assert.ok(caches.access(last, 3, true, 1000) > 1000, file);
    }
  });

  it('is refused with a figure that is missing, negative or no number', () => {
    const model = preset('cortex-a72');
    const { hop: _, ...missing } = model.latencies;
    const refuse = (latencies: object, message: RegExp): void => {
      assert.throws(() => checkModel({ ...model, latencies: latencies as typeof model.latencies }), message);
    };
    refuse(missing, /machine 'cortex-a72': latencies.hop is missing; give a number from 0/);
    refuse({ ...model.latencies, l2: -3 }, /latencies.l2 is -3/);
    refuse({ ...model.latencies, memory: 'slow' }, /latencies.memory is "slow"/);
    assert.throws(
      () => checkModel({ ...model, interconnect: { kind: 'mesh', width: 0 } }),
      /the mesh's width must be a whole number from 1/,
    );
  });

  it('is refused where a file says what it must not', (test) => {
    const { latencies, core } = preset('cortex-a72');
    const topology = { packages: 1, coresPerPackage: 4, l1: 32768, l2: { bytes: 1048576, cores: 2 } };
    const whole = { topology, latencies, core };
    const changed = (changes: object): string => JSON.stringify({ ...whole, ...changes });
    const folder = layTree(test, {});
    const file = join(folder, 'machine.json');
    const model = (contents: string): MachineModel => {
      writeFileSync(file, contents);
      return simulatedModel(file);
    };
    const refused = (message: RegExp, contents: string): void => {
      assert.throws(
        () => model(contents),
        (error: Error) => error instanceof TopologyError && message.test(error.message),
      );
    };
    assert.equal(model(changed({})).topology.cores.length, 4);
    refused(/has 'l9' in latencies; there are l2, l3/, changed({ latencies: { l9: 1 } }));
    refused(
      /core.atomic is missing/,
      changed({ core: { megahertz: 1, cyclesPerInstruction: 1, kernelEntry: 1 } }),
    );
    refused(/core.misses must be a whole number from 1 to 1024/, changed({ core: { ...core, misses: 0 } }));
    refused(/must have either 'base' or 'topology'/, changed({ base: 'cortex-a72' }));
    refused(
      /has an l2 for each 3 of the 4 cores/,
      changed({ topology: { ...whole.topology, l2: { bytes: 4096, cores: 3 } } }),
    );
    refused(
      /from 1 to 4096 as coresPerPackage/,
      changed({ topology: { ...whole.topology, coresPerPackage: 1e9 } }),
    );
    refused(/flat, ring or mesh/, changed({ interconnect: { kind: 'torus' } }));
    refused(/the mesh's width must be/, changed({ interconnect: { kind: 'mesh' } }));
    refused(/must have a preset or an hwloc XML file as base/, '{"base":"machine.json"}');
    refused(/must have an object as the file/, '[1]');
    refused(/cannot be read: .*JSON/, '{');
    refused(/there is no preset 'cray'/, '{"base":"cray"}');
  });
});
