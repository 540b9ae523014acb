/** Random invocations by threads with too much authority: whatever they ask, the kernel's structures stay sound. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { IMAGES, Machine, type Thread } from './machine.js';

const SLOTS = 64;

const arbitraryStep = fc.record({
  target: fc.nat(SLOTS - 1),
  label: fc.integer({ min: 1, max: Invocation.SchedContextYieldTo }),
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
          m.sleep();
          for (const step of steps) {
            const thread = m.current();
            if (!thread || thread === m.root) m.kernels[0].interrupt(63);
            act(m, thread ?? m.root, step, threads);
            checkInvariants(m.image());
          }
        }),
        { numRuns: Number(process.env.ATOLL_RANDOM_RUNS ?? 150), seed: 2, endOnFailure: true },
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
