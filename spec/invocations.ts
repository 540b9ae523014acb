/**
 * Invocations of kernel objects (sections 3.1.2, 6.1, 8.1 and chapter 10), a row of the table each: how many words and
 * extra capabilities it takes, and what it does. Checks come first, in the order in which errors win.
 */
import { Invocation, Limit, Rights, SeL4Error } from '../kernel/api/constants.js';
import { CapType, ThreadState } from '../src/core/inspect/memory.js';
import { TcbSlot } from './capabilities.js';
import { refuse, refuseIf } from './errors.js';
import { labelOf } from './messages.js';
import { Objects, type Call } from './objects.js';
import { Refills } from './refills.js';
import { isAccounted } from './scheduling.js';
import { EMPTY, type Cap, type Name, type SchedContext } from './state.js';

/** The words of the answer, or none; 'later' where the caller is answered when it runs again. */
export type Result = readonly bigint[] | 'later' | undefined | void;
type Row = readonly [words: number, caps: number, does: (call: Call) => Result];

const { IllegalOperation, InvalidArgument, InvalidCapability, RangeError, TruncatedMessage } = SeL4Error;
const READ_WRITE = Rights.Read | Rights.Write;
/** An hour, in microseconds. */
const MAX_PERIOD = 3_600_000_000n;
const NANOSECONDS = 1000n;
const BUFFER_BYTES = 1024n;
const LAST_ENTRY = Limit.DomainSchedule - 1;

