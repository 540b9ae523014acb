/** What a kernel image may contain, and that it keeps to its own partition wherever it is loaded. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights } from '../../kernel/api/constants.js';
import { CSPACE_BITS, IMAGES, Machine, guardFor, type MachineOptions } from './machine.js';
import { bytesOf, read, watched } from './watched.js';

const EP = 5;
const REPLY = 4;
const N = 6;

function workload(options: MachineOptions): string[] {
  return workloadOn(new Machine(options));
}

/** Something of everything: objects made and destroyed, long messages, transfers, signals, faults. */
function workloadOn(m: Machine): string[] {
  const log: string[] = [];
  for (let round = 0; round < 3; round++) {
    const ep = m.create(ObjectType.Endpoint);
    const beside = m.create(ObjectType.Endpoint);
    const ntfn = m.create(ObjectType.Notification);
    // Its registers are all that it has for a message, be that a fault's, an error's or another thread's.
    const frugal = m
      .thread({ priority: 90, buffer: false })
      .give(EP, beside)
      .give(REPLY, m.create(ObjectType.Reply));
    const faulty = m.thread({ priority: 80 });
    m.invoke(faulty.cptr, Invocation.TCBSetSpace, [guardFor(CSPACE_BITS)], [beside, faulty.cspace]);
    const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
    const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n).give(N, ntfn);
    server.give(12, server.cspace);
    server.receiveInto(20, 12);
    m.invoke(server.cptr, Invocation.TCBBindNotification, [], [ntfn]);
    m.sleep();
    server.recv(EP, REPLY);
    client.call(EP, [1, 2]);
    server.replyRecv(EP, REPLY, [3]);
    client.call(
      EP,
      Array.from({ length: 120 }, (_, index) => index),
      7,
      [N],
    );
    log.push(
      JSON.stringify(server.message, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
    );
    server.replyRecv(EP, REPLY, [3, 4, 5, 6, 7]);
    client.signal(N);
    log.push(`${server.badge} ${client.message.words.join()} ${m.current()?.program}`);
    server.recv(EP, REPLY);
    client.fault(1, 2);
    log.push(`${m.current()?.program}`);
    for (const thread of [server, client]) m.invoke(thread.cptr, Invocation.TCBSuspend);
    frugal.call(EP + 1, [], Invocation.CNodeRotate);
    frugal.recv(EP, REPLY);
    faulty.call(200, [1, 2, 3, 4, 5]);
    log.push(`${m.current()?.program} ${frugal.message.words.join()}`);
    frugal.recv(EP, REPLY);
    m.wake();
    for (const slot of [
      server.cptr,
      client.cptr,
      ep,
      ntfn,
      server.cspace,
      client.cspace,
      ...[server.schedContext, m.create(ObjectType.Reply)],
      // Until now someone waited beside the endpoint.
      frugal.cptr,
      frugal.cspace,
    ]) {
      m.revoke(slot);
      m.delete(slot);
    }
  }
  return log;
}

for (const image of IMAGES) {
  describe(`the ${image} image`, () => {
    it('has no data, no mutable global and no memory of its own, and is small', () => {
      const module = read(image);
      const text = module.emitText();
      assert.doesNotMatch(text, /\(data /);
      assert.doesNotMatch(text, /\(global [^\n]*\(mut /);
      assert.equal(text.match(/\(memory /g)?.length, 1);
      assert.match(text, /\(import "env" "memory" \(memory /);
      assert.doesNotMatch(text, /memory\.grow/);
      assert.ok(bytesOf(image).length < 48 * 1024, `${bytesOf(image).length} bytes`);
    });

    it('runs at any base, with the same results', () => {
      const expected = workload({ image, base: 1 << 20 });
      assert.ok(expected.length > 0);
      assert.deepEqual(workload({ image, base: 5 << 20 }), expected);
    });

    it('loads and stores in its own partition alone', () => {
      const size = 4 << 20;
      const bases = [1 << 20, 6 << 20];
      const pages = (bases[1] + size + (1 << 20)) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const device = { base: bases[1] + size, size: 1 << 20 };
      for (const base of bases) {
        const owned = [{ base, size }];
        const { instantiate, accesses } = watched(image, memory, owned);
        workload({ image, base, size, memory, device, instantiate });
        assert.ok(accesses() > 1000, `${accesses()} accesses were seen`);
      }
    });

    it('touches memory that was issued to it, and not once it is given up', () => {
      const size = 4 << 20;
      const chunk = { base: 12 << 20, size: 1 << 18 };
      const pages = (13 << 20) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const bytes = new Uint8Array(memory.buffer);
      const partitions = [1 << 20, 6 << 20].map((base) => ({ base, size, owned: [{ base, size }] }));
      const machines = partitions.map(({ base, size, owned }) => {
        const { instantiate } = watched(image, memory, owned);
        return new Machine({ image, base, size, memory, instantiate });
      });
      for (let round = 0; round < 6; round++) {
        const m = machines[round % 2];
        const { owned } = partitions[round % 2];
        owned.push(chunk);
        const untyped = m.slot();
        m.invoke(InitialSlot.UntypedControl, Invocation.UntypedIssue, [chunk.base, 18, untyped, 64], [2]);
        const objects = (type: ObjectType, bits: number, count: number): number => {
          const first = m.slot();
          for (let one = 1; one < count; one++) m.slot();
          m.invoke(untyped, Invocation.UntypedRetype, [type, bits, 0, 0, first, count], [2]);
          return first;
        };
        const tcb = objects(ObjectType.TCB, 0, 3);
        const cnode = objects(ObjectType.CapTable, 6, 1);
        const frame = objects(ObjectType.SmallPage, 0, 2);
        const rest = bytes.subarray(m.objectAt(frame), chunk.base + chunk.size);
        assert.equal(
          rest.findIndex((byte) => byte !== 0),
          -1,
          'what the other left is gone',
        );
        rest.fill(0xaa);
        m.invoke(tcb, Invocation.TCBSetIPCBuffer, [m.objectAt(frame), 0], [frame]);
        m.mint(cnode, 3, tcb);
        m.revoke(untyped);
        m.delete(untyped);
        assert.ok(m.isEmpty(tcb) && m.isEmpty(cnode) && m.isEmpty(frame));
        bytes.fill(0xaa, chunk.base, chunk.base + chunk.size);
        owned.pop();
        // Whatever is left of it would be found now.
        workloadOn(m);
      }
    });
  });
}
