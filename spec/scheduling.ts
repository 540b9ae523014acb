/**
 * Who runs (sections 6.1.3 and 6.1.5): on each core the highest priority that is ready, first come, first served among
 * equals, as long as its scheduling context gives it time. The decision falls when the kernel is left.
 */
import { Limit, SeL4Error } from '../kernel/api/constants.js';
import { ThreadState } from '../src/core/inspect/memory.js';
import { Messages } from './messages.js';
import { Refills } from './refills.js';
import type { Core, Name, SchedContext } from './state.js';

/** Whether a context gives less than all the time of its core; also asked of a thread without one. */
export function isAccounted(sc: SchedContext | undefined): sc is SchedContext {
  return sc !== undefined && sc.maxRefills !== 0 && sc.budget < sc.period;
}

export class Scheduling extends Messages {
  /** What is to be done about who runs: nothing, choose anew, or switch to a thread. */
  private decision: 'go on' | 'choose' | Name = 'go on';
  protected now = 0n;
  /** The core on which the kernel has been entered. */
  private here = 0;
  /** Cores of which this entry has asked that they look anew who is to run, by inter-processor interrupt. */
  readonly asked = new Set<number>();

  protected get core(): Core {
    return this.state.cores[this.here];
  }
  protected get current(): Name {
    return this.core.current;
  }
  private coreOf = (me: Name): Core => this.state.cores[this.thread(me).core];
  /** The scheduling context on which a thread runs; a passive one has none. */
  protected contextOf(me: Name): SchedContext | undefined {
    for (const sc of this.state.contexts.values()) if (sc.thread === me) return sc;
    return undefined;
  }

  /**
   * Enters the kernel on a core, at a time; does what its thread asks, or what an event wants done; and leaves it. What a
   * thread asks that another core has taken away meanwhile is not done: it makes its system call again.
   */
  enter(core: number, time: bigint, action: () => void, byEvent = false): void {
    this.here = core;
    this.now = time;
    this.asked.clear();
    if (!byEvent) this.chargeTime();
    this.releaseReady();
    const { stalled } = this.core;
    if (stalled !== undefined) this.reschedule();
    this.core.stalled = undefined;
    if (stalled === undefined || byEvent) action();
    else if (stalled !== 0) this.thread(stalled).redo = true;
    const isBusy = this.current !== 0;
    this.schedule();
    this.checkDomainTime(isBusy);
    this.beginTime();
  }

  // ---- Threads that compete (section 6.1.3) ----

  protected isSchedulable(me: Name): boolean {
    const thread = this.state.threads.get(me);
    if (thread?.state !== ThreadState.Running || this.coreOf(me).release.includes(me)) return false;
    return (this.contextOf(me)?.maxRefills ?? 0) !== 0;
  }

  protected setState(me: Name, state: ThreadState): void {
    this.thread(me).state = state;
    if (me === this.current && this.decision === 'go on' && !this.isSchedulable(me)) this.reschedule();
  }

  protected reschedule(): void {
    const { decision } = this;
    if (typeof decision === 'number' && this.isSchedulable(decision)) this.enqueue(decision, 'first');
    this.decision = 'choose';
  }

  /** Lets a thread compete that can run from now on: here at once, and on another core by asking that. */
  protected possibleSwitchTo(me: Name): void {
    if (!this.isSchedulable(me)) return;
    const { core, priority, domain } = this.thread(me);
    if (core !== this.here) {
      const { current } = this.coreOf(me);
      if (current !== me) this.enqueue(me, 'first');
      if (current === me || current === 0 || priority > this.thread(current).priority) this.asked.add(core);
    } else if (domain !== this.state.domain) {
      this.enqueue(me, 'first');
    } else if (me !== this.current && this.decision === 'go on') {
      this.decision = me;
    } else if (me !== this.current) {
      this.reschedule();
      this.enqueue(me, 'first');
    }
  }

  /** One that runs on another core cannot be cut short there: its core is told, and does not do what it asks for next. */
  protected removeFromScheduling(me: Name): void {
    const core = this.coreOf(me);
    this.dequeue(me);
    core.release = core.release.filter((other) => other !== me);
    if (this.decision === me) this.decision = 'choose';
    if (core === this.core || core.current !== me) return;
    Object.assign(core, { current: 0, stalled: me });
    this.asked.add(this.thread(me).core);
  }
  /** What a thread was at on the core that it was taken from, it does not do again. */
  protected forgetStalled(me: Name): void {
    for (const core of this.state.cores) if (core.stalled === me) core.stalled = 0;
  }

