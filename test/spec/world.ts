/** A kernel image and the specification side by side: what one does, the other does, and both are compared. */
import assert from 'node:assert/strict';
import { InitialSlot, Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CapType, type KernelMemory } from '../../src/core/inspect/memory.js';
import { abstraction } from '../../spec/abstraction.js';
import { Kernel } from '../../spec/invocations.js';
import { messageInfo } from '../../spec/kernel.js';
import type { State } from '../../spec/state.js';
import { Machine, guardFor, type MachineOptions } from '../kernel/machine.js';
import { CSPACE_SLOT, RADIX, messageTo, type Message, type Step } from './programs.js';

const WAKE_LINE = 63;
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

/** A state as text, each part in an order that does not depend on how it came about. */
function describe(state: State): string {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each));
  const sorted = (map: ReadonlyMap<number, unknown>): string[] =>
    [...map].sort(([a], [b]) => a - b).map(([name, value]) => `  ${name.toString(16)} ${text(value)}`);
  const threads = new Map(
    [...state.threads].map(([name, { faultWords: _, ...thread }]) => [name, thread] as const),
  );
  return [
    `current ${state.current.toString(16)}`,
    ...['caps', ...sorted(state.caps)],
    ...['children', ...sorted(state.children)],
    `originals ${text([...state.originals].sort((a, b) => a - b))}`,
    ...['threads', ...sorted(threads)],
    ...['endpoints', ...sorted(state.endpoints)],
    ...['notifications', ...sorted(state.notifications)],
    ...['replies', ...sorted(state.replies)],
    ...['contexts', ...sorted(state.contexts)],
    ...['ready', ...sorted(state.ready)],
    `release ${text(state.release)}`,
    `interrupts ${text([...state.issuedIrqs].sort())}`,
    `domain ${text([state.domain, state.domainEnd, state.overruns])}`,
    `schedule ${text([...state.schedule.entries, state.schedule.index, state.schedule.start])}`,
  ].join('\n');
}

export class World {
  readonly machine: Machine;
  private readonly memory: KernelMemory;
  private readonly spec: Kernel;
  calls = 0;

