/** What a kernel boots from, and what it leaves to its initial thread (manual chapter 9). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BootInfo, InitialSlot, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CapType } from '../../src/core/inspect/memory.js';
import { NO_DEVICES, compileKernel, instantiateKernel } from '../../src/core/kernel.js';
import { IMAGES, Machine } from './machine.js';

const BASE = 1 << 20;

for (const image of IMAGES) {
  describe(`boot (${image})`, () => {
    const boot = (size: number, cores = 1, rootBits = 8) => {
      const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
      const kernel = instantiateKernel(compileKernel(image), memory, BASE, 0, NO_DEVICES);
      return { info: kernel.boot(size, cores, 0, 0, rootBits), memory };
    };
    /** With a little more than there can be capabilities to. */
    const device = { base: (5 << 20) + 4096, size: 3 * 4096 + 8 };
    /** A partition that ends with the smallest piece of untyped memory. */
    const SIZE = (4 << 20) - 4096 + 16;
    const world = () => {
      const memory = new WebAssembly.Memory({ initial: 96, maximum: 96, shared: true });
      const m = new Machine({ image, base: BASE, size: SIZE, device, memory });
      return { m, memory: m.image() };
    };

    it('all memory that it does not need itself is untyped, and none of it twice', () => {
      const { m, memory } = world();
      for (const [from, to, isDevice] of [
        [undefined, BASE + SIZE, false],
        [device.base, device.base + 3 * 4096, true],
      ] as const) {
        const parts = m.info.untypeds.filter((untyped) => untyped.device === isDevice);
        let next = from ?? parts[0].address;
        for (const { cptr, address, sizeBits } of parts) {
          assert.equal(address, next);
          assert.equal(address % 2 ** sizeBits, 0, 'aligned');
          const slot = memory.slot(m.slotAddress(cptr));
          assert.equal(slot.type, CapType.Untyped);
          assert.deepEqual([slot.object, slot.bits, slot.rights], [address, sizeBits, isDevice ? 1 : 0]);
          next += 2 ** sizeBits;
        }
        assert.equal(next, to);
      }
      assert.ok(memory.slot(m.slotAddress(2)).object < m.info.untypeds[0].address);
    });

    it('the capabilities stand where the bootinfo says, and nothing behind them', () => {
      const m = new Machine({ image, size: 2 << 20, rootBits: 8 });
      const { untypeds, emptyStart, emptyEnd } = m.info;
      assert.equal(untypeds[0].cptr, InitialSlot.FirstSchedControl + 1);
      assert.equal(emptyStart, untypeds[0].cptr + untypeds.length);
      assert.equal(emptyEnd, 256);
      // The harness has filled the first ones.
      for (let slot = m.slot(); slot < emptyEnd; slot++) assert.ok(m.isEmpty(slot));
      const given = [1, 2, 4, 10, 14, 15].map((slot) => m.image().slot(m.slotAddress(slot)).type);
      assert.deepEqual(given, [
        CapType.Thread,
        CapType.CNode,
        CapType.IRQControl,
        CapType.Frame,
        CapType.SchedContext,
        CapType.UntypedControl,
      ]);
      const frame = m.image().slot(m.slotAddress(InitialSlot.IPCBuffer));
      assert.equal(frame.rights, Rights.Read | Rights.Write);
      assert.equal(frame.object, m.u32(m.info.initialTCB + Register.IPCBuffer));
      assert.equal(m.image().thread(m.info.initialTCB).mcp, 255);
      assert.equal(m.info.initialTCB % 1024, 0);
    });

    it('a small CNode holds as many untyped capabilities as fit', () => {
      const cores = 14;
      const { info, memory } = boot(3 << 20, cores, 5);
      const view = new DataView(memory.buffer, info);
      assert.equal(view.getUint32(BootInfo.UntypedCount, true), 32 - InitialSlot.FirstSchedControl - cores);
      assert.equal(view.getUint32(BootInfo.EmptyStart, true), 32);
    });

    it('too little memory, too small a CNode and memory that does not exist are refused', () => {
      const { info, memory } = boot(3 << 20);
      const free = new DataView(memory.buffer, info).getUint32(BootInfo.Untypeds, true);
      assert.equal(boot(free - BASE).info, 0);
      assert.notEqual(boot(free - BASE + 16).info, 0);
      assert.equal(boot(3 << 20, 1, 4).info, 0);
      assert.equal(boot(3 << 20, 17, 5).info, 0);
      assert.notEqual(boot(3 << 20, 16, 5).info, 0);
      assert.equal(boot(0xffff_ffff).info, 0);
    });

    it('each core has an idle thread of its own, and the first core the initial thread', () => {
      const cores = image === 'smp' ? 3 : 1;
      const m = new Machine({ image, cores });
      for (let core = 0; core < cores; core++) {
        const { current, idle } = m.image().core(core);
        assert.equal(current, core === 0 ? m.info.initialTCB : idle);
        assert.equal(m.image().thread(idle).core, core);
        assert.equal(m.kernels[core].currentAddress(), m.base + 8192 + 128 + 4096 * core);
        assert.equal(m.kernels[core].currentTCB(), current);
        const control = m.image().slot(m.slotAddress(InitialSlot.FirstSchedControl + core));
        assert.deepEqual([control.type, control.object], [CapType.SchedControl, core]);
      }
      m.create(ObjectType.Endpoint);
      checkInvariants(m.image());
    });
  });
}