  protected enqueue(me: Name, where: 'first' | 'last'): void {
    const { ready, release } = this.coreOf(me);
    const place = this.placeOf(me);
    const queue = ready.get(place) ?? [];
    if (queue.includes(me) || release.includes(me)) return;
    // Who is in the middle of a handler stays before those who are not.
    const second = queue.length > 0 && this.thread(queue[0]).underWay && !this.thread(me).underWay;
    ready.set(place, queue.toSpliced(where === 'last' ? queue.length : second ? 1 : 0, 0, me));
  }
  protected dequeue(me: Name): void {
    const { ready } = this.coreOf(me);
    const place = this.placeOf(me);
    const others = (ready.get(place) ?? []).filter((other) => other !== me);
    if (others.length > 0) ready.set(place, others);
    else ready.delete(place);
  }
  private placeOf(me: Name): number {
    const { domain, priority } = this.thread(me);
    return Limit.Priorities * domain + priority;
  }

  private schedule(): void {
    const { decision, core } = this;
    this.decision = 'go on';
    if (decision === 'go on') return;
    const before = this.isSchedulable(core.current) ? this.thread(core.current).priority : undefined;
    if (before !== undefined) this.enqueue(core.current, 'first');
    // Who has just become ready goes before its equals, but not before one of them that runs.
    if (decision !== 'choose')
      this.enqueue(decision, this.thread(decision).priority === before ? 'last' : 'first');
    this.choose();
  }
  private choose(): void {
    this.core.current = this.firsts()[0] ?? 0;
    if (this.current !== 0) this.dequeue(this.current);
  }
  /** Of each priority who is first among the ready threads of the domain whose turn it is, the highest priority first. */
  private firsts(): Name[] {
    const { ready } = this.core;
    const isOfDomain = (place: number): boolean => Math.floor(place / Limit.Priorities) === this.state.domain;
    const places = [...ready.keys()].filter(isOfDomain).sort((a, b) => b - a);
    return places.map((place) => ready.get(place)![0]);
  }

  /**
   * Section 6.3: a domain's turn ends when its time is over, and nobody who can run is in the middle of a handler. What
   * its handlers took too much is taken from its next turns, which may leave nothing of them.
   */
  private checkDomainTime(isBusy: boolean): void {
    const { state, current } = this;
    const { schedule, domainEnd, overruns } = state;
    if (domainEnd === 0n || this.now < domainEnd) return;
    if (current !== 0) this.enqueue(current, 'first');
    const underWay = this.firsts().find((each) => this.thread(each).underWay);
    if (underWay !== undefined) {
      this.dequeue(underWay);
      this.core.current = underWay;
      return;
    }
    if (isBusy) overruns[state.domain] += this.now - domainEnd;
    for (let left = 0n, tries = 0; left === 0n;) {
      schedule.index = schedule.entries.has(schedule.index + 1) ? schedule.index + 1 : schedule.start;
      const { domain, duration } = schedule.entries.get(schedule.index)!;
      const made = overruns[domain] < duration ? overruns[domain] : duration;
      overruns[domain] -= made;
      // If all are so late, the next has its turn all the same.
      left = made === duration && ++tries === Number(Limit.DomainSchedule) ? duration : duration - made;
      Object.assign(state, { domain, domainEnd: this.now + left });
    }
    this.choose();
  }
  protected setDomain(me: Name, domain: number): void {
    this.dequeue(me);
    this.thread(me).domain = domain;
    if (me === this.current) this.reschedule();
    else this.possibleSwitchTo(me);
  }

  // ---- Budgets (section 6.1.5) ----

  protected isReady = (sc: SchedContext): boolean => sc.refills[0].time <= this.now;
  protected isExhausted = (sc: SchedContext | undefined): boolean => isAccounted(sc) && !this.isReady(sc);

  /** Lets a thread compete that an event starts: when its budget is replenished, if that is used up. */
  protected wakeUp(me: Name): void {
    const sc = this.contextOf(me);
    if (this.thread(me).state !== ThreadState.Running) return;
    if (isAccounted(sc) && sc.sporadic) Refills.unblock(sc, this.now);
    if (this.isExhausted(sc)) this.postpone(me);
    else this.possibleSwitchTo(me);
  }

