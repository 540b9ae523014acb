/** The fastpaths of interrupts: when they are taken, shown by how little memory they touch, and that they do the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { IMAGES } from './machine.js';
import { touchedLines } from './touched.js';

const LINE = 7;
const BADGE = 16n;
/** What a signal rings: a line of a core. */
const [TARGET, TARGET_LINE] = [5, 3];
/** Slots of the thread that handles the interrupt. */
const [EP, REPLY, NTFN, HANDLER, BELL, ELSEWHERE] = [63, 62, 61, 60, 59, 58];
/** Lines of 64 bytes that a fastpath touches at most; any other way takes more. */
const MOST_LINES = { unicore: 9, smp: 10 };
const PLACES = [
  ['endpoint', EP],
  ['notification', NTFN],
] as const;

for (const image of IMAGES) {
  describe(`fastpaths of interrupts (${image})`, () => {
    const most = MOST_LINES[image];

    /** `thread` waits at `place`, and `other`, which is less urgent, runs. */
    const world = (place: number) => {
      const { m, touched } = touchedLines(image);
      const [ntfn, ep] = [m.create(ObjectType.Notification), m.create(ObjectType.Endpoint)];
      const [handler, bell] = [m.slot(), m.slot()];
      const issue = (label: Invocation, line: number, ...more: number[]) =>
        m.invoke(InitialSlot.IRQControl, label, [line, ...more, 64], [InitialSlot.CNode]);
      issue(Invocation.IRQIssueIRQHandler, LINE, handler);
      issue(Invocation.IRQIssueSGISignal, TARGET_LINE, TARGET, bell);
      m.invoke(handler, Invocation.IRQSetIRQHandler, [], [m.derive(ntfn, Rights.All, BADGE)]);
      const [thread, other] = [200, 150].map((priority) =>
        m
          .thread({ priority })
          .give(EP, ep)
          .give(NTFN, ntfn)
          .give(REPLY, m.create(ObjectType.Reply))
          .give(ELSEWHERE, m.create(ObjectType.Notification)),
      );
      thread.give(HANDLER, handler).give(BELL, bell);
      if (place === EP) m.invoke(thread.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      m.masks.length = 0;
      const [kernel] = m.kernels;
      const wait = (who = thread) => (place === EP ? who.recv(EP, REPLY) : who.wait(NTFN));
      const acknowledge = (label = Invocation.IRQAckIRQ, words: readonly bigint[] = [], reply = REPLY) => {
        thread.compose(words, label);
        return m.threadOf(kernel.nbSendRecv(HANDLER, place, reply, thread.tcb));
      };
      const interrupt = (line = LINE) => m.threadOf(kernel.interrupt(line));
      m.sleep();
      assert.equal(wait(), other);
      return { m, ntfn, thread, other, kernel, touched, wait, acknowledge, interrupt };
    };
    /** The same, and its core is idle. */
    const idle = (place: number) => {
      const all = world(place);
      assert.equal(all.other.wait(ELSEWHERE), undefined);
      return all;
    };

    for (const [name, place] of PLACES) {
      it(`one for which a thread waits at its ${name}, the acknowledgement, and the next`, () => {
        const { m, thread, touched, acknowledge, interrupt } = idle(place);
        for (let round = 0; round < 3; round++) {
          m.setU64(thread.tcb + Register.Badge, 9n);
          if (place === EP) m.setU32(thread.tcb + Register.Redo, 1);
          assert.ok(touched(() => assert.equal(interrupt(), thread)) <= most);
          assert.equal(thread.badge, BADGE);
          assert.equal(m.u32(thread.tcb + Register.Redo), 0);
          assert.deepEqual(m.masks.splice(0), [[LINE, true]]);
          assert.ok(touched(() => assert.equal(acknowledge(), undefined)) <= most);
          assert.deepEqual(m.masks.splice(0), [[LINE, false]]);
          m.image();
        }
      });

      it(`where others wait at its ${name}, less urgent or more`, () => {
        for (const priority of [150, 250]) {
          const { m, thread, other, wait, acknowledge, interrupt } = world(place);
          m.invoke(other.cptr, Invocation.TCBSetPriority, [priority], [InitialSlot.ThreadTCB]);
          assert.equal(wait(other), undefined);
          const isOvertaken = place === NTFN && priority > 200;
          const expected = isOvertaken ? other : thread;
          assert.equal(interrupt(), expected);
          assert.equal(expected.badge, BADGE);
          m.image();
          if (isOvertaken) continue;
          assert.equal(acknowledge(), undefined);
          m.image();
          assert.equal(interrupt(), thread);
        }
      });

      it(`with something to do or to hear of at its ${name}, the same is done without`, () => {
        const busy = world(place);
        assert.equal(busy.interrupt(), busy.thread);
        assert.equal(busy.acknowledge(), busy.other, 'the other goes on');
        const twice = idle(place);
        twice.interrupt();
        assert.equal(twice.interrupt(), twice.thread);
        assert.equal(twice.acknowledge(), twice.thread);
        assert.equal(twice.thread.badge, BADGE);
        assert.equal(twice.acknowledge(), undefined);
        const lent = idle(place);
        lent.m.invoke(lent.m.schedContext(), Invocation.SchedContextBind, [], [lent.ntfn]);
        assert.equal(lent.interrupt(), lent.thread);
        assert.equal(lent.acknowledge(), undefined);
        lent.m.image();
        const buried = idle(place);
        buried.kernel.setFloor(buried.thread.tcb, 0);
        assert.equal(buried.interrupt(), buried.thread);
        const held = idle(place);
        held.m.invoke(held.thread.cptr, Invocation.TCBSuspend);
        assert.equal(held.interrupt(), undefined, 'nobody waits');
      });

      it(`what does not acknowledge is no acknowledgement (${name})`, () => {
        for (const [label, words, told] of [
          [Invocation.IRQClearIRQHandler, [], false],
          [Invocation.IRQAckIRQ, [1n], true],
          [Invocation.CNodeCopy, [], true],
        ] as const) {
          const { m, thread, interrupt, acknowledge } = idle(place);
          interrupt();
          m.masks.length = 0;
          assert.equal(acknowledge(label, words), undefined);
          assert.equal(m.masks.length > 0, label === Invocation.IRQAckIRQ);
          assert.equal(interrupt(), told ? thread : undefined);
        }
      });
    }

    it('where somebody waits to send to it, or for its answer, or it offers no reply object', () => {
      const sent = world(EP);
      assert.equal(sent.interrupt(), sent.thread);
      assert.equal(sent.thread.wait(ELSEWHERE), sent.other);
      assert.equal(sent.other.send(EP, [5]), undefined);
      assert.equal(sent.m.threadOf(sent.kernel.interrupt(LINE)), undefined, 'it waits elsewhere');
      const called = world(EP);
      called.other.call(EP, [6]);
      assert.equal(called.m.current(), called.thread);
      assert.equal(called.interrupt(), called.thread);
      assert.equal(called.acknowledge(), called.thread, 'with what the interrupt said');
      assert.equal(called.thread.badge, BADGE);
      assert.equal(called.acknowledge(), undefined, 'the call is given up');
      called.m.image();
      const bare = idle(EP);
      bare.interrupt();
      const faulted = bare.acknowledge(Invocation.IRQAckIRQ, [], NTFN);
      assert.equal(faulted, undefined);
      assert.equal(bare.interrupt(), undefined, 'it does not wait: that was no reply object');
    });

    it('a signal to another cluster', () => {
      const { m, thread, kernel, touched, interrupt } = idle(EP);
      interrupt();
      thread.compose([1n], 5);
      assert.ok(touched(() => assert.equal(m.threadOf(kernel.signal(BELL, thread.tcb)), thread)) < most);
      assert.deepEqual(m.sgis, [[TARGET, TARGET_LINE]]);
      assert.equal(m.u64(thread.tcb + Register.MsgInfo), 0n);
      assert.equal(m.threadOf(kernel.signal(BELL, 0)), thread, 'whoever is named');
      assert.equal(m.sgis.length, 2);
    });

    it('no line, a line without a handler, and one that is none', () => {
      const { interrupt } = idle(EP);
      for (const line of [LINE + 1, 64, 2 ** 32 - 1]) assert.equal(interrupt(line), undefined);
    });
  });
}
