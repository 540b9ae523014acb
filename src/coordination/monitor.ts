/**
 * A cluster's monitor: its root task once the cluster is built, at the highest priority. It starts the domains, takes
 * signals from other clusters, and is the last to hear of a fault.
 *
 * A passive domain's scheduling context belongs to its notification, which lends it to the domain when it wakes it;
 * the kernel takes it back when the domain waits again. To bring this about, the domain must wait, and nothing but the
 * monitor may wake it: else it is caught running when its context goes, and stands still for ever. So the passive
 * domains come first, one by one, before any program of the cluster runs and before signals of other clusters are
 * taken: each waits at once, loses its context to its notification, and later starts by a signal, as all others start.
 */
import { InitialSlot, Invocation, ProgramCounter, Register } from '../../kernel/api/constants.js';
import type { CallPair } from '../core/call-lines.js';
import { CHILD_ORDERS } from '../core/child-orders.js';
import type { Core } from '../core/core.js';
import { ACKNOWLEDGE, type Invoker } from '../core/invocation.js';
import { Recheck, type RecheckCapabilities } from './recheck.js';
import { RemoteChild, type RemoteChildCapabilities } from './remote-child.js';
import type { MemoryRequests } from './memory-requests.js';
import type { MemoryCapabilities, MovingMemory } from './memory.js';
import type { SignalFlags } from './signals.js';

/** The bit in the badge by which the monitor's own notification shows: a doorbell has rung. */
export const DOORBELL_BADGE = 1n << 63n;
/** The same for: a domain waits to be made passive. */
export const PASSIVE_BADGE = 1n << 62n;
/** The same for: the heartbeat timer has ticked, or a cluster has changed. */
export const HEARTBEAT_BADGE = 1n << 61n;
/** The bit in the badge of a message by which a request about memory shows (memory-requests.ts). */
export const MEMORY_BADGE = 1n << 60n;

/** What is to be done when the flag of an event of another cluster is raised. */
export type MonitorEvent =
  /** A badged capability to the notification behind it. */
  | { readonly kind: 'signal'; readonly signal: number }
  /** The proxy that tells a parent of its child's fault: its handle, and its TCB's slot. */
  | { readonly kind: 'fault'; readonly handle: number; readonly tcb: number; readonly pair: CallPair }
  /** Index of the child. */
  | { readonly kind: 'fault-reply' | 'control'; readonly child: number }
  /** Messages about memory, of another cluster's monitor. */
  | { readonly kind: 'memory'; readonly peer: number };

/** What the initialiser leaves to the monitor: slots of the root task's CNode. */
export interface MonitorCapabilities {
  readonly endpoint: number;
  /** Reply objects: one for each child whose parent is on another cluster, and one more. */
  readonly replies: readonly number[];
  readonly doorbellHandler: number;
  /** Where there are other clusters to watch. */
  readonly heartbeatHandler?: number;
  /** By flag. */
  readonly events: readonly MonitorEvent[];
  readonly children: readonly RemoteChildCapabilities[];
  readonly recheck: RecheckCapabilities;
  /** If the cluster has a domain schedule: its first entry, and each thread's domain, the monitor's last. */
  readonly schedule?: {
    readonly start: number;
    readonly domains: readonly (readonly [tcb: number, domain: number])[];
  };
  /** If memory can move between clusters. */
  readonly memory?: MemoryCapabilities;
  /** TCBs of the domains that are not passive. */
  readonly active: readonly number[];
  readonly passive: readonly {
    readonly tcb: number;
    readonly context: number;
    readonly notification: number;
  }[];
}

/** `PASSIVE_BADGE` in the upper half of a badge. */
const PASSIVE = Number(PASSIVE_BADGE >> 32n);
const DOORBELL = Number(DOORBELL_BADGE >> 32n);
const HEARTBEAT = Number(HEARTBEAT_BADGE >> 32n);
const MEMORY = Number(MEMORY_BADGE >> 32n);

const BADGE_WORD = Register.Badge / 4;
const TAG_WORD = Register.MsgInfo / 4;

