/** The fastpaths of interrupts: when they are taken, shown by how little memory they touch, and that they do the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  InitialSlot,
  InterruptLine,
  Invocation,
  ObjectType,
  Register,
  Rights,
} from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CSPACE_BITS, IMAGES, Machine, type Thread } from './machine.js';
import { touchedLines } from './touched.js';

const LINE = 7;
const BADGE = 16n;
/** What a signal rings: a line of a core. */
const [TARGET, TARGET_LINE] = [5, 3];
/** Slots of the thread that handles the interrupt. */
const [EP, REPLY, NTFN, HANDLER, BELL, ELSEWHERE, MEANWHILE] = [63, 62, 61, 60, 59, 58, 57];
const SLOTS = 2 ** CSPACE_BITS;
const SLOT_BYTES = 32;
/** Where a kernel has the slots of its interrupt lines (kernel/model/state.ts). */
const IRQ_SLOTS = 2048;
/** Lines of 64 bytes that a fastpath touches at most; any other way takes more. */
const MOST_LINES = { unicore: 9, smp: 10 };
const PLACES = [
  ['endpoint', EP],
  ['notification', NTFN],
] as const;

/** Runs `action` while the 32 bytes at `to` are what stands at `from`. */
function withCopy(m: Machine, to: number, from: number, action: () => void): void {
  const words = [0, 4, 8, 12, 16, 20, 24, 28];
  const before = words.map((word) => m.u32(to + word));
  for (const word of words) m.setU32(to + word, m.u32(from + word));
  action();
  words.forEach((word, index) => m.setU32(to + word, before[index]));
}
/** Address of a thread's CNode. */
const cnodeOf = (m: Machine, { tcb }: Thread): number => m.u32(tcb + 64 + 4);

interface Acknowledgement {
  readonly label?: Invocation;
  readonly words?: readonly bigint[];
  /** Slots. */
  readonly dest?: number;
  readonly at?: number;
  readonly reply?: number;
}

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
      const acknowledge = ({
        label = Invocation.IRQAckIRQ,
        words = [],
        dest = HANDLER,
        at = place,
        reply = REPLY,
      }: Acknowledgement = {}) => {
        thread.compose(words, label);
        const next = m.threadOf(kernel.nbSendRecv(dest, at, reply, thread.tcb));
        assert.equal(next, m.current(), 'who runs is current');
        checkInvariants(m.image());
        return next;
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
          checkInvariants(m.image());
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
          checkInvariants(m.image());
          if (isOvertaken) continue;
          assert.equal(acknowledge(), undefined);
          checkInvariants(m.image());
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
        checkInvariants(lent.m.image());
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
          assert.equal(acknowledge({ label, words }), undefined);
          assert.equal(m.masks.length > 0, label === Invocation.IRQAckIRQ);
          assert.equal(interrupt(), told ? thread : undefined);
        }
      });
    }

    it('where somebody waits to send to it', () => {
      const { m, thread, other, interrupt, acknowledge } = world(EP);
      const elsewhere = m.create(ObjectType.Notification);
      thread.give(MEANWHILE, elsewhere);
      assert.equal(interrupt(), thread);
      assert.equal(thread.wait(MEANWHILE), other);
      assert.equal(other.send(EP, [5]), undefined);
      m.wake();
      m.root.signal(elsewhere);
      m.sleep();
      m.masks.length = 0;
      assert.equal(acknowledge(), thread, 'it has a message');
      assert.deepEqual(thread.message.words, [5n]);
      assert.deepEqual(m.masks, [[LINE, false]]);
    });

    it('where somebody waits for its answer: that is given up', () => {
      const { m, thread, other, interrupt, acknowledge } = world(EP);
      assert.equal(other.call(EP, [6]), thread);
      assert.equal(acknowledge(), undefined);
      assert.equal(interrupt(), thread);
      m.invoke(other.cptr, Invocation.TCBResume);
      assert.equal(acknowledge(), other, 'it makes its call again');
    });

    it('of a thread that waits elsewhere than before', () => {
      const { thread, interrupt, acknowledge } = idle(NTFN);
      assert.equal(interrupt(), thread);
      assert.equal(acknowledge({ at: EP }), undefined);
      assert.equal(interrupt(), undefined, 'nobody hears of it');
    });

    it('with capabilities of other kinds', () => {
      const refused = idle(EP);
      refused.interrupt();
      refused.m.masks.length = 0;
      assert.equal(refused.acknowledge({ dest: BELL }), undefined);
      assert.deepEqual([refused.m.sgis, refused.m.masks], [[[TARGET, TARGET_LINE]], []]);
      for (const wrong of [{ reply: ELSEWHERE }, { at: HANDLER }, { at: REPLY }]) {
        const { m, interrupt, acknowledge } = idle(EP);
        interrupt();
        m.masks.length = 0;
        assert.equal(acknowledge(wrong), undefined);
        assert.deepEqual(m.masks, [[LINE, false]]);
        assert.equal(interrupt(), undefined, 'it does not wait: it has faulted');
      }
    });

    it('with addresses behind its CNode, whatever stands there', () => {
      for (const [end, slot] of [
        ['dest', HANDLER],
        ['at', EP],
        ['reply', REPLY],
      ] as const) {
        const { m, thread, kernel, interrupt } = idle(EP);
        interrupt();
        m.masks.length = 0;
        const slots = { dest: HANDLER, at: EP, reply: REPLY, [end]: SLOTS };
        thread.compose([], Invocation.IRQAckIRQ);
        const cnode = cnodeOf(m, thread);
        withCopy(m, cnode + SLOTS * SLOT_BYTES, cnode + slot * SLOT_BYTES, () => {
          const next = kernel.nbSendRecv(slots.dest, slots.at, slots.reply, thread.tcb);
          assert.equal(m.threadOf(next), m.current());
        });
        assert.deepEqual(m.masks, end === 'dest' ? [] : [[LINE, false]]);
        assert.equal(interrupt(), end === 'dest' ? thread : undefined);
      }
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

    it('a signal by an address behind its CNode, whatever stands there', () => {
      const { m, thread, kernel, interrupt } = idle(EP);
      interrupt();
      const cnode = cnodeOf(m, thread);
      withCopy(m, cnode + SLOTS * SLOT_BYTES, cnode + BELL * SLOT_BYTES, () => {
        assert.equal(m.threadOf(kernel.signal(SLOTS, thread.tcb)), m.current());
      });
      assert.deepEqual(m.sgis, []);
      assert.notEqual(m.current(), thread, 'it has faulted');
    });

    it('one for a thread that was bound to a notification which had something already: it is told when it asks', () => {
      const { m, thread, ntfn, interrupt } = idle(EP);
      m.invoke(thread.cptr, Invocation.TCBUnbindNotification);
      m.wake();
      m.root.signal(m.derive(ntfn, Rights.All, 32n));
      m.sleep();
      m.invoke(thread.cptr, Invocation.TCBBindNotification, [], [ntfn]);
      assert.equal(interrupt(), undefined);
      m.invoke(thread.cptr, Invocation.TCBSuspend);
      m.invoke(thread.cptr, Invocation.TCBResume);
      assert.equal(m.current(), thread);
      assert.equal(thread.recv(EP, REPLY), thread);
      assert.equal(thread.badge, BADGE | 32n);
    });

    it('no line, a line without a handler, and one that is none', () => {
      const { m, interrupt } = idle(EP);
      const LINES = 64;
      const slots = m.base + IRQ_SLOTS;
      withCopy(m, slots + LINES * SLOT_BYTES, slots + LINE * SLOT_BYTES, () => {
        for (const line of [LINE + 1, LINES, 2 ** 32 - 1]) assert.equal(interrupt(line), undefined);
      });
      assert.equal(interrupt(), interrupt());
    });
  });
}

