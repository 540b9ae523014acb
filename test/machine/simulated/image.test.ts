/** The simulator's image is the shipped kernel: it does the same, and tells of each access and instruction. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ObjectType, Rights } from '../../../kernel/api/constants.js';
import { compileKernel, instantiateKernel } from '../../../src/core/kernel.js';
import { type Instrumentation, SimulatedMachine } from '../../../src/machine/simulated/machine.js';
import { preset } from '../../../src/machine/simulated/presets.js';
import { bootPairsOf, call, partitionSize, replyRecv } from '../../../src/system/simulate/pairs.js';
import { IMAGES, Machine, type MachineOptions } from '../../kernel/machine.js';

const EP = 5;
const REPLY = 4;
const BASE = 1 << 20;
const SIZE = 4 << 20;

const newMemory = (): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 96, maximum: 96, shared: true });

/** A call, with few words and with many, a reply, a fault. Returns what is in memory then. */
function workload(memory: WebAssembly.Memory, options: MachineOptions): Uint8Array {
  const m = new Machine({ ...options, memory, base: BASE, size: SIZE });
  const ep = m.create(ObjectType.Endpoint);
  const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
  const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n);
  m.sleep();
  server.recv(EP, REPLY);
  client.call(EP, [1, 2]);
  server.replyRecv(EP, REPLY, [3]);
  client.call(
    EP,
    Array.from({ length: 100 }, (_, index) => index),
  );
  server.replyRecv(EP, REPLY, [3]);
  client.fault(1, 2);
  return new Uint8Array(memory.buffer);
}

for (const image of IMAGES) {
  describe(`the simulator's ${image} image`, () => {
    it('leaves memory as the shipped one does, and reports accesses to its partition alone', () => {
      const seen = { reads: 0, writes: 0, ranges: 0, locks: 0, weight: 0 };
      const inside = (address: number, size: number): void => {
        assert.ok(
          address >>> 0 >= BASE && (address >>> 0) + size <= BASE + SIZE,
          `${address}, ${size} bytes`,
        );
      };
      const simulation: Instrumentation = {
        recent: 0,
        read(address, size, _ready, executed) {
          inside(address, size);
          seen.weight += executed;
          return ++seen.reads;
        },
        write(address, size, _ready, executed) {
          inside(address, size);
          seen.weight += executed;
          seen.writes++;
        },
        range(address, size) {
          inside(address, size);
          seen.ranges++;
        },
        execute(executed) {
          seen.weight += executed;
        },
        lockLoad: (address) => {
          inside(address, 4);
          return 1;
        },
        lockStore: (address) => {
          inside(address, 4);
          return 1;
        },
        lockExchange: (address) => {
          inside(address, 4);
          seen.locks++;
          return 1;
        },
      };
      const module = compileKernel(image, true);
      const memory = newMemory();
      const shipped = workload(newMemory(), { image });
      const simulated = workload(memory, {
        image,
        instantiate: (core, machine) =>
          instantiateKernel(module, memory, BASE, core, machine, { simulation }),
      });
      assert.ok(Buffer.from(shipped).equals(Buffer.from(simulated)));
      assert.ok(seen.reads > 500 && seen.writes > 300 && seen.ranges > 0, JSON.stringify(seen));
      assert.ok(seen.weight > seen.reads + seen.writes, JSON.stringify(seen));
      assert.equal(seen.locks > 20, image === 'smp');
    });

    it('tells which load an address waits for', () => {
      /** Of each load of a call: how many came one after the other until its address was known. */
      const depths: number[] = [0];
      const seen = { on: false, stores: 0 };
      const done = (ready: number): number => (seen.on ? depths.push(depths[ready] + 1) - 1 : 0);
      const note = (ready: number): void => {
        if (seen.on && ready > 0) seen.stores++;
      };
      const simulation: Instrumentation = {
        recent: 0,
        read: (_address, _size, ready) => done(ready),
        write: (_address, _size, ready) => note(ready),
        range() {},
        execute() {},
        lockLoad: (_address, ready) => done(ready),
        lockStore: () => 0,
        lockExchange: (_address, ready) => done(ready),
      };
      const module = compileKernel(image, true);
      const memory = newMemory();
      const m = new Machine({
        ...{ memory, base: BASE, size: SIZE, image },
        instantiate: (core, machine) =>
          instantiateKernel(module, memory, BASE, core, machine, { simulation }),
      });
      const ep = m.create(ObjectType.Endpoint);
      const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n);
      m.sleep();
      server.recv(EP, REPLY);
      seen.on = true;
      client.call(EP, [1, 2]);
      // The caller's TCB, the capability, the endpoint, the server's TCB; the lock's word before.
      const deepest = Math.max(...depths);
      assert.ok(deepest >= 4 && deepest <= 7, `${deepest}`);
      assert.ok(depths.filter((depth) => depth === 1).length >= 2);
      assert.ok(seen.stores > 5);
    });
  });
}

describe('what the image does not report, since the core has just used the line,', () => {
  const base = 1 << 20;
  const size = partitionSize(1);

  /** Two cores that use one kernel in turn, and how much it reported of what it did. */
  function run(machineName: string, reportsAll: boolean) {
    const machine = new SimulatedMachine(preset(machineName), base + size);
    const { instrumentation } = machine;
    let reports = 0;
    const simulation: Instrumentation = {
      ...instrumentation,
      // Where memory is zero.
      ...(reportsAll ? { recent: 0 } : {}),
      read: (...access) => {
        reports++;
        return instrumentation.read(...access);
      },
      write: (...access) => {
        reports++;
        instrumentation.write(...access);
      },
    };
    const module = compileKernel('smp', true);
    const [pair] = bootPairsOf(module, machine.memory, { base, size, cores: 1 }, { simulation });
    reports = 0;
    for (let turn = 0; turn < 20; turn++) {
      const core = turn & 1;
      machine.clocks[core] = Math.max(...machine.clocks);
      machine.enterKernel(core, () => call(pair));
      machine.enterKernel(core, () => replyRecv(pair));
    }
    return { time: Math.max(...machine.clocks), moved: machine.linesMoved, reports };
  }

  it('takes as long as if it did', () => {
    for (const machine of ['cortex-a53', 'mesh-1024', 'cortex-a72', 'amd-epyc']) {
      const all = run(machine, true);
      const some = run(machine, false);
      assert.ok(2 * some.reports < all.reports, `${some.reports} of ${all.reports}`);
      assert.deepEqual({ ...some, reports: 0 }, { ...all, reports: 0 }, machine);
    }
  });
});
