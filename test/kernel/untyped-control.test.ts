/** Memory that comes into a kernel's care after boot, and leaves it (docs/memory.md). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights, SeL4Error } from '../../kernel/api/constants.js';
import { CSPACE_BITS, IMAGES, Machine, refuses } from './machine.js';

const ROOT = InitialSlot.CNode;
const EP = 5;
const BASE = 1 << 20;
const SIZE = 4 << 20;
/** Outside of the partition, at the end of memory. */
const CHUNK = BASE + (7 << 20);
const BITS = 18;

for (const image of IMAGES) {
  describe(`memory from outside of the partition (${image})`, () => {
    const world = () => {
      const pages = (CHUNK + 2 ** BITS) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const m = new Machine({ image, base: BASE, size: SIZE, memory });
      const slot = m.slot();
      const issue = (address: number | bigint, bits = BITS, to = slot) =>
        m.invoke(InitialSlot.UntypedControl, Invocation.UntypedIssue, [address, bits, to, 64], [ROOT]);
      const retype = (type: ObjectType, bits: number, count: number) => {
        const first = m.slot();
        for (let one = 1; one < count; one++) m.slot();
        m.invoke(slot, Invocation.UntypedRetype, [type, bits, 0, 0, first, count], [ROOT]);
        return first;
      };
      return { m, slot, issue, retype, bytes: new Uint8Array(memory.buffer, CHUNK, 2 ** BITS) };
    };

    it('must be aligned, inside of the machine’s memory, and none of the partition', () => {
      const { m, slot, issue } = world();
      refuses(() => issue(CHUNK, 3), SeL4Error.RangeError, [4, 31]);
      refuses(() => issue(CHUNK, 32), SeL4Error.RangeError, [4, 31]);
      refuses(() => issue(CHUNK + 2 ** (BITS - 1)), SeL4Error.AlignmentError);
      refuses(() => issue(0), SeL4Error.InvalidArgument, [0]);
      refuses(() => issue(CHUNK + 2 ** BITS), SeL4Error.InvalidArgument, [0]);
      refuses(() => issue(2n ** 32n + BigInt(CHUNK)), SeL4Error.InvalidArgument, [0]);
      refuses(() => issue(2n ** 31n, 31), SeL4Error.InvalidArgument, [0]);
      for (const inside of [BASE, BASE + SIZE / 2, BASE + SIZE - 2 ** BITS]) {
        refuses(() => issue(inside), SeL4Error.InvalidArgument, [0]);
      }
      refuses(() => issue(0, 23), SeL4Error.InvalidArgument, [0]);
      refuses(() => issue(CHUNK, BITS, 1), SeL4Error.DeleteFirst);
      const { UntypedControl } = InitialSlot;
      refuses(
        () => m.invoke(UntypedControl, Invocation.UntypedIssue, [CHUNK, BITS, slot], [ROOT]),
        SeL4Error.TruncatedMessage,
      );
      refuses(() => m.invoke(UntypedControl, Invocation.UntypedRetype), SeL4Error.IllegalOperation);
      assert.ok(m.isEmpty(slot));
      issue(BASE + SIZE);
      assert.equal(m.objectAt(slot), BASE + SIZE);
    });

    it('is cleared before anything is made of it, whatever stands there', () => {
      const { issue, retype, bytes } = world();
      bytes.fill(0xff);
      issue(CHUNK);
      retype(ObjectType.SmallPage, 0, 1);
      assert.ok(bytes.every((byte) => byte === 0));
    });

    it('can be made into objects of any kind, all of it, and be taken back with them', () => {
      const { m, slot, issue, retype, bytes } = world();
      for (let round = 0; round < 5; round++) {
        bytes.fill(0xff);
        issue(CHUNK);
        const tcbs = retype(ObjectType.TCB, 0, 4);
        retype(ObjectType.CapTable, 7, 1);
        const frames = retype(ObjectType.SmallPage, 0, 2 ** (BITS - 12) - 2);
        assert.equal(m.objectAt(tcbs), CHUNK);
        assert.equal(m.objectAt(frames), CHUNK + 8192);
        refuses(() => retype(ObjectType.Endpoint, 0, 1), SeL4Error.NotEnoughMemory, [0]);
        m.revoke(slot);
        assert.ok(m.isEmpty(tcbs) && m.isEmpty(frames));
        m.delete(slot);
      }
    });

    it('is apart from what lies beside it, in whatever order they come', () => {
      const { m, slot, issue } = world();
      const [low, high] = [slot, m.slot()];
      issue(CHUNK + 2 ** (BITS - 1), BITS - 1, high);
      issue(CHUNK, BITS - 1, low);
      m.revoke(low);
      assert.ok(!m.isEmpty(high));
      m.create(ObjectType.Untyped, BITS - 1, low);
    });

    it('may be given up before what was made of it, which still ends with its last capability', () => {
      const { m, slot, issue, retype } = world();
      issue(CHUNK);
      const endpoint = retype(ObjectType.Endpoint, 0, 1);
      const thread = m.thread().give(EP, endpoint);
      m.sleep();
      thread.send(EP, [1]);
      m.invoke(thread.cspace, Invocation.CNodeDelete, [EP, CSPACE_BITS]);
      m.invoke(ROOT, Invocation.CNodeDelete, [slot, 64]);
      assert.equal(m.current(), undefined, 'the thread waits at the endpoint');
      m.delete(endpoint);
      assert.equal(m.current(), thread);
    });

    it('goes with all that was made of it when UntypedControl is revoked, and that cannot be copied', () => {
      const { m, slot, issue, retype } = world();
      issue(CHUNK);
      const other = m.slot();
      issue(BASE + SIZE, 16, other);
      const endpoint = retype(ObjectType.Endpoint, 0, 1);
      const copy = m.derive(endpoint, Rights.Write, 5);
      const before = m.create(ObjectType.Endpoint);
      refuses(() => m.derive(InitialSlot.UntypedControl), SeL4Error.IllegalOperation);
      m.revoke(InitialSlot.UntypedControl);
      for (const gone of [slot, other, endpoint, copy]) assert.ok(m.isEmpty(gone));
      assert.ok(!m.isEmpty(before));
      issue(CHUNK);
      assert.equal(m.objectAt(slot), CHUNK);
    });
  });
}
