/**
 * Isolation: two systems that differ only in what one domain does are the same to another, to which no capability leads
 * from it. What a domain does is random, and all that it may learn is compared: each message, badge and error that its
 * threads receive, and which of them runs. Where it is more urgent, when is compared too.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InitialSlot, Invocation, ObjectType } from '../../kernel/api/constants.js';
import { CSPACE_SLOT, KINDS, messageTo, type Step } from '../spec/programs.js';
import { IMAGES, Machine, type Thread } from './machine.js';

const URGENT = 100;
const LESS_URGENT = 30;
/** What makes a thread less urgent. Who is not more urgent any more is not promised to see the same at the same time. */
const PRIORITIES: readonly number[] = [Invocation.TCBSetPriority, Invocation.TCBSetSchedParams];
const LINE = 3;
const RESUMED_AT = Array.from({ length: 20 }, (_, index) => 1400 + 400 * index);
const END = 10_000;
const MOST_STEPS = 1000;
/** Offset of a TCB's priority. */
const PRIORITY = 99;

interface Domain {
  readonly threads: readonly Thread[];
  readonly steps: readonly Step[];
  done: number;
}

interface Budget {
  readonly budget: number;
  readonly period: number;
}

interface Pair {
  /** What the domain does that is watched, and when its interrupts come. */
  readonly watched: readonly Step[];
  readonly interrupts: readonly number[];
  readonly budget: Budget;
  /** What another does in one system, and in the other. */
  readonly others: readonly (readonly Step[])[];
  readonly otherBudget: Budget;
  readonly otherPriority: number;
}

/** Two threads, and two of each object that is theirs alone. */
function domain(m: Machine, priority: number, { budget, period }: Budget, steps: readonly Step[]): Domain {
  const two = (type: ObjectType, bits = 0): number[] => [m.create(type, bits), m.create(type, bits)];
  const threads = [priority, priority - 1].map((own) => m.thread({ priority: own, mcp: priority }));
  const contexts = threads.map(({ schedContext }) => schedContext);
  const configure = Invocation.SchedControlConfigureFlags;
  for (const context of contexts)
    m.invoke(InitialSlot.FirstSchedControl, configure, [budget, period, 0, 0, 0], [context]);
  const given: Record<number, readonly number[]> = {
    4: threads.map(({ cptr }) => cptr),
    8: two(ObjectType.TCB),
    12: contexts,
    16: two(ObjectType.Notification),
    20: two(ObjectType.Endpoint),
    24: two(ObjectType.Reply),
    31: [m.create(ObjectType.CapTable, 2), m.create(ObjectType.SchedContext, 7)],
  };
  // They have a program, in case their registers are copied: the idle thread alone has none.
  for (const cptr of given[8]) m.invoke(cptr, Invocation.TCBWriteRegisters, [0, 2, 0, 7]);
  for (const thread of threads) {
    thread.give(CSPACE_SLOT, thread.cspace);
    for (const [slot, cptrs] of Object.entries(given))
      cptrs.forEach((cptr, index) => thread.give(Number(slot) + index, cptr));
  }
  threads[0].give(30, m.create(ObjectType.Untyped, 13));
  return { threads, steps, done: 0 };
}

/** Runs a system, and returns what the watched domain has seen. */
function run(image: (typeof IMAGES)[number], pair: Pair, other: readonly Step[], leaks: boolean): unknown[] {
  const m = new Machine({ image, size: 2 << 20, rootBits: 8 });
  const watched = domain(m, URGENT, pair.budget, pair.watched);
  const rest = domain(m, pair.otherPriority, pair.otherBudget, other);
  const interrupted = m.create(ObjectType.Notification);
  const handler = m.handler(LINE, interrupted);
  for (const thread of watched.threads) thread.give(18, interrupted).give(19, handler);
  if (leaks) for (const thread of rest.threads) thread.give(18, interrupted);
  const kernel = m.kernels[0];
  const { idle } = m.image().core(0);
  const seen: unknown[] = [];
  /** What a thread was about to do when another became more urgent. */
  const interruptedIn = new Map<Thread, Step>();
  m.sleep();

  /** Threads that wait for ever, or have failed, go on: the initial thread sees to that. */
  const resume = ({ threads }: Domain): void => {
    m.wake();
    for (const { cptr } of threads) m.invoke(cptr, Invocation.TCBResume);
    m.sleep();
  };
  // Where the domain is more urgent, it is interrupted and resumed when its time has come, whoever runs.
  const isUrgent = pair.otherPriority < URGENT - 1;
  /** Until it makes itself less urgent. */
  const isMoreUrgent = ({ tcb }: Thread): boolean => m.u8(tcb + PRIORITY) > pair.otherPriority;
  const events = [
    ...pair.interrupts.map((at) => ({ at, happen: () => void kernel.interrupt(LINE) })),
    ...RESUMED_AT.map((at) => ({ at, happen: () => resume(watched) })),
  ];
  events.sort((a, b) => a.at - b.at);
  if (!isUrgent) events.length = 0;

  /** Lets time pass, as long as the same thread runs; returns whether it still does. */
  const pass = (microseconds: number): boolean => {
    const end = m.time + microseconds;
    for (;;) {
      const current = kernel.currentTCB();
      const deadline = kernel.deadline() / 1000;
      const next = Math.min(deadline === 0 ? Infinity : deadline, events[0]?.at ?? Infinity);
      if (next > end) break;
      m.time = Math.max(m.time, next);
      if ((events[0]?.at ?? Infinity) <= m.time) events.shift()!.happen();
      else kernel.timer();
      if (kernel.currentTCB() !== current) return false;
    }
    m.time = end;
    return true;
  };

  for (let count = 0; count < MOST_STEPS && watched.done < watched.steps.length; count++) {
    if (isUrgent && (m.time >= END || !watched.threads.every(isMoreUrgent))) break;
    const tcb = kernel.currentTCB();
    const own = [watched, rest].find(({ threads }) => threads.some((thread) => thread.tcb === tcb));
    const thread = own?.threads.find((each) => each.tcb === tcb);
    if (tcb === idle) {
      if (!isUrgent) resume(watched);
      else if (rest.done === rest.steps.length || count % 2 === 0) pass(END);
      if (rest.done < rest.steps.length) resume(rest);
    } else if (
      own !== undefined &&
      thread !== undefined &&
      (interruptedIn.has(thread) || own.done < own.steps.length)
    ) {
      let step = interruptedIn.get(thread);
      if (step === undefined) {
        step = own.steps[own.done++];
        if (own === watched) seen.push([isUrgent && m.time, watched.threads.indexOf(thread), look(thread)]);
        interruptedIn.set(thread, step);
        if (!pass(step.time)) continue;
      }
      interruptedIn.delete(thread);
      act(m, thread, step);
    } else {
      // It waits for ever.
      kernel.wait(62);
    }
  }
  return seen;
}

