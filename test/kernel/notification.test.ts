/** Notifications (manual chapter 5) and interrupts (chapter 7). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights, SeL4Error } from '../../kernel/api/constants.js';
import { IMAGES, Machine, refuses } from './machine.js';

const N = 6;
const EP = 5;
const REPLY = 4;

for (const image of IMAGES) {
  describe(`notifications (${image})`, () => {
    const world = () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const high = m.thread({ priority: 200 }).give(N, ntfn, Rights.Read);
      const low = m.thread({ priority: 100 }).give(N, ntfn, Rights.Write, 1n).give(7, ntfn, Rights.Write, 4n);
      m.sleep();
      return { m, ntfn, high, low };
    };

    it('a signal wakes who waits; signals that nobody waits for add up', () => {
      const { high, low, m } = world();
      assert.equal(high.wait(N), low);
      assert.equal(low.signal(N), high, 'the more urgent thread preempts');
      assert.equal(high.badge, 1n);
      m.invoke(high.cptr, Invocation.TCBSetPriority, [50], [1]);
      assert.equal(low.signal(N), low);
      assert.equal(low.signal(7), low);
      m.invoke(low.cptr, Invocation.TCBSuspend);
      high.nbWait(N);
      assert.equal(high.badge, 5n);
      high.nbWait(N);
      assert.equal(high.badge, 0n, 'taken');
    });

    it('waiters are woken by priority', () => {
      const { m, ntfn, high, low } = world();
      const middle = m.thread({ priority: 150 }).give(N, ntfn);
      assert.equal(high.wait(N), middle);
      middle.wait(N);
      m.invoke(middle.cptr, Invocation.TCBSetPriority, [220], [1]);
      assert.equal(low.signal(N), middle);
    });

    it('a bound notification arrives where its thread receives', () => {
      const { m, ntfn, high, low } = world();
      const ep = m.create(ObjectType.Endpoint);
      high.give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      m.invoke(high.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      refuses(
        () => m.invoke(low.cptr, Invocation.TCBBindNotification, [], [ntfn]),
        SeL4Error.IllegalOperation,
      );
      assert.equal(high.recv(EP, REPLY), low);
      assert.equal(low.signal(N), high);
      assert.equal(high.badge, 1n);
      assert.equal(high.redo, false);
      m.invoke(high.cptr, Invocation.TCBSetPriority, [50], [1]);
      low.signal(7);
      m.invoke(low.cptr, Invocation.TCBSuspend);
      assert.equal(high.recv(EP, REPLY), high, 'what came before is received first');
      assert.equal(high.badge, 4n);
      m.invoke(high.cptr, Invocation.TCBUnbindNotification);
      refuses(() => m.invoke(high.cptr, Invocation.TCBUnbindNotification), SeL4Error.IllegalOperation);
    });

    it('a bound notification that is signalled during a handler arrives with the next receive', () => {
      const { m, ntfn, high, low } = world();
      const ep = m.create(ObjectType.Endpoint);
      high.give(EP, ep).give(REPLY, m.create(ObjectType.Reply)).give(7, ntfn, Rights.Write, 4n);
      low.give(EP, ep);
      m.invoke(high.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      assert.equal(high.recv(EP, REPLY), low);
      assert.equal(low.call(EP, [1]), high);
      assert.equal(high.signal(7), high);
      assert.equal(high.replyRecv(EP, REPLY, [2]), high, 'it does not wait');
      assert.equal(high.badge, 4n);
      assert.equal(high.recv(EP, REPLY), low);
      assert.deepEqual(low.message.words, [2n], 'and the caller has its answer');
    });

    it('only its thread may wait for a bound notification', () => {
      const { m, ntfn, high, low } = world();
      m.invoke(low.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      assert.equal(high.wait(N), low, 'a fault without a handler');
    });

    it('deleted, it has who waits make the call again, and unbinds', () => {
      const { m, ntfn, high, low } = world();
      assert.equal(high.wait(N), low);
      m.revoke(ntfn);
      m.delete(ntfn);
      assert.equal(m.current(), high);
      assert.equal(high.redo, true);
    });

    it('lends its scheduling context to a passive thread, until that waits again', () => {
      const { m, ntfn, high, low } = world();
      high.wait(N);
      m.invoke(high.schedContext, Invocation.SchedContextUnbind);
      assert.equal(low.signal(N), low, 'woken without time');
      m.invoke(high.schedContext, Invocation.SchedContextBind, [], [high.cptr]);
      assert.equal(high.wait(N), low);
      m.invoke(high.schedContext, Invocation.SchedContextUnbind);
      m.invoke(high.schedContext, Invocation.SchedContextBind, [], [ntfn]);
      for (let i = 0; i < 2; i++) {
        assert.equal(low.signal(N), high);
        assert.equal(high.wait(N), low);
      }
      m.invoke(high.schedContext, Invocation.SchedContextUnbindObject, [], [ntfn]);
      assert.equal(low.signal(N), low);
    });

    it('keeps its scheduling context where an endpoint is deleted that lies just before a reply object on whose call it is', () => {
      const { m, ntfn, high, low } = world();
      const endpoint = m.create(ObjectType.Endpoint);
      let gone = m.create(ObjectType.Endpoint);
      while (m.objectAt(gone) % 32 === 0) gone = m.create(ObjectType.Endpoint);
      const reply = m.create(ObjectType.Reply);
      assert.equal(m.objectAt(reply), m.objectAt(gone) + 16);
      const server = m.thread({ priority: 210 }).give(EP, endpoint).give(REPLY, reply);
      high.give(EP, endpoint);
      assert.equal(server.recv(EP, REPLY), high);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      high.wait(N);
      m.invoke(high.schedContext, Invocation.SchedContextUnbind);
      m.invoke(high.schedContext, Invocation.SchedContextBind, [], [ntfn]);
      assert.equal(low.signal(N), high);
      assert.equal(high.call(EP), server);
      m.delete(gone);
      assert.equal(server.replyRecv(EP, REPLY), high);
      assert.equal(high.wait(N), low);
      m.invoke(high.schedContext, Invocation.SchedContextUnbindObject, [], [ntfn]);
      assert.equal(low.signal(N), low, 'without time');
    });

    it('lends no scheduling context that is gone, and takes another', () => {
      const { m, ntfn, high, low } = world();
      high.wait(N);
      m.invoke(high.schedContext, Invocation.SchedContextUnbind);
      m.invoke(high.schedContext, Invocation.SchedContextBind, [], [ntfn]);
      m.delete(high.schedContext);
      m.invoke(m.schedContext(), Invocation.SchedContextBind, [], [ntfn]);
      assert.equal(low.signal(N), high);
    });
  });

  describe(`interrupts (${image})`, () => {
    const world = () => {
      const m = new Machine({ image });
      const ntfn = m.create(ObjectType.Notification);
      const handler = m.slot();
      const get = (irq: number, slot: number) =>
        m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueIRQHandler, [irq, slot, 64], [2]);
      get(5, handler);
      return { m, ntfn, handler, get };
    };

    it('a line is issued once, until its handler is deleted', () => {
      const { m, handler, get } = world();
      refuses(() => get(5, m.slot()), SeL4Error.RevokeFirst);
      refuses(() => get(0, m.slot()), SeL4Error.RangeError, [1, 63]);
      refuses(() => get(64, m.slot()), SeL4Error.RangeError, [1, 63]);
      refuses(() => get(6, handler), SeL4Error.DeleteFirst);
      const copy = m.derive(handler);
      m.delete(handler);
      refuses(() => get(5, m.slot()), SeL4Error.RevokeFirst);
      m.delete(copy);
      assert.deepEqual(m.masks.at(-1), [5, true]);
      get(5, handler);
      m.revoke(InitialSlot.IRQControl);
      assert.ok(m.isEmpty(handler));
    });

    it('signals its notification, and stays masked until acknowledged', () => {
      const { m, ntfn, handler } = world();
      const badged = m.derive(ntfn, Rights.Write, 8n);
      refuses(
        () => m.invoke(handler, Invocation.IRQSetIRQHandler, [], [handler]),
        SeL4Error.InvalidCapability,
        [0],
      );
      m.invoke(handler, Invocation.IRQSetIRQHandler, [], [badged]);
      assert.deepEqual(m.masks.at(-1), [5, false]);
      const driver = m.thread({ priority: 10 }).give(N, ntfn);
      m.sleep();
      assert.equal(driver.wait(N), undefined);
      assert.equal(m.threadOf(m.kernels[0].interrupt(5)), driver);
      assert.equal(driver.badge, 8n);
      assert.deepEqual(m.masks.at(-1), [5, true]);
      m.invoke(handler, Invocation.IRQAckIRQ);
      assert.deepEqual(m.masks.at(-1), [5, false]);
      m.invoke(handler, Invocation.IRQClearIRQHandler);
      driver.wait(N);
      assert.equal(m.kernels[0].interrupt(5), 0, 'nobody is told');
    });

    it('a line that the cluster has not is nobody’s', () => {
      const { m } = world();
      const thread = m.thread({ priority: 10 });
      m.sleep();
      m.masks.length = 0;
      for (const line of [64, 65, 2 ** 31]) assert.equal(m.threadOf(m.kernels[0].interrupt(line)), thread);
      assert.deepEqual(m.masks, []);
      m.kernels[0].interrupt(62);
      assert.deepEqual(m.masks, [[62, true]], 'one that nobody handles stays masked');
    });

    it('an interrupt-sending capability rings another core, with nothing to choose', () => {
      const { m } = world();
      const sgi = m.slot();
      m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueSGISignal, [9, 17, sgi, 64], [2]);
      const thread = m.thread().give(N, sgi);
      m.sleep();
      assert.equal(thread.signal(N), thread);
      thread.call(N, [1, 2]);
      assert.deepEqual(m.sgis, [
        [17, 9],
        [17, 9],
      ]);
      assert.deepEqual(thread.message.words, [], 'the answer to a call is empty');
    });

    it('an interrupt-sending capability is revoked with its copies, and no other', () => {
      for (const targets of [
        [17, 18],
        [17, 17],
      ]) {
        const { m } = world();
        const [first, second] = targets.map((target) => {
          const sgi = m.slot();
          m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueSGISignal, [9, target, sgi, 64], [2]);
          return { sgi, copy: m.derive(sgi) };
        });
        m.revoke(second.sgi);
        assert.deepEqual(
          [first.sgi, first.copy, second.sgi, second.copy].map((slot) => m.isEmpty(slot)),
          [false, false, false, true],
        );
      }
    });
  });
}
