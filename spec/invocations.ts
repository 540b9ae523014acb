/**
 * Invocations of kernel objects (sections 3.1.2, 6.1, 8.1 and chapter 10), a row of the table each: how many words and
 * extra capabilities it takes, and what it does. Checks come first, in the order in which errors win.
 */
import { Invocation, Limit, Rights, SeL4Error } from '../kernel/api/constants.js';
import { TcbSlot } from './capabilities.js';
import { refuse, refuseIf } from './errors.js';
import type { Sending } from './ipc.js';
import { labelOf } from './messages.js';
import { Objects, READ_WRITE, type Call, type Given } from './objects.js';
import { beginRefills } from './refills.js';
import { isAccounted } from './scheduling.js';
import { CapType, EMPTY, ThreadState, type Cap, type Name, type SchedContext as Context } from './state.js';

/** The words of the answer, or none; 'later' where the caller is answered by another, or when it runs again. */
export type Result = readonly bigint[] | 'later' | undefined | void;
/** An invocation: how many words and extra capabilities it takes at least, and what it does with them. */
const takes = (words: number, caps: number, does: (call: Call) => Result) => ({ words, caps, does });
type Row = ReturnType<typeof takes>;

const { Untyped, CNode, Frame, Thread, SchedContext, Endpoint, Notification, Reply } = CapType;
const { IllegalOperation, InvalidArgument, InvalidCapability, RangeError, TruncatedMessage } = SeL4Error;
/** An hour, in microseconds. */
const MAX_PERIOD = 3_600_000_000n;
const NANOSECONDS = 1000n;
const BUFFER_BYTES = 1024n;
const LAST_ENTRY = Limit.DomainSchedule - 1;

