import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clustersOf, writeTopology, type Topology } from '../../src/machine/topology/index.js';
import { layOut } from '../../src/machine/topology/topology.js';
import {
  HEADER_BYTES,
  KERNELS,
  readTopology,
  type MachineTopology,
  type MemoryRange,
  type VisibleCluster,
} from '../../src/topology-region.js';

interface Shape {
  readonly topology: Topology;
  readonly clusters: readonly VisibleCluster[];
  readonly memory: readonly MemoryRange[];
}

const bytesOrUnknown = fc.option(fc.maxSafeNat(), { nil: undefined });

/** Machines of up to 24 cores, some of whose clusters and cores are not used. */
const shapes: fc.Arbitrary<Shape> = fc
  .uniqueArray(fc.nat(4095), { minLength: 1, maxLength: 24 })
  .chain((cpus) => {
    const some = fc.subarray(cpus);
    return fc.record({
      cpus: fc.tuple(
        ...cpus.map((cpu) => fc.record({ cpu: fc.constant(cpu), package: fc.nat(3), physical: fc.nat(40) })),
      ),
      nodes: fc.uniqueArray(fc.record({ id: fc.nat(9), cpus: some, memoryBytes: bytesOrUnknown }), {
        selector: ({ id }) => id,
        maxLength: 4,
      }),
      distance: fc.option(fc.nat(255), { nil: undefined }),
      caches: fc.array(
        fc.record({
          level: fc.integer({ min: 1, max: 5 }),
          kind: fc.constantFrom('data', 'instruction', 'unified'),
          lineBytes: fc.constantFrom(32, 64, 128),
          sizeBytes: bytesOrUnknown,
          cpus: some,
        }),
        { maxLength: 8 },
      ),
      costs: fc.option(fc.array(fc.oneof(fc.nat(1000), fc.constant(NaN)), { minLength: 1 }), {
        nil: undefined,
      }),
      cut: fc.constantFrom('one', 'per-core', '0'),
      kernels: fc.array(fc.constantFrom(...KERNELS), { minLength: 1 }),
      memory: fc.array(
        fc.record(
          {
            cluster: fc.option(fc.nat(1023), { nil: undefined }),
            base: fc.nat(2 ** 31 - 1),
            size: fc.maxSafeNat(),
          },
          { noNullPrototype: true },
        ),
      ),
    });
  })
  .map(({ cpus, nodes, distance, caches, costs, cut, kernels, memory }) => {
    const defined = <T extends object>(facts: T): T =>
      Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as T;
    const distances = distance === undefined ? {} : { distances: nodes.map((_, index) => distance + index) };
    const shape = layOut({
      ...{ source: 'a test', cpus },
      nodes: nodes.map((node) => defined({ ...node, ...distances })) as never,
      caches: caches.map(defined) as never,
    });
    const lineCost =
      costs && cpus.map((_, i) => cpus.map((_, j) => (i === j ? 0 : costs[(i + j) % costs.length])));
    return {
      topology: { ...shape, ...(lineCost && { lineCost }) },
      clusters: clustersOf(shape, cut).map((each, index) => ({
        ...each,
        kernel: kernels[index % kernels.length],
      })),
      memory,
    };
  });

const written = ({ topology, clusters, memory }: Shape): Uint8Array =>
  writeTopology(topology, clusters, memory);

/** Nothing but a RangeError, or a topology. */
function readOrRefuse(bytes: Uint8Array): MachineTopology | undefined {
  try {
    return readTopology(bytes);
  } catch (error) {
    assert(error instanceof RangeError, String(error));
    return undefined;
  }
}

