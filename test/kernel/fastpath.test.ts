/** When the fastpaths are taken: shown by how little memory they touch. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { CSPACE_BITS, IMAGES, guardFor, type Thread } from './machine.js';
import { touchedLines } from './touched.js';

/** Lines of 64 bytes that a fastpath touches at most, and `smp` the lock's word besides; any other way takes more. */
const MOST_LINES = { unicore: 8, smp: 9 };
/** The highest slot of a thread's CNode. */
const EP = 63;
const REPLY = 62;

for (const image of IMAGES) {
  describe(`fastpaths (${image})`, () => {
    const world = () => {
      const { m, touched } = touchedLines(image);
      const ep = m.create(ObjectType.Endpoint);
      const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n);
      const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      m.thread({ priority: 90 });
      m.sleep();
      server.recv(EP, REPLY);
      return { m, ep, client, server, touched };
    };
    const most = MOST_LINES[image];

    for (let count = 0; count <= 4; count++) {
      it(`a call with ${count} words and its answer`, () => {
        const { m, client, server, touched } = world();
        const words = Array.from({ length: count }, (_, index) => BigInt(index + 1));
        for (let round = 0; round < 2; round++) {
          assert.ok(touched(() => assert.equal(client.call(EP, words), server)) <= most);
          assert.deepEqual([server.badge, server.message.words], [3n, words]);
          m.setU64(client.tcb + Register.Badge, 9n);
          assert.ok(touched(() => assert.equal(server.replyRecv(EP, REPLY, words), client)) <= most);
          assert.deepEqual([client.badge, client.message.words], [0n, words]);
        }
      });
    }

    it('of a server whose notification is idle, and of one that is as urgent as its caller', () => {
      const { m, client, server, touched } = world();
      const ntfn = m.create(ObjectType.Notification);
      m.invoke(server.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      m.invoke(server.cptr, Invocation.TCBSetPriority, [100], [InitialSlot.ThreadTCB]);
      assert.ok(touched(() => assert.equal(client.call(EP, [1]), server)) <= most);
      assert.ok(touched(() => assert.equal(server.replyRecv(EP, REPLY, [1]), client)) <= most + 1);
    });

    it('where one cannot be taken, the same is done without', () => {
      const none = () => {};
      const { CNode, ThreadTCB } = InitialSlot;
      type Place = ReturnType<typeof world>;
      const deep = ({ m, client, server }: Place) => {
        for (const { cptr, cspace } of [client, server]) {
          const outer = m.create(ObjectType.CapTable, 1);
          m.invoke(outer, Invocation.CNodeCopy, [0, 1, cspace, 64, Rights.All], [CNode]);
          m.invoke(cptr, Invocation.TCBSetSpace, [guardFor(CSPACE_BITS) - 1], [0, outer]);
        }
      };
      const bound = ({ m, server }: Place) => {
        const ntfn = m.create(ObjectType.Notification);
        m.invoke(server.cptr, Invocation.TCBBindNotification, [], [ntfn]);
        m.invoke(m.schedContext(), Invocation.SchedContextBind, [], [ntfn]);
      };
      const buried = ({ m, client }: Place) => void m.kernels[0].setFloor(client.tcb);
      const others: Thread[] = [];
      const another = ({ m }: Place) => {
        others.push(m.thread({ priority: 150 }));
      };
      const lower = ({ m, server }: Place) =>
        void m.invoke(server.cptr, Invocation.TCBSetPriority, [95], [ThreadTCB]);
      for (const [before, during] of [
        [deep, none],
        [bound, none],
        [buried, none],
        [none, buried],
        [none, another],
        [lower, none],
      ]) {
        const place = world();
        const { m, client, server } = place;
        m.setU64(client.tcb + Register.Badge, 9n);
        before(place);
        assert.equal(client.call(EP, [1, 2]), server);
        assert.deepEqual([server.badge, server.message.words], [3n, [1n, 2n]]);
        during(place);
        const next = server.replyRecv(EP, REPLY, [3]);
        assert.equal(next, others.pop() ?? client);
        assert.deepEqual([client.badge, client.message.words], [0n, [3n]]);
        if (next !== client) m.invoke(next.cptr, Invocation.TCBSuspend);
        assert.equal(client.call(EP, [4]), server, 'and again');
      }
    });

    it('are for who is current, whoever is named', () => {
      const { m, client, server } = world();
      const bystander = m.thread({ priority: 95 }).give(EP, m.create(ObjectType.Endpoint));
      const [kernel] = m.kernels;
      for (const thread of [bystander, server]) {
        client.compose([1, 2]);
        kernel.call(EP, thread.tcb);
        assert.equal(m.current(), server);
        assert.deepEqual([server.badge, server.message.words], [3n, [1n, 2n]]);
        server.compose([3]);
        kernel.replyRecv(EP, REPLY, bystander.tcb);
        assert.equal(m.current(), client);
        assert.deepEqual(client.message.words, [3n]);
      }
    });

    it('look for nobody outside of the kernel’s memory where nobody waits', () => {
      const { m, client } = world();
      const ep = m.create(ObjectType.Endpoint);
      client.give(62, ep);
      assert.notEqual(client.call(62, [1]), client);
    });

    it('answer nobody outside of the kernel’s memory where nobody has called', () => {
      const { m, client, server } = world();
      client.call(EP, [1]);
      server.give(REPLY - 1, m.create(ObjectType.Reply));
      // What a thread looks like that waits for an answer, at the address that stands for none.
      for (let word = 0; word < 1024; word += 4) m.setU32(word, m.u32(client.tcb + word));
      const next = server.replyRecv(EP, REPLY - 1, [1]);
      assert.notEqual(next, client);
      assert.notEqual(next, undefined);
    });

    it('a longer message takes longer, and does the same', () => {
      const { client, server, touched } = world();
      assert.ok(touched(() => assert.equal(client.call(EP, [1, 2, 3, 4, 5]), server)) > most);
      assert.deepEqual(server.message.words, [1n, 2n, 3n, 4n, 5n]);
    });
  });
}
