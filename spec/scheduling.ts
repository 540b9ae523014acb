/**
 * Who runs (sections 6.1.3 and 6.1.5): on each core the highest priority that is ready, first come, first served among
 * equals, as long as its scheduling context gives it time. The decision falls when the kernel is left.
 */
import { Limit, SeL4Error } from '../kernel/api/constants.js';
import { Messages } from './messages.js';
import { charge, least, unblock } from './refills.js';
import { ThreadState, type Core, type Name, type SchedContext, type Thread } from './state.js';

/** Whether a context gives less than all the time of its core; also asked of a thread without one. */
export const isAccounted = (sc: SchedContext | undefined): sc is SchedContext =>
  sc !== undefined && sc.budget < sc.period;

export class Scheduling extends Messages {
  /** What is to be done about who runs: nothing, choose anew, or let a thread compete that has just become ready. */
  private decision: 'go on' | 'choose' | Name = 'go on';
  protected now = 0n;
  /** The core on which the kernel has been entered. */
  protected core = this.state.cores[0];
  /** Cores of which this entry has asked that they look anew who is to run, by inter-processor interrupt. */
  readonly asked = new Set<number>();

  protected get current(): Name {
    return this.core.current;
  }
  private coreOf = (me: Name): Core => this.state.cores[this.thread(me).core];
  protected contextWhere = (holds: (sc: SchedContext) => boolean): SchedContext | undefined =>
    [...this.state.contexts.values()].find(holds);
  /** The scheduling context on which a thread runs; a passive one has none. */
  protected contextOf = (me: Name): SchedContext | undefined =>
    this.contextWhere(({ thread }) => thread === me);
  protected context = (name: Name): SchedContext => this.state.contexts.get(name)!;

  /**
   * Enters the kernel on a core, at a time; does what its thread asks, or what an event wants done; and leaves it. What a
   * thread asks that another core has taken away meanwhile is not done: it makes its system call again.
   */
  enter(core: number, time: bigint, action: () => void, byEvent = false): void {
    this.core = this.state.cores[core];
    this.now = time;
    this.asked.clear();
    if (!byEvent) this.chargeTime();
    this.releaseReady();
    const [{ stalled }, isBusy] = [this.core, this.current !== 0];
    this.core.stalled = undefined;
    if (stalled !== undefined) this.reschedule();
    if (stalled === undefined || byEvent) action();
    else if (stalled !== 0) this.thread(stalled).redo = true;
    this.schedule();
    this.checkDomainTime(isBusy);
    this.beginTime();
  }

  protected threadsThat = (holds: (thread: Thread, me: Name) => boolean): Name[] =>
    [...this.state.threads.keys()].filter((me) => holds(this.thread(me), me));
  private byPriority = (threads: Name[]): Name[] =>
    threads.sort((a, b) => this.thread(b).priority - this.thread(a).priority);

  /** Who waits for an endpoint or a notification, the next one first. */
  waiting = (name: Name): Name[] => this.byPriority(this.threadsThat(({ wait }) => wait.on === name));
  /** Who could run on a core, in a domain, and does not: who will is first. */
  ready(core: Core, domain: number): Name[] {
    const isThere = (me: Name): boolean => this.coreOf(me) === core && this.thread(me).domain === domain;
    const runs = (me: Name): boolean => me === core.current || me === this.decision;
    return this.byPriority(this.threadsThat((_, me) => isThere(me) && !runs(me) && this.isSchedulable(me)));
  }
  /** Who waits for its budget on a core, by when that is replenished. */
  postponed(core: Core): Name[] {
    const timeOf = (me: Name): bigint => this.contextOf(me)!.refills[0].time;
    const isThere = (me: Name): boolean => this.thread(me).isPostponed && this.coreOf(me) === core;
    return this.threadsThat((_, me) => isThere(me)).sort((a, b) => Number(timeOf(a) - timeOf(b)));
  }
  protected isSchedulable(me: Name): boolean {
    const canRun = this.thread(me)?.state === ThreadState.Running && !this.thread(me).isPostponed;
    return canRun && (this.contextOf(me)?.maxRefills ?? 0) !== 0;
  }

  /** Has a thread stand before its equals, but for one in the middle of a handler if it is not; or behind them. */
  protected place(me: Name, where: 'first' | 'last'): void {
    const { domain, priority, underWay } = this.thread(me);
    const others = [...this.state.threads.keys()].filter((other) => other !== me);
    const isEqual = (other: Name): boolean => other !== me && this.thread(other).priority === priority;
    const head = this.ready(this.coreOf(me), domain).find(isEqual);
    const isSecond = head !== undefined && this.thread(head).underWay && !underWay;
    const at = where === 'last' ? others.length : isSecond ? others.indexOf(head) + 1 : 0;
    this.state.threads = new Map(others.toSpliced(at, 0, me).map((each) => [each, this.thread(each)]));
  }