describe('fastpaths of interrupts, on one of two cores', () => {
  const world = (core: number, priority: number) => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const [handler, ntfn] = [m.slot(), m.create(ObjectType.Notification)];
    const line = [LINE, handler, 64];
    m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueIRQHandler, line, [InitialSlot.CNode]);
    m.invoke(handler, Invocation.IRQSetIRQHandler, [], [m.derive(ntfn, Rights.All, BADGE)]);
    const peer = m.create(ObjectType.Notification);
    const thread = m.thread({ priority, core }).give(NTFN, ntfn);
    const sender = m.thread({ priority: 100 }).give(NTFN, peer);
    const far = m.thread({ priority: 150, core: 1 }).give(NTFN, peer);
    m.sleep();
    m.kernels[1].interrupt(InterruptLine.Reschedule);
    while (m.current(1) !== undefined) m.current(1)!.wait(NTFN);
    if (core === 0) thread.wait(NTFN);
    m.ipis.length = 0;
    return { m, thread, sender, far };
  };

  it('a thread of the other core is woken by that', () => {
    const { m, thread, sender } = world(1, 200);
    sender.give(ELSEWHERE, m.create(ObjectType.Notification)).wait(ELSEWHERE);
    assert.equal(m.threadOf(m.kernels[0].interrupt(LINE)), undefined);
    assert.deepEqual(m.ipis, [1]);
    assert.equal(m.threadOf(m.kernels[1].interrupt(InterruptLine.Reschedule)), thread);
    checkInvariants(m.image());
  });

  it('who is more urgent, and was made ready by the other core just before, runs first', () => {
    for (const priority of [120, 200]) {
      const { m, thread, sender, far } = world(1, priority);
      assert.equal(sender.signal(NTFN), sender);
      const [first, second] = priority < 150 ? [far, thread] : [thread, far];
      assert.equal(m.threadOf(m.kernels[1].interrupt(LINE)), first);
      checkInvariants(m.image());
      assert.equal(first.wait(NTFN), second);
    }
  });
});