describe('the topology region', () => {
  it('reads as it was written, whatever the machine', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const { packages, nodes, caches, cores, lineCost } = shape.topology;
        const { lineRoundTrip, ...read } = readTopology(written(shape));
        assert.deepEqual(read, {
          ...{ packages, nodes, caches },
          cores: cores.map((core) => ({
            ...core,
            cluster: shape.clusters.find(({ cores }) => cores.includes(core.id))?.id,
          })),
          ...{ clusters: shape.clusters, memory: shape.memory },
        });
        for (const { id: from } of cores) {
          for (const { id: to } of cores)
            assert.equal(lineRoundTrip(from, to), from === to ? 0 : 2 * (lineCost?.[from][to] ?? NaN));
        }
      }),
    );
  });

  it('has its tables aligned and within its bytes, and the same size whatever is in its memory ranges', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const bytes = written(shape);
        const words = new Uint32Array(bytes.buffer);
        assert.equal(words[2], bytes.length);
        let end = HEADER_BYTES;
        for (let at = 4; at < HEADER_BYTES / 4; at += 4) {
          const [offset, count, stride] = words.subarray(at);
          assert.equal(offset, Math.ceil(end / 8) * 8);
          end = offset + count * stride;
        }
        assert(end <= bytes.length && bytes.length < end + 8);
        const blank = shape.memory.map(() => ({ cluster: undefined, base: 0, size: 0 }));
        assert.equal(written({ ...shape, memory: blank }).length, bytes.length);
      }),
    );
  });

  it('is refused when it is none, cut off, of another version or damaged in its header', () => {
    assert.throws(() => readTopology(new Uint8Array(4096)), /RangeError: these bytes are no topology/);
    assert.throws(() => readTopology(new Uint8Array(0)), /RangeError: these bytes are no topology/);
    fc.assert(
      fc.property(shapes, fc.nat(), fc.nat(2 ** 31 - 1), (shape, place, value) => {
        const bytes = written(shape);
        const later = bytes.slice();
        new DataView(later.buffer).setUint32(4, 2, true);
        assert.throws(() => readTopology(later), /version 2; this reader knows version 1/);
        readOrRefuse(bytes.subarray(0, place % bytes.length));
        const damaged = bytes.slice();
        new DataView(damaged.buffer).setUint32(4 * (place % (bytes.length >> 2)), value, true);
        readOrRefuse(damaged);
      }),
    );
  });

  it('is read from a record that a later layout has made longer', () => {
    const topology = layOut({
      ...{ source: '', cpus: [0, 1].map((cpu) => ({ cpu, package: 0, physical: cpu })) },
      ...{ nodes: [], caches: [] },
    });
    const bytes = writeTopology(topology, [], []);
    const view = new DataView(bytes.buffer);
    const cores = 16 + 16 * 3;
    const [offset, count, stride] = [0, 4, 8].map((field) => view.getUint32(cores + field, true));
    const longer = new Uint8Array(bytes.length + count * 64);
    longer.set(bytes);
    for (let core = 0; core < count; core++) {
      longer.set(
        bytes.subarray(offset + core * stride, offset + (core + 1) * stride),
        bytes.length + core * 64,
      );
    }
    const header = new DataView(longer.buffer);
    header.setUint32(cores, bytes.length, true);
    header.setUint32(cores + 8, 64, true);
    assert.deepEqual(readTopology(longer).cores, readTopology(bytes).cores);
  });

  it('holds a machine of 1,024 cores in 4.1 MiB', () => {
    const count = 1024;
    const topology = layOut({
      ...{
        source: '',
        cpus: Array.from({ length: count }, (_, cpu) => ({ cpu, package: 0, physical: cpu })),
      },
      ...{ nodes: [], caches: [] },
    });
    const lineCost = Array.from({ length: count }, (_, i) =>
      Array.from({ length: count }, (_, j) => Math.abs(i - j)),
    );
    const clusters = clustersOf(topology, 'per-core').map((each) => ({ ...each, kernel: undefined }));
    const bytes = writeTopology({ ...topology, lineCost }, clusters, []);
    assert(bytes.length < 4.1 * 2 ** 20, `${bytes.length}`);
    const read = readTopology(bytes);
    assert.equal(read.lineRoundTrip(1023, 0), 2046);
    assert.equal(read.cores[1000].cluster, 1000);
    assert.throws(
      () => read.lineRoundTrip(0, 1024),
      /RangeError: there is no such core: cores are 0 to 1023/,
    );
  });
});
