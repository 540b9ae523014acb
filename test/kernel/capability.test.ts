/** Capability spaces and the derivation tree (manual chapter 3). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Invocation, LookupFailure, ObjectType, Rights, SeL4Error } from '../../kernel/api/constants.js';
import { IMAGES, Machine, guardFor, refuses } from './machine.js';

const ROOT = 2;

for (const image of IMAGES) {
  describe(`capabilities (${image})`, () => {
    const world = () => {
      const m = new Machine({ image });
      return { m, ep: m.create(ObjectType.Endpoint), empty: m.slot() };
    };
    const copy = (m: Machine, to: number, from: number, depth: number = 64) =>
      m.invoke(ROOT, Invocation.CNodeCopy, [to, depth, from, 64, Rights.All], [ROOT]);
    const badgeOf = (m: Machine, slot: number) => m.u64(m.slotAddress(slot) + 8);

    it('copies into an empty slot alone, and from one that is not', () => {
      const { m, ep, empty } = world();
      copy(m, empty, ep);
      assert.equal(m.objectAt(empty), m.objectAt(ep));
      refuses(() => copy(m, empty, ep), SeL4Error.DeleteFirst);
      const [a, b] = [m.slot(), m.slot()];
      refuses(() => copy(m, a, b), SeL4Error.FailedLookup, [1, LookupFailure.MissingCapability, 64]);
    });

    it('checks depths and guards, and says what was wrong', () => {
      const { m, ep, empty } = world();
      refuses(() => copy(m, empty, ep, 0), SeL4Error.RangeError, [1, 64]);
      refuses(() => copy(m, empty, ep, 65), SeL4Error.RangeError, [1, 64]);
      refuses(() => copy(m, 1, ep, 63), SeL4Error.FailedLookup, [0, LookupFailure.DepthMismatch, 63, 64]);
      refuses(
        () => m.invoke(ROOT, Invocation.CNodeCopy, [empty, 64, ep, 0, Rights.All], [ep]),
        SeL4Error.FailedLookup,
        [1, LookupFailure.InvalidRoot],
      );
      const far = 1n << 40n;
      refuses(() => m.invoke(ROOT, Invocation.CNodeDelete, [far, 64]), SeL4Error.FailedLookup, [
        0,
        LookupFailure.GuardMismatch,
        64,
        0,
        54,
      ]);
      const cnode = m.create(ObjectType.CapTable, 4);
      refuses(
        () => m.invoke(cnode, Invocation.CNodeCopy, [1, 5, ep, 64, Rights.All], [ROOT]),
        SeL4Error.FailedLookup,
        [0, LookupFailure.DepthMismatch, 1, 0],
      );
      refuses(() => m.invoke(cnode, Invocation.CNodeDelete, [1]), SeL4Error.TruncatedMessage);
    });

    it('resolves through a CNode with a guard', () => {
      const { m, ep } = world();
      const cnode = m.create(ObjectType.CapTable, 4);
      // Guard 0b101 of three bits.
      const guarded = m.derive(cnode, Rights.All, (0b101 << 6) | 3);
      m.invoke(guarded, Invocation.CNodeCopy, [(0b101 << 4) | 9, 7, ep, 64, Rights.All], [ROOT]);
      refuses(
        () => m.invoke(guarded, Invocation.CNodeDelete, [(0b100 << 4) | 9, 7]),
        SeL4Error.FailedLookup,
        [0, LookupFailure.GuardMismatch, 7, 0b101, 3],
      );
      m.invoke(cnode, Invocation.CNodeDelete, [9, 4]);
      // A guard that does not fit beside the radix makes no capability.
      refuses(() => m.derive(cnode, Rights.All, 61), SeL4Error.IllegalOperation);
    });

    it('a copy of untyped memory leaves nothing of it to the original', () => {
      const { m } = world();
      const untyped = m.create(ObjectType.Untyped, 12);
      const copied = m.derive(untyped);
      m.create(ObjectType.Endpoint, 0, copied);
      refuses(() => m.create(ObjectType.Endpoint, 0, untyped), SeL4Error.NotEnoughMemory, [0]);
    });

    it('sets a badge once', () => {
      const { m, ep, empty } = world();
      const badged = m.derive(ep, Rights.All, 42n);
      assert.equal(badgeOf(m, badged), 42n);
      refuses(
        () => m.invoke(ROOT, Invocation.CNodeMint, [empty, 64, badged, 64, Rights.All, 43], [ROOT]),
        SeL4Error.IllegalOperation,
      );
      refuses(
        () => m.invoke(ROOT, Invocation.CNodeMutate, [empty, 64, ep, 64, 7], [ROOT]),
        SeL4Error.IllegalOperation,
      );
    });

    it('rights only ever shrink', () => {
      const { m, ep } = world();
      const reader = m.derive(ep, Rights.Read);
      assert.equal(m.u8(m.slotAddress(m.derive(reader, Rights.All)) + 1), Rights.Read);
    });

    it('moves, mutates a guard, and rotates', () => {
      const { m, ep, empty } = world();
      const child = m.derive(ep);
      m.invoke(ROOT, Invocation.CNodeMove, [empty, 64, ep, 64], [ROOT]);
      assert.ok(m.isEmpty(ep));
      m.revoke(empty);
      assert.ok(m.isEmpty(child), 'the children follow the capability that moved');
      const cnode = m.create(ObjectType.CapTable, 4);
      const target = m.slot();
      m.invoke(ROOT, Invocation.CNodeMutate, [target, 64, cnode, 64, guardFor(4)], [ROOT]);
      assert.ok(m.isEmpty(cnode));
      const rotate = (dest: number, pivot: number, source: number) =>
        m.invoke(ROOT, Invocation.CNodeRotate, [dest, 64, 0, pivot, 64, 0, source, 64], [ROOT, ROOT]);
      const [tcb, reply] = [m.create(ObjectType.TCB), m.create(ObjectType.Reply)];
      const [t, r] = [m.objectAt(tcb), m.objectAt(reply)];
      rotate(ep, tcb, reply);
      assert.deepEqual([m.objectAt(ep), m.objectAt(tcb)], [t, r]);
      assert.ok(m.isEmpty(reply));
      rotate(ep, tcb, ep);
      assert.deepEqual([m.objectAt(ep), m.objectAt(tcb)], [r, t]);
      refuses(() => rotate(reply, ep, ep), SeL4Error.IllegalOperation);
      refuses(() => rotate(ep, tcb, target), SeL4Error.DeleteFirst);
      refuses(() => rotate(reply, empty, ep), SeL4Error.IllegalOperation);
    });

    it('revoke reaches descendants, and neither copies nor siblings', () => {
      const { m, ep } = world();
      const sibling = m.derive(ep);
      const badged = m.derive(ep, Rights.All, 1n);
      const other = m.derive(ep, Rights.All, 2n);
      const grandchild = m.derive(badged);
      const same = m.derive(ep, Rights.All, 1n);
      m.revoke(badged);
      assert.deepEqual(
        [badged, other, grandchild, same, sibling].map((slot) => m.isEmpty(slot)),
        [false, false, true, false, false],
      );
      m.revoke(grandchild); // empty: nothing happens
      m.revoke(sibling);
      assert.deepEqual(
        [ep, badged, other].map((slot) => m.isEmpty(slot)),
        [false, false, false],
      );
      m.revoke(ep);
      assert.deepEqual(
        [ep, sibling, badged, other, same].map((slot) => m.isEmpty(slot)),
        [false, true, true, true, true],
      );
    });

    it('deletes CNodes that hold themselves and each other', () => {
      const { m } = world();
      const ut = m.create(ObjectType.Untyped, 14);
      const make = () => m.create(ObjectType.CapTable, 3, ut);
      const put = (cnode: number, index: number, source: number) =>
        m.invoke(cnode, Invocation.CNodeCopy, [index, 3, source, 64, Rights.All], [ROOT]);
      const [self, a, b] = [make(), make(), make()];
      const tcb = m.create(ObjectType.TCB, 0, ut);
      put(self, 0, self);
      put(self, 5, self);
      put(a, 0, b);
      put(b, 0, a);
      put(b, 1, tcb);
      put(a, 7, tcb);
      m.invoke(tcb, Invocation.TCBSetSpace, [0], [0, a]);
      for (const slot of [self, a, b, tcb]) m.delete(slot);
      m.revoke(ut);
      // Everything is given back: the whole untyped can be had again.
      m.create(ObjectType.Untyped, 14, ut);
    });

    it('a CNode whose last capability is in its own first slot goes with the memory that it is of', () => {
      const { m } = world();
      const ut = m.create(ObjectType.Untyped, 12);
      const cnode = m.create(ObjectType.CapTable, 2, ut);
      m.invoke(cnode, Invocation.CNodeMove, [0, 2, cnode, 64], [ROOT]);
      m.revoke(ut);
      m.create(ObjectType.Untyped, 12, ut);
    });

    it('with a CNode goes what its slots hold, each of them, and nothing beside it', () => {
      const { m } = world();
      const ut = m.create(ObjectType.Untyped, 12);
      const threads = [1, 2, 3, 4].map(() => m.thread());
      const [before, cnode, after] = [1, 2, 3].map(() => m.create(ObjectType.CapTable, 2, ut));
      for (const [index, thread] of threads.entries()) {
        for (const beside of [before, after])
          m.invoke(beside, Invocation.CNodeCopy, [index, 2, thread.cptr, 64, Rights.All], [ROOT]);
        const ep = m.create(ObjectType.Endpoint);
        thread.give(5, ep);
        m.invoke(cnode, Invocation.CNodeMove, [index, 2, ep, 64], [ROOT]);
      }
      m.sleep();
      for (let count = threads.length; count > 0; count--) m.current()!.send(5, [1]);
      for (const thread of threads) m.invoke(thread.cspace, Invocation.CNodeDelete, [5, 6]);
      assert.equal(m.current(), undefined, 'all of them wait');
      m.delete(cnode);
      const free = threads.map(() => {
        const thread = m.current()!;
        m.invoke(thread.cptr, Invocation.TCBSuspend);
        return thread;
      });
      assert.deepEqual(new Set(free), new Set(threads), 'their endpoints are gone, so they go on');
      for (const thread of threads) m.delete(thread.cptr);
      for (const beside of [before, after])
        for (let index = 0; index < 4; index++)
          assert.notEqual(m.u8(m.slotAddress(index, m.objectAt(beside))), 0);
    });

    it('an untyped whose descendants hold it can be revoked', () => {
      const { m } = world();
      const ut = m.create(ObjectType.Untyped, 12);
      const cnode = m.create(ObjectType.CapTable, 4, ut);
      const tcb = m.create(ObjectType.TCB, 0, ut);
      m.invoke(cnode, Invocation.CNodeCopy, [3, 4, tcb, 64, Rights.All], [ROOT]);
      m.invoke(cnode, Invocation.CNodeMove, [4, 4, ut, 64], [ROOT]);
      m.invoke(cnode, Invocation.CNodeRevoke, [4, 4]);
      assert.deepEqual(
        [ut, cnode, tcb].map((slot) => m.isEmpty(slot)),
        [true, true, true],
      );
    });

    it('a thread whose space is the last capability to a CNode keeps it', () => {
      const { m } = world();
      const thread = m.thread();
      const other = m.create(ObjectType.CapTable, 4);
      thread.give(3, thread.cptr);
      m.delete(thread.cspace);
      refuses(
        () => m.invoke(thread.cptr, Invocation.TCBSetSpace, [0], [0, other]),
        SeL4Error.IllegalOperation,
      );
      m.delete(thread.cptr);
    });

    it('an IPC buffer must lie in a frame of ordinary memory', () => {
      const size = 8 << 20;
      const memory = new WebAssembly.Memory({ initial: size >> 16, maximum: size >> 16, shared: true });
      const m = new Machine({ image, memory, device: { base: 6 << 20, size: 1 << 20 } });
      const device = m.info.untypeds.find((untyped) => untyped.device)!;
      const frame = m.create(ObjectType.SmallPage, 0, device.cptr);
      const tcb = m.create(ObjectType.TCB);
      refuses(
        () => m.invoke(tcb, Invocation.TCBSetIPCBuffer, [device.address], [frame]),
        SeL4Error.IllegalOperation,
      );
      const own = m.create(ObjectType.SmallPage);
      const address = m.objectAt(own);
      refuses(
        () => m.invoke(tcb, Invocation.TCBSetIPCBuffer, [address + 8], [own]),
        SeL4Error.AlignmentError,
      );
      refuses(
        () => m.invoke(tcb, Invocation.TCBSetIPCBuffer, [address + 4096], [own]),
        SeL4Error.IllegalOperation,
      );
      m.invoke(tcb, Invocation.TCBSetIPCBuffer, [address + 1024], [own]);
    });
  });

  describe(`untyped memory (${image})`, () => {
    const world = (bits = 14) => {
      const m = new Machine({ image });
      const ut = m.create(ObjectType.Untyped, bits);
      const retype = (type: number, size: number, offset: number, count: number, index = 0, depth = 0) =>
        m.invoke(ut, Invocation.UntypedRetype, [type, size, index, depth, offset, count], [ROOT]);
      return { m, ut, retype };
    };

    it('checks its arguments one after the other', () => {
      const { m, ut, retype } = world();
      const free = m.slot();
      refuses(() => m.invoke(ut, Invocation.CNodeCopy), SeL4Error.IllegalOperation);
      refuses(
        () => m.invoke(ut, Invocation.UntypedRetype, [1, 2, 3, 4, 5], [ROOT]),
        SeL4Error.TruncatedMessage,
      );
      refuses(() => m.invoke(ut, Invocation.UntypedRetype, [1, 2, 3, 4, 5, 6]), SeL4Error.TruncatedMessage);
      refuses(() => retype(ObjectType.Count, 0, free, 1), SeL4Error.InvalidArgument, [0]);
      refuses(() => retype(ObjectType.Untyped, 64, free, 1), SeL4Error.RangeError, [0, 31]);
      refuses(() => retype(ObjectType.CapTable, 27, free, 1), SeL4Error.RangeError, [0, 31]);
      refuses(() => retype(ObjectType.CapTable, 0, free, 1), SeL4Error.InvalidArgument, [1]);
      refuses(() => retype(ObjectType.Untyped, 3, free, 1), SeL4Error.InvalidArgument, [1]);
      refuses(() => retype(ObjectType.SchedContext, 6, free, 1), SeL4Error.InvalidArgument, [1]);
      refuses(() => retype(ObjectType.Endpoint, 0, free, 1, ut, 64), SeL4Error.FailedLookup, [0, 2, 64]);
      refuses(() => retype(ObjectType.Endpoint, 0, 1024, 1), SeL4Error.RangeError, [0, 1023]);
      refuses(() => retype(ObjectType.Endpoint, 0, free, 0), SeL4Error.RangeError, [1, 256]);
      refuses(() => retype(ObjectType.Endpoint, 0, free, 257), SeL4Error.RangeError, [1, 256]);
      refuses(() => retype(ObjectType.Endpoint, 0, 1000, 25), SeL4Error.RangeError, [1, 24]);
      refuses(() => retype(ObjectType.Endpoint, 0, ut, 1), SeL4Error.DeleteFirst);
      refuses(() => retype(ObjectType.SmallPage, 0, free, 5), SeL4Error.NotEnoughMemory, [16384]);
    });

    it('makes up to 256 objects at once, aligned, behind those before', () => {
      const { m, ut, retype } = world();
      const start = m.objectAt(ut);
      retype(ObjectType.Endpoint, 0, 200, 1);
      retype(ObjectType.TCB, 0, 201, 1);
      assert.equal(m.objectAt(201), start + 1024);
      retype(ObjectType.Endpoint, 0, 300, 256);
      assert.equal(m.objectAt(300), start + 2048);
      assert.equal(m.objectAt(555), start + 2048 + 255 * 16);
      refuses(() => retype(ObjectType.SmallPage, 0, 600, 3), SeL4Error.NotEnoughMemory, [
        16384 - 2048 - 4096,
      ]);
      refuses(
        () => m.invoke(ROOT, Invocation.CNodeCopy, [700, 64, ut, 64, Rights.All], [ROOT]),
        SeL4Error.RevokeFirst,
      );
    });

    it('starts afresh once its children are gone, and the memory is zero', () => {
      const { m, ut, retype } = world();
      retype(ObjectType.SmallPage, 0, 200, 1);
      const address = m.objectAt(200);
      m.setU64(address + 8, 0xdeadn);
      m.delete(200);
      retype(ObjectType.TCB, 0, 201, 1);
      assert.equal(m.objectAt(201), address);
      assert.equal(m.u64(address + 8), 0n);
      assert.equal(m.objectAt(ut), address);
    });

    it('of device memory come frames and untyped alone, never cleared', () => {
      const size = 8 << 20;
      const memory = new WebAssembly.Memory({ initial: size >> 16, maximum: size >> 16, shared: true });
      const m = new Machine({ image, memory, device: { base: 6 << 20, size: 1 << 20 } });
      const device = m.info.untypeds.find((untyped) => untyped.device)!.cptr;
      refuses(() => m.create(ObjectType.TCB, 0, device), SeL4Error.InvalidArgument, [1]);
      const frame = m.create(ObjectType.SmallPage, 0, device);
      m.setU64(m.objectAt(frame), 77n);
      m.delete(frame);
      const again = m.create(ObjectType.SmallPage, 0, device);
      assert.equal(m.u64(m.objectAt(again)), 77n);
    });

    it('a small CNode for the initial thread bounds the untyped capabilities', () => {
      const m = new Machine({ image, rootBits: 6 });
      assert.ok(m.info.emptyStart <= 64);
    });
  });
}