export class Invocations extends Objects {
  private readonly table: Partial<Record<CapType, Partial<Record<Invocation, Row>>>> = {
    [Untyped]: { [Invocation.UntypedRetype]: takes(6, 1, (call) => this.retype(call)) },
    // Section 3.1.2.
    [CNode]: {
      [Invocation.CNodeRevoke]: takes(2, 0, (call) => {
        const slot = this.destination(call);
        while (this.childrenOf(slot).length > 0) this.delete(this.childrenOf(slot)[0]);
      }),
      [Invocation.CNodeDelete]: takes(2, 0, (call) => this.delete(this.destination(call))),
      [Invocation.CNodeCancelBadgedSends]: takes(2, 0, (call) => {
        const { type, rights, object, badge } = this.cap(this.destination(call));
        refuseIf(type !== Endpoint || rights !== Number(Rights.All), IllegalOperation);
        const sends = this.thread(this.waiting(object)[0])?.state === ThreadState.BlockedOnSend;
        if (badge !== 0n && sends) this.cancelAll(object, badge);
      }),
      [Invocation.CNodeCopy]: takes(2, 0, (call) => this.put(call, true, false)),
      [Invocation.CNodeMint]: takes(2, 0, (call) => this.put(call, true, true)),
      [Invocation.CNodeMove]: takes(2, 0, (call) => this.put(call, false, false)),
      [Invocation.CNodeMutate]: takes(2, 0, (call) => this.put(call, false, true)),
      // The pivot moves to the target, and the source to where the pivot was; source and target may be one slot.
      [Invocation.CNodeRotate]: takes(2, 0, (call) => {
        const target = this.destination(call);
        this.need(call, 8, 2);
        const [, , pivotData, pivotIndex, pivotDepth, sourceData, sourceIndex, sourceDepth] = call.words;
        const source = this.target(call.caps[1], sourceIndex, sourceDepth, true);
        const pivot = this.target(call.caps[0], pivotIndex, pivotDepth);
        refuseIf(pivot === source || pivot === target, IllegalOperation);
        if (source !== target) this.mustBeEmpty(target);
        this.mustBeThere(!this.isEmpty(source), sourceDepth, true);
        this.mustBeThere(!this.isEmpty(pivot), pivotDepth, false);
        const newSource = this.withData(this.cap(source), sourceData, false);
        const newPivot = this.withData(this.cap(pivot), pivotData, false);
        if (source !== target) this.swap(pivot, target, newPivot);
        this.swap(source, pivot, newSource, source === target ? newPivot : EMPTY);
      }),
    },
    // Section 6.1.
    [Thread]: {
      [Invocation.TCBReadRegisters]: takes(2, 0, ({ me, object, thread, words: [flags, count] }) => {
        refuseIf(count < 1n || count > 2n, RangeError, 1, 2);
        refuseIf(object === me, IllegalOperation);
        if (flags & 1n) this.suspend(object);
        return [thread.pc, thread.program].slice(0, Number(count)).map(BigInt);
      }),
      [Invocation.TCBWriteRegisters]: takes(2, 0, ({ me, object, thread, words }) => {
        const [flags, count, pc, program] = words;
        refuseIf(BigInt(words.length - 2) < count, TruncatedMessage);
        refuseIf(object === me, IllegalOperation);
        this.suspend(object);
        if (count > 0n) thread.pc = Number(BigInt.asUintN(32, pc));
        if (count > 1n) thread.program = Number(BigInt.asUintN(32, program));
        thread.redo = false;
        this.forgetStalled(object);
        if (flags & 1n) this.resume(object);
      }),
      [Invocation.TCBCopyRegisters]: takes(1, 1, ({ me, object, thread, words: [flags], caps: [source] }) => {
        refuseIf(source.type !== Thread, InvalidCapability, 1);
        if (flags & 1n) this.suspend(source.object);
        if (flags & 2n) this.resume(object);
        const { pc, program, redo, badge, info, mrs } = this.thread(source.object);
        if (flags & 4n) Object.assign(thread, { pc, program, redo });
        if (flags & 4n) this.forgetStalled(object);
        if (flags & 8n) Object.assign(thread, { badge, info, mrs: [...mrs] });
        if (object === me) this.reschedule();
      }),
      [Invocation.TCBConfigure]: takes(
        2,
        2,
        ({ object, thread, words: [data, buffer], caps: [root, frame] }) => {
          const cap = this.asBuffer(object, frame, buffer);
          this.replace(object + TcbSlot.Root, root, this.asRoot(object, root, data));
          this.replace(object + TcbSlot.Buffer, frame, cap);
          thread.buffer = Number(buffer);
        },
      ),
      [Invocation.TCBSetSpace]: takes(1, 2, ({ object, words: [data], caps: [handler, root] }) => {
        const caps = [this.asRoot(object, root, data), this.asHandler(handler, 1)];
        this.replace(object + TcbSlot.Root, root, caps[0]);
        this.replace(object + TcbSlot.FaultHandler, handler, caps[1]);
      }),
      [Invocation.TCBSetIPCBuffer]: takes(1, 1, ({ object, thread, words: [buffer], caps: [frame] }) => {
        this.replace(object + TcbSlot.Buffer, frame, this.asBuffer(object, frame, buffer));
        thread.buffer = Number(buffer);
      }),
      [Invocation.TCBSetTimeoutEndpoint]: takes(0, 1, ({ object, caps: [handler] }) => {
        this.replace(object + TcbSlot.TimeoutHandler, handler, this.asHandler(handler, 1));
      }),
      [Invocation.TCBSetPriority]: takes(1, 1, (call) =>
        this.setPriority(call.object, this.priorities(call, 1)[0]),
      ),
      [Invocation.TCBSetMCPriority]: takes(1, 1, (call) => {
        [call.thread.mcp] = this.priorities(call, 1);
      }),
      [Invocation.TCBSetSchedParams]: takes(2, 3, (call) => {
        const { me, object, thread, caps } = call;
        const [mcp, priority] = this.priorities(call, 2);
        const sc = caps[1].type === SchedContext ? this.context(caps[1].object) : undefined;
        if (sc) this.checkBinding(sc, object);
        else refuseIf(caps[1].type !== CapType.Null, InvalidCapability, 2);
        refuseIf(!sc && object === me, IllegalOperation);
        this.replace(object + TcbSlot.FaultHandler, caps[2], this.asHandler(caps[2], 3));
        thread.mcp = mcp;
        this.setPriority(object, priority);
        if (sc) this.bindContext(sc, object);
        else this.takeContext(this.contextOf(object));
      }),
      [Invocation.TCBSuspend]: takes(0, 0, ({ object }) => this.suspend(object)),
      [Invocation.TCBResume]: takes(0, 0, ({ object }) => this.resume(object)),
      [Invocation.TCBBindNotification]: takes(0, 1, ({ object: name, caps: [{ type, rights, object }] }) => {
        refuseIf(this.boundTo(name) !== 0 || type !== Notification, IllegalOperation);
        const notification = this.notification(object);
        const isInUse = this.waiting(object).length > 0 || notification.thread !== 0;
        refuseIf(!(rights & Rights.Read) || isInUse, IllegalOperation);
        notification.thread = name;
      }),
      [Invocation.TCBUnbindNotification]: takes(0, 0, ({ object }) => {
        refuseIf(this.boundTo(object) === 0, IllegalOperation);
        this.notification(this.boundTo(object)).thread = 0;
      }),
    },
    // Sections 6.1.6 to 6.1.8.
    [SchedContext]: {
      [Invocation.SchedContextBind]: takes(0, 1, ({ sc, caps: [{ type, object }] }) => {
        refuseIf(type !== Thread && type !== Notification, InvalidCapability, 1);
        if (type === Thread) this.checkBinding(sc, object);
        if (type === Thread) return this.bindContext(sc, object);
        refuseIf(sc.notification !== 0 || this.contextFor(object) !== undefined, IllegalOperation);
        sc.notification = object;
      }),
      [Invocation.SchedContextUnbind]: takes(0, 0, ({ me, sc }) => {
        refuseIf(sc.thread === me, IllegalOperation);
        this.takeContext(sc);
        Object.assign(sc, { notification: 0, calls: [] });
      }),
      [Invocation.SchedContextUnbindObject]: takes(0, 1, ({ me, sc, caps: [{ type, object }] }) => {
        refuseIf(type !== Thread && type !== Notification, InvalidCapability, 1);
        const isBound = object === (type === Thread ? sc.thread : sc.notification);
        refuseIf(!isBound || object === me, IllegalOperation);
        if (type === Thread) this.takeContext(sc);
        else sc.notification = 0;
      }),
      [Invocation.SchedContextConsumed]: takes(0, 0, ({ sc }) => [this.takeConsumed(sc)]),
      [Invocation.SchedContextYieldTo]: takes(0, 0, ({ me, object, sc: { thread } }) => {
        refuseIf(thread === 0 || thread === me, IllegalOperation);
        refuseIf(this.thread(thread).priority > this.thread(me).mcp, IllegalOperation);
        return this.yieldTo(me, object);
      }),
    },
    [CapType.SchedControl]: {
      [Invocation.SchedControlConfigureFlags]: takes(5, 1, ({ me, object: core, words, caps }) => {
        const [budget, period, extraRefills, badge, flags] = words;
        const [{ type, object, bits }] = caps;
        const isOut = (time: bigint): boolean => time < 1n || time > MAX_PERIOD;
        refuseIf([budget, period].some(isOut), RangeError, 1, MAX_PERIOD);
        refuseIf(budget > period, RangeError, 1, period);
        refuseIf(type !== SchedContext, InvalidCapability, 1);
        const most = (2 ** bits - 64) / 16 - 2;
        refuseIf(extraRefills > most, RangeError, 0, most);
        const sc = this.context(object);
        const { thread } = sc;
        if (thread !== 0) this.removeFromScheduling(thread);
        const isRunning = this.state.threads.get(thread)?.state === ThreadState.Running;
        const isInUse = sc.core === core && sc.maxRefills !== 0 && isRunning;
        const before = isInUse ? (sc.refills[0] ?? { time: 0n, amount: sc.budget }) : undefined;
        const sporadic = (flags & 1n) !== 0n;
        Object.assign(sc, { core, badge, sporadic, maxRefills: Number(extraRefills) + 2 });
        Object.assign(sc, { budget: budget * NANOSECONDS, period: period * NANOSECONDS, refills: [] });
        if (isAccounted(sc)) beginRefills(sc, this.now, before);
        if (thread !== 0) this.bindContext(sc, thread);
        if (thread === me) this.reschedule();
      }),
    },
    // Section 6.3, and RFC 20.
    [CapType.Domain]: {
      [Invocation.DomainSetSet]: takes(1, 0, ({ words: [domain], caps: [thread] }) => {
        refuseIf(domain >= BigInt(this.state.overruns.length), InvalidArgument, 0);
        refuseIf(thread === undefined, TruncatedMessage);
        refuseIf(thread.type !== Thread, InvalidArgument, 1);
        this.thread(thread.object).domain = Number(domain);
        this.reconsider(thread.object);
      }),
      [Invocation.DomainScheduleConfigure]: takes(3, 0, ({ words: [index, domain, duration] }) => {
        const { schedule, overruns } = this.state;
        refuseIf(index > LAST_ENTRY, RangeError, 0, LAST_ENTRY);
        refuseIf(domain >= BigInt(overruns.length), RangeError, 0, overruns.length - 1);
        refuseIf(duration >= 2n ** 56n, InvalidArgument, 2);
        refuseIf(duration === 0n && domain !== 0n, InvalidArgument, 1);
        refuseIf(duration === 0n && Number(index) === schedule.start, InvalidArgument, 2);
        if (duration === 0n) schedule.entries.delete(Number(index));
        else schedule.entries.set(Number(index), { domain: Number(domain), duration });
      }),
      // Another schedule begins when the turn of whoever is under way ends.
      [Invocation.DomainScheduleSetStart]: takes(1, 0, ({ words: [index] }) => {
        refuseIf(index > LAST_ENTRY, RangeError, 0, LAST_ENTRY);
        refuseIf(!this.state.schedule.entries.has(Number(index)), InvalidArgument, 0);
        Object.assign(this.state.schedule, { start: Number(index), index: LAST_ENTRY });
        if (this.state.domainEnd !== 0n) this.state.domainEnd = this.now;
      }),
    },
    // Section 8.1, and the RFC on the interrupt-sending capability.
    [CapType.IRQControl]: {
      [Invocation.IRQIssueIRQHandler]: takes(3, 1, (call) => {
        const [irq, index, depth] = call.words;
        refuseIf(this.state.issuedIrqs.has(Number(irq)), SeL4Error.RevokeFirst);
        this.issue(call, { ...EMPTY, type: CapType.IRQHandler }, index, depth);
        this.state.issuedIrqs.add(Number(irq));
      }),
      [Invocation.IRQIssueSGISignal]: takes(4, 1, (call) => {
        const [, core, index, depth] = call.words;
        this.issue(call, { ...EMPTY, type: CapType.SGISignal, badge: core }, index, depth);
      }),
    },
    [CapType.IRQHandler]: {
      [Invocation.IRQAckIRQ]: takes(0, 0, () => undefined),
      [Invocation.IRQSetIRQHandler]: takes(0, 1, ({ object: irq, caps: [{ type, rights, slot }] }) => {
        refuseIf(type !== Notification || !(rights & Rights.Write), InvalidCapability, 0);
        this.delete(this.state.irqSlots[irq]);
        this.insertCopy(this.cap(slot), slot, this.state.irqSlots[irq]);
      }),
      [Invocation.IRQClearIRQHandler]: takes(0, 0, ({ object: irq }) =>
        this.delete(this.state.irqSlots[irq]),
      ),
    },
    [Frame]: {},
    // Memory from other clusters is Atoll's own, and none of the manual's: what is issued is not specified here.
    [CapType.UntypedControl]: {},
  };

