/** Threads, priorities and scheduling contexts (manual chapter 6). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Register, SeL4Error } from '../../kernel/api/constants.js';
import { ThreadState } from '../../src/core/inspect/memory.js';
import { IMAGES, Machine, refuses, type Thread } from './machine.js';

const N = 6;
const EP = 5;
const REPLY = 4;

for (const image of IMAGES) {
  describe(`scheduling (${image})`, () => {
    it('runs the highest of 256 priorities', () => {
      const m = new Machine({ image, size: 8 << 20, rootBits: 12 });
      const ntfn = m.create(ObjectType.Notification);
      const threads: Thread[] = [];
      for (let i = 0; i < 255; i++) {
        const priority = (i * 101) % 255;
        threads[priority] = m.thread({ priority, buffer: false }).give(N, ntfn);
      }
      m.sleep();
      for (let priority = 254; priority >= 0; priority--) {
        assert.equal(m.current(), threads[priority], `priority ${priority}`);
        threads[priority].wait(N);
      }
      assert.equal(m.current(), undefined);
    });

    it('equals take turns when they yield, and a lone thread goes on', () => {
      const m = new Machine({ image });
      const [a, b, c] = [1, 2, 3].map(() => m.thread({ priority: 7 }));
      m.sleep();
      const order = [m.current()!];
      for (let i = 0; i < 6; i++) order.push(order.at(-1)!.yieldCore()!);
      assert.deepEqual(new Set(order.slice(0, 3)), new Set([a, b, c]));
      assert.deepEqual(order.slice(0, 3), order.slice(3, 6));
      assert.equal(order[6], order[0]);
      for (const thread of [b, c]) m.invoke(thread.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), a);
      assert.equal(a.yieldCore(), a);
    });

    it('a woken thread of equal priority waits for its turn', () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const [a, b] = [1, 2].map(() => m.thread({ priority: 7 }).give(N, ntfn, undefined, 1n));
      m.sleep();
      const first = m.current() === a ? a : b;
      const second = first === a ? b : a;
      assert.equal(first.wait(N), second);
      assert.equal(second.signal(N), second);
      assert.equal(second.yieldCore(), first);
    });

    it('a floor that is held back is not chosen, however little may start on top of it', () => {
      const m = new Machine({ image });
      const buried = m.thread({ priority: 60 });
      const low = m.thread({ priority: 40 });
      m.sleep();
      assert.equal(m.threadOf(m.kernels[0].setFloor(buried.tcb)), buried);
      assert.equal(m.threadOf(m.kernels[0].hold(buried.tcb, 1)), undefined);
      assert.equal(m.threadOf(m.kernels[0].hold(buried.tcb, 0)), buried);
      m.kernels[0].hold(buried.tcb, 1);
      assert.equal(m.threadOf(m.kernels[0].setFloor(0)), low);
    });

    it('who is woken does not start on top of a floor that waits', () => {
      const m = new Machine({ image });
      const [idle, ntfn] = [1, 2].map(() => m.create(ObjectType.Notification));
      m.handler(5, ntfn);
      const buried = m.thread({ priority: 60 }).give(N, idle);
      const low = m.thread({ priority: 40 }).give(N, ntfn);
      m.sleep();
      assert.equal(buried.wait(N), low);
      assert.equal(low.wait(N), undefined);
      m.kernels[0].setFloor(buried.tcb);
      assert.equal(m.threadOf(m.kernels[0].interrupt(5)), undefined);
      assert.equal(m.threadOf(m.kernels[0].setFloor(0)), low);
    });

    it('copies registers: where a thread stands, what its call is made with, or both', () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const source = m.thread({ priority: 20 }).give(N, ntfn);
      m.sleep();
      source.compose([1, 2, 3, 4], 5);
      m.setU32(source.tcb + Register.PC, 1);
      assert.equal(source.wait(N), undefined);
      const SUSPEND_SOURCE = 1;
      const RESUME_TARGET = 2;
      const FRAME = 4;
      const INTEGER = 8;
      const frameOf = ({ tcb }: Thread) =>
        [Register.PC, Register.Program, Register.Redo].map((register) => m.u32(tcb + register));
      const callOf = ({ tcb }: Thread) => Array.from({ length: 6 }, (_, index) => m.u64(tcb + 8 * index));
      const copy = (target: Thread, flags: number) =>
        m.invoke(target.cptr, Invocation.TCBCopyRegisters, [flags], [source.cptr]);

      const none = m.thread({ running: false });
      const before = [frameOf(none), callOf(none)];
      copy(none, 0);
      assert.deepEqual([frameOf(none), callOf(none)], before);
      const both = m.thread({ running: false });
      copy(both, FRAME);
      assert.deepEqual(frameOf(both), [1, source.program, 0]);
      assert.deepEqual(callOf(both), before[1]);
      copy(both, INTEGER);
      assert.deepEqual(callOf(both), [0n, (5n << 12n) | 4n, 1n, 2n, 3n, 4n]);
      assert.equal(m.image().thread(source.tcb).state, ThreadState.BlockedOnNotification);
      copy(both, SUSPEND_SOURCE | FRAME);
      assert.equal(m.image().thread(source.tcb).state, ThreadState.Inactive);
      assert.deepEqual(
        frameOf(both),
        [1, source.program, 1],
        'the call that the source was at is made again',
      );
      assert.equal(m.current(), undefined);
      copy(both, RESUME_TARGET);
      assert.equal(m.kernels[0].currentTCB(), both.tcb);

      refuses(
        () => m.invoke(both.cptr, Invocation.TCBCopyRegisters, [], [source.cptr]),
        SeL4Error.TruncatedMessage,
      );
      refuses(() => m.invoke(both.cptr, Invocation.TCBCopyRegisters, [4]), SeL4Error.TruncatedMessage);
      refuses(
        () => m.invoke(both.cptr, Invocation.TCBCopyRegisters, [4], [ntfn]),
        SeL4Error.InvalidCapability,
        [1],
      );
    });

    it('suspends, resumes, and changes priority', () => {
      const m = new Machine({ image });
      const high = m.thread({ priority: 20 });
      const low = m.thread({ priority: 10, mcp: 15 });
      m.sleep();
      m.invoke(high.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), low);
      m.invoke(high.cptr, Invocation.TCBResume);
      assert.equal(m.current(), high);
      m.invoke(low.cptr, Invocation.TCBSetPriority, [30], [InitialSlot.ThreadTCB]);
      assert.equal(m.current(), low);
      refuses(
        () => m.invoke(high.cptr, Invocation.TCBSetPriority, [16], [low.cptr]),
        SeL4Error.RangeError,
        [0, 15],
      );
      refuses(
        () => m.invoke(high.cptr, Invocation.TCBSetMCPriority, [16], [low.cptr]),
        SeL4Error.RangeError,
        [0, 15],
      );
      refuses(
        () => m.invoke(high.cptr, Invocation.TCBSetPriority, [1], [2]),
        SeL4Error.InvalidCapability,
        [1],
      );
      refuses(() => m.invoke(high.cptr, Invocation.TCBSetPriority, [1]), SeL4Error.TruncatedMessage);
    });

    it('a thread that suspends itself is answered when it is resumed', () => {
      const m = new Machine({ image });
      const thread = m.thread();
      thread.give(N, thread.cptr);
      m.sleep();
      assert.equal(thread.call(N, [], Invocation.TCBSuspend), undefined);
      m.invoke(thread.cptr, Invocation.TCBResume);
      assert.equal(m.current(), thread);
      assert.deepEqual(thread.message.label, SeL4Error.NoError);
    });

    it('a thread that deletes itself is gone', () => {
      const m = new Machine({ image });
      const thread = m.thread();
      const other = m.thread({ priority: 1 });
      thread.give(N, thread.cspace).give(7, thread.cptr);
      m.delete(thread.cptr);
      m.sleep();
      assert.equal(thread.call(N, [7, 6], Invocation.CNodeDelete), other);
    });

    it('a scheduling context runs one thread, once SchedControl has configured it', () => {
      const m = new Machine({ image });
      const thread = m.thread({ priority: 9, passive: true });
      const raw = m.create(ObjectType.SchedContext, 7);
      m.sleep();
      assert.equal(m.current(), undefined, 'passive');
      m.invoke(raw, Invocation.SchedContextBind, [], [thread.cptr]);
      assert.equal(m.current(), undefined, 'no time yet');
      refuses(
        () => m.invoke(raw, Invocation.SchedContextBind, [], [thread.cptr]),
        SeL4Error.IllegalOperation,
      );
      const configure = (words: (number | bigint)[]) =>
        m.invoke(InitialSlot.FirstSchedControl, Invocation.SchedControlConfigureFlags, words, [raw]);
      refuses(() => configure([10, 5, 0, 0, 0]), SeL4Error.RangeError, [1, 5]);
      refuses(() => configure([5, 10, 1000, 0, 0]), SeL4Error.RangeError);
      refuses(() => configure([5, 10, 2n ** 64n - 1n, 0, 0]), SeL4Error.RangeError);
      configure([5, 10, 0, 0, 0]);
      assert.equal(m.current(), thread);
      m.invoke(raw, Invocation.SchedContextUnbindObject, [], [thread.cptr]);
      assert.equal(m.current(), undefined);
      refuses(
        () => m.invoke(raw, Invocation.SchedContextUnbindObject, [], [thread.cptr]),
        SeL4Error.IllegalOperation,
      );
      refuses(
        () => m.invoke(InitialSlot.SchedContext, Invocation.SchedContextUnbind),
        SeL4Error.IllegalOperation,
      );
      m.invoke(raw, Invocation.SchedContextBind, [], [thread.cptr]);
      m.delete(raw);
      assert.equal(m.current(), undefined);
    });

    it('a ready thread whose context is configured anew stays in one queue', () => {
      const m = new Machine({ image });
      const [a, b] = [1, 2].map(() => m.thread({ priority: 7 }));
      m.sleep();
      for (const thread of [a, b, a])
        m.invoke(
          InitialSlot.FirstSchedControl,
          Invocation.SchedControlConfigureFlags,
          [10, 10, 0, 0, 0],
          [thread.schedContext],
        );
      const first = m.current()!;
      const second = first.yieldCore()!;
      assert.notEqual(first, second);
      assert.equal(second.yieldCore(), first);
    });

    it('lends the context along a chain of calls to passive servers, and back', () => {
      const m = new Machine({ image });
      const [outer, inner] = [m.create(ObjectType.Endpoint), m.create(ObjectType.Endpoint)];
      const back = m.thread({ priority: 200 }).give(EP, inner).give(REPLY, m.create(ObjectType.Reply));
      const middle = m
        .thread({ priority: 150 })
        .give(EP, outer)
        .give(REPLY, m.create(ObjectType.Reply))
        .give(7, inner);
      const client = m.thread({ priority: 100 }).give(EP, outer);
      m.sleep();
      back.recv(EP, REPLY);
      middle.recv(EP, REPLY);
      for (const server of [back, middle]) m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      for (let round = 0; round < 3; round++) {
        assert.equal(client.call(EP, [1]), middle);
        assert.equal(middle.call(7, [2]), back);
        assert.equal(back.replyRecv(EP, REPLY, [3]), middle);
        assert.equal(middle.replyRecv(EP, REPLY, [4]), client);
      }
      // The client goes away in mid-call: its context stays with the servers, and the chain still unwinds.
      client.call(EP);
      middle.call(7);
      m.invoke(client.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), back);
      assert.equal(back.replyRecv(EP, REPLY), middle);
      assert.equal(middle.replyRecv(EP, REPLY), undefined, 'nobody to reply to, and no time of its own');
      // The context has come to stay: it goes to no later caller.
      const other = m.thread({ priority: 90 }).give(EP, outer);
      assert.equal(m.current(), other);
      assert.equal(other.call(EP), middle);
      m.invoke(other.schedContext, Invocation.SchedContextUnbind);
      assert.equal(middle.replyRecv(EP, REPLY), undefined);
    });

    it('a call that was cut out of a chain has no say in the chain that its reply object serves next', () => {
      const m = new Machine({ image });
      const [CALLEE, ANSWERED] = [7, 8];
      const endpoints = [1, 2, 3].map(() => m.create(ObjectType.Endpoint));
      const replies = [1, 2, 3].map(() => m.create(ObjectType.Reply));
      const servers = [150, 160, 140].map((priority, index) =>
        m.thread({ priority }).give(EP, endpoints[index]).give(REPLY, replies[index]),
      );
      const [first, last, second] = servers;
      for (const server of [first, second]) server.give(CALLEE, endpoints[1]);
      const client = m.thread({ priority: 100 }).give(EP, endpoints[0]);
      const other = m.thread({ priority: 90 }).give(EP, endpoints[2]);
      last.give(ANSWERED, replies[0]);
      m.sleep();
      for (const server of [last, first, second]) server.recv(EP, REPLY);
      for (const server of servers) m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      client.call(EP);
      assert.equal(first.call(CALLEE), last);
      m.invoke(first.cptr, Invocation.TCBSuspend);
      last.recv(EP, REPLY);
      m.invoke(client.schedContext, Invocation.SchedContextUnbind);
      assert.equal(m.current(), other, 'the client has lost its time');
      other.call(EP);
      assert.equal(second.call(CALLEE), last);
      assert.equal(last.send(ANSWERED), last, 'the client is answered');
      assert.equal(last.replyRecv(EP, REPLY), second);
      assert.equal(second.replyRecv(EP, REPLY), other);
    });

    it('a lent context comes back when the server goes away', () => {
      const m = new Machine({ image });
      const ep = m.create(ObjectType.Endpoint);
      const reply = m.create(ObjectType.Reply);
      const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, reply);
      const client = m.thread({ priority: 100 }).give(EP, ep);
      m.sleep();
      server.recv(EP, REPLY);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      client.call(EP);
      m.delete(server.cptr);
      m.delete(server.cspace);
      m.delete(reply);
      assert.equal(m.current(), undefined);
      m.invoke(client.cptr, Invocation.TCBResume);
      assert.equal(m.current(), client);
    });

    it('nothing starts on top of a buried handler unless it is more urgent', () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const buried = m.thread({ priority: 50 }).give(N, ntfn, undefined, 1n);
      const equal = m.thread({ priority: 50 });
      const urgent = m.thread({ priority: 60 }).give(N, ntfn, undefined, 1n);
      m.sleep();
      assert.equal(m.threadOf(m.kernels[0].setFloor(buried.tcb)), urgent);
      assert.equal(urgent.wait(N), buried, 'the buried one itself may go on');
      buried.wait(N);
      assert.equal(m.current(), undefined, 'but not its equal');
      assert.equal(m.threadOf(m.kernels[0].setFloor(0)), equal);
    });

    it('a held thread is not chosen, however urgent, until it is let go', () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const held = m.thread({ priority: 60 }).give(N, ntfn, undefined, 1n);
      const other = m.thread({ priority: 50 }).give(N, ntfn, undefined, 2n);
      m.sleep();
      assert.equal(m.threadOf(m.kernels[0].hold(held.tcb, 1)), other);
      assert.equal(other.yieldCore(), other);
      assert.equal(m.threadOf(m.kernels[0].hold(held.tcb, 0)), held);
      assert.equal(held.wait(N), other);
      m.kernels[0].hold(held.tcb, 1);
      assert.equal(other.signal(N), other, 'nor when it is woken');
      assert.equal(held.badge, 2n);
      assert.equal(m.threadOf(m.kernels[0].hold(held.tcb, 0)), held);
      // Held while it waits in a queue, it is in none.
      m.invoke(other.cptr, Invocation.TCBSetPriority, [70], [InitialSlot.ThreadTCB]);
      assert.equal(m.current(), other);
      m.kernels[0].hold(held.tcb, 1);
      assert.equal(other.wait(N), undefined);
      assert.equal(m.threadOf(m.kernels[0].hold(held.tcb, 0)), held);
      assert.equal(m.threadOf(m.kernels[0].hold(held.tcb, 0)), held, 'it was let go already');
    });

    it('yields to the thread of a context, and is told what that has consumed when it runs again', () => {
      const m = new Machine({ image });
      const [SC, LOWER] = [8, 9];
      const ntfn = m.create(ObjectType.Notification);
      const equals = [1, 2, 3].map(() => m.thread({ priority: 20, mcp: 20 }).give(N, ntfn));
      const lower = [1, 2].map(() => m.thread({ priority: 10 }).give(N, ntfn));
      m.sleep();
      const yielder = m.current()!;
      const last = equals.findLast((thread) => thread !== yielder)!;
      yielder.give(SC, last.schedContext).give(LOWER, lower[0].schedContext);
      m.time += 5;
      assert.equal(yielder.call(SC, [], Invocation.SchedContextYieldTo), last, 'before all others');
      assert.equal(last.wait(N), yielder, 'who yielded is next');
      assert.deepEqual([yielder.message.label, yielder.message.words], [SeL4Error.NoError, [0n]]);
      assert.equal(yielder.badge, 0n);
      assert.equal(
        yielder.call(LOWER, [], Invocation.SchedContextYieldTo),
        yielder,
        'a less urgent one waits',
      );
      assert.deepEqual(yielder.message.words, [0n]);
      for (const thread of equals) m.invoke(thread.cptr, Invocation.TCBSuspend);
      assert.equal(m.current(), lower[0], 'but before its equals');
      assert.equal(lower[0].wait(N), lower[1]);
    });

    it('who yielded is answered even if the context to which it yielded is deleted', () => {
      const m = new Machine({ image });
      const SC = 8;
      const [a, b] = [1, 2].map(() => m.thread({ priority: 20, mcp: 20 }));
      m.sleep();
      const yielder = m.current()!;
      const other = yielder === a ? b : a;
      yielder.give(SC, other.schedContext);
      // What it received before.
      m.setU64(yielder.tcb + Register.Badge, 9n);
      assert.equal(yielder.call(SC, [7, 7], Invocation.SchedContextYieldTo), other);
      m.invoke(yielder.cspace, Invocation.CNodeDelete, [SC, 6]);
      m.delete(other.schedContext);
      assert.equal(m.current(), yielder);
      assert.deepEqual([yielder.message.label, yielder.message.words], [SeL4Error.NoError, [0n]]);
      assert.equal(yielder.badge, 0n);
    });

    it('yields to nobody above its maximum controlled priority, nor to itself', () => {
      const m = new Machine({ image });
      const SC = 8;
      const above = m.thread({ priority: 31 });
      const yielder = m.thread({ priority: 20, mcp: 30 }).give(SC, above.schedContext);
      yielder.give(9, yielder.schedContext).give(10, m.schedContext());
      m.sleep();
      m.invoke(above.cptr, Invocation.TCBSuspend);
      for (const slot of [SC, 9, 10]) {
        assert.equal(yielder.call(slot, [], Invocation.SchedContextYieldTo), yielder);
        assert.equal(yielder.message.label, SeL4Error.IllegalOperation);
      }
      m.invoke(above.cptr, Invocation.TCBSetPriority, [30], [InitialSlot.ThreadTCB]);
      assert.equal(
        yielder.call(SC, [], Invocation.SchedContextYieldTo),
        yielder,
        'a stopped thread has nothing to run',
      );
      assert.equal(yielder.message.label, SeL4Error.NoError);
    });

    it('a buried thread that is deleted is forgotten in the states of cores alone', () => {
      const STATE_BYTES = 4096;
      const m = new Machine({ image });
      const thread = m.thread({ priority: 9 });
      const [kernel] = m.kernels;
      const places = () => {
        const found: number[] = [];
        for (let at = m.base; at < m.info.initialTCB; at += 4) if (m.u32(at) === thread.tcb) found.push(at);
        return found;
      };
      const before = places();
      kernel.setFloor(thread.tcb);
      const [floor] = places().filter((at) => !before.includes(at));
      m.setU32(floor + STATE_BYTES, thread.tcb);
      m.delete(thread.cptr);
      assert.deepEqual([m.u32(floor), m.u32(floor + STATE_BYTES)], [0, thread.tcb]);
    });

    it('a buried thread that is deleted leaves no trace in the scheduler', () => {
      const m = new Machine({ image });
      const ut = m.create(ObjectType.Untyped, 12);
      const tcb = m.create(ObjectType.TCB, 0, ut);
      const address = m.objectAt(tcb);
      const other = m.thread({ priority: 5 });
      m.kernels[0].setFloor(address);
      m.delete(tcb);
      const frame = m.create(ObjectType.SmallPage, 0, ut);
      assert.equal(m.objectAt(frame), address);
      // What the memory holds now is its new owner's business.
      for (let i = 0; i < 512; i++) m.setU64(address + 8 * i, 0xffff_ffff_ffff_ffffn);
      m.sleep();
      assert.equal(m.current(), other);
    });
  });
}