  protected reschedule(): void {
    const { decision } = this;
    this.decision = 'choose';
    if (typeof decision === 'number') this.place(decision, 'first');
  }

  /** Lets a thread compete that can run from now on: here when the kernel is left, on another core by asking that. */
  protected possibleSwitchTo(me: Name): void {
    if (!this.isSchedulable(me)) return;
    const { core, priority, domain } = this.thread(me);
    const isHere = this.coreOf(me) === this.core && domain === this.state.domain;
    if (isHere && me === this.current) return;
    if (isHere && this.decision === 'go on') return void (this.decision = me);
    if (isHere) this.reschedule();
    this.place(me, 'first');
    const { current } = this.coreOf(me);
    const isMoreUrgent = current === me || current === 0 || priority > this.thread(current).priority;
    if (this.coreOf(me) !== this.core && isMoreUrgent) this.asked.add(core);
  }
  /** What a thread competes with has changed. */
  protected reconsider(me: Name): void {
    if (me === this.current || me === this.decision) this.reschedule();
    this.possibleSwitchTo(me);
  }

  /** One that runs on another core cannot be cut short there: its core is told, and does not do what it asks for next. */
  protected removeFromScheduling(me: Name): void {
    const core = this.coreOf(me);
    this.thread(me).isPostponed = false;
    if (this.decision === me) this.decision = 'choose';
    if (core === this.core || core.current !== me) return;
    Object.assign(core, { current: 0, stalled: me });
    this.asked.add(this.thread(me).core);
  }
  /** What a thread was at on the core that it was taken from, it does not do again. */
  protected forgetStalled(me: Name): void {
    for (const core of this.state.cores) if (core.stalled === me) core.stalled = 0;
  }

  private schedule(): void {
    const { decision, current } = this;
    const runs = this.isSchedulable(current);
    this.decision = 'go on';
    if (decision === 'go on' && (runs || current === 0)) return;
    // Who has just become ready goes before its equals, but not before one of them that runs.
    const isEqual = (me: Name): boolean => this.thread(me).priority === this.thread(current).priority;
    if (typeof decision === 'number') this.place(decision, runs && isEqual(decision) ? 'last' : 'first');
    if (runs) this.place(current, 'first');
    this.choose();
  }
  private choose(): void {
    this.core.current = 0;
    this.core.current = this.ready(this.core, this.state.domain)[0] ?? 0;
  }

  /**
   * Section 6.3: a domain's turn ends when its time is over, and nobody who can run is in the middle of a handler. What
   * its handlers took too much is taken from its next turns, which may leave nothing of them.
   */
  private checkDomainTime(isBusy: boolean): void {
    const { state, current } = this;
    const { schedule, domainEnd, overruns } = state;
    if (domainEnd === 0n || this.now < domainEnd) return;
    if (current !== 0) this.place(current, 'first');
    this.core.current = 0;
    const ready = this.ready(this.core, state.domain);
    const isFirst = (me: Name, index: number): boolean =>
      index === 0 || this.thread(me).priority < this.thread(ready[index - 1]).priority;
    const underWay = ready.filter(isFirst).find((me) => this.thread(me).underWay);
    if (underWay !== undefined) return void (this.core.current = underWay);
    if (isBusy) overruns[state.domain] += this.now - domainEnd;
    for (let left = 0n, tries = 0; left === 0n;) {
      schedule.index = schedule.entries.has(schedule.index + 1) ? schedule.index + 1 : schedule.start;
      const { domain, duration } = schedule.entries.get(schedule.index)!;
      const made = least(overruns[domain], duration);
      overruns[domain] -= made;
      // If all are so late, the next has its turn all the same.
      left = made === duration && ++tries === Number(Limit.DomainSchedule) ? duration : duration - made;
      Object.assign(state, { domain, domainEnd: this.now + left });
    }
    this.choose();
  }

  /** Section 6.1.5: its budget is used up. */
  protected isExhausted = (sc: SchedContext | undefined): boolean =>
    isAccounted(sc) && sc.refills[0].time > this.now;