  protected perform(me: Name, slot: Name, caps: readonly Name[], sending: Sending): Result {
    const given = (slot: Name): Given => ({ slot, ...this.cap(slot) });
    const cap = given(slot);
    const { type, object, badge, rights } = cap;
    const canSend = (type !== Endpoint && type !== Notification) || (rights & Rights.Write) !== 0;
    refuseIf(!canSend, InvalidCapability, 0);
    if (type === Endpoint) this.sendIPC(me, cap, sending);
    if (type === Endpoint) return 'later';
    if (type === Notification) return this.sendSignal(object, badge);
    if (type === Reply) return this.replyTo(me, object, rights);
    // What rings a line of another core of the machine does nothing to this cluster, whatever it is told.
    if (type === CapType.SGISignal) return;
    const label = Number(labelOf(this.thread(me).info)) as Invocation;
    const row = (this.table[type] ?? refuse(InvalidCapability, 0))[label] ?? refuse(IllegalOperation);
    const [thread, sc] = [this.thread(object), this.context(object)];
    const call = { me, cap, object, thread, sc, words: this.readMessage(me), caps: caps.map(given) };
    this.need(call, row.words, row.caps);
    return row.does(call);
  }

  private need = ({ words, caps }: Call, leastWords: number, leastCaps: number): void =>
    refuseIf(words.length < leastWords || caps.length < leastCaps, TruncatedMessage);

