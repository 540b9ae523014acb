/** Budgets and periods: scheduling contexts as sporadic servers (manual section 6.1.5). The test owns the clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FaultType,
  InitialSlot,
  InterruptLine,
  Invocation,
  ObjectType,
  Rights,
  SeL4Error,
} from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { IMAGES, Machine, refuses, type Thread } from './machine.js';

const N = 6;
const EP = 5;
const REPLY = 4;
const SPORADIC = 1;

for (const image of IMAGES) {
  describe(`budgets (${image})`, () => {
    const configure = (
      m: Machine,
      sc: number,
      budget: number,
      period: number,
      { refills = 0, badge = 0, flags = 0 } = {},
    ) =>
      m.invoke(
        InitialSlot.FirstSchedControl,
        Invocation.SchedControlConfigureFlags,
        [budget, period, refills, badge, flags],
        [sc],
      );
    /** A thread with 20 µs in each 100 µs, above one with all the time in the world. */
    const world = (options: { refills?: number; flags?: number } = {}) => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const limited = m.thread({ priority: 50 }).give(N, ntfn, Rights.All, 1n);
      const other = m.thread({ priority: 40 }).give(N, ntfn, Rights.All, 2n);
      configure(m, limited.schedContext, 20, 100, options);
      m.sleep();
      assert.equal(m.current(), limited);
      return { m, ntfn, limited, other };
    };
    /** The current thread's handler runs for so long, then gets its next event at once, if it may. */
    const handle = (m: Machine, thread: Thread, microseconds: number) => {
      thread.signal(N);
      m.time += microseconds;
      return thread.wait(N);
    };
    const at = (m: Machine, time: number) => {
      m.time = time;
      return m.threadOf(m.kernels[0].timer());
    };

    it('a thread that has used its budget waits for the next period', () => {
      const { m, limited, other } = world();
      const start = m.time;
      assert.equal(handle(m, limited, 12), limited, '12 of 20 used');
      assert.equal(handle(m, limited, 8), other, 'all used');
      assert.ok(limited.redo, 'it will make its system call again');
      assert.equal(m.kernels[0].deadline(), (start + 100) * 1000);
      assert.equal(at(m, start + 99), other);
      assert.equal(at(m, start + 100), limited);
      assert.equal(m.kernels[0].deadline(), 0);
      assert.equal(limited.wait(N), limited, 'the event was not lost');
      assert.equal(limited.badge, 1n);
    });

    it('a call that yields to a thread whose budget is back at this moment lets it run', () => {
      const { m, limited, other } = world();
      const start = m.time;
      m.invoke(limited.cptr, Invocation.TCBSetPriority, [40], [InitialSlot.ThreadTCB]);
      m.invoke(other.cptr, Invocation.TCBSetMCPriority, [40], [InitialSlot.ThreadTCB]);
      other.give(EP, limited.schedContext);
      assert.equal(m.current(), limited);
      assert.equal(handle(m, limited, 20), other);
      m.time = start + 100;
      assert.equal(other.call(EP, [], Invocation.SchedContextYieldTo), limited);
      checkInvariants(m.image());
    });

    it('a handler is not cut short, but what it took too much is made good', () => {
      const { m, limited, other } = world();
      const start = m.time;
      assert.equal(handle(m, limited, 50), other, '50 instead of 20: two and a half budgets');
      assert.equal(at(m, start + 209), other);
      assert.equal(at(m, start + 210), limited, 'two periods, and the time of half a budget');
      assert.equal(handle(m, limited, 1_000_000), other);
      assert.ok(m.kernels[0].deadline() >= (start + 210 + 4_999_900) * 1000, 'a second at a fifth is five');
    });

    it('gets its share over time, whatever its handlers take', () => {
      const { m, limited, other } = world({ refills: 1 });
      const start = m.time;
      let used = 0;
      let seed = 1;
      while (m.time < start + 100_000) {
        seed = (seed * 48271) % 2147483647;
        const length = 1 + (seed % 45);
        if (m.current() === limited) {
          limited.clearRedo();
          handle(m, limited, length);
          used += length;
        } else {
          assert.equal(m.current(), other);
          m.time += length;
          other.signal(N);
        }
      }
      const share = used / (m.time - start);
      assert.ok(share <= 0.2 + 0.001, `no more than its share: ${share}`);
      assert.ok(share > 0.15, `and not much less: ${share}`);
    });

    it('what is used in parts comes back in parts', () => {
      const { m, ntfn, limited, other } = world();
      const start = m.time;
      assert.equal(handle(m, limited, 5), limited);
      assert.equal(limited.wait(N), other, 'nothing to do');
      m.time = start + 50;
      assert.equal(other.signal(N), limited);
      assert.equal(handle(m, limited, 15), other, 'used up');
      assert.equal(at(m, start + 99), other);
      assert.equal(at(m, start + 100), limited, 'the first 5 are back');
      assert.equal(handle(m, limited, 5), other);
      assert.equal(m.kernels[0].deadline(), (start + 150) * 1000, 'the 15 come back at 150');
      m.delete(ntfn);
    });

    it('what is left of less than a microsecond comes back with the rest', () => {
      const { m, limited, other } = world();
      const start = m.time;
      assert.equal(handle(m, limited, 19.5), other, 'half a microsecond is not worth a switch');
      assert.equal(at(m, start + 99), other);
      assert.equal(at(m, start + 99.5), limited);
      assert.equal(handle(m, limited, 18.75), limited, 'and with that it has all of its budget');
    });

    it('what is used in the smallest parts is charged too', () => {
      const { m, limited, other } = world();
      limited.signal(N);
      for (let nanoseconds = 0; m.current() === limited; nanoseconds++) {
        assert.ok(nanoseconds <= 20_000);
        m.time = 1000 + nanoseconds / 1000;
        limited.nbWait(N);
      }
      assert.equal(m.current(), other);
    });

    it('who yields to a limited thread is told what that has used', () => {
      const { m, limited, other } = world();
      const SC = 8;
      other.give(SC, limited.schedContext);
      assert.equal(limited.wait(N), other);
      for (const label of [Invocation.TCBSetMCPriority, Invocation.TCBSetPriority])
        m.invoke(other.cptr, label, [50], [InitialSlot.ThreadTCB]);
      for (const used of [7, 5]) {
        other.signal(N);
        assert.equal(m.current(), other);
        assert.equal(other.call(SC, [], Invocation.SchedContextYieldTo), limited);
        m.time += used;
        assert.equal(limited.wait(N), other);
        assert.deepEqual(other.message.words, [BigInt(used)]);
      }
    });

    it('time that a thread spends with its server on a lent context is its own', () => {
      const { m, limited, other } = world();
      const ep = m.create(ObjectType.Endpoint);
      const server = m.thread({ priority: 60 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      limited.give(EP, ep);
      assert.equal(server.recv(EP, REPLY), limited);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      assert.equal(limited.call(EP), server);
      m.time += 30;
      assert.equal(server.replyRecv(EP, REPLY), limited, 'a handler goes on even so');
      assert.equal(handle(m, limited, 0), other);
    });

    it('time that an active server takes is not', () => {
      const { m, limited } = world();
      const ep = m.create(ObjectType.Endpoint);
      const server = m.thread({ priority: 60 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      limited.give(EP, ep);
      assert.equal(server.recv(EP, REPLY), limited);
      for (let i = 0; i < 5; i++) {
        assert.equal(limited.call(EP), server);
        m.time += 30;
        assert.equal(server.replyRecv(EP, REPLY), limited);
      }
      assert.equal(handle(m, limited, 19), limited);
      assert.deepEqual(m.invoke(limited.schedContext, Invocation.SchedContextConsumed), [19n]);
      assert.deepEqual(m.invoke(limited.schedContext, Invocation.SchedContextConsumed), [0n]);
    });

    it('an event does not start a thread that has used its budget', () => {
      const { m, limited, other } = world();
      m.time += 25;
      assert.equal(limited.wait(N), other);
      const start = m.time;
      limited.clearRedo();
      assert.equal(at(m, start + 1000), limited);
      m.time += 25;
      const ep = m.create(ObjectType.Endpoint);
      limited.give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      other.give(EP, ep);
      // Suspended and resumed, it still has no time.
      m.invoke(limited.cptr, Invocation.TCBSuspend);
      m.invoke(limited.cptr, Invocation.TCBResume);
      assert.equal(m.current(), other);
      assert.equal(at(m, m.time + 1000), limited);
      assert.equal(limited.recv(EP, REPLY), other);
      assert.equal(other.call(EP), limited, 'time again');
      m.time += 25;
      assert.equal(limited.replyRecv(EP, REPLY), other);
      assert.ok(limited.redo);
      assert.equal(other.call(EP), undefined, 'the caller waits until the server has time');
      assert.equal(at(m, m.time + 1000), limited);
    });

    it('a context that is configured anew keeps what was used of it', () => {
      const { m, limited, other } = world();
      assert.equal(handle(m, limited, 15), limited);
      configure(m, limited.schedContext, 30, 100);
      assert.equal(handle(m, limited, 6), other, '5 were left; the new 25 come a period later');
      configure(m, limited.schedContext, 100, 100);
      assert.equal(m.current(), limited, 'with all the time, it is not accounted');
      assert.equal(handle(m, limited, 500), limited);
    });

    it('giving way gives up the budget', () => {
      const { m, limited, other } = world();
      const start = m.time;
      m.time += 3;
      assert.equal(limited.yieldCore(), other);
      assert.equal(m.kernels[0].deadline(), (start + 100) * 1000);
      assert.deepEqual(m.invoke(limited.schedContext, Invocation.SchedContextConsumed), [3n]);
    });

    it('a sporadic budget counts from when the thread wakes, another from when it runs', () => {
      for (const [flags, expected] of [
        [SPORADIC, 110],
        [0, 130],
      ]) {
        const { m, limited, other } = world({ flags });
        const busy = m.thread({ priority: 60 });
        m.invoke(busy.cptr, Invocation.TCBSuspend);
        assert.equal(limited.wait(N), other);
        const start = m.time;
        m.time = start + 10;
        assert.equal(other.signal(N), limited);
        m.invoke(busy.cptr, Invocation.TCBResume);
        assert.equal(m.current(), busy);
        m.invoke(limited.cptr, Invocation.TCBSuspend);
        m.time = start + 10;
        m.invoke(limited.cptr, Invocation.TCBResume);
        m.time = start + 30;
        m.invoke(busy.cptr, Invocation.TCBSuspend);
        assert.equal(m.current(), limited);
        assert.equal(handle(m, limited, 20), other);
        assert.equal(m.kernels[0].deadline(), (start + expected) * 1000);
      }
    });

    it('a timeout handler hears of a budget that is used up, and may raise it', () => {
      const { m, limited, other } = world();
      const ep = m.create(ObjectType.Endpoint);
      const handler = m.thread({ priority: 70 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      m.invoke(limited.cptr, Invocation.TCBSetTimeoutEndpoint, [], [m.derive(ep, Rights.All, 77n)]);
      refuses(
        () => m.invoke(limited.cptr, Invocation.TCBSetTimeoutEndpoint, [], [limited.cptr]),
        SeL4Error.InvalidCapability,
        [1],
      );
      configure(m, limited.schedContext, 20, 100, { badge: 5 });
      assert.equal(handler.recv(EP, REPLY), limited);
      assert.equal(handle(m, limited, 22), handler);
      assert.equal(handler.badge, 77n);
      assert.deepEqual(handler.message.label, FaultType.Timeout);
      assert.deepEqual(handler.message.words, [5n, 22n]);
      configure(m, limited.schedContext, 100, 100);
      assert.equal(handler.replyRecv(EP, REPLY), limited, 'answered, it goes on');
      assert.ok(limited.redo);
      configure(m, limited.schedContext, 20, 100);
      assert.equal(handle(m, limited, 22), handler);
      assert.equal(handler.replyRecv(EP, REPLY), other, 'but not without time');
      assert.equal(at(m, m.time + 200), limited);
      assert.equal(handle(m, limited, 22), handler);
      assert.equal(handler.replyRecv(EP, REPLY, [], 1), other);
      assert.equal(at(m, m.time + 1000), other, 'another label leaves it stopped');
    });

    it('a waiting thread that is stopped or loses its context is forgotten', () => {
      for (const stop of ['suspend', 'unbind', 'delete context', 'delete thread'] as const) {
        const { m, limited, other } = world();
        assert.equal(handle(m, limited, 25), other);
        assert.notEqual(m.kernels[0].deadline(), 0);
        if (stop === 'suspend') m.invoke(limited.cptr, Invocation.TCBSuspend);
        if (stop === 'unbind') m.invoke(limited.schedContext, Invocation.SchedContextUnbind);
        if (stop === 'delete context') m.delete(limited.schedContext);
        if (stop === 'delete thread') m.delete(limited.cptr);
        assert.equal(m.kernels[0].deadline(), 0, stop);
        assert.equal(at(m, m.time + 1000), other, stop);
      }
    });

    it('several wait in the order of their deadlines', () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const threads = [300, 100, 200].map((period, index) => {
        const thread = m.thread({ priority: 50 - index }).give(N, ntfn);
        configure(m, thread.schedContext, 10, period);
        return thread;
      });
      const other = m.thread({ priority: 1 });
      m.sleep();
      const start = m.time;
      for (const thread of threads) {
        assert.equal(m.current(), thread);
        m.time += 10;
        thread.wait(N);
      }
      assert.equal(m.current(), other);
      // The constant bandwidth of each counts from when it ran.
      for (const [time, thread] of [
        [110, threads[1]],
        [220, threads[2]],
        [300, threads[0]],
      ] as const) {
        assert.equal(m.kernels[0].deadline(), (start + time) * 1000);
        assert.equal(at(m, start + time), thread);
        thread.clearRedo();
        thread.wait(N);
      }
      assert.equal(m.current(), other);
    });

    it('one whose budget comes back stands behind its equals, whatever the current thread is at', () => {
      const { m, ntfn, limited, other } = world();
      const equal = m.thread({ priority: 40 });
      m.invoke(limited.cptr, Invocation.TCBSetPriority, [40], [InitialSlot.ThreadTCB]);
      m.invoke(limited.cptr, Invocation.TCBSuspend);
      m.invoke(other.cptr, Invocation.TCBSuspend);
      m.invoke(limited.cptr, Invocation.TCBResume);
      m.invoke(equal.cptr, Invocation.TCBSuspend);
      assert.equal(handle(m, limited, 25), undefined, 'used up');
      for (const { cptr } of [equal, other]) m.invoke(cptr, Invocation.TCBResume);
      const first = m.current()!;
      assert.ok(first === other || first === equal);
      const second = first === other ? equal : other;
      const idle = m.create(ObjectType.Notification);
      first.give(8, idle).give(1, first.cspace);
      m.delete(idle);
      m.time += 1000;
      assert.equal(first.call(1, [8, 6], Invocation.CNodeDelete), first);
      assert.equal(first.yieldCore(), second);
      assert.equal(second.yieldCore(), limited);
      m.delete(ntfn);
    });

    it('who is held does not run when its budget is back', () => {
      const { m, limited, other } = world();
      assert.equal(handle(m, limited, 20), other);
      m.kernels[0].hold(limited.tcb, 1);
      m.time += 1000;
      assert.equal(m.threadOf(m.kernels[0].timer()), other);
      assert.equal(m.threadOf(m.kernels[0].hold(limited.tcb, 0)), limited);
    });

    it('whatever enters the kernel, it sees whose budget is back', () => {
      const entries = [
        (m: Machine, tcb: number) => m.kernels[0].hold(tcb, 1),
        (m: Machine) => m.kernels[0].setFloor(0),
        (m: Machine) => m.kernels[0].timer(),
        (m: Machine) => m.kernels[0].interrupt(62),
      ];
      for (const entry of entries) {
        const { m, limited, other } = world();
        const bystander = m.thread({ priority: 1 });
        assert.equal(handle(m, limited, 20), other);
        m.time += 1000;
        assert.equal(m.threadOf(entry(m, bystander.tcb)), limited);
      }
    });

    it('binds and unbinds as seL4 does, with its errors in their order', () => {
      const { m, limited, ntfn } = world();
      const sc = limited.schedContext;
      refuses(() => m.invoke(sc, Invocation.SchedContextBind, [], [sc]), SeL4Error.InvalidCapability, [1]);
      refuses(
        () => m.invoke(sc, Invocation.SchedContextBind, [], [limited.cptr]),
        SeL4Error.IllegalOperation,
      );
      m.invoke(sc, Invocation.SchedContextBind, [], [ntfn]);
      refuses(() => m.invoke(sc, Invocation.SchedContextBind, [], [ntfn]), SeL4Error.IllegalOperation);
      m.invoke(sc, Invocation.SchedContextUnbindObject, [], [limited.cptr]);
      // It may have both a thread and a notification.
      m.invoke(limited.cptr, Invocation.TCBSetSchedParams, [0, 50], [InitialSlot.ThreadTCB, sc, 0]);
      // Where neither handler nor root will do, the root is the one that is refused.
      const space = [ntfn, limited.cptr];
      refuses(() => m.invoke(limited.cptr, Invocation.TCBSetSpace, [0], space), SeL4Error.IllegalOperation);
      space[1] = limited.cspace;
      refuses(
        () => m.invoke(limited.cptr, Invocation.TCBSetSpace, [0], space),
        SeL4Error.InvalidCapability,
        [1],
      );
    });

    it('a context that is unbound does not come back with a reply', () => {
      const { m, limited } = world();
      const ep = m.create(ObjectType.Endpoint);
      const reply = m.create(ObjectType.Reply);
      const server = m.thread({ priority: 60 }).give(EP, ep).give(REPLY, reply);
      limited.give(EP, ep);
      server.recv(EP, REPLY);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      assert.equal(limited.call(EP), server, 'on the time of its caller');
      m.invoke(limited.schedContext, Invocation.SchedContextUnbind);
      m.invoke(server.schedContext, Invocation.SchedContextBind, [], [server.cptr]);
      m.invoke(limited.schedContext, Invocation.SchedContextBind, [], [m.create(ObjectType.TCB)]);
      assert.equal(server.replyRecv(EP, REPLY), m.current());
      assert.notEqual(m.current(), limited, 'the context is another thread’s by now');
      checkInvariants(m.image());
    });

    it('refuses what seL4 refuses, in its order', () => {
      const m = new Machine({ image });
      const sc = m.create(ObjectType.SchedContext, 7);
      const most = 3_600_000_000;
      const ntfn = m.create(ObjectType.Notification);
      const of = (...words: number[]) =>
        m.invoke(InitialSlot.FirstSchedControl, Invocation.SchedControlConfigureFlags, words, [ntfn]);
      refuses(() => of(1, 1, 0, 0), SeL4Error.TruncatedMessage);
      refuses(() => of(most + 1, 1, 0, 0, 0), SeL4Error.RangeError, [1, most]);
      refuses(() => of(1, most + 1, 0, 0, 0), SeL4Error.RangeError, [1, most]);
      refuses(() => of(0, 5, 0, 0, 0), SeL4Error.RangeError, [1, most]);
      refuses(() => of(0, 0, 0, 0, 0), SeL4Error.RangeError, [1, most]);
      refuses(() => of(10, 5, 0, 0, 0), SeL4Error.RangeError, [1, 5]);
      refuses(() => of(5, 5, 1000, 0, 0), SeL4Error.InvalidCapability, [1]);
      refuses(() => configure(m, sc, 5, 10, { refills: 3 }), SeL4Error.RangeError, [0, 2]);
      configure(m, sc, 5, 10, { refills: 2 });
    });
  });
}

describe('budgets on two cores', () => {
  it('a thread of another core that has used its budget is woken there', () => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const far = m.thread({ priority: 50, core: 1 }).give(N, ntfn);
    m.invoke(
      InitialSlot.FirstSchedControl + 1,
      Invocation.SchedControlConfigureFlags,
      [20, 100, 0, 0, 0],
      [far.schedContext],
    );
    m.kernels[1].interrupt(0);
    assert.equal(m.current(1), far);
    m.time += 25;
    assert.equal(far.wait(N), undefined);
    m.ipis.length = 0;
    m.invoke(far.cptr, Invocation.TCBSuspend);
    assert.equal(m.kernels[1].deadline(), 0);
    m.invoke(far.cptr, Invocation.TCBResume);
    assert.deepEqual(m.ipis, [1], 'the other core learns of its new deadline');
    assert.ok(m.kernels[1].deadline() > m.time * 1000);
    assert.equal(m.kernels[0].deadline(), 0);
    m.time += 1000;
    m.kernels[1].timer();
    assert.equal(m.current(1), far);
  });

  it('what a thread took from there has used since does not hold up others', () => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const limited = () => m.thread({ core: 1 }).give(N, ntfn, Rights.All, 1n);
    const [first, second] = [limited(), limited()];
    for (const { schedContext } of [first, second])
      m.invoke(
        InitialSlot.FirstSchedControl + 1,
        Invocation.SchedControlConfigureFlags,
        [10, 100, 0, 0, 0],
        [schedContext],
      );
    const far = m.kernels[1];
    far.interrupt(InterruptLine.Reschedule);
    assert.equal(m.current(1), second, 'who was configured last');
    m.time += 30;
    assert.equal(second.wait(N), first, 'three budgets used');
    m.time += 20;
    first.signal(N);
    // It is in its handler, has used two, and waits from now on; but goes on for three more before its core knows.
    m.invoke(first.cptr, Invocation.TCBSuspend);
    m.invoke(first.cptr, Invocation.TCBResume);
    m.time += 30;
    assert.equal(m.threadOf(far.interrupt(InterruptLine.Reschedule)), undefined);
    checkInvariants(m.image());
    m.time = far.deadline() / 1000;
    assert.equal(m.threadOf(far.timer()), second);
  });
});
