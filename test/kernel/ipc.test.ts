/** Messages through endpoints (manual chapter 4): system calls, badges, reply objects, queues, faults. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FaultType,
  Invocation,
  LookupFailure,
  ObjectType,
  Register,
  Rights,
  SeL4Error,
} from '../../kernel/api/constants.js';
import type { KernelImage } from '../../src/core/kernel.js';
import { CSPACE_BITS, IMAGES, Machine, guardFor, refuses, type Thread } from './machine.js';

const EP = 5;
const REPLY = 4;

/** A server that waits, a client, and the server has no IPC buffer. */
function serverWithoutBuffer(image: KernelImage): { server: Thread; client: Thread } {
  const m = new Machine({ image });
  const ep = m.create(ObjectType.Endpoint);
  const server = m
    .thread({ priority: 200, buffer: false })
    .give(EP, ep)
    .give(REPLY, m.create(ObjectType.Reply));
  const client = m.thread().give(EP, ep);
  m.sleep();
  server.recv(EP, REPLY);
  return { server, client };
}

interface World {
  readonly m: Machine;
  readonly ep: number;
  readonly reply: number;
  readonly server: Thread;
  readonly client: Thread;
}

for (const image of IMAGES) {
  /** A server of priority 200 that waits at an endpoint, and a client of priority 100 that runs. */
  const world = (options: { passive?: boolean; rights?: Rights; badge?: bigint } = {}): World => {
    const m = new Machine({ image });
    const ep = m.create(ObjectType.Endpoint);
    const reply = m.create(ObjectType.Reply);
    const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, reply);
    const client = m
      .thread({ priority: 100 })
      .give(EP, ep, options.rights ?? Rights.All, options.badge ?? 77n);
    m.sleep();
    assert.equal(m.current(), server);
    assert.equal(server.recv(EP, REPLY), client);
    if (options.passive) m.invoke(server.schedContext, Invocation.SchedContextUnbind);
    return { m, ep, reply, server, client };
  };
  const longMessage = Array.from({ length: 120 }, (_, index) => BigInt(index) << 40n);

  describe(`IPC (${image})`, () => {
    for (const words of [[], [1n], [1n, 2n, 3n, 4n], [1n, 2n, 3n, 4n, 5n], longMessage]) {
      for (const passive of [false, true]) {
        it(`a call and its reply carry ${words.length} words${passive ? ' to a passive server' : ''}`, () => {
          const { server, client } = world({ passive });
          assert.equal(client.call(EP, words, 9), server);
          assert.deepEqual(server.message, { badge: 77n, label: 9, words, extraCaps: 0, unwrapped: 0 });
          const answer = words.map((word) => word + 1n);
          assert.equal(server.replyRecv(EP, REPLY, answer, 3), client);
          assert.deepEqual(client.message, {
            badge: 0n,
            label: 3,
            words: answer,
            extraCaps: 0,
            unwrapped: 0,
          });
          assert.equal(client.call(EP, words), server, 'and again');
        });
      }
    }

    it('fastpath and slow path give the same result', () => {
      const run = (deep: boolean): unknown => {
        const { m, server, client } = world();
        if (deep) {
          // No fastpath follows an address through two CNodes.
          const outer = m.create(ObjectType.CapTable, 1);
          m.invoke(outer, Invocation.CNodeCopy, [1, 1, client.cspace, 64, Rights.All], [2]);
          m.invoke(client.cptr, Invocation.TCBSetSpace, [guardFor(CSPACE_BITS) - 1], [0, outer]);
        }
        assert.equal(client.call((deep ? 64 : 0) + EP, [1, 2, 3], 6), server);
        const request = server.message;
        assert.equal(server.replyRecv(EP, REPLY, [4], 5), client);
        return [request, client.message, client.redo];
      };
      assert.deepEqual(run(true), run(false));
    });

    it('a message of more words than the receiver has registers arrives cut', () => {
      const { server, client } = serverWithoutBuffer(image);
      client.call(EP, [1, 2, 3, 4, 5, 6]);
      assert.deepEqual(server.message.words, [1n, 2n, 3n, 4n]);
    });

    it('a sender blocks until someone receives, and then both run', () => {
      const { m, server, client, ep } = world();
      const second = m.thread({ priority: 90 }).give(EP, ep, Rights.All, 5n);
      client.call(EP, [1]);
      m.invoke(client.cptr, Invocation.TCBSuspend);
      m.invoke(server.cptr, Invocation.TCBSetPriority, [50], [1]);
      assert.equal(m.current(), second);
      assert.equal(second.send(EP, [42]), server);
      assert.equal(server.recv(EP, REPLY), second, 'the sender goes on, more urgent than the server');
      assert.deepEqual([server.badge, server.message.words], [5n, [42n]]);
    });

    it('a non-blocking send to nobody and a non-blocking receive of nothing do nothing', () => {
      const { m, server, client } = world();
      assert.equal(client.nbSend(EP, [8]), server);
      assert.deepEqual(server.message.words, [8n]);
      m.invoke(server.cptr, Invocation.TCBSetPriority, [10], [1]);
      assert.equal(m.current(), client);
      assert.equal(client.nbSend(EP, [9]), client);
      m.invoke(client.cptr, Invocation.TCBSuspend);
      assert.equal(server.nbRecv(EP, REPLY), server);
      assert.equal(server.badge, 0n);
    });

    it('senders are served by priority, equals in order of arrival', () => {
      const m = new Machine({ image });
      const ep = m.create(ObjectType.Endpoint);
      const senders = [50, 60, 50, 70, 60].map((priority, index) =>
        m.thread({ priority }).give(EP, ep, Rights.All, BigInt(index + 1)),
      );
      const server = m.thread({ priority: 20 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      m.sleep();
      // Made ready last, first in line among equals; so this is the order of arrival.
      for (const index of [3, 4, 1, 2, 0]) {
        assert.equal(m.current(), senders[index]);
        senders[index].call(EP, []);
      }
      // One is raised while it waits.
      m.invoke(senders[0].cptr, Invocation.TCBSetPriority, [65], [1]);
      const order: bigint[] = [];
      for (let i = 0; i < 5; i++) {
        server.recv(EP, REPLY);
        order.push(server.badge);
      }
      assert.deepEqual(order, [4n, 1n, 5n, 2n, 3n]);
    });

    it('a reply object that is offered again while its caller waits gives the caller up', () => {
      const { m, server, client } = world();
      client.call(EP, [1]);
      assert.equal(server.recv(EP, REPLY), undefined, 'nobody is left');
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(m.current(), client);
      assert.equal(client.redo, true, 'the call is to be made again');
    });

    it('a caller whose reply object is deleted is left inactive, and calls again when resumed', () => {
      const { m, reply, server, client } = world();
      client.call(EP, [1]);
      m.delete(reply);
      m.invoke(server.cspace, Invocation.CNodeDelete, [REPLY, CSPACE_BITS]);
      m.invoke(server.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), undefined);
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(m.current(), client);
      assert.equal(client.redo, true);
    });

    it('a receiver whose reply object is deleted receives no longer', () => {
      const { m, reply, server, client } = world();
      m.revoke(reply);
      m.delete(reply);
      m.invoke(server.cptr, Invocation.TCBSuspend);
      assert.equal(client.nbSend(EP, [1]), client);
    });

    it('a call through a capability without grant or grant-reply leaves the caller inactive', () => {
      const { m, server, client } = world({ rights: Rights.Write });
      client.call(EP, [5]);
      assert.deepEqual(server.message.words, [5n]);
      assert.equal(server.recv(EP, REPLY), undefined);
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(client.redo, true, 'resumed, it calls again');
    });

    it('a capability without the write right cannot send, one without the read right cannot receive', () => {
      const { m, client, ep } = world({ rights: Rights.Read });
      assert.equal(client.call(EP, []), client);
      assert.equal(client.message.label, 2, 'invalid capability');
      const writer = m
        .thread({ priority: 90 })
        .give(EP, ep, Rights.Write)
        .give(REPLY, m.create(ObjectType.Reply));
      m.invoke(client.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), writer);
      assert.equal(writer.recv(EP, REPLY), undefined, 'a fault without a handler');
    });

    it('deleting an endpoint has those that wait make their calls again', () => {
      const { m, server, client, ep } = world();
      m.revoke(ep);
      assert.equal(m.current(), client, 'while the endpoint is there, who waits goes on waiting');
      m.delete(ep);
      assert.equal(m.current(), server);
      assert.equal(server.redo, true);
      assert.equal(server.recv(EP, REPLY), client, 'and finds no capability: a fault without a handler');
      assert.equal(client.call(EP, []), client);
      assert.equal(client.message.label, 2, 'invalid capability');
    });

    it('cancels the sends of one badge alone', () => {
      const m = new Machine({ image });
      const ep = m.create(ObjectType.Endpoint);
      const badged = m.derive(ep, Rights.All, 3n);
      const [a, b] = [2n, 3n].map((badge) =>
        m.thread({ priority: 50 - Number(badge) }).give(EP, ep, Rights.All, badge),
      );
      m.sleep();
      a.call(EP);
      b.call(EP);
      m.invoke(2, Invocation.CNodeCancelBadgedSends, [badged, 64]);
      assert.equal(m.current(), b);
      assert.equal(b.redo, true);
    });

    it('extra capabilities travel with the grant right, and to the same endpoint unwrapped', () => {
      const { m, server, client, ep } = world();
      const ntfn = m.create(ObjectType.Notification);
      client.give(10, ntfn).give(11, ep, Rights.All, 1234n);
      m.mint(server.cspace, 12, server.cspace, Rights.All, guardFor(CSPACE_BITS));
      // Asked for through the server's own CNode capability, whose guard is no part of the depth.
      m.invoke(server.cspace, Invocation.CNodeDelete, [12, CSPACE_BITS]);
      server.give(12, server.cspace);
      server.receiveInto(20, 12);
      client.call(EP, [1], 0, [11, 10]);
      assert.deepEqual(server.message, { badge: 77n, label: 0, words: [1n], extraCaps: 2, unwrapped: 1 });
      assert.equal(server.unwrappedBadge(0), 1234n);
      assert.equal(server.isEmpty(20), false);
      server.replyRecv(EP, REPLY);
      client.call(EP, [1], 0, [10]);
      assert.equal(server.message.extraCaps, 0, 'the receive slot is taken');
    });

    it('without the grant right no capability travels', () => {
      const { server, client, m } = world({ rights: Rights.Write | Rights.GrantReply });
      client.give(10, m.create(ObjectType.Notification));
      server.give(12, server.cspace);
      server.receiveInto(20, 12);
      client.call(EP, [1], 0, [10]);
      assert.equal(server.message.extraCaps, 0);
      assert.equal(server.isEmpty(20), true);
    });

    it('a ReplyRecv whose first phase names a TCB or a CNode does nothing to it', () => {
      const { m, server, client } = world();
      const bystander = m.thread({ priority: 50 });
      server.give(8, bystander.cptr);
      client.call(EP, [1]);
      assert.equal(server.replyRecv(EP, 8, [], Invocation.TCBSuspend), bystander);
    });

    it('an endpoint that ends takes nothing along of what stands behind it', () => {
      const m = new Machine({ image });
      const memory = m.create(ObjectType.Untyped, 8);
      const [, last] = [0, 1].map(() => m.create(ObjectType.Endpoint, 0, memory));
      const reply = m.create(ObjectType.Reply, 0, memory);
      assert.equal(m.objectAt(reply), m.objectAt(last) + 16);
      const ep = m.create(ObjectType.Endpoint);
      const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, reply);
      const client = m.thread({ priority: 100 }).give(EP, ep);
      m.sleep();
      server.recv(EP, REPLY);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      assert.equal(client.call(EP), server, 'by the time of its caller, which the reply object keeps');
      m.delete(last);
      assert.equal(server.replyRecv(EP, REPLY, [2]), client);
      assert.deepEqual(client.message.words, [2n]);
    });

    it('a message without a wait for the answer lends no time', () => {
      for (const send of ['send', 'nbSend'] as const) {
        const { server, client } = world({ passive: true });
        assert.equal(client[send](EP, [3]), client, 'the server has the message, and no time');
        assert.deepEqual(server.message.words, [3n]);
      }
    });

    it('servers that wait at one endpoint are all found, in the order in which they came', () => {
      const m = new Machine({ image });
      const ep = m.create(ObjectType.Endpoint);
      const client = m.thread({ priority: 100 }).give(EP, ep);
      const servers = [1, 2, 3].map(() =>
        m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply)),
      );
      m.sleep();
      const order = servers.map(() => {
        const server = m.current()!;
        server.recv(EP, REPLY);
        return server;
      });
      for (let round = 0; round < 3; round++) {
        // Whoever has answered waits behind the others.
        for (const server of order) {
          assert.equal(client.call(EP, [round]), server);
          assert.equal(server.replyRecv(EP, REPLY), client);
        }
      }
      assert.equal(client.call(EP), order[0]);
      assert.equal(order[0].replyRecv(EP, REPLY), client);
      m.invoke(order[1].cptr, Invocation.TCBSuspend);
      assert.equal(client.call(EP), order[2]);
    });

    it('a server that offers no reply object leaves its caller without an answer', () => {
      const { m, server, client } = world();
      client.nbSend(EP);
      assert.equal(server.wait(EP), client);
      assert.equal(client.call(EP, [7]), server);
      assert.deepEqual(server.message.words, [7n]);
      assert.equal(client.redo, true, 'should it ever go on, it calls again');
      assert.equal(server.replyRecv(EP, REPLY), undefined, 'nobody waits for it');
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(m.current(), client);
    });

    it('a caller that has lost its time meanwhile is answered, and runs when it has some', () => {
      const { m, server, client } = world();
      client.call(EP, [1]);
      m.invoke(client.schedContext, Invocation.SchedContextUnbind);
      assert.equal(server.replyRecv(EP, REPLY, [2]), undefined);
      m.invoke(client.schedContext, Invocation.SchedContextBind, [], [client.cptr]);
      assert.equal(m.current(), client);
      assert.deepEqual(client.message.words, [2n]);
    });

    it('a server that waits alone is no longer followed by whom it waited with before', () => {
      const { m, ep, server, client } = world();
      const second = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      const other = m.thread({ priority: 90 }).give(EP, ep);
      assert.equal(second.recv(EP, REPLY), client);
      assert.equal(client.call(EP, [1]), server);
      m.invoke(second.cptr, Invocation.TCBSuspend);
      assert.equal(server.replyRecv(EP, REPLY), client);
      assert.equal(client.call(EP, [2]), server);
      m.invoke(server.cptr, Invocation.TCBSetPriority, [10], [1]);
      assert.equal(other.call(EP, [3]), server, 'it waits, since nobody receives');
      assert.equal(server.recv(EP, REPLY), server);
      assert.deepEqual(server.message.words, [3n]);
    });

    it('a server that has just answered is found before one that comes after it', () => {
      const { m, ep, server, client } = world();
      assert.equal(client.call(EP, [1]), server);
      assert.equal(server.replyRecv(EP, REPLY), client);
      const second = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      assert.equal(m.current(), second);
      assert.equal(second.recv(EP, REPLY), client);
      assert.equal(client.call(EP, [2]), server);
    });

    it('a thread that holds no buffer neither sends nor receives capabilities', () => {
      const { server, client } = serverWithoutBuffer(image);
      client.call(EP, [1], 4, [EP, EP]);
      assert.deepEqual(server.message, { badge: 0n, label: 4, words: [1n], extraCaps: 0, unwrapped: 0 });
    });

    it('without a buffer a thread names no capabilities in its invocations either', () => {
      const m = new Machine({ image });
      const thread = m.thread({ mcp: 90, buffer: false });
      thread.give(EP, thread.cptr);
      m.sleep();
      assert.equal(thread.call(EP, [50], Invocation.TCBSetPriority, [EP]), thread);
      assert.equal(thread.message.label, SeL4Error.TruncatedMessage);
    });

    it('a thread whose buffer frame is revoked has its four registers left', () => {
      const { m, server, client } = world();
      m.revoke(server.frame);
      assert.equal(server.ipcBuffer, 0);
      client.call(EP, [1, 2, 3, 4, 5]);
      assert.deepEqual(server.message.words, [1n, 2n, 3n, 4n]);
    });
  });

  describe(`faults (${image})`, () => {
    const faultWorld = (): World => {
      const w = world();
      w.m.wake();
      const handler = w.m.derive(w.ep, Rights.All, 99n);
      w.m.invoke(
        w.client.cptr,
        Invocation.TCBSetSpace,
        [guardFor(CSPACE_BITS)],
        [handler, w.m.derive(w.client.cspace)],
      );
      w.m.sleep();
      return w;
    };

    it('a user exception reaches the handler, and a reply with label 0 lets the thread go on', () => {
      const { server, client } = faultWorld();
      assert.equal(client.fault(7, 8), server);
      assert.deepEqual(server.message, {
        badge: 99n,
        label: FaultType.UserException,
        words: [0n, 0n, 7n, 8n],
        extraCaps: 0,
        unwrapped: 0,
      });
      assert.equal(server.replyRecv(EP, REPLY), client);
      client.fault(1, 2);
      assert.equal(server.replyRecv(EP, REPLY, [], 1), undefined, 'any other label leaves it inactive');
    });

    it('an unknown system call reaches the handler, with the registers that it was made with', () => {
      const { m, server, client } = faultWorld();
      m.setU32(client.tcb + Register.PC, 1);
      m.setU64(client.tcb + Register.Badge, 5n);
      client.compose([11, 12, 13, 14], 3);
      const tag = (3n << 12n) | 4n;
      assert.equal(client.unknownSyscall(77), server);
      assert.equal(server.message.label, FaultType.UnknownSyscall);
      assert.deepEqual(server.message.words, [1n, 0n, 0n, 5n, tag, 11n, 12n, 13n, 14n, 0n, 77n]);
      assert.equal(server.replyRecv(EP, REPLY), client);
      assert.ok(client.redo, 'without an answer it makes the call again');
      client.clearRedo();

      assert.equal(client.unknownSyscall(77), server);
      assert.equal(server.replyRecv(EP, REPLY, [1, 0, 0, 6, 2n << 12n, 21, 22, 23, 24, 99, 99]), client);
      assert.equal(client.redo, false, 'its call has been answered');
      assert.equal(client.badge, 6n);
      assert.equal(client.message.label, 2);
      const registers = [0, 1, 2, 3].map((index) => m.u64(client.tcb + Register.MR0 + 8 * index));
      assert.deepEqual(registers, [21n, 22n, 23n, 24n]);
      assert.equal(m.u32(client.tcb + Register.PC), 1, 'what follows them is not copied');
      client.unknownSyscall(77);
      assert.equal(server.replyRecv(EP, REPLY, [0], 1), undefined, 'any other label leaves it inactive');
    });

    it('an unknown system call is answered as far as the registers of who answers reach', () => {
      const { m, server, client } = faultWorld();
      m.invoke(server.cptr, Invocation.TCBSetIPCBuffer, [0], [server.frame]);
      client.compose([11], 3);
      assert.equal(client.unknownSyscall(8), server);
      assert.equal(m.u64(server.tcb + Register.MsgInfo) & 127n, 4n, 'it has no buffer for more');
      for (const [index, word] of [0n, 0n, 0n, 9n].entries())
        m.setU64(server.tcb + Register.MR0 + 8 * index, word);
      m.setU64(server.tcb + Register.MsgInfo, 9n);
      assert.equal(m.threadOf(m.kernels[0].replyRecv(EP, REPLY, server.tcb)), client);
      assert.equal(client.badge, 9n);
      assert.equal(client.message.label, 3);
      assert.deepEqual(client.message.words, [11n]);
    });

    it('a thread without a capability space learns that it has no root', () => {
      const { m, server, client } = faultWorld();
      m.revoke(client.cspace);
      client.call(EP, []);
      assert.deepEqual(server.message.words, [0n, BigInt(EP), 0n, BigInt(LookupFailure.InvalidRoot)]);
    });

    it('a call without the right to send is refused, and says which capability', () => {
      const { m, client } = faultWorld();
      const tcb = client.cptr;
      const noWrite = m.derive(m.create(ObjectType.Endpoint), Rights.Read);
      const refused = (): unknown => m.invoke(tcb, Invocation.TCBSetPriority, [1], [noWrite]);
      refuses(refused, SeL4Error.InvalidCapability, [1]);
      refuses(() => m.invoke(noWrite, 0), SeL4Error.InvalidCapability, [0]);
    });

    it('a missing capability is a fault that says where', () => {
      const { server, client } = faultWorld();
      const beyond = (1 << CSPACE_BITS) + EP;
      client.call(beyond, []);
      assert.deepEqual(server.message.words, [
        0n,
        BigInt(beyond),
        0n,
        BigInt(LookupFailure.GuardMismatch),
        64n,
        0n,
        58n,
      ]);
      assert.equal(server.message.label, FaultType.CapFault);
      assert.equal(server.replyRecv(EP, REPLY, [], 5), client, 'whatever the label');
      assert.equal(client.redo, true);
      client.clearRedo();
      client.recv(30, 31);
      assert.deepEqual(server.message.words, [0n, 30n, 1n, BigInt(LookupFailure.MissingCapability), 0n]);
    });

    it('a fault says where the program stood', () => {
      const { m, server, client } = faultWorld();
      for (const fault of [() => client.fault(7, 8), () => client.call(200)]) {
        m.setU32(client.tcb + Register.PC, 1);
        m.setU64(server.tcb + Register.MR0, 99n);
        assert.equal(fault(), server);
        assert.equal(server.message.words[0], 1n);
        assert.equal(server.replyRecv(EP, REPLY), client);
      }
    });

    it('a handler must be able to be sent to, and to answer', () => {
      const { m, client, ep } = world();
      const { Read, Write, Grant, GrantReply } = Rights;
      const set = (rights: Rights) => {
        const handler = m.derive(ep, rights);
        m.invoke(client.cptr, Invocation.TCBSetTimeoutEndpoint, [], [handler]);
        m.invoke(client.cptr, Invocation.TCBSetSchedParams, [0, 100], [1, client.schedContext, handler]);
      };
      m.invoke(client.schedContext, Invocation.SchedContextUnbind);
      for (const rights of [Read | Grant, GrantReply, Read | Write])
        refuses(() => set(rights), SeL4Error.InvalidCapability, [1]);
      for (const rights of [Write | Grant, Write | GrantReply]) {
        set(rights);
        m.invoke(client.schedContext, Invocation.SchedContextUnbind);
      }
    });

    it('a message with a capability that cannot be found is not sent', () => {
      for (const send of ['send', 'call'] as const) {
        const { client } = world();
        assert.equal(client[send](EP, [1], 0, [200]), undefined, 'the server still waits');
      }
    });

    it('without a handler the thread stops', () => {
      const { m, client } = world();
      assert.equal(client.fault(1, 1), undefined);
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(m.current(), client);
    });

    it('a fault waits for a handler that is busy', () => {
      const { m, server, client, ep } = faultWorld();
      const other = m.thread({ priority: 150 }).give(EP, ep, Rights.All, 1n);
      other.call(EP, []);
      m.invoke(server.cptr, Invocation.TCBSetPriority, [10], [1]);
      assert.equal(client.fault(3, 4), server);
      assert.equal(server.replyRecv(EP, REPLY), other);
      assert.equal(server.badge, 99n);
    });
  });
}
