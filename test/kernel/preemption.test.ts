/** Long invocations stop at preemption points: an interrupt comes in, and they are made again until they are done. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights, SeL4Error } from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { IMAGES, Machine, type Thread } from './machine.js';

const ROOT = 6;
const N = 7;
const LINE = 5;
const BITS = 10;
/** Bytes that one kernel entry clears at most. */
const CLEARED_AT_ONCE = 65536;

for (const image of IMAGES) {
  describe(`preemption points (${image})`, () => {
    /** A thread that holds the initial thread's CNode, and a more urgent one that waits for an interrupt. */
    const world = () => {
      const m = new Machine({ image, size: 16 << 20, rootBits: 12 });
      const ntfn = m.create(ObjectType.Notification);
      m.handler(LINE, ntfn);
      const urgent = m.thread({ priority: 200 }).give(N, ntfn);
      const worker = m.thread({ priority: 100 }).give(ROOT, InitialSlot.CNode);
      const root = m.create(ObjectType.CapTable, BITS);
      return { m, urgent, worker, root };
    };
    /** Makes a call until it is answered, with an interrupt in between each time; returns how many entries it took. */
    const perform = (
      m: Machine,
      worker: Thread,
      urgent: Thread,
      words: number[],
      label: Invocation,
      cptr = ROOT,
      caps: number[] = [],
    ) => {
      for (let entries = 1; ; entries++) {
        assert.equal(worker.call(cptr, words, label, caps), worker);
        if (!worker.redo) {
          assert.equal(worker.message.label, SeL4Error.NoError);
          return entries;
        }
        worker.clearRedo();
        checkInvariants(m.image());
        assert.equal(m.threadOf(m.kernels[0].interrupt(LINE)), urgent, 'an interrupt comes in');
        assert.equal(urgent.wait(N), worker);
        m.kernels[0].interrupt(LINE);
        urgent.wait(N);
      }
    };
    const begin = (m: Machine, urgent: Thread, worker: Thread) => {
      m.sleep();
      assert.equal(m.current(), urgent);
      assert.equal(urgent.wait(N), worker);
    };

    it('revoke', () => {
      const { m, urgent, worker, root } = world();
      const ep = m.create(ObjectType.Endpoint);
      for (let i = 0; i < 1000; i++)
        m.invoke(root, Invocation.CNodeMint, [i, BITS, ep, 64, Rights.All, i + 1], [InitialSlot.CNode]);
      begin(m, urgent, worker);
      const entries = perform(m, worker, urgent, [ep, 64], Invocation.CNodeRevoke);
      assert.ok(entries > 10, `${entries} entries`);
      for (let i = 0; i < 1000; i++) assert.equal(m.u8(m.objectAt(root) + 32 * i), 0);
      assert.ok(!m.isEmpty(ep));
    });

    it('delete of a CNode full of CNodes', () => {
      const { m, urgent, worker, root } = world();
      const [ep, inner] = [m.create(ObjectType.Endpoint), m.slot()];
      // With a gap, so that it is not always between two of them that the work is interrupted.
      for (let i = 0; i < 300; i++) {
        const slot = i < 150 ? i : i + 1;
        m.invoke(
          m.largestUntyped,
          Invocation.UntypedRetype,
          [ObjectType.CapTable, 3, 0, 0, inner, 1],
          [InitialSlot.CNode],
        );
        m.invoke(inner, Invocation.CNodeCopy, [0, 3, ep, 64, Rights.All], [InitialSlot.CNode]);
        m.invoke(root, Invocation.CNodeMove, [slot, BITS, inner, 64], [InitialSlot.CNode]);
        m.invoke(root, Invocation.CNodeCopy, [301 + i, BITS, root, 64, Rights.All], [InitialSlot.CNode]);
      }
      const slots = m.objectAt(root);
      begin(m, urgent, worker);
      // The copies of the outer CNode go first: it must be its own last capability to be emptied.
      const entries = perform(m, worker, urgent, [root, 64], Invocation.CNodeRevoke);
      assert.ok(entries >= 1);
      assert.ok(perform(m, worker, urgent, [root, 64], Invocation.CNodeDelete) > 10);
      assert.ok(m.isEmpty(root));
      for (let i = 0; i < 1 << BITS; i++) assert.equal(m.u8(slots + 32 * i), 0, `slot ${i}`);
    });

    it('retype of memory that must be cleared first', () => {
      const { m, urgent, worker } = world();
      const untyped = m.create(ObjectType.Untyped, 22);
      const all = m.create(ObjectType.LargePage, 0, untyped);
      const address = m.objectAt(all);
      m.create(ObjectType.LargePage, 0, untyped);
      for (let at = 0; at < 1 << 22; at += 4096) m.setU64(address + at, 1n);
      const target = m.slot();
      m.revoke(untyped);
      worker.give(8, untyped);
      begin(m, urgent, worker);
      const words = [ObjectType.Untyped, 22, 0, 0, target, 1];
      // A copy of an untyped cannot be retyped while the original is its sibling, so the worker uses the only one.
      const entries = perform(m, worker, urgent, words, Invocation.UntypedRetype, 8, [ROOT]);
      assert.equal(entries, 2 ** 22 / CLEARED_AT_ONCE);
      for (let at = 0; at < 1 << 22; at += 4096) assert.equal(m.u64(address + at), 0n);
      assert.equal(m.objectAt(target), address);
    });
  });
}