/**
 * Doorbells on the shared line that a monitor answers between two ticks; the next it answers at the tick. A signal takes
 * it less than a microsecond, so that who rings for ever keeps a cluster from its own work for half of the time at most.
 */
const MOST_DOORBELLS = 5000;

export class Monitor {
  private readonly registers: number;
  /** How many of the passive domains have been made so; no domain starts before all have. */
  private madePassive = 0;
  private started = false;
  private readonly children: readonly RemoteChild[];
  /** The reply object for the next fault, and those in reserve. */
  private reply: number;
  private readonly spare: number[];
  private readonly recheck: Recheck;
  /** By flag: the serial number of the last fault that a parent here was told of. */
  private readonly faultSerials: Uint32Array;
  /** Doorbells since the last tick, and whether the last is not acknowledged before the next. */
  private doorbells = 0;
  private flooded = false;
  private memory: { readonly moving: MovingMemory; readonly requests: MemoryRequests } | undefined;

  /** `reportFault(handle)`: a domain without a parent faulted; it stays stopped. `heartbeat()`: the timer ticked. */
  constructor(
    private readonly core: Core,
    private readonly tcb: number,
    private readonly capabilities: MonitorCapabilities,
    private readonly flags: SignalFlags,
    private readonly invoker: Invoker,
    private readonly reportFault: (handle: number) => void,
    private readonly heartbeat: () => void,
  ) {
    this.registers = tcb / 4;
    this.children = capabilities.children.map((each) => new RemoteChild(core, tcb, each));
    [this.reply, ...this.spare] = capabilities.replies;
    this.recheck = new Recheck(core, invoker, capabilities.recheck);
    this.faultSerials = Uint32Array.from(capabilities.events, (event) =>
      event.kind === 'fault' ? core.calls.serialOf(event.pair.request) : 0,
    );
  }

  /** Starts the domains, passive ones first, and waits; returns who is current meanwhile. */
  start(): number {
    const { active, passive } = this.capabilities;
    if (this.madePassive < passive.length) {
      this.resume(passive[this.madePassive].tcb);
    } else {
      for (const { notification } of passive) this.core.kernel.signal(notification);
      for (const tcb of active) this.resume(tcb);
      this.startSchedule();
      this.started = true;
      return this.takeSignals();
    }
    return this.wait();
  }

  /** Until now all were in one domain, so that the monitor could wait for each of them. */
  private startSchedule(): void {
    const { schedule } = this.capabilities;
    if (schedule === undefined) return;
    this.invoker.call(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [schedule.start]);
    for (const [tcb, domain] of schedule.domains)
      this.invoker.call(InitialSlot.Domain, Invocation.DomainSetSet, [domain], [tcb]);
  }

  /** Where memory can move between clusters: to be called before `start`. */
  useMemory(moving: MovingMemory, requests: MemoryRequests): void {
    this.memory = { moving, requests };
  }

  /** Takes a reply object back. */
  release(reply: number): void {
    this.spare.push(reply);
  }

  private resume(tcb: number): void {
    this.invoker.call(tcb, Invocation.TCBResume, []);
  }

  private wait(): number {
    return this.core.kernel.recv(this.capabilities.endpoint, this.reply);
  }

  /** Handles what has come, and waits for more. */
  handle(): number {
    const { words } = this.core;
    const high = words[this.registers + 1];
    if (high === 0) {
      this.faulted(words[this.registers + BADGE_WORD]);
      return this.wait();
    }
    if ((high & MEMORY) !== 0) {
      const handle = words[this.registers + BADGE_WORD];
      if (this.memory!.requests.handle(handle, this.reply)) this.reply = this.spare.pop()!;
      return this.wait();
    }
    if ((high & HEARTBEAT) !== 0) this.takeHeartbeat();
    if (this.started) return (high & DOORBELL) !== 0 ? this.takeSignals() : this.wait();
    if ((high & PASSIVE) === 0) return this.wait();
    this.makePassive();
    return this.start();
  }