  private destination = ({ cap, words: [index, depth] }: Call): Name => this.target(cap, index, depth);

  /** A copy can have less rights. What a copy or what moves can have besides, is a new badge or guard. */
  private put(call: Call, isCopy: boolean, hasData: boolean): void {
    const target = this.destination(call);
    this.need(call, 4, 1);
    this.mustBeEmpty(target);
    const [, , index, depth, ...more] = call.words;
    const source = this.target(call.caps[0], index, depth, true);
    this.mustBeThere(!this.isEmpty(source), depth, true);
    this.need(call, 4 + Number(isCopy) + Number(hasData), 1);
    const [rights, data] = isCopy ? more : [BigInt(Rights.All), ...more];
    const masked = this.withRights(this.cap(source), Number(rights & 255n));
    const cap = hasData ? this.withData(masked, data, isCopy) : masked;
    if (isCopy) this.insertCopy(this.derive(source, cap), source, target);
    else this.swap(source, target, cap);
  }

  // What can be put into the slots of a TCB: a handler of faults, the frame of a buffer, a capability space.
  private asHandler({ slot, ...cap }: Given, argument: number): Cap {
    refuseIf(cap.type !== CapType.Null && !this.isHandler(slot), InvalidCapability, argument);
    return cap;
  }
  private asBuffer(name: Name, { slot: _, ...cap }: Given, buffer: bigint): Cap {
    if (buffer === 0n) return EMPTY;
    const isWritable = cap.type === Frame && (cap.rights & READ_WRITE) === READ_WRITE;
    refuseIf(!isWritable || (cap.badge & 1n) !== 0n, IllegalOperation);
    refuseIf(buffer % BUFFER_BYTES !== 0n, SeL4Error.AlignmentError);
    const isInside = buffer >= cap.object && buffer < cap.object + 2 ** cap.bits;
    refuseIf(!isInside, IllegalOperation);
    return { ...cap, badge: BigInt(name) };
  }
  /** The root of a thread's capability space: not instead of a last capability, since all goes that is in that CNode. */
  private asRoot(name: Name, { slot: _, ...root }: Given, data: bigint): Cap {
    const slot = name + TcbSlot.Root;
    const cap = data === 0n ? root : this.withData(root, data, true);
    refuseIf(cap.type !== CNode || (!this.isEmpty(slot) && this.isFinal(slot)), IllegalOperation);
    return cap;
  }
  /** Puts a copy into a TCB's own slot, unless what was there took the source with it. */
  private replace(slot: Name, source: Given, cap: Cap): void {
    this.delete(slot);
    const { type, object } = this.cap(source.slot);
    if (type === CapType.Null || type !== cap.type || object !== cap.object) return;
    this.insertCopy(this.derive(source.slot, cap), source.slot, slot);
  }