  /**
   * Lets a thread run on, whom another has met or answered: it is in the middle of a handler, and goes on even where its
   * budget is used up. One that an event starts does so when its budget is replenished.
   */
  protected start(me: Name, by: 'event' | 'answer' | 'meeting'): void {
    const sc = this.contextOf(me);
    this.thread(me).state = ThreadState.Running;
    if (by !== 'meeting' && isAccounted(sc) && sc.sporadic) unblock(sc, this.now);
    if (by === 'event' && this.isExhausted(sc)) this.postpone(me);
    else this.possibleSwitchTo(me);
  }
  /** The thread gives way to its equals, and gives up what is left of its budget for now. */
  protected giveWay(me: Name): void {
    const sc = this.contextOf(me);
    this.reschedule();
    this.core.current = 0;
    this.thread(me).underWay = false;
    if (isAccounted(sc)) charge(sc, sc.refills[0].amount);
    if (this.isExhausted(sc)) this.postpone(me);
    else this.place(me, 'last');
  }

  protected postpone(me: Name): void {
    this.removeFromScheduling(me);
    this.thread(me).isPostponed = true;
    this.place(me, 'last');
    const core = this.coreOf(me);
    if (core !== this.core && this.postponed(core)[0] === me) this.asked.add(this.thread(me).core);
  }
  private releaseReady(): void {
    for (const me of this.postponed(this.core)) {
      if (this.isExhausted(this.contextOf(me))) break;
      this.thread(me).isPostponed = false;
      this.possibleSwitchTo(me);
    }
  }

  private chargeTime(): void {
    const { charging } = this.core;
    if (!charging) return;
    const sc = this.context(charging.sc);
    const usage = this.now - charging.since;
    charging.since = this.now;
    sc.consumed += usage;
    if (isAccounted(sc)) charge(sc, usage);
    // One that another core took away may wait by now, and waits longer then.
    if (this.state.threads.get(sc.thread)?.isPostponed) this.place(sc.thread, 'last');
  }
  /** Whoever runs from now on is charged from now on. */
  private beginTime(): void {
    const { current, core } = this;
    if (current !== 0) this.completeYieldTo(current);
    if (current !== 0 && this.state.domainEnd !== 0n) this.thread(current).underWay = true;
    const isCharged = ([, sc]: [Name, SchedContext]): boolean => sc.thread === current && isAccounted(sc);
    const [name, sc] = current === 0 ? [] : ([...this.state.contexts].find(isCharged) ?? []);
    if (sc && name === core.charging?.sc) return;
    this.chargeTime();
    core.charging = name === undefined ? undefined : { sc: name, since: this.now };
    if (sc && !sc.sporadic) unblock(sc, this.now);
  }
  /** Section 6.1.5: microseconds since this was last asked. */
  protected takeConsumed(sc: SchedContext): bigint {
    const { consumed } = sc;
    sc.consumed = 0n;
    return consumed / 1000n;
  }

  /** Sections 6.1.6 to 6.1.8: scheduling contexts change hands. */
  protected bindContext(sc: SchedContext, to: Name): void {
    sc.thread = to;
    this.thread(to).core = sc.core;
    if (this.thread(to).state === ThreadState.Running) this.start(to, 'event');
  }
  /** Lends a context to a thread that has none: that stays on its core, whose engine has its program. */
  protected donate(sc: SchedContext | undefined, to: Name): boolean {
    if (!sc || this.contextOf(to)) return false;
    this.takeContext(sc);
    sc.thread = to;
    return true;
  }
  protected takeContext(sc: SchedContext | undefined): void {
    if (!sc || sc.thread === 0) return;
    this.removeFromScheduling(sc.thread);
    if (sc.thread === this.current) this.reschedule();
    sc.thread = 0;
  }

  /** `SchedContext_YieldTo` (section 6.1.8): who yields is told what the other has consumed, when it runs again. */
  protected yieldTo(me: Name, name: Name): 'later' | bigint[] {
    const sc = this.context(name);
    const to = sc.thread;
    this.completeYieldsTo(name);
    const competes = this.isSchedulable(to) && this.coreOf(to).current !== to;
    const isNext =
      competes && this.coreOf(to) === this.core && this.thread(to).priority >= this.thread(me).priority;
    if (isNext) {
      Object.assign(this.thread(me), { yieldTo: name, underWay: false });
      this.reschedule();
      this.core.current = 0;
      this.place(me, 'first');
    }
    if (competes) this.place(to, 'first');
    return isNext ? 'later' : [this.takeConsumed(sc)];
  }
  protected completeYieldTo(me: Name): void {
    const thread = this.thread(me);
    const sc = this.state.contexts.get(thread.yieldTo);
    if (sc) this.answer(thread, SeL4Error.NoError, [this.takeConsumed(sc)]);
    thread.yieldTo = 0;
  }
  protected completeYieldsTo(name: Name): void {
    for (const me of this.threadsThat(({ yieldTo }) => yieldTo === name)) this.completeYieldTo(me);
  }
}