export class Invocations extends Objects {
  private readonly table: Partial<Record<CapType, Partial<Record<Invocation, Row>>>> = {
    [CapType.Untyped]: { [Invocation.UntypedRetype]: [6, 1, (call) => this.retype(call)] },
    [CapType.CNode]: {
      [Invocation.CNodeRevoke]: [2, 0, (call) => this.revoke(this.destination(call))],
      [Invocation.CNodeDelete]: [2, 0, (call) => this.delete(this.destination(call))],
      [Invocation.CNodeCancelBadgedSends]: [2, 0, (call) => this.cancelBadgedSends(this.destination(call))],
      [Invocation.CNodeCopy]: [2, 0, (call) => this.copy(call, 5)],
      [Invocation.CNodeMint]: [2, 0, (call) => this.copy(call, 6)],
      [Invocation.CNodeMove]: [2, 0, (call) => this.move(call, 4)],
      [Invocation.CNodeMutate]: [2, 0, (call) => this.move(call, 5)],
      [Invocation.CNodeRotate]: [2, 0, (call) => this.rotate(call)],
    },
    [CapType.Thread]: {
      [Invocation.TCBReadRegisters]: [2, 0, (call) => this.readRegisters(call)],
      [Invocation.TCBWriteRegisters]: [2, 0, (call) => this.writeRegisters(call)],
      [Invocation.TCBCopyRegisters]: [1, 1, (call) => this.copyRegisters(call)],
      [Invocation.TCBConfigure]: [2, 2, (call) => this.configure(call)],
      [Invocation.TCBSetSpace]: [1, 2, (call) => this.setSpace(call)],
      [Invocation.TCBSetIPCBuffer]: [1, 1, (call) => this.setIPCBuffer(call)],
      [Invocation.TCBSetTimeoutEndpoint]: [0, 1, (call) => this.setTimeoutEndpoint(call)],
      [Invocation.TCBSetPriority]: [
        1,
        1,
        (call) => this.setPriority(call.object, this.priorities(call, 1)[0]),
      ],
      [Invocation.TCBSetMCPriority]: [
        1,
        1,
        (call) => this.setMCPriority(call.object, this.priorities(call, 1)[0]),
      ],
      [Invocation.TCBSetSchedParams]: [2, 3, (call) => this.setSchedParams(call)],
      [Invocation.TCBSuspend]: [0, 0, ({ object }) => this.suspend(object)],
      [Invocation.TCBResume]: [0, 0, ({ object }) => this.resume(object)],
      [Invocation.TCBBindNotification]: [0, 1, (call) => this.bindNotification(call)],
      [Invocation.TCBUnbindNotification]: [
        0,
        0,
        ({ object }) => {
          refuseIf(this.boundTo(object) === 0, IllegalOperation);
          this.notification(this.boundTo(object)).thread = 0;
        },
      ],
    },
    [CapType.SchedContext]: {
      [Invocation.SchedContextBind]: [0, 1, (call) => this.bind(call)],
      [Invocation.SchedContextUnbind]: [0, 0, ({ object }) => this.unbind(object, true, true)],
      [Invocation.SchedContextUnbindObject]: [0, 1, (call) => this.unbindObject(call)],
      [Invocation.SchedContextConsumed]: [0, 0, ({ object }) => [this.takeConsumed(this.context(object))]],
      [Invocation.SchedContextYieldTo]: [
        0,
        0,
        ({ me, object }) => {
          const { thread } = this.context(object);
          refuseIf(thread === 0 || thread === me, IllegalOperation);
          refuseIf(this.thread(thread).priority > this.thread(me).mcp, IllegalOperation);
          return this.yieldTo(me, object);
        },
      ],
    },
    [CapType.SchedControl]: {
      [Invocation.SchedControlConfigureFlags]: [5, 1, (call) => this.configureFlags(call)],
    },
    [CapType.IRQControl]: {
      [Invocation.IRQIssueIRQHandler]: [3, 1, (call) => this.issueIRQ(call, CapType.IRQHandler)],
      [Invocation.IRQIssueSGISignal]: [4, 1, (call) => this.issueIRQ(call, CapType.SGISignal)],
    },
    [CapType.IRQHandler]: {
      [Invocation.IRQAckIRQ]: [0, 0, () => undefined],
      [Invocation.IRQSetIRQHandler]: [0, 1, (call) => this.setIRQHandler(call)],
      [Invocation.IRQClearIRQHandler]: [0, 0, ({ object }) => this.deleteOne(this.irqSlot(object))],
    },
    [CapType.Domain]: {
      [Invocation.DomainSetSet]: [1, 0, (call) => this.setDomainOf(call)],
      [Invocation.DomainScheduleConfigure]: [3, 0, (call) => this.configureSchedule(call)],
      [Invocation.DomainScheduleSetStart]: [1, 0, (call) => this.setStart(call)],
    },
    [CapType.Frame]: {},
    // Memory from other clusters is Atoll's own, and none of the manual's: what is issued is not specified here.
    [CapType.UntypedControl]: {},
  };

  protected invokeObject(me: Name, slot: Name): Result {
    const { type, object } = this.cap(slot);
    // What rings a line of another core of the machine does nothing to this cluster, whatever it is told.
    if (type === CapType.SGISignal) return;
    const invocations = this.table[type] ?? refuse(InvalidCapability, 0);
    const label = Number(labelOf(this.thread(me).info)) as Invocation;
    const [words, caps, does] = invocations[label] ?? refuse(IllegalOperation);
    const call = { me, slot, object, words: this.readMessage(this.thread(me)), caps: this.extraCaps };
    this.need(call, words, caps);
    return does(call);
  }

  private context(name: Name): SchedContext {
    return this.state.contexts.get(name)!;
  }
  private need({ words, caps }: Call, leastWords: number, leastCaps: number): void {
    refuseIf(words.length < leastWords || caps.length < leastCaps, TruncatedMessage);
  }

  // ---- CNodes (section 3.1.2) ----

  private destination({ slot, words }: Call): Name {
    return this.target(this.cap(slot), words[0], words[1]);
  }

  private revoke(slot: Name): void {
    while (this.childrenOf(slot).length > 0) this.delete(this.childrenOf(slot)[0]);
  }

