/** A kernel image and the specification side by side: what one does, the other does, and both are compared. */
import assert from 'node:assert/strict';
import {
  InitialSlot,
  InterruptLine,
  Invocation,
  ObjectType,
  Register,
  Rights,
} from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CapType, ThreadState, type KernelMemory } from '../../src/core/inspect/memory.js';
import { observed, observedIn, stateOf, type Observation } from './abstraction.js';
import { Kernel } from '../../spec/kernel.js';
import type { Kernel as MachineKernel } from '../../src/core/kernel.js';
import { messageInfo } from '../../spec/messages.js';
import { EMPTY, type Cap } from '../../spec/state.js';
import { Machine, guardFor, type MachineOptions } from '../kernel/machine.js';
import {
  CSPACE_SLOT,
  OTHER_CORES,
  RADIX,
  messageTo,
  type Beginning,
  type Message,
  type Step,
} from './programs.js';

const WAKE_LINE = 63;
/** Of which the threads have a handler. */
const LINE = 3;
const ROOT_BITS = 8;
/** What the initial thread ends now and then. */
const MORTAL = [CapType.Endpoint, CapType.Notification, CapType.Reply, CapType.SchedContext, CapType.Thread];
/** Of `Step.call`: those that wait at `Step.target`. */
const RECEIVES = new Set([2, 3, 4, 5, 6, 9, 10]);
const MESSAGE = 8;
const CAPS = 8 * 122;
const RECEIVE = 8 * 125;

/** Whether two states are the same. Why a thread's last fault happened shows in its message alone. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Map) {
    if (a.size !== (b as Map<unknown, unknown>).size) return false;
    for (const [key, value] of a) if (!same(value, (b as Map<unknown, unknown>).get(key))) return false;
    return true;
  }
  if (a instanceof Set) {
    if (a.size !== (b as Set<unknown>).size) return false;
    for (const each of a) if (!(b as Set<unknown>).has(each)) return false;
    return true;
  }
  if (Array.isArray(a)) {
    if (a.length !== (b as unknown[]).length) return false;
    for (let i = 0; i < a.length; i++) if (!same(a[i], (b as unknown[])[i])) return false;
    return true;
  }
  for (const key in a)
    if (key !== 'faultWords' && !same(a[key as keyof typeof a], b[key as keyof typeof b])) return false;
  return true;
}

/** What is observed as text, each part in an order that does not depend on how it came about. */
function describe(observation: Observation): string[] {
  const text = (value: unknown): string =>
    JSON.stringify(value, (key, each: unknown) =>
      key === 'faultWords' ? undefined : typeof each === 'bigint' ? `${each}n` : each,
    );
  return Object.entries(observation).flatMap(([part, value]: [string, unknown]) =>
    value instanceof Map
      ? [...(value as Map<number | string, unknown>)].map(
          ([name, each]) => `${part} ${name.toString(16)} ${text(each)}`,
        )
      : `${part} ${text(value instanceof Set ? [...(value as Set<number>)].sort() : value)}`,
  );
}

export class World {
  readonly machine: Machine;
  private readonly memory: KernelMemory;
  private readonly spec: Kernel;
  calls = 0;
  /** The core that makes this step. */
  private core = 0;
  /** Cores that have been sent an interrupt by another, and have not taken it yet. */
  private readonly asked = new Set<number>();

