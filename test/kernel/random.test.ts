/** Random invocations by threads with too much authority: whatever they ask, the kernel's structures stay sound. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { IMAGES, Machine, type Thread } from './machine.js';

// Where things lie (kernel/model): asserted here because no user could see them broken until too late.
const CORES = 8192;
const READY_BITS = 16;
const QUEUES = 512;
const TCB = { state: 96, priority: 97, core: 98, queued: 99, sc: 100, queueNext: 128, queuePrev: 132 };
const SLOT = { type: 0, bits: 2, object: 4, badge: 8, prev: 16, next: 20 };
const RUNNING = 1;
const TYPE_UNTYPED = 1;
const TYPE_ZOMBIE = 9;
const SLOTS = 64;

function checkQueues(m: Machine): void {
  const core = m.base + CORES;
  const current = m.kernels[0].currentTCB();
  assert.equal(m.u8(current + TCB.queued), 0, 'the current thread is in no queue');
  for (let priority = 0; priority < 256; priority++) {
    const ready = (m.u64(core + READY_BITS + 8 * (priority >> 6)) >> BigInt(priority & 63)) & 1n;
    const head = m.u32(core + QUEUES + 8 * priority);
    assert.equal(head !== 0, ready === 1n, `priority ${priority}: the bitmap agrees with the queue`);
    let previous = 0;
    for (let tcb = head; tcb !== 0; tcb = m.u32(tcb + TCB.queueNext)) {
      assert.equal(m.u32(tcb + TCB.queuePrev), previous);
      assert.deepEqual([m.u8(tcb + TCB.queued), m.u8(tcb + TCB.priority)], [1, priority]);
      assert.equal(m.u8(tcb + TCB.state), RUNNING, 'only who can run is ready');
      assert.notEqual(m.u32(tcb + TCB.sc), 0);
      previous = tcb;
    }
    if (head !== 0) assert.equal(m.u32(core + QUEUES + 8 * priority + 4), previous, 'the tail');
  }
}

/** Follows every derivation list that the initial thread's slots are in. */
function checkDerivation(m: Machine, limit: number): void {
  for (let index = 1; index < limit; index++) {
    const slot = m.slotAddress(index);
    if (m.u8(slot) === 0) {
      assert.deepEqual(
        [m.u32(slot + SLOT.prev), m.u32(slot + SLOT.next)],
        [0, 0],
        'an empty slot is in no list',
      );
      continue;
    }
    let steps = 0;
    for (let at = slot; at !== 0; at = m.u32(at + SLOT.next)) {
      assert.notEqual(m.u8(at + SLOT.type), 0, 'no empty slot is listed');
      assert.notEqual(m.u8(at + SLOT.type), TYPE_ZOMBIE, 'no zombie outlives the invocation that made it');
      const next = m.u32(at + SLOT.next);
      if (next !== 0) assert.equal(m.u32(next + SLOT.prev), at, 'prev and next agree');
      assert.ok(++steps < 5000, 'the list ends');
      if (m.u8(at + SLOT.type) === TYPE_UNTYPED)
        assert.ok(m.u64(at + SLOT.badge) <= 1n << BigInt(m.u8(at + SLOT.bits)), 'the watermark is inside');
    }
  }
}

const arbitraryStep = fc.record({
  target: fc.nat(SLOTS - 1),
  label: fc.integer({ min: 1, max: Invocation.SchedContextConsumed }),
  system: fc.nat(11),
  words: fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.nat(SLOTS) },
      { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
    ),
    { maxLength: 8 },
  ),
  caps: fc.array(fc.nat(SLOTS - 1), { maxLength: 3 }),
});

for (const image of IMAGES) {
  describe(`random invocations (${image})`, () => {
    it('never trap the kernel and never corrupt its structures', () => {
      fc.assert(
        fc.property(fc.array(arbitraryStep, { minLength: 40, maxLength: 120 }), (steps) => {
          const m = new Machine({ image, size: 2 << 20, rootBits: 8 });
          const untyped = m.create(ObjectType.Untyped, 16);
          const threads = [50, 60, 60].map((priority) => m.thread({ priority, mcp: 100 }));
          const made = [
            m.create(ObjectType.Endpoint),
            m.create(ObjectType.Notification),
            m.create(ObjectType.Reply),
            m.create(ObjectType.CapTable, 3),
            m.create(ObjectType.SchedContext, 7),
            m.create(ObjectType.TCB),
          ];
          const wealth = [
            ...threads.flatMap((thread) => [thread.cptr, thread.cspace, thread.schedContext, thread.frame]),
            ...made,
            untyped,
            InitialSlot.FirstSchedControl,
          ];
          for (const thread of threads)
            wealth.forEach((cptr, index) => {
              if (cptr !== untyped || thread === threads[0]) thread.give(index + 1, cptr, Rights.All);
            });
          const limit = m.slot() + 1;
          m.sleep();
          for (const step of steps) {
            const thread = m.current();
            if (!thread || thread === m.root) m.kernels[0].interrupt(63);
            act(m, thread ?? m.root, step, threads);
            checkQueues(m);
            checkDerivation(m, limit);
          }
        }),
        { numRuns: 300, seed: 2, endOnFailure: true },
      );
    });
  });
}

interface Step {
  readonly target: number;
  readonly label: number;
  readonly system: number;
  readonly words: readonly (number | bigint)[];
  readonly caps: readonly number[];
}

/** One system call of whoever runs; the initial thread resumes the others and sleeps again. */
function act(m: Machine, thread: Thread, step: Step, threads: readonly Thread[]): void {
  if (thread === m.root) {
    const other = threads[step.target % threads.length];
    if (m.u8(m.slotAddress(other.cptr)) !== 0) {
      try {
        m.invoke(other.cptr, Invocation.TCBResume);
      } catch {
        // Refused: as good as any other outcome.
      }
    }
    m.sleep();
    return;
  }
  const hasBuffer = m.u32(thread.tcb + Register.IPCBuffer) !== 0;
  const words = hasBuffer ? step.words : step.words.slice(0, 4);
  const caps = hasBuffer ? step.caps : [];
  const { target, label } = step;
  const other = Number(step.words[0] ?? 0) % SLOTS;
  switch (step.system) {
    case 0:
      return void thread.send(target, words, label, caps);
    case 1:
      return void thread.nbSend(target, words);
    case 2:
      return void thread.nbRecv(target, other);
    case 3:
      return void thread.replyRecv(target, other, words, label, caps);
    case 4:
      return void thread.signal(target);
    case 5:
      return void thread.yieldCore();
    case 6:
      return void thread.recv(target, other);
    default:
      return void thread.call(target, words, label, caps);
  }
}