  private cancelBadgedSends(slot: Name): void {
    const { type, rights, object, badge } = this.cap(slot);
    refuseIf(type !== CapType.Endpoint || rights !== Number(Rights.All), IllegalOperation);
    const [first] = this.state.endpoints.get(object)!;
    const sends = first !== undefined && this.thread(first).state === ThreadState.BlockedOnSend;
    if (badge !== 0n && sends) this.cancelAllIPC(object, badge);
  }

  /** Where a capability is taken from and put to. */
  private sourceAndTarget(call: Call, words: number): [source: Name, target: Name] {
    const target = this.destination(call);
    this.need(call, 4, 1);
    this.mustBeEmpty(target);
    const [, , index, depth] = call.words;
    const source = this.target(this.cap(call.caps[0]), index, depth, true);
    this.mustBeThere(!this.isEmpty(source), depth, true);
    this.need(call, words, 1);
    return [source, target];
  }

  private copy(call: Call, words: number): void {
    const [source, target] = this.sourceAndTarget(call, words);
    const masked = this.withRights(this.cap(source), Number(call.words[4] & 255n));
    const cap = this.derive(source, words === 6 ? this.withData(masked, call.words[5], true) : masked);
    refuseIf(cap.type === CapType.Null, IllegalOperation);
    this.insert(cap, source, target);
  }

  private move(call: Call, words: number): void {
    const [source, target] = this.sourceAndTarget(call, words);
    const cap = words === 5 ? this.withData(this.cap(source), call.words[4], false) : this.cap(source);
    refuseIf(cap.type === CapType.Null, IllegalOperation);
    this.swap(source, target, cap);
  }

  /** The pivot moves to the target, and the source to where the pivot was; source and target may be one slot. */
  private rotate(call: Call): void {
    const target = this.destination(call);
    this.need(call, 8, 2);
    const [, , pivotData, pivotIndex, pivotDepth, sourceData, sourceIndex, sourceDepth] = call.words;
    const source = this.target(this.cap(call.caps[1]), sourceIndex, sourceDepth, true);
    const pivot = this.target(this.cap(call.caps[0]), pivotIndex, pivotDepth);
    refuseIf(pivot === source || pivot === target, IllegalOperation);
    if (source !== target) this.mustBeEmpty(target);
    this.mustBeThere(!this.isEmpty(source), sourceDepth, true);
    this.mustBeThere(!this.isEmpty(pivot), pivotDepth, false);
    const newSource = this.withData(this.cap(source), sourceData, false);
    const newPivot = this.withData(this.cap(pivot), pivotData, false);
    refuseIf(newSource.type === CapType.Null || newPivot.type === CapType.Null, IllegalOperation);
    if (source !== target) this.swap(pivot, target, newPivot);
    this.swap(source, pivot, newSource, source === target ? newPivot : EMPTY);
  }

  // ---- Threads (section 6.1) ----

  private readRegisters({ me, object, words: [flags, count] }: Call): bigint[] {
    refuseIf(count < 1n || count > 2n, RangeError, 1, 2);
    refuseIf(object === me, IllegalOperation);
    if (flags & 1n) this.suspend(object);
    const { pc, program } = this.thread(object);
    return [pc, program].slice(0, Number(count)).map(BigInt);
  }

  private writeRegisters({ me, object, words }: Call): void {
    const [flags, count, pc, program] = words;
    refuseIf(BigInt(words.length - 2) < count, TruncatedMessage);
    refuseIf(object === me, IllegalOperation);
    const thread = this.thread(object);
    this.suspend(object);
    if (count > 0n) thread.pc = Number(BigInt.asUintN(32, pc));
    if (count > 1n) thread.program = Number(BigInt.asUintN(32, program));
    thread.redo = false;
    this.forgetStalled(object);
    if (flags & 1n) this.resume(object);
  }