  protected postpone(me: Name): void {
    this.removeFromScheduling(me);
    this.awaitBudget(me);
    if (me === this.current) this.reschedule();
    const { core } = this.thread(me);
    if (core !== this.here && this.coreOf(me).release[0] === me) this.asked.add(core);
  }
  private awaitBudget(me: Name): void {
    const timeOf = (thread: Name): bigint => this.contextOf(thread)!.refills[0].time;
    const others = this.coreOf(me).release.filter((other) => other !== me);
    const later = others.findIndex((other) => timeOf(other) > timeOf(me));
    this.coreOf(me).release = others.toSpliced(later < 0 ? others.length : later, 0, me);
  }
  private releaseReady(): void {
    const { release } = this.core;
    while (release.length > 0 && this.isReady(this.contextOf(release[0])!))
      this.possibleSwitchTo(release.shift()!);
  }

  private chargeTime(): void {
    const { charging } = this.core;
    if (!charging) return;
    const sc = this.state.contexts.get(charging.sc)!;
    const usage = this.now - charging.since;
    charging.since = this.now;
    sc.consumed += usage;
    if (!isAccounted(sc)) return;
    Refills.charge(sc, usage);
    // One that another core took away may wait by now, and waits longer then.
    if (sc.thread !== 0 && this.coreOf(sc.thread).release.includes(sc.thread)) this.awaitBudget(sc.thread);
  }
  /** Whoever runs from now on is charged from now on. */
  private beginTime(): void {
    const { current, core } = this;
    if (current !== 0) this.completeYieldTo(current);
    if (current !== 0 && this.state.domainEnd !== 0n) this.thread(current).underWay = true;
    const accounted = [...this.state.contexts].find(([, sc]) => sc.thread === current && isAccounted(sc));
    if (current !== 0 && accounted && accounted[0] === core.charging?.sc) return;
    this.chargeTime();
    core.charging = undefined;
    if (current === 0 || !accounted) return;
    const [name, sc] = accounted;
    core.charging = { sc: name, since: this.now };
    if (!sc.sporadic) Refills.unblock(sc, this.now);
  }
  /** Section 6.1.5: microseconds since this was last asked. */
  protected takeConsumed(sc: SchedContext): bigint {
    const { consumed } = sc;
    sc.consumed = 0n;
    return consumed / 1000n;
  }

  // ---- Scheduling contexts that change hands (sections 6.1.6 to 6.1.8) ----

  protected bindContext(sc: SchedContext, to: Name): void {
    sc.thread = to;
    this.thread(to).core = sc.core;
    this.wakeUp(to);
  }
  /** Lends a context: its thread stays on its core, whose engine has its program. */
  protected donate(sc: SchedContext, to: Name): void {
    this.takeContext(sc);
    sc.thread = to;
  }
  protected takeContext(sc: SchedContext | undefined): void {
    if (!sc || sc.thread === 0) return;
    this.removeFromScheduling(sc.thread);
    if (sc.thread === this.current) this.reschedule();
    sc.thread = 0;
  }

  /** `SchedContext_YieldTo` (section 6.1.8): who yields is told what the other has consumed, when it runs again. */
  protected yieldTo(me: Name, name: Name): 'later' | bigint[] {
    const sc = this.state.contexts.get(name)!;
    const to = sc.thread;
    this.completeYieldsTo(name);
    if (this.isSchedulable(to) && this.coreOf(to).current !== to) {
      const isLess = this.coreOf(to) !== this.core || this.thread(to).priority < this.thread(me).priority;
      this.dequeue(to);
      if (!isLess) {
        Object.assign(this.thread(me), { yieldTo: name, underWay: false });
        this.reschedule();
        this.enqueue(me, 'first');
      }
      this.enqueue(to, 'first');
      if (!isLess) return 'later';
    }
    return [this.takeConsumed(sc)];
  }
  protected completeYieldTo(me: Name): void {
    const thread = this.thread(me);
    const sc = this.state.contexts.get(thread.yieldTo);
    if (sc) this.answer(thread, SeL4Error.NoError, [this.takeConsumed(sc)]);
    thread.yieldTo = 0;
  }
  protected completeYieldsTo(name: Name): void {
    for (const [me, { yieldTo }] of this.state.threads) if (yieldTo === name) this.completeYieldTo(me);
  }
}