  constructor(
    options: MachineOptions,
    /** After each so many calls, also check what must hold of raw memory. */
    private readonly checked = Infinity,
    /** Half of the threads have a budget below their period; not the one that runs first, whose time would be under way. */
    limited = false,
    /** Threads are in different scheduling domains, by a schedule that has begun; of images with three domains. */
    scheduled = false,
  ) {
    const m = new Machine({ size: 2 << 20, rootBits: 8, ...options });
    this.machine = m;
    const of = (type: ObjectType, count: number, bits = 0): number[] =>
      Array.from({ length: count }, () => m.create(type, bits));
    const threads = [50, 60, 60, 70].map((priority) => m.thread({ priority, mcp: 100 }));
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
    ]);
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
    if (limited)
      for (const { schedContext } of threads.slice(1, 3))
        m.invoke(
          InitialSlot.FirstSchedControl,
          Invocation.SchedControlConfigureFlags,
          [30, 120, 2, 7, 0],
          [schedContext],
        );
    if (scheduled) {
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
    this.memory = m.image();
    this.spec = new Kernel(abstraction(this.memory), (irq) => this.memory.irqSlot(irq));
    // What lies in the buffers, as far as it is not zero.
    for (const { buffer } of this.spec.state.threads.values())
      for (let at = buffer; buffer !== 0 && at < buffer + 1024; at += 8) this.spec.words.set(at, m.u64(at));
  }

  /** Does a step in both, and compares. */
  step(step: Step): void {
    const m = this.machine;
    m.time += step.time;
    const tcb = this.spec.current;
    if (tcb === 0) {
      if (step.call % 3 === 0) m.time += 100;
      this.both(
        () => (step.call % 3 ? m.kernels[0].interrupt(WAKE_LINE) : m.kernels[0].timer()),
        () => step.call % 3 && this.spec.interrupt(this.memory.irqSlot(WAKE_LINE)),
        true,
      );
    } else if (tcb === this.memory.initialTCB) {
      this.rootStep(step);
    } else {
      this.threadStep(tcb, step);
    }
    this.compare();
  }

  /** The buffer of the thread that is current. */
  get buffer(): number {
    return this.spec.state.threads.get(this.spec.current)!.buffer;
  }

  /** The thread that is current makes a call with just this message. */
  call(target: number, { label, words, caps }: Message): void {
    this.compose(this.spec.current, label, words, caps);
    this.both(
      () => this.machine.kernels[0].call(target),
      () => this.spec.call(target),
    );
    this.compare();
  }

  /** The initial thread resumes another, if the capability is still there, and waits. */
  private rootStep(step: Step): void {
    const m = this.machine;
    const tcbs = [...this.spec.state.caps].filter(
      ([slot, { type }]) => type === CapType.Thread && slot < m.slotAddress(256) && slot > m.slotAddress(1),
    );
    if (tcbs.length > 0) {
      const cptr = (tcbs[step.target % tcbs.length][0] - m.slotAddress(0)) / 32;
      this.compose(this.memory.initialTCB, Invocation.TCBResume, [], []);
      this.both(
        () => m.kernels[0].call(cptr),
        () => this.spec.call(cptr),
      );
      this.compare();
    }
    if (this.spec.current === this.memory.initialTCB)
      this.both(
        () => m.sleep(),
        () => this.spec.recv(m.parkCptr, true, undefined),
      );
  }

  private threadStep(tcb: number, step: Step): void {
    const kernel = this.machine.kernels[0];
    const { spec } = this;
    const { target, other, call } = step;
    const thread = spec.state.threads.get(tcb)!;
    const slot = this.slotOf(tcb, target);
    const type = spec.state.caps.get(slot)?.type ?? CapType.Null;
    const { label, words, caps } = messageTo(type, step, thread.buffer);
    this.compose(tcb, label, words, caps);
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
          () => kernel.replyRecv(target, other),
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
          () => kernel.nbSendRecv(target, other, step.label + 20),
          () => spec.nbSendRecv(target, other, step.label + 20),
        );
      case 8:
        return this.both(
          () => kernel.signal(target),
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
        return this.both(
          () => kernel.interrupt(other & 7),
          () => spec.interrupt(this.memory.irqSlot(other & 7)),
          true,
        );
      case 16:
        return this.both(
          () => kernel.interrupt(WAKE_LINE),
          () => spec.interrupt(this.memory.irqSlot(WAKE_LINE)),
          true,
        );
      default:
        return this.both(
          () => kernel.call(target),
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
  ): void {
    const m = this.machine;
    const thread = this.spec.state.threads.get(tcb)!;
    const fit = thread.buffer === 0 ? words.slice(0, 4) : words;
    const sent = thread.buffer === 0 ? [] : caps;
    const set = (address: number, word: bigint): void => {
      m.setU64(address, word);
      this.spec.words.set(address, word);
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
      [CSPACE_SLOT, 40 + (this.calls % 20), 6].forEach((word, index) =>
        set(thread.buffer + RECEIVE + 8 * index, BigInt(word)),
      );
    thread.info = messageInfo(BigInt(label) & 0xfffffffffffffn, fit.length, 0, sent.length);
    m.setU64(tcb + Register.MsgInfo, thread.info);
    thread.redo = false;
    m.setU32(tcb + Register.Redo, 0);
  }

  /** Where a thread's address leads in the flat capability space that all begin with, to make sense of what is there. */
  private slotOf(tcb: number, cptr: number): number {
    return (this.spec.state.caps.get(tcb + 64)?.object ?? 0) + 32 * cptr;
  }

  /** A kernel entry that stops at a preemption point is made again: the specification knows none. */
  private both(enter: () => void, specify: () => unknown, byEvent = false): void {
    const m = this.machine;
    const me = this.spec.current;
    this.calls++;
    this.spec.enter(BigInt(Math.round(m.time * 1000)), () => void specify(), byEvent);
    enter();
    const redo = this.spec.state.threads.get(me)?.redo ?? true;
    for (
      let i = 0;
      !redo && m.u32(me + Register.Redo) !== 0 && m.kernels[0].currentTCB() === me && i < 100;
      i++
    ) {
      m.setU32(me + Register.Redo, 0);
      enter();
    }
  }

  private compare(): void {
    if (this.calls % this.checked === 0) checkInvariants(this.memory);
    const actual = abstraction(this.memory);
    const expected = this.spec.state;
    // What has no parent has no order.
    for (const { children } of [actual, expected]) children.get(0)?.sort((a, b) => a - b);
    if (!same(actual, expected)) {
      const lines = new Set(describe(actual).split('\n'));
      const others = new Set(describe(expected).split('\n'));
      const only = (from: Set<string>, than: Set<string>): string =>
        [...from].filter((line) => !than.has(line)).join('\n');
      assert.fail(`the kernel:\n${only(lines, others)}\nthe specification:\n${only(others, lines)}`);
    }
    const { current } = this.spec;
    const thread = this.spec.state.threads.get(current);
    if (!thread || thread.buffer === 0) return;
    for (let at = thread.buffer + MESSAGE; at < thread.buffer + 1024; at += 8)
      if (this.machine.u64(at) !== (this.spec.words.get(at) ?? 0n))
        assert.fail(
          `buffer word ${(at - thread.buffer) / 8}: ${this.machine.u64(at)}, specified ${this.spec.words.get(at)}`,
        );
  }
}