  private copyRegisters({ object: name, words: [flags], caps: [source] }: Call): void {
    const { type, object } = this.cap(source);
    refuseIf(type !== CapType.Thread, InvalidCapability, 1);
    if (flags & 1n) this.suspend(object);
    if (flags & 2n) this.resume(name);
    const { pc, program, redo, badge, info, mrs } = this.thread(object);
    if (flags & 4n) Object.assign(this.thread(name), { pc, program, redo });
    if (flags & 8n) Object.assign(this.thread(name), { badge, info, mrs: [...mrs] });
    if (name === this.current) this.reschedule();
  }

  private configure({ object, words: [rootData, buffer], caps: [root, frame] }: Call): void {
    this.checkBuffer(buffer, this.cap(frame));
    this.replace(object + TcbSlot.Root, root, this.asRoot(object, root, rootData));
    this.setBuffer(object, buffer, frame);
  }
  private setSpace({ object, words: [rootData], caps: [handler, root] }: Call): void {
    const cap = this.asRoot(object, root, rootData);
    this.checkHandler(handler, 1);
    this.replace(object + TcbSlot.Root, root, cap);
    this.replace(object + TcbSlot.FaultHandler, handler);
  }
  private setIPCBuffer({ object, words: [buffer], caps: [frame] }: Call): void {
    this.checkBuffer(buffer, this.cap(frame));
    this.setBuffer(object, buffer, frame);
  }
  private setTimeoutEndpoint({ object, caps: [handler] }: Call): void {
    this.checkHandler(handler, 1);
    this.replace(object + TcbSlot.TimeoutHandler, handler);
  }

  private checkHandler(slot: Name, argument: number): void {
    refuseIf(!this.isEmpty(slot) && !this.isHandler(slot), InvalidCapability, argument);
  }
  private checkBuffer(buffer: bigint, { type, rights, badge, object, bits }: Cap): void {
    if (buffer === 0n) return;
    const isWritable = type === CapType.Frame && (rights & READ_WRITE) === READ_WRITE;
    refuseIf(!isWritable || (badge & 1n) !== 0n, IllegalOperation);
    refuseIf(buffer % BUFFER_BYTES !== 0n, SeL4Error.AlignmentError);
    refuseIf(buffer < BigInt(object) || buffer >= BigInt(object + 2 ** bits), IllegalOperation);
  }

  private setBuffer(name: Name, buffer: bigint, frame: Name): void {
    const slot = name + TcbSlot.Buffer;
    this.replace(slot, buffer === 0n ? 0 : frame);
    if (buffer === 0n) return;
    this.thread(name).buffer = Number(buffer);
    this.state.caps.set(slot, { ...this.cap(slot), badge: BigInt(name) });
  }
  /** The root of a thread's capability space: not instead of a last capability, since all goes that is in that CNode. */
  private asRoot(name: Name, root: Name, data: bigint): Cap {
    const slot = name + TcbSlot.Root;
    const cap = data === 0n ? this.cap(root) : this.withData(this.cap(root), data, true);
    refuseIf(cap.type !== CapType.CNode || (!this.isEmpty(slot) && this.isFinal(slot)), IllegalOperation);
    return cap;
  }
  /** Puts a copy into a TCB's own slot, unless what was there took the source with it. */
  private replace(slot: Name, source: Name, cap = this.cap(source)): void {
    this.delete(slot);
    const { type, object } = this.cap(source);
    if (type === CapType.Null || type !== cap.type || object !== cap.object) return;
    this.insert(this.derive(source, cap), source, slot);
  }

  /** Section 6.1.3: no more than the authority's maximum controlled priority. */
  private priorities({ words, caps }: Call, count: number): number[] {
    const authority = this.cap(caps[0]);
    refuseIf(authority.type !== CapType.Thread, InvalidCapability, 1);
    const { mcp } = this.thread(authority.object);
    return words
      .slice(0, count)
      .map((value) => (value > BigInt(mcp) ? refuse(RangeError, 0, mcp) : Number(value)));
  }
  private setMCPriority(name: Name, mcp: number): void {
    this.thread(name).mcp = mcp;
  }

