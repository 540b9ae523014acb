/** When the fastpaths are taken: shown by how little memory they touch. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { IMAGES, Machine } from './machine.js';
import { watched } from './watched.js';

const SIZE = 4 << 20;
const BASE = 1 << 20;
/** Lines of 64 bytes that a fastpath touches at most, and `smp` its lock's three besides. */
const MOST_LINES = { unicore: 10, smp: 13 };
/** The highest slot of a thread's CNode. */
const EP = 63;
const REPLY = 62;

for (const image of IMAGES) {
  describe(`fastpaths (${image})`, () => {
    const world = () => {
      const pages = (BASE + SIZE) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const lines = new Set<number>();
      const { instantiate } = watched(image, memory, [{ base: BASE, size: SIZE }], (address, size) => {
        for (let line = address >>> 6; line <= (address + size - 1) >>> 6; line++) lines.add(line);
      });
      const m = new Machine({ image, base: BASE, size: SIZE, memory, instantiate });
      const ep = m.create(ObjectType.Endpoint);
      const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n);
      const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      m.thread({ priority: 90 });
      m.sleep();
      server.recv(EP, REPLY);
      const touched = (action: () => void): number => {
        lines.clear();
        action();
        return lines.size;
      };
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

    it('a longer message takes longer, and does the same', () => {
      const { client, server, touched } = world();
      assert.ok(touched(() => assert.equal(client.call(EP, [1, 2, 3, 4, 5]), server)) > most);
      assert.deepEqual(server.message.words, [1n, 2n, 3n, 4n, 5n]);
    });
  });
}