  /** Section 6.1.3: no more than the authority's maximum controlled priority. */
  private priorities({ words, caps: [authority] }: Call, count: number): number[] {
    refuseIf(authority.type !== Thread, InvalidCapability, 1);
    const { mcp } = this.thread(authority.object);
    for (const value of words.slice(0, count)) refuseIf(value > BigInt(mcp), RangeError, 0, mcp);
    return words.slice(0, count).map(Number);
  }

  /** A thread that waits cannot get a context that has no time for it at this moment. */
  private checkBinding(sc: Context, to: Name): void {
    refuseIf(this.contextOf(to) !== undefined || sc.thread !== 0, IllegalOperation);
    const hasTime = sc.maxRefills !== 0 && !this.isExhausted(sc);
    const isBlocked = ![ThreadState.Running, ThreadState.Inactive].includes(this.thread(to).state);
    refuseIf(isBlocked && !hasTime, IllegalOperation);
  }

  private issue({ cap: { slot }, words: [irq], caps }: Call, cap: Cap, index: bigint, depth: bigint): void {
    refuseIf(irq < 1n || irq >= BigInt(Limit.Interrupts), RangeError, 1, Limit.Interrupts - 1);
    const target = this.target(caps[0], index, depth);
    this.mustBeEmpty(target);
    this.insert({ ...cap, object: Number(irq) }, slot, target, true);
  }
}