  private setSchedParams(call: Call): void {
    const { object: name, caps } = call;
    const [mcp, priority] = this.priorities(call, 2);
    const { type, object: sc } = this.cap(caps[1]);
    if (type === CapType.SchedContext) this.checkBinding(sc, name);
    else refuseIf(type !== CapType.Null, InvalidCapability, 2);
    refuseIf(type === CapType.Null && name === this.current, IllegalOperation);
    this.checkHandler(caps[2], 3);
    this.replace(name + TcbSlot.FaultHandler, caps[2]);
    this.setMCPriority(name, mcp);
    this.setPriority(name, priority);
    if (type === CapType.SchedContext) this.bindContext(this.context(sc), name);
    else this.takeContext(this.contextOf(name));
  }

  /** Section 5.3. */
  private bindNotification({ object: name, caps }: Call): void {
    const { type, rights, object } = this.cap(caps[0]);
    refuseIf(this.boundTo(name) !== 0 || type !== CapType.Notification, IllegalOperation);
    const notification = this.notification(object);
    const isInUse = notification.queue.length > 0 || notification.thread !== 0;
    refuseIf(!(rights & Rights.Read) || isInUse, IllegalOperation);
    notification.thread = name;
  }

  // ---- Scheduling contexts (section 6.1.5) ----

  /** A thread that waits cannot get a context that has no time for it at this moment. */
  private checkBinding(name: Name, to: Name): void {
    const [sc, { state }] = [this.context(name), this.thread(to)];
    refuseIf(this.contextOf(to) !== undefined || sc.thread !== 0, IllegalOperation);
    const isBlocked = state >= ThreadState.BlockedOnReceive && state <= ThreadState.BlockedOnNotification;
    refuseIf(isBlocked && (sc.maxRefills === 0 || this.isExhausted(sc)), IllegalOperation);
  }

  private bind({ object: name, caps }: Call): void {
    const sc = this.context(name);
    const { type, object } = this.cap(caps[0]);
    if (type === CapType.Thread) {
      this.checkBinding(name, object);
      return this.bindContext(sc, object);
    }
    refuseIf(type !== CapType.Notification, InvalidCapability, 1);
    refuseIf(sc.notification !== 0 || this.contextFor(object) !== undefined, IllegalOperation);
    sc.notification = object;
  }

  private unbindObject({ object: name, caps }: Call): void {
    const { type, object } = this.cap(caps[0]);
    const sc = this.context(name);
    const isThread = type === CapType.Thread;
    refuseIf(!isThread && type !== CapType.Notification, InvalidCapability, 1);
    refuseIf(object !== (isThread ? sc.thread : sc.notification), IllegalOperation);
    this.unbind(name, isThread, !isThread);
  }
  private unbind(name: Name, fromThread: boolean, fromNotification: boolean): void {
    const sc = this.context(name);
    refuseIf(fromThread && sc.thread !== 0 && sc.thread === this.current, IllegalOperation);
    if (fromThread) this.takeContext(sc);
    if (fromNotification) sc.notification = 0;
    if (fromThread && fromNotification) sc.calls = [];
  }

  private configureFlags({ object: core, words, caps }: Call): void {
    const [budget, period, extraRefills, badge, flags] = words;
    const { type, object, bits } = this.cap(caps[0]);
    const isTime = (time: bigint): boolean => time >= 1n && time <= MAX_PERIOD;
    refuseIf(!isTime(budget) || !isTime(period), RangeError, 1, MAX_PERIOD);
    refuseIf(budget > period, RangeError, 1, period);
    refuseIf(type !== CapType.SchedContext, InvalidCapability, 1);
    const most = (2 ** bits - 64) / 16 - 2;
    refuseIf(extraRefills > most, RangeError, 0, most);
    const sc = this.context(object);
    const { thread } = sc;
    if (thread !== 0) this.removeFromScheduling(thread);
    const isRunning = thread !== 0 && this.thread(thread).state === ThreadState.Running;
    const isInUse = sc.core === core && sc.maxRefills !== 0 && isRunning;
    const before = isInUse ? (sc.refills[0] ?? { time: 0n, amount: sc.budget }) : undefined;
    Object.assign(sc, { core, badge, sporadic: (flags & 1n) !== 0n, maxRefills: Number(extraRefills) + 2 });
    Object.assign(sc, { budget: budget * NANOSECONDS, period: period * NANOSECONDS, refills: [] });
    if (isAccounted(sc)) this.refill(sc, before);
    if (thread === 0) return;
    this.thread(thread).core = core;
    this.wakeUp(thread);
    if (thread === this.current) this.reschedule();
  }