/** What a thread finds in its registers and buffer. */
function look(thread: Thread): unknown {
  const buffer = thread.ipcBuffer;
  const { badge, label, words, unwrapped, extraCaps } = thread.message;
  const caps = buffer === 0 ? [] : [0, 1, 2].map((index) => thread.unwrappedBadge(index));
  return [badge, label, buffer === 0 ? words.slice(0, 4) : words, unwrapped, extraCaps, caps, thread.redo];
}

function act(m: Machine, thread: Thread, step: Step): void {
  const kernel = m.kernels[0];
  const { target, other, call } = step;
  thread.clearRedo();
  const cnode = m.u32(thread.tcb + 64 + 4);
  const message = messageTo(m.image().slot(m.slotAddress(target, cnode)), step, thread.ipcBuffer);
  const hasBuffer = thread.ipcBuffer !== 0;
  const label = Number(BigInt(message.label) & 0xffffn);
  const least = PRIORITIES.includes(label) ? BigInt(LESS_URGENT + 1) : 0n;
  const words = (hasBuffer ? message.words : message.words.slice(0, 4)).map((word) =>
    word < least ? least : word,
  );
  if (hasBuffer) thread.receiveInto(40 + (other % 20), CSPACE_SLOT);
  thread.compose(words, label, hasBuffer ? message.caps : []);
  const calls: (() => number)[] = [
    () => kernel.send(target),
    () => kernel.nbSend(target),
    () => kernel.nbRecv(target, other),
    () => kernel.replyRecv(target, other, thread.tcb),
    () => kernel.recv(target, other),
    () => kernel.nbSendRecv(target, other, 24, thread.tcb),
    () => kernel.signal(target, thread.tcb),
    () => kernel.wait(target),
    () => kernel.nbWait(target),
    () => kernel.yieldCore(),
    () => kernel.fault(1, other),
  ];
  (calls[call] ?? (() => kernel.call(target, thread.tcb)))();
}

const steps = fc.oneof(...Object.values(KINDS)).map((step) => ({ ...step, time: Math.min(step.time, 60) }));
const program = fc.array(steps, { minLength: 10, maxLength: 40, size: 'max' });
const limited = fc.record({
  budget: fc.integer({ min: 50, max: 300 }),
  period: fc.integer({ min: 300, max: 900 }),
});
const unlimited = fc.constant({ budget: 1000, period: 1000 });
const pairOf = (budget: fc.Arbitrary<Budget>, otherPriority: fc.Arbitrary<number>): fc.Arbitrary<Pair> =>
  fc.record({
    watched: program,
    interrupts: fc
      .array(fc.integer({ min: 1000, max: 6000 }), { maxLength: 4 })
      .map((at) => at.sort((a, b) => a - b)),
    budget,
    others: fc.tuple(program, program),
    otherBudget: fc.oneof(limited, unlimited),
    otherPriority,
  });

const same =
  (image: (typeof IMAGES)[number], leaks: boolean) =>
  (pair: Pair): void => {
    const [one, two] = pair.others.map((other) => run(image, pair, other, leaks));
    assert.deepEqual(two, one);
  };

for (const image of IMAGES) {
  describe(`isolation (${image})`, () => {
    const cases = {
      'a domain that is more urgent sees the same, at the same time': pairOf(
        fc.oneof(limited, unlimited),
        fc.constant(LESS_URGENT),
      ),
      'a domain whose time is not limited sees the same, whoever is more urgent': pairOf(
        unlimited,
        fc.integer({ min: URGENT - 1, max: URGENT + 2 }),
      ),
    };
    for (const [what, pairs] of Object.entries(cases)) {
      it(what, () => {
        fc.assert(fc.property(pairs, same(image, false)), {
          numRuns: Number(process.env['ATOLL_PAIRS'] ?? 300),
          seed: 5,
        });
      });
    }

    it('a capability that leads there is noticed', () => {
      const pairs = pairOf(unlimited, fc.constant(LESS_URGENT));
      const details = fc.check(fc.property(pairs, same(image, true)), {
        numRuns: 300,
        seed: 5,
        endOnFailure: true,
      });
      assert(details.failed);
    });
  });
}