  constructor(
    options: MachineOptions,
    /** After each so many calls, also check what must hold of raw memory. */
    private readonly checked = Infinity,
    beginning?: Beginning,
  ) {
    const m = new Machine({ size: 2 << 20, rootBits: ROOT_BITS, ...options });
    const cores = m.kernels.length;
    this.machine = m;
    const of = (type: ObjectType, count: number, bits = 0): number[] =>
      Array.from({ length: count }, () => m.create(type, bits));
    const isEqual = beginning === 'equal';
    const threads = (isEqual ? [60, 60, 60, 60] : [50, 60, 60, 70]).map((priority, index) =>
      m.thread({ priority, mcp: 100, core: index % cores, buffer: !isEqual || index < 3 }),
    );
    const endpoints = of(ObjectType.Endpoint, 2);
    const notifications = of(ObjectType.Notification, 2);
    const given: Record<number, number> = {};
    const give = (from: number, cptrs: readonly number[]): void =>
      cptrs.forEach((cptr, index) => (given[from + index] = cptr));
    give(2, [threads[1].cspace, threads[2].cspace]);
    give(
      4,
      threads.map(({ cptr }) => cptr),
    );
    give(8, of(ObjectType.TCB, 1));
    give(10, [this.handler(m, m.derive(notifications[0], Rights.All, 8)), this.doorbell(m)]);
    if (options.image === 'unicore') give(9, [InitialSlot.Domain]);
    give(
      12,
      threads.map(({ schedContext }) => schedContext),
    );
    give(16, notifications);
    give(18, [m.derive(notifications[0], Rights.All, 2), m.derive(notifications[1], Rights.All, 4)]);
    give(20, endpoints);
    give(22, [m.derive(endpoints[0], Rights.All, 5), m.derive(endpoints[1], Rights.All, 6)]);
    give(24, of(ObjectType.Reply, 4));
    give(28, [
      m.derive(endpoints[0], Rights.Write | Rights.GrantReply, 9),
      m.derive(endpoints[0], Rights.Read),
    ]);
    give(30, of(ObjectType.Untyped, 1, 14));
    give(31, of(ObjectType.CapTable, 1, 2));
    give(32, of(ObjectType.SchedContext, 1, 7));
    give(33, [InitialSlot.FirstSchedControl]);
    give(
      34,
      threads.slice(0, 2).map(({ frame }) => frame),
    );
    give(37, [
      m.derive(threads[0].frame, Rights.Read),
      m.derive(notifications[0], Rights.Write),
      m.derive(endpoints[1], Rights.Write),
      m.derive(notifications[1], Rights.Read),
    ]);
    give(
      OTHER_CORES,
      Array.from({ length: cores - 1 }, (_, core) => InitialSlot.FirstSchedControl + 1 + core),
    );
    threads.forEach((thread, index) => {
      thread.give(CSPACE_SLOT, thread.cspace);
      for (const [slot, cptr] of Object.entries(given))
        if (Number(slot) !== 30 || index === 0) thread.give(Number(slot), cptr);
    });
    m.invoke(
      threads[0].cspace,
      Invocation.CNodeMove,
      [36, RADIX, InitialSlot.IRQControl, 64],
      [InitialSlot.CNode],
    );
    const handlers = endpoints.map((endpoint, index) => m.derive(endpoint, Rights.All, 70 + index));
    for (const { cptr, cspace } of threads.slice(0, 3))
      m.invoke(cptr, Invocation.TCBSetSpace, [guardFor(RADIX)], [handlers[0], cspace]);
    m.invoke(threads[1].cptr, Invocation.TCBSetTimeoutEndpoint, [], [handlers[1]]);
    if (beginning === 'limited')
      for (const { schedContext } of threads.slice(1, 3))
        m.invoke(
          InitialSlot.FirstSchedControl +
            (threads.findIndex((each) => each.schedContext === schedContext) % cores),
          Invocation.SchedControlConfigureFlags,
          [30, 120, 2, 7, Number(schedContext === threads[1].schedContext)],
          [schedContext],
        );
    // Threads are in different scheduling domains, by a schedule that has begun.
    if (options.domains === 3) {
      for (const [index, domain] of [1, 0, 2].entries())
        m.invoke(
          InitialSlot.Domain,
          Invocation.DomainScheduleConfigure,
          [index, domain, 50_000 * (index + 1)],
          [],
        );
      for (const [index, { cptr }] of threads.entries())
        m.invoke(InitialSlot.Domain, Invocation.DomainSetSet, [index % 3], [cptr]);
      m.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [0]);
    }
    m.sleep();
    if (beginning === 'passive')
      for (const index of [3, 2]) {
        m.kernels[index % cores].interrupt(InterruptLine.Reschedule);
        threads[index].recv(20 + (index & 1), 24 + index);
        m.invoke(threads[index].schedContext, Invocation.SchedContextUnbind);
      }
    for (let core = 1; core < cores; core++) this.asked.add(core);
    this.memory = m.image();
    this.spec = new Kernel(stateOf(observedIn(this.memory)));
    // What lies in the buffers, as far as it is not zero.
    for (const { buffer } of this.spec.state.threads.values())
      for (let at = buffer; buffer !== 0 && at < buffer + 1024; at += 8)
        this.spec.state.memory.set(at, m.u64(at));
  }

  /** A handler of an interrupt line that signals a notification. */
  private handler(m: Machine, notification: number): number {
    const slot = m.slot();
    m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueIRQHandler, [LINE, slot, 64], [InitialSlot.CNode]);
    m.invoke(slot, Invocation.IRQSetIRQHandler, [], [notification]);
    return slot;
  }
  private doorbell(m: Machine): number {
    const slot = m.slot();
    m.invoke(InitialSlot.IRQControl, Invocation.IRQIssueSGISignal, [1, 9, slot, 64], [InitialSlot.CNode]);
    return slot;
  }

  /** Does a step in both, and compares. */
  step(step: Step): void {
    const m = this.machine;
    m.time += step.time;
    this.core = step.core % this.spec.state.cores.length;
    const { current, stalled } = this.spec.state.cores[this.core];
    if (this.asked.has(this.core) && !step.late) {
      this.asked.delete(this.core);
      this.event(
        () => this.kernel.interrupt(InterruptLine.Reschedule),
        () => this.spec.rescheduleInterrupt(),
      );
    } else if (current === 0 && stalled === undefined) {
      const isTimed =
        this.spec.postponed(this.spec.state.cores[this.core]).length > 0 || this.spec.state.domainEnd !== 0n;
      if (isTimed && step.call % 2 === 0) {
        m.time += 100;
        this.event(() => this.kernel.timer());
      } else {
        this.interrupt(step.call % 4 === 3 ? LINE : WAKE_LINE);
        this.compare();
        if (this.current === this.memory.initialTCB) this.rootStep(step);
      }
    } else if (current === this.memory.initialTCB) {
      this.rootStep(step);
    } else {
      this.threadStep(current, step);
    }
    this.compare();
  }

  private get kernel(): MachineKernel {
    return this.machine.kernels[this.core];
  }
  /** Who runs on the core that makes this step. */
  private get current(): number {
    return this.spec.state.cores[this.core].current;
  }

  /** The buffer of the thread that is current. */
  get buffer(): number {
    return this.spec.state.threads.get(this.current)!.buffer;
  }

  /** The thread that is current makes a call with just this message. */
  call(target: number, { label, words, caps }: Message): void {
    const me = this.current;
    this.compose(me, label, words, caps);
    this.both(
      () => this.kernel.call(target, me),
      () => this.spec.call(target),
    );
    this.compare();
  }

  private interrupt(line: number): void {
    this.event(
      () => this.kernel.interrupt(line),
      () => this.spec.interrupt(line),
    );
  }

  /**
   * The initial thread keeps things going: it gives time to a thread without, or resumes one that is stopped, if there is
   * one. Or it ends an object, whoever has capabilities to it. Then it waits.
   */
  private rootStep(step: Step): void {
    const { threads, contexts } = this.spec.state;
    const m = this.machine;
    /** Of the initial thread's capabilities of these types to the objects that are asked for, the one that the step names. */
    const choice = (
      types: readonly CapType[],
      isAskedFor: (object: number) => boolean = () => true,
    ): number => {
      const slots = [...this.spec.state.slots].filter(
        ([
          slot,
          {
            cap: { type, object },
          },
        ]) =>
          slot > m.slotAddress(m.parkCptr) &&
          slot < m.slotAddress(1 << ROOT_BITS) &&
          types.includes(type) &&
          isAskedFor(object),
      );
      const [slot] = slots[(step.target + step.other) % slots.length] ?? [m.slotAddress(0)];
      return (slot - m.slotAddress(0)) / 32;
    };
    const invoke = (cptr: number, label: Invocation, words: number[] = [], extra: number[] = []): void =>
      this.call(cptr, { label, words: words.map(BigInt), caps: extra });
    const passive = choice([CapType.Thread], (thread) =>
      [...contexts.values()].every((context) => context.thread !== thread),
    );
    const free = choice([CapType.SchedContext], (sc) => contexts.get(sc)!.thread === 0);
    const { Inactive, BlockedOnReply } = ThreadState;
    const inState = (...states: ThreadState[]): number =>
      choice([CapType.Thread], (thread) => states.includes(threads.get(thread)!.state));
    if (step.label === 0 && step.caps[0] < 16) {
      const mortal = choice([MORTAL[step.words[0] % MORTAL.length]]);
      invoke(InitialSlot.CNode, Invocation.CNodeRevoke, [mortal, 64]);
      invoke(InitialSlot.CNode, Invocation.CNodeDelete, [mortal, 64]);
    } else if (passive !== 0 && free !== 0 && step.label < 7) {
      invoke(free, Invocation.SchedContextBind, [], [passive]);
    } else {
      invoke(inState(Inactive, BlockedOnReply) || choice([CapType.Thread]), Invocation.TCBResume);
      const another = inState(Inactive);
      if (another !== 0 && step.words[0] < 32) invoke(another, Invocation.TCBResume);
    }
    if (this.current === this.memory.initialTCB)
      this.both(
        () => this.kernel.wait(m.parkCptr),
        () => this.spec.recv(m.parkCptr, true, undefined),
      );
  }

  /** The current thread makes a system call; or one does that another core has taken away, and is at its program still. */
  private threadStep(tcb: number, step: Step): void {
    const { spec, kernel } = this;
    const { call } = step;
    const capAt = (cptr: number): Cap => spec.state.slots.get(this.slotOf(tcb, cptr))?.cap ?? EMPTY;
    const typeAt = (cptr: number): CapType => capAt(cptr).type;
    // Who waits, waits mostly for what it can wait for, and offers a reply object.
    const orElse = (cptr: number, types: readonly CapType[], other: number): number =>
      step.raw !== undefined || types.includes(typeAt(cptr)) ? cptr : other;
    const source = (cptr: number): number =>
      orElse(cptr, [CapType.Endpoint, CapType.Notification], 16 + (cptr & 7));
    const reply = (cptr: number): number => {
      const cptrs = [0, 1, 2, 3].map((offset) => 24 + ((cptr + offset) & 3));
      const isOfUse = (each: number): boolean => {
        const { type, object } = capAt(each);
        return (type === CapType.Reply && spec.holderOf(object) !== 0) === (call === 3 || call === 4);
      };
      return orElse(cptr, [CapType.Endpoint], cptrs.find(isOfUse) ?? cptrs[0]);
    };
    const offered = reply(step.label);
    const target = RECEIVES.has(call) ? source(step.target) : step.target;
    const other = call === 7 ? source(step.other) : RECEIVES.has(call) ? reply(step.other) : step.other;
    const thread = spec.state.threads.get(tcb);
    if (thread) {
      const { label, words, caps } = messageTo(capAt(target), step, thread.buffer);
      // A message may claim to be longer than what has been written.
      this.compose(tcb, label, words, caps, step.raw === undefined ? undefined : Number(step.raw >> 57n));
    }
    switch (call) {
      case 0:
        return this.both(
          () => kernel.send(target),
          () => spec.send(target, true),
        );
      case 1:
        return this.both(
          () => kernel.nbSend(target),
          () => spec.send(target, false),
        );
      case 2:
        return this.both(
          () => kernel.nbRecv(target, other),
          () => spec.recv(target, false, other),
        );
      case 3:
      case 4:
        return this.both(
          () => kernel.replyRecv(target, other, tcb),
          () => spec.replyRecv(target, other),
        );
      case 5:
      case 6:
        return this.both(
          () => kernel.recv(target, other),
          () => spec.recv(target, true, other),
        );
      case 7:
        return this.both(
          () => kernel.nbSendRecv(target, other, offered, tcb),
          () => spec.nbSendRecv(target, other, offered),
        );
      case 8:
        return this.both(
          () => kernel.signal(target, tcb),
          () => spec.signal(target),
        );
      case 9:
        return this.both(
          () => kernel.wait(target),
          () => spec.recv(target, true, undefined),
        );
      case 10:
        return this.both(
          () => kernel.nbWait(target),
          () => spec.recv(target, false, undefined),
        );
      case 11:
        return step.label < 6
          ? this.both(
              () => kernel.yieldCore(),
              () => spec.yieldCore(),
            )
          : step.label > 9
            ? this.both(
                () => kernel.unknownSyscall(target),
                () => spec.unknownSyscall(target),
              )
            : this.both(
                () => kernel.fault(target, other),
                () => spec.userException(target, other),
              );
      case 15:
        return this.interrupt(1 + (other & 7));
      case 16:
        return this.interrupt(WAKE_LINE);
      default:
        return this.both(
          () => kernel.call(target, tcb),
          () => spec.call(target),
        );
    }
  }

  /** Writes a message where the thread's program would, in both. */
  private compose(
    tcb: number,
    label: number | bigint,
    words: readonly bigint[],
    caps: readonly number[],
    length = words.length,
  ): void {
    const m = this.machine;
    const thread = this.spec.state.threads.get(tcb)!;
    const fit = thread.buffer === 0 ? words.slice(0, 4) : words;
    const sent = thread.buffer === 0 ? [] : caps;
    const set = (address: number, word: bigint): void => {
      m.setU64(address, word);
      this.spec.state.memory.set(address, word);
    };
    fit.forEach((word, index) => {
      if (index < 4) {
        m.setU64(tcb + Register.MR0 + 8 * index, word);
        thread.mrs[index] = word;
      } else {
        set(thread.buffer + MESSAGE + 8 * index, word);
      }
    });
    sent.forEach((cptr, index) => set(thread.buffer + CAPS + 8 * index, BigInt(cptr)));
    if (thread.buffer !== 0)
      [this.calls % 13 === 0 ? 99 : CSPACE_SLOT, 42 + (this.calls % 18), 6].forEach((word, index) =>
        set(thread.buffer + RECEIVE + 8 * index, BigInt(word)),
      );
    thread.info = messageInfo(BigInt(label) & 0xfffffffffffffn, length, 0, sent.length);
    m.setU64(tcb + Register.MsgInfo, thread.info);
    thread.redo = false;
    m.setU32(tcb + Register.Redo, 0);
  }

  /** Where a thread's address leads in the flat capability space that all begin with, to make sense of what is there. */
  private slotOf(tcb: number, cptr: number): number {
    return (this.spec.state.slots.get(tcb + 64)?.cap.object ?? 0) + 32 * cptr;
  }

  /** A kernel entry that stops at a preemption point is made again: the specification knows none. */
  private both(enter: () => void, specify: () => void, byEvent = false): void {
    const m = this.machine;
    const me = this.current;
    this.calls++;
    m.ipis.length = 0;
    this.spec.enter(this.core, BigInt(Math.round(m.time * 1000)), specify, byEvent);
    enter();
    const redo = this.spec.state.threads.get(me)?.redo ?? true;
    for (
      let i = 0;
      !redo && m.u32(me + Register.Redo) !== 0 && this.kernel.currentTCB() === me && i < 100;
      i++
    ) {
      m.setU32(me + Register.Redo, 0);
      enter();
    }
    for (const core of this.spec.asked) this.asked.add(core);
    assert.deepEqual(
      [...new Set(m.ipis)].sort(),
      [...this.spec.asked].sort(),
      'cores that are asked to reschedule',
    );
  }

  private event(enter: () => void, specify: () => void = () => undefined): void {
    this.both(enter, specify, true);
  }

  private compare(): void {
    if (this.calls % this.checked === 0) checkInvariants(this.memory);
    const [actual, expected] = [observedIn(this.memory), observed(this.spec)];
    if (!same(actual, expected)) {
      const [lines, others] = [describe(actual), describe(expected)];
      const only = (from: string[], than: string[]): string =>
        from.filter((line) => !than.includes(line)).join('\n');
      assert.fail(`the kernel:\n${only(lines, others)}\nthe specification:\n${only(others, lines)}`);
    }
    if (this.current === 0) {
      const postponed = expected.queues.get(`postponed ${this.core}`)?.[0];
      const context = [...expected.contexts.values()].find(({ thread }) => thread === postponed);
      const budget = context === undefined ? [] : [context.refills[0].time];
      const isReady = [...expected.queues.keys()].some((queue) => queue.startsWith('ready '));
      const turn = expected.domainEnd !== 0n && isReady ? [expected.domainEnd] : [];
      const [next] = [...budget, ...turn].sort((a, b) => Number(a - b));
      assert.equal(this.kernel.deadline(), Number(next ?? 0n), 'when an idle core has something to do');
    }
    const thread = expected.threads.get(this.current);
    if (!thread || thread.buffer === 0) return;
    for (let at = thread.buffer + MESSAGE; at < thread.buffer + 1024; at += 8)
      if (this.machine.u64(at) !== (this.spec.state.memory.get(at) ?? 0n))
        assert.fail(
          `buffer word ${(at - thread.buffer) / 8}: ${this.machine.u64(at)}, specified ${this.spec.state.memory.get(at)}`,
        );
  }
}
