/**
 * A protection domain whose program is TypeScript: the engine that turns what the kernel delivers into calls of the
 * program's entry points, and the program's requests into system calls. It is to the program what libmicrokit is in C.
 *
 * Each handler runs to completion on the core's one stack (core/core.ts). A domain that is stopped or restarted while
 * its handler waits on the stack is cut: an exception unwinds the handler, and every request that it still makes
 * throws the same again.
 */
import { Invocation, ProgramCounter, Register, RegisterState } from '../../../../kernel/api/constants.js';
import { OUTBOX_WORDS } from '../../../machine/interrupts.js';
import type { ProtectionDomain } from '../../../program.js';
import type { Core } from '../../core.js';
import { Halted, Stop } from '../../core.js';
import { ACKNOWLEDGE } from '../../invocation.js';
import type { DoorbellSignal } from '../../doorbell-signals.js';
import { Count } from '../../statistics.js';
import type { EngineThread } from '../../thread.js';
import type { Bundle } from './bundle.js';
import { checkProgram, describeThrown, evaluateProgram } from './compartment.js';
import type { Console } from './console.js';
import type { DomainConfiguration, MappedRegion } from './configuration.js';
import { exceptionOf } from './exception.js';
import { Identifiers } from './identifiers.js';
import { labelOf, messagesOf } from './message.js';
import { originalPositions } from './positions.js';
import { ProgramError } from './program-error.js';
import { makeProtectionDomain } from './protection-domain.js';
import { type Caller, RemoteCall } from './remote-call.js';
import { CALL_BADGE, CHANNELS, FAULT_BADGE, Slot } from './slots.js';

/** Unwinds a handler whose domain was stopped or restarted. */
class Cut extends Error {}
const cut = new Cut('the protection domain was stopped');

type Entries = ReturnType<typeof checkProgram>;

export type TypeScriptDomain = InstanceType<ReturnType<typeof typescriptEngine>>;

/**
 * The engine of one core: the class of the domains that it runs.
 *
 * To be called once in a thread. What every request needs (memory, the kernel's entry points) is then a constant to
 * the compiler, since each method is one closure over it; as fields of an object the same would be loaded and checked
 * again after every kernel entry, at twice the cost of a call.
 * A domain's fields that are assigned once, in its constructor, are constants too, to the code of its own program: so
 * the class has no field definitions (`useDefineForClassFields`), which would assign each of them twice.
 *
 * @param statistics the counters of all domains, a row each.
 * @param states of the machine's clusters (coordination/liveness.ts).
 */