  /** The domain whose turn it is waits: its scheduling context goes to its notification. */
  private makePassive(): void {
    const { tcb, context, notification } = this.capabilities.passive[this.madePassive++];
    this.invoker.call(context, Invocation.SchedContextUnbindObject, [], [tcb]);
    this.invoker.call(context, Invocation.SchedContextBind, [], [notification]);
  }

  /** Another cluster, by its index in the plan, has been taken down, or is up again. */
  peerChanged(cluster: number, up: boolean): void {
    if (up) {
      // It has lost what it was told.
      for (const child of this.children) if (child.parentCluster === cluster) child.resendFault();
    } else {
      for (const reply of this.capabilities.recheck.replies)
        if (reply.cluster === cluster) this.core.kernel.signal(reply.signal);
    }
    this.memory?.moving.peerChanged(cluster, up);
  }

  private takeHeartbeat(): void {
    this.heartbeat();
    this.doorbells = 0;
    if (this.started) {
      this.flags.take(this.event);
      this.recheck.tick();
      for (const child of this.children) this.checkChild(child);
      this.capabilities.events.forEach(({ kind }, flag) => {
        if (kind === 'fault' || kind === 'memory') this.event(flag);
      });
      if (this.flooded) this.invoker.call(this.capabilities.doorbellHandler, Invocation.IRQAckIRQ, []);
    }
    this.flooded = false;
    this.invoker.call(this.capabilities.heartbeatHandler!, Invocation.IRQAckIRQ, []);
  }

  /** Passes all raised flags on, acknowledges the doorbell and waits: the last two in one kernel entry. */
  private takeSignals(): number {
    const { kernel, words } = this.core;
    const { doorbellHandler, endpoint } = this.capabilities;
    this.flags.take(this.event);
    if (++this.doorbells > MOST_DOORBELLS && this.capabilities.heartbeatHandler !== undefined) {
      this.flooded = true;
      return this.wait();
    }
    words[this.registers + TAG_WORD] = ACKNOWLEDGE;
    words[this.registers + TAG_WORD + 1] = 0;
    return kernel.nbSendRecv(doorbellHandler, endpoint, this.reply, this.tcb);
  }

  /** A domain has faulted that has no parent, or one on another cluster: that one hears of it, and the fault stays open. */
  private faulted(handle: number): void {
    const child = this.children.find((each) => each.handle === handle);
    if (child === undefined) return this.reportFault(handle);
    const free = child.sendFault(this.reply);
    if (free !== 0) this.spare.push(free);
    this.reply = this.spare.pop()!;
  }

  private readonly event = (flag: number): void => {
    const event = this.capabilities.events[flag];
    switch (event.kind) {
      case 'signal':
        this.core.kernel.signal(event.signal);
        break;
      case 'fault': {
        const serial = this.core.calls.serialOf(event.pair.request);
        if (serial === this.faultSerials[flag]) break;
        this.faultSerials[flag] = serial;
        // Afresh: it may still wait for the answer to the fault before, which the parent has dealt with otherwise.
        const registers = [1, 2, ProgramCounter.Entry, event.handle];
        this.invoker.call(event.tcb, Invocation.TCBWriteRegisters, registers);
        break;
      }
      case 'fault-reply':
      case 'control':
        this.checkChild(this.children[event.child]);
        break;
      case 'memory':
        this.memory!.moving.receive(event.peer);
        break;
    }
  };

  /** Does what a child's parent, on another cluster, has answered or wants done, if there is anything. */
  private checkChild(child: RemoteChild): void {
    const free = child.takeFaultReply();
    if (free !== 0) this.spare.push(free);
    if (child.hasOrder()) this.control(child);
  }

  /** Does with a child what its parent, on another cluster, wants done. */
  private control(child: RemoteChild): void {
    const operation = child.takeOrder();
    const order = CHILD_ORDERS.get(operation);
    if (order !== undefined) {
      this.core.markStopped(child.handle, order.leaves);
      this.invoker.call(child.tcb, operation, order.words);
    }
    child.orderDone();
  }
}