  /** The whole budget may be used from now on; what was used of it lately still counts. */
  private refill(
    sc: SchedContext,
    { time, amount }: SchedContext['refills'][0] = { time: 0n, amount: sc.budget },
  ): void {
    const left = amount < sc.budget ? amount : sc.budget;
    const from = time > this.now ? time : this.now;
    sc.refills = [{ time: from, amount: left }];
    if (left < sc.budget) Refills.add(sc, from + sc.period, sc.budget - left);
  }

  // ---- Scheduling domains (section 6.3, RFC 20) ----

  private setDomainOf({ words: [domain], caps: [thread] }: Call): void {
    refuseIf(domain >= BigInt(this.state.domains), InvalidArgument, 0);
    refuseIf(thread === undefined, TruncatedMessage);
    refuseIf(this.cap(thread).type !== CapType.Thread, InvalidArgument, 1);
    this.setDomain(this.cap(thread).object, Number(domain));
  }
  private configureSchedule({ words: [index, domain, duration] }: Call): void {
    const { schedule, domains } = this.state;
    refuseIf(index > LAST_ENTRY, RangeError, 0, LAST_ENTRY);
    refuseIf(domain >= BigInt(domains), RangeError, 0, domains - 1);
    refuseIf(duration >= 2n ** 56n, InvalidArgument, 2);
    refuseIf(duration === 0n && domain !== 0n, InvalidArgument, 1);
    refuseIf(duration === 0n && Number(index) === schedule.start, InvalidArgument, 2);
    if (duration === 0n) schedule.entries.delete(Number(index));
    else schedule.entries.set(Number(index), { domain: Number(domain), duration });
  }
  /** Another schedule begins when the turn of whoever is under way ends. */
  private setStart({ words: [index] }: Call): void {
    refuseIf(index > LAST_ENTRY, RangeError, 0, LAST_ENTRY);
    refuseIf(!this.state.schedule.entries.has(Number(index)), InvalidArgument, 0);
    Object.assign(this.state.schedule, { start: Number(index), index: LAST_ENTRY });
    if (this.state.domainEnd !== 0n) this.state.domainEnd = 1n;
  }

  // ---- Interrupts (section 8.1), and the RFC on the interrupt-sending capability ----

  private issueIRQ({ slot, words, caps: [root] }: Call, type: CapType): void {
    const isHandler = type === CapType.IRQHandler;
    const [irq, index, depth] = isHandler ? words : [words[0], words[2], words[3]];
    refuseIf(irq < 1n || irq >= BigInt(Limit.Interrupts), RangeError, 1, Limit.Interrupts - 1);
    refuseIf(isHandler && this.state.issuedIrqs.has(Number(irq)), SeL4Error.RevokeFirst);
    const target = this.target(this.cap(root), index, depth);
    this.mustBeEmpty(target);
    const badge = isHandler ? 0n : words[1];
    this.insert({ ...EMPTY, type, object: Number(irq), badge }, slot, target);
    if (isHandler) this.state.issuedIrqs.add(Number(irq));
  }

  private setIRQHandler({ object: irq, caps: [notification] }: Call): void {
    const cap = this.cap(notification);
    refuseIf(cap.type !== CapType.Notification || !(cap.rights & Rights.Write), InvalidCapability, 0);
    this.deleteOne(this.irqSlot(irq));
    this.insert(cap, notification, this.irqSlot(irq));
  }
}