export function typescriptEngine(core: Core, statistics: Float64Array, states: Int32Array) {
  const { words, bytes, threads, interrupts } = core;
  const { call, signal, recv, replyRecv, nbSend, nbSendRecv, wait, fault } = core.kernel;
  /** Index of the word that holds the current thread's TCB. */
  const CURRENT = core.kernel.currentAddress() / 4;

  // Here they are constants to the compiler; members of an enumeration are properties, to be loaded at each use.
  const TAG_WORD = Register.MsgInfo / 4;
  const PC_WORD = Register.PC / 4;
  const REDO_WORD = Register.Redo / 4;
  const ENTRY = ProgramCounter.Entry;
  const INACTIVE = RegisterState.Inactive;
  const STATE_BYTE = RegisterState.Byte;
  const INPUT = Slot.Input;
  const REPLY = Slot.Reply;
  /** The top bits of a badge. */
  const CALL = Number(CALL_BADGE >> 62n);
  const FAULT = Number(FAULT_BADGE >> 62n);
  const FIRST_NOTIFICATION = Slot.FirstNotification;
  const FIRST_ENDPOINT = Slot.FirstEndpoint;
  const CALLS = Count.Calls;
  const PROTECTED = Count.Protected;
  const NOTIFIED = Count.Notified;
  const NOTIFICATIONS = Count.Notifications;

  const lines = interrupts.words;
  const pending = interrupts.pendingIndex(core.id);
  const enabled = interrupts.enabledIndex(core.id);
  const outbox = interrupts.outboxIndex(core.id);

  const { hasDoorbells, doorbellPolls } = core;
  /** Others than the most urgent of one domain may become current while a handler waits. */
  const severalDomains = core.schedulingDomains > 1;
  const { signals } = core.access;
  let polls = 0;

  /** Takes interrupts that are pending; `next` is the current thread's handle, before and after. */
  function poll(next: number): number {
    // To look at each doorbell costs as much as a kernel entry, so a busy core does it now and then.
    const looksAtAll = hasDoorbells && (++polls & doorbellPolls) === 0;
    return looksAtAll || (lines[pending] & lines[enabled]) !== 0 ? core.takeInterrupts(next) : next;
  }

  return class TypeScriptDomain extends messagesOf(words) implements EngineThread, Caller {
    readonly handle: number;
    readonly priority: number;
    readonly schedulingDomain: number;
    onStack = false;
    held = false;
    readonly pd: ProtectionDomain;
    entries: Entries | undefined = undefined;
    /** What the domain is to fault with when it next runs, such as what its program's factory threw at boot. */
    failure: unknown = undefined;
    unwinding = false;
    /**
     * The TCB while the domain may make requests; 0 while its program is evaluated, and while a handler is unwound. A request
     * is refused unless the kernel's current thread is this one: whatever went wrong, the engine never makes a system call
     * for a domain as another.
     */
    guard = 0;
    /** Slot of the capability to invoke when the running handler ends, or 0. */
    deferred = 0;
    passivePending: boolean;
    /** Whether the program was started before: by this thread, that is, not by one whose cluster has failed. */
    started = false;
    /** The channels on which the domain may call a server of its own cluster. */
    readonly callable: Identifiers;
    readonly remoteCalls: ReadonlyMap<number, RemoteCall>;
    readonly remoteChildren: ReadonlyMap<number, RemoteCall>;
    /** Doorbells whose interrupts have come and are to be acknowledged, and those that there are: a bit a channel, low and high. */
    owedLow = 0;
    owedHigh = 0;
    readonly doorbellsLow: number;
    readonly doorbellsHigh: number;
    /** By channel with such a doorbell. */
    readonly incoming: readonly (DoorbellSignal | undefined)[];
    /**
     * By channel: what to put into the outbox before a notification, `OUTBOX_WORDS` each; or 0, where it has a doorbell
     * of its own the word of that in which signals are counted, and their count.
     */
    readonly outgoing: Int32Array;

    /** `tcb`: physical address of the domain's TCB, whose register file this engine is the processor of. */
    constructor(
      readonly configuration: DomainConfiguration,
      readonly bundle: Bundle,
      tcb: number,
      regions: readonly MappedRegion[],
      /** Index of the domain's row in the statistics. */
      readonly row: number,
      readonly console: Console,
    ) {
      super(tcb);
      this.handle = configuration.handle;
      this.priority = configuration.priority;
      this.schedulingDomain = configuration.schedulingDomain;
      this.passivePending = configuration.passive;
      this.callable = new Identifiers(configuration.call);
      const calls = configuration.remoteCalls.map(
        (each) => [each.isControl, each.id, new RemoteCall(core, states, each)] as const,
      );
      this.remoteCalls = new Map(calls.flatMap(([isControl, id, call]) => (isControl ? [] : [[id, call]])));
      this.remoteChildren = new Map(
        calls.flatMap(([isControl, id, call]) => (isControl ? [[id, call]] : [])),
      );
      const doorbells = configuration.doorbells.map(({ channel }) => channel);
      ({ low: this.doorbellsLow, high: this.doorbellsHigh } = new Identifiers(doorbells));
      this.incoming = Array.from({ length: CHANNELS }, (_, channel) =>
        configuration.doorbells.find((doorbell) => doorbell.channel === channel),
      );
      this.outgoing = outboxes(configuration.flags, lines);
      this.pd = makeProtectionDomain(core, this, regions, console);
    }

    /**
     * Makes the first instance of the program, before the domain starts.
     * @throws ProgramError when it has no usable entry points. What the program itself throws is kept for its start.
     */
    prepare(): void {
      try {
        this.entries = this.instantiate();
      } catch (thrown) {
        if (thrown instanceof ProgramError) {
          const [what, place] = originalPositions(this.bundle, thrown.message).split('\n');
          const where = place === undefined ? '' : `, ${place.trim()}`;
          throw new ProgramError(`${this.bundle.file}: ${what}${where}`);
        }
        this.failure = thrown;
      }
    }

    run(): number {
      const { handle } = this;
      this.onStack = true;
      let next: number;
      do {
        try {
          next = this.step();
        } catch (thrown) {
          try {
            next = this.failed(thrown);
          } catch (halted) {
            // What `finally` would do, at a cost that is not paid on every call.
            this.onStack = false;
            throw halted;
          }
        }
      } while (next === handle);
      this.onStack = false;
      return next;
    }

    /** Ends an unfinished line on the console. */
    flush(): void {
      this.console.flush();
    }

    /** Handles one event, waits for the next, and returns who is current then. */
    step(): number {
      const { registers } = this;
      if (words[registers + PC_WORD] === ENTRY) {
        this.start();
      } else if (words[registers + REDO_WORD] === 0) {
        const high = words[registers + 1];
        if (high >>> 30 === CALL) {
          statistics[this.row + PROTECTED]++;
          const reply = this.entries!.protected!(words[registers] & 63, this.readTag());
          this.leaveHandler();
          this.writeTag(reply);
          if (this.deferred !== 0) this.runDeferred();
          return poll(replyRecv(INPUT, REPLY, this.tcb));
        }
        if (high >>> 30 === FAULT) {
          if (this.handleFault(words[registers] & 63)) return poll(replyRecv(INPUT, REPLY, this.tcb));
        } else {
          const rungLow = words[registers] & this.doorbellsLow;
          const rungHigh = high & this.doorbellsHigh;
          if ((rungLow | rungHigh) === 0) this.handleNotification(words[registers], high);
          else this.handleDoorbells(rungLow, rungHigh, words[registers], high);
        }
      } else if (this.failure !== undefined) {
        this.throwFailure();
      }
      words[registers + REDO_WORD] = 0;
      if ((this.owedLow | this.owedHigh) !== 0) this.acknowledgeDoorbells();
      if (this.deferred === 0) return poll(recv(INPUT, REPLY));
      return poll(nbSendRecv(this.takeDeferred(), INPUT, REPLY, this.tcb));
    }

    start(): void {
      if (this.passivePending) {
        // Before all else the domain waits, so that the monitor can take its scheduling context away and leave it to
        // the domain's notification, which lends it for each event, and for the start to come first of all.
        this.passivePending = false;
        this.deferred = Slot.Monitor;
        return;
      }
      words[this.registers + PC_WORD] = ProgramCounter.Running;
      this.deferred = 0;
      if (this.started) {
        statistics[this.row + Count.Restarts]++;
        this.entries = undefined;
        this.failure = undefined;
      }
      this.started = true;
      statistics[this.row + Count.Init]++;
      if (this.failure !== undefined) this.throwFailure();
      this.entries ??= this.instantiate();
      this.entries.init();
      this.leaveHandler();
    }

    throwFailure(): never {
      const { failure } = this;
      this.failure = undefined;
      throw failure;
    }

    instantiate(): Entries {
      this.guard = 0;
      const factory = evaluateProgram(this.bundle);
      const made = checkProgram(factory(this.pd));
      const entries = core.observer?.entries(this.row, made) ?? made;
      this.guard = this.tcb;
      if (entries.protected !== undefined) return entries;
      return {
        ...entries,
        protected: () => {
          throw new TypeError(`${this.name} was called, but its program has no entry point 'protected'`);
        },
      };
    }

    handleNotification(low: number, high: number): void {
      for (let bits = low; bits !== 0; bits &= bits - 1) this.notified(31 - Math.clz32(bits & -bits));
      for (let bits = high; bits !== 0; bits &= bits - 1) this.notified(63 - Math.clz32(bits & -bits));
    }

    notified(channel: number): void {
      statistics[this.row + NOTIFIED]++;
      const entry = this.entries!.notified;
      if (entry === undefined) return;
      entry(channel);
      this.leaveHandler();
    }

    /** Returns whether the handler wants the fault answered; its reply is in the registers then. */
    handleFault(child: number): boolean {
      statistics[this.row + Count.Fault]++;
      const entry = this.entries!.fault;
      if (entry === undefined) return false;
      const reply = entry(child, this.readTag());
      this.leaveHandler();
      if (reply === undefined) return false;
      this.writeTag(reply);
      // As the kernel has it: a reply with another label leaves the child stopped.
      if (labelOf(reply) === 0) {
        const local = this.configuration.children.find(({ id }) => id === child);
        if (local !== undefined) core.markStopped(local.handle, Stop.None);
      }
      return true;
    }

    leaveHandler(): void {
      if (words[CURRENT] !== this.guard) throw cut;
    }

    /** The handler did not end as it should: its domain was cut, or faults. Returns who is current then. */
    failed(thrown: unknown): number {
      this.guard = this.tcb;
      this.deferred = 0;
      if (thrown instanceof Halted || core.halted || core.panicked(thrown)) throw new Halted();
      if (this.unwinding) {
        this.unwinding = false;
        return this.abandon();
      }
      if (words[CURRENT] !== this.tcb) {
        // The engine ran out of stack between a system call and its end. The domain faults when it is current again.
        this.failure = thrown;
        return this.abandon();
      }
      statistics[this.row + Count.Faults]++;
      this.console.flush();
      const what = originalPositions(this.bundle, describeThrown(thrown));
      this.console.write(`${this.name} faulted: ${what}\n`);
      core.markStopped(this.handle, Stop.Fault);
      return poll(fault(exceptionOf(thrown), 0));
    }

    /** The event at hand is given up: unless it starts afresh, the domain next waits. Returns who is current. */
    abandon(): number {
      if (!this.restarted()) words[this.registers + REDO_WORD] = 1;
      return this.held ? core.release(this) : core.current();
    }

    get name(): string {
      return this.configuration.name;
    }

    restarted(): boolean {
      return words[this.registers + PC_WORD] === ENTRY;
    }

    /** Whether the handler on the stack has no future: the domain starts afresh, or is stopped. */
    readonly isCut = (): boolean => this.restarted() || bytes[this.tcb + STATE_BYTE] === INACTIVE;

    /** Goes on after a system call: at once if this thread still is current, else when it is again. */
    trap(next: number): void {
      this.goOn(poll(next));
    }

    goOn(next: number): void {
      if (next !== this.handle) {
        // The usual case: a more urgent thread, such as a server that was called, runs and gives way again.
        const other = threads[next];
        if (
          other !== undefined &&
          other.priority > this.priority &&
          other.onStack === false &&
          !severalDomains
        )
          next = other.run();
        if (next !== this.handle || this.held) {
          core.runOthers(this, next, this.isCut);
          if (this.isCut()) this.cutHandler();
        }
      }
      // A current thread is not stopped, but may have been restarted.
      if (words[this.registers + PC_WORD] === ENTRY) this.cutHandler();
    }

    /** While the domain computes, others may have become current. */
    readonly interrupted = (next: number): void => this.goOn(next);

    cutHandler(): never {
      this.unwinding = true;
      this.guard = 0;
      throw cut;
    }

    refuseRequest(): never {
      if (this.unwinding) throw cut;
      throw new TypeError('a protection domain can make requests only while a handler of it runs');
    }

    beginRequest(): void {
      if (words[CURRENT] !== this.guard) this.refuseRequest();
    }

    /** Notifications `low` and `high`, of which some, `rungLow` and `rungHigh`, came by doorbells of their own. */
    handleDoorbells(rungLow: number, rungHigh: number, low: number, high: number): void {
      this.owedLow |= rungLow;
      this.owedHigh |= rungHigh;
      for (let bits = rungLow; bits !== 0; bits &= bits - 1) {
        const bit = bits & -bits;
        if (!signals.hear(this.incoming[31 - Math.clz32(bit)]!)) low &= ~bit;
      }
      for (let bits = rungHigh; bits !== 0; bits &= bits - 1) {
        const bit = bits & -bits;
        if (!signals.hear(this.incoming[63 - Math.clz32(bit)]!)) high &= ~bit;
      }
      this.handleNotification(low, high);
    }

    /** So that they ring again: the last of them with the wait that follows, where nothing else goes along with it. */
    acknowledgeDoorbells(): void {
      while ((this.owedLow | this.owedHigh) !== 0) {
        let channel;
        if (this.owedLow !== 0) {
          channel = 31 - Math.clz32(this.owedLow & -this.owedLow);
          this.owedLow &= this.owedLow - 1;
        } else {
          channel = 63 - Math.clz32(this.owedHigh & -this.owedHigh);
          this.owedHigh &= this.owedHigh - 1;
        }
        const slot = Slot.FirstIrq + channel;
        if (this.deferred === 0 && (this.owedLow | this.owedHigh) === 0) this.deferred = slot;
        else this.acknowledge(slot);
      }
    }

    ppcall(channel: number, msginfo: number): number {
      this.beginRequest();
      if (!this.callable.has(channel)) return this.callElsewhere(channel, msginfo);
      this.writeTag(msginfo);
      statistics[this.row + CALLS + channel]++;
      const slot = FIRST_ENDPOINT + channel;
      this.goOn(call(slot, this.tcb));
      while (words[this.registers + REDO_WORD] !== 0) {
        words[this.registers + REDO_WORD] = 0;
        this.goOn(call(slot, this.tcb));
      }
      return this.readTag();
    }

    /** Signals the notification behind a channel that the domain has. */
    notify(channel: number): void {
      this.raise(channel);
      this.trap(signal(FIRST_NOTIFICATION + channel, this.tcb));
    }

    /** A call to a server on another cluster. */
    callElsewhere(channel: number, msginfo: number): number {
      const call = this.remoteCalls.get(channel);
      if (call === undefined) throw new RangeError(`${this.name} has no channel to call ${String(channel)}`);
      this.writeTag(msginfo);
      statistics[this.row + CALLS + channel]++;
      call.make(this);
      return this.readTag();
    }

    /** Has the monitor of a child on another cluster do what `operation` says. */
    control(child: RemoteCall, operation: Invocation): void {
      words[this.registers + TAG_WORD] = operation << 12;
      words[this.registers + TAG_WORD + 1] = 0;
      child.make(this);
    }

    ring(slot: number): void {
      this.trap(signal(slot, this.tcb));
    }

    wait(slot: number): void {
      this.goOn(poll(wait(slot)));
      words[this.registers + REDO_WORD] = 0;
    }

    acknowledge(slot: number): void {
      words[this.registers + TAG_WORD] = ACKNOWLEDGE;
      words[this.registers + TAG_WORD + 1] = 0;
      this.trap(nbSend(slot));
    }

    /** Makes the deferred request now: the reply that the handler returned stays in the registers. */
    runDeferred(): void {
      const low = words[this.registers + TAG_WORD];
      const high = words[this.registers + TAG_WORD + 1];
      this.trap(nbSend(this.takeDeferred()));
      words[this.registers + TAG_WORD] = low;
      words[this.registers + TAG_WORD + 1] = high;
    }

    /** The deferred request's slot; its message is in the register file, ready to be sent. */
    takeDeferred(): number {
      const slot = this.deferred;
      this.deferred = 0;
      words[this.registers + TAG_WORD] = slot >= Slot.FirstIrq ? ACKNOWLEDGE : 0;
      words[this.registers + TAG_WORD + 1] = 0;
      if (slot >= FIRST_NOTIFICATION && slot < Slot.FirstIrq) this.raise(slot - FIRST_NOTIFICATION);
      return slot;
    }

    /** What a notification needs before its capability is invoked: it is counted, and its flags are raised. */
    raise(channel: number): void {
      statistics[this.row + NOTIFICATIONS + channel]++;
      const at = channel * OUTBOX_WORDS;
      const count = this.outgoing[at];
      lines[outbox] = count;
      if (count === 0) {
        // It also has the doorbell's line fetched while the kernel is entered: to ring takes less then.
        const word = this.outgoing[at + 1];
        if (word !== 0) signals.count(word, ++this.outgoing[at + 2]);
        return;
      }
      lines[outbox + 1] = this.outgoing[at + 1];
      lines[outbox + 2] = this.outgoing[at + 2];
      lines[outbox + 3] = this.outgoing[at + 3];
      lines[outbox + 4] = this.outgoing[at + 4];
    }

    /** An invocation of an object of the kernel, which answers at once. */
    invoke(slot: number, label: Invocation, length: number): void {
      words[this.registers + TAG_WORD] = (label << 12) | length;
      words[this.registers + TAG_WORD + 1] = 0;
      this.trap(call(slot, this.tcb));
    }
  };
}

/** For each channel, what its notifications put into the outbox (machine/interrupts.ts), of the controller's words. */
function outboxes(flags: DomainConfiguration['flags'], lines: Int32Array): Int32Array {
  const table = new Int32Array(CHANNELS * OUTBOX_WORDS);
  for (const { channel, word, mask } of flags) {
    const at = channel * OUTBOX_WORDS;
    if (mask === 0) {
      table[at + 1] = word;
      table[at + 2] = lines[word];
      continue;
    }
    const count = table[at]++;
    table[at + 1 + 2 * count] = word;
    table[at + 2 + 2 * count] = mask;
  }
  return table;
}
