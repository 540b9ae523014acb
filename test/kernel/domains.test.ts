/** Scheduling domains: threads of one domain run at a time, by a schedule. The test owns the clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights, SeL4Error } from '../../kernel/api/constants.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { IMAGES, Machine, refuses, type Thread } from './machine.js';

const [REPLY, EP, N, WAKE] = [4, 5, 6, 7];
/** Microseconds of the turns of domain 1 and 2. */
const [FIRST, SECOND] = [100, 50];

type Entry = readonly [domain: number, microseconds: number];

const configure = (m: Machine, at: number, entries: readonly Entry[]): void =>
  entries.forEach(([domain, time], index) => {
    m.invoke(InitialSlot.Domain, Invocation.DomainScheduleConfigure, [at + index, domain, time * 1000]);
  });
/** The schedule is this one from now on, and the initial thread sleeps. */
const begin = (m: Machine, entries: readonly Entry[]): void => {
  configure(m, 0, entries);
  m.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [0]);
  m.sleep();
};
const setDomain = (m: Machine, thread: Thread, domain: number): unknown =>
  m.invoke(InitialSlot.Domain, Invocation.DomainSetSet, [domain], [thread.cptr]);

describe('domains (unicore)', { skip: !IMAGES.includes('unicore') }, () => {
  /** Threads `low` and `high` of domain 1, and `other` of domain 2 whose priority is between theirs. All are ready. */
  const world = (
    entries: readonly Entry[] = [
      [1, FIRST],
      [2, SECOND],
    ],
  ) => {
    const m = new Machine({ domains: 3 });
    const ntfn = m.create(ObjectType.Notification);
    const wake = m.create(ObjectType.Notification);
    const ep = m.create(ObjectType.Endpoint);
    const thread = (priority: number, domain: number): Thread => {
      const made = m
        .thread({ priority, mcp: 255 })
        .give(N, ntfn)
        .give(WAKE, wake, Rights.All, 1n)
        .give(EP, ep);
      setDomain(m, made, domain);
      return made.give(REPLY, m.create(ObjectType.Reply));
    };
    const [low, high, other] = [thread(40, 1), thread(60, 1), thread(50, 2)];
    begin(m, entries);
    return { m, low, high, other };
  };
  const at = (m: Machine, time: number): Thread | undefined => {
    m.time = time;
    const now = m.threadOf(m.kernels[0].timer());
    checkInvariants(m.image());
    return now;
  };

  it('a thread runs in the turn of its domain, however urgent it is', () => {
    const { m, low, high, other } = world();
    const start = m.time;
    assert.equal(m.current(), high);
    assert.equal(high.wait(N), low, 'of the same domain, though that of the other is more urgent');
    assert.equal(low.wait(N), undefined, 'nobody of this domain is left');
    assert.equal(m.kernels[0].deadline(), (start + FIRST) * 1000, 'one of the next is');
    assert.equal(at(m, start + FIRST - 1), undefined);
    assert.equal(at(m, start + FIRST), other);
    assert.equal(other.wait(WAKE), undefined);
    assert.equal(m.kernels[0].deadline(), 0, 'nobody of any domain waits for a turn');
    assert.equal(at(m, start + FIRST + SECOND), undefined, 'the first again');
    m.time += FIRST;
    assert.equal(at(m, m.time), undefined, 'and the second');
  });

  it('a thread whose budget is back when it goes to another domain waits for that', () => {
    const m = new Machine({ domains: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const limited = m.thread({ priority: 50 }).give(N, ntfn);
    const other = m.thread({ priority: 40 }).give(EP, InitialSlot.Domain).give(N, limited.cptr);
    const budget = [20, 100, 0, 0, 0];
    const label = Invocation.SchedControlConfigureFlags;
    m.invoke(InitialSlot.FirstSchedControl, label, budget, [limited.schedContext]);
    m.sleep();
    m.time += 20;
    assert.equal(limited.wait(N), other, 'its budget is used up');
    m.time += 80;
    assert.equal(other.call(EP, [1], Invocation.DomainSetSet, [N]), other);
    checkInvariants(m.image());
  });

  it('the schedule goes on from entry to entry, and from its end to its start', () => {
    const m = new Machine({ domains: 3 });
    const ntfn = m.create(ObjectType.Notification);
    const threads = [0, 1, 2].map((domain) => {
      const thread = m.thread().give(N, ntfn);
      setDomain(m, thread, domain);
      return thread;
    });
    configure(m, 0, [[2, 10]]);
    configure(m, 3, [
      [1, 20],
      [2, 30],
      [0, 40],
      [1, 50],
      [0, 0],
      [2, 1],
    ]);
    m.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [3]);
    m.sleep();
    for (const [domain, length] of [
      [1, 20],
      [2, 30],
      [0, 40],
      [1, 50],
      [1, 20],
      [2, 30],
    ]) {
      const turn = m.time;
      assert.equal(m.current(), threads[domain]);
      m.time = turn + length - 1;
      assert.equal(threads[domain].nbWait(N), threads[domain], 'an event earlier its turn goes on');
      m.time = turn + length;
      threads[domain].nbWait(N);
      checkInvariants(m.image());
    }
    assert.equal(m.current(), threads[0]);
  });

  it('a handler is not cut short, nor the one that it calls', () => {
    const { m, low, high, other } = world();
    const start = m.time;
    assert.equal(high.recv(EP, REPLY), low);
    m.time = start + FIRST + 1;
    assert.equal(low.signal(WAKE), low, 'it goes on beyond its turn');
    assert.equal(low.call(EP), high, 'and so does its server');
    assert.equal(at(m, m.time + 1), high);
    assert.equal(high.replyRecv(EP, REPLY), low, 'and it again');
    assert.equal(low.wait(N), other, 'until it is done');
    const turn = m.time;
    assert.equal(other.wait(WAKE), other, 'there is an event for it');
    m.time = turn + SECOND - 1;
    assert.equal(other.nbWait(WAKE), other, 'the next turn has its whole length');
    m.time = turn + SECOND;
    assert.equal(other.nbWait(WAKE), undefined);
  });

  /** Threads of domain 1 and 2, in turns of so many microseconds, that have an event whenever they look for one. */
  const busy = (...lengths: readonly [number, number]) => {
    const m = new Machine({ domains: 3 });
    const ntfn = m.create(ObjectType.Notification);
    const [first, second] = [1, 2].map((domain) => {
      const thread = m.thread().give(N, ntfn);
      setDomain(m, thread, domain);
      return thread;
    });
    begin(m, [
      [1, lengths[0]],
      [2, lengths[1]],
    ]);
    const handle = (microseconds: number): Thread | undefined => {
      m.time += microseconds;
      m.current()!.nbWait(N);
      checkInvariants(m.image());
      return m.current();
    };
    return { m, first, second, handle };
  };

  it('what a turn was exceeded by is made good in the next', () => {
    const { m, first, second, handle } = busy(100, 40);
    assert.equal(m.current(), first);
    assert.equal(handle(350), second, '250 too much');
    assert.equal(handle(39), second);
    assert.equal(handle(1), second, 'the other has no turn: 150 are left');
    assert.equal(handle(40), second, 'nor the next: 50 are left');
    assert.equal(handle(40), first, 'half of one');
    assert.equal(handle(49), first);
    assert.equal(handle(1), second);
    assert.equal(handle(40), first);
    assert.equal(handle(99), first, 'all is made good');
    assert.equal(handle(1), second);
  });

  it('where all have exceeded their turns by much, the next has its turn all the same', () => {
    const { m, first, second, handle } = busy(1, 1);
    assert.equal(handle(1001), second, '1000 too much');
    assert.equal(handle(1001), first, 'and the other: after 255 entries that are left out, it is its turn');
    const overruns = (): bigint[] => [1, 2].map((domain) => m.image().core(domain).overrun / 1000n);
    assert.deepEqual(overruns(), [1000n - 128n, 1000n - 127n]);
    assert.equal(handle(1), second, 'the same again');
    assert.deepEqual(overruns(), [1000n - 128n - 127n, 1000n - 127n - 128n]);
    for (let i = 0; i < 12; i++) handle(1);
    assert.deepEqual(overruns(), [0n, 0n]);
  });

  it('each gets its share over time, whatever its handlers take', () => {
    const { m, first, handle } = busy(30, 10);
    let used = 0;
    let seed = 1;
    const start = m.time;
    while (m.time < start + 100_000) {
      seed = (seed * 48271) % 2147483647;
      const length = 1 + (seed % (m.current() === first ? 70 : 5));
      if (m.current() === first) used += length;
      handle(length);
    }
    const share = used / (m.time - start);
    assert.ok(Math.abs(share - 0.75) < 0.002, `${share}`);
  });

  it('what nobody ran in is not made good', () => {
    const { m, low, high, other } = world();
    assert.equal(high.wait(N), low);
    assert.equal(low.wait(N), undefined);
    assert.equal(at(m, m.time + 5 * FIRST), other, 'late, but it was idle');
    assert.equal(m.image().core(1).overrun, 0n);
  });

  it('no event starts a handler when the turn is over', () => {
    const { m, low, high, other } = world();
    assert.equal(high.wait(WAKE), low);
    m.time += FIRST;
    low.compose([], 0);
    const turn = m.threadOf(m.kernels[0].nbSendRecv(WAKE, EP, REPLY));
    assert.equal(turn, other, 'though the other of its domain could run');
    m.time += SECOND;
    assert.equal(other.wait(N), high, 'in its turn it does');
    assert.equal(high.badge, 1n);
  });

  it('whoever is in the middle of a handler goes on when the turn is over, before all that events start', () => {
    const { m, low, high, other } = world();
    const start = m.time;
    assert.equal(high.wait(WAKE), low);
    m.time = start + FIRST;
    assert.equal(low.signal(WAKE), low, 'it is in the middle, and so more urgent than who is woken');
    assert.equal(low.wait(N), other);
    m.time += SECOND;
    assert.equal(other.wait(N), high);
  });

  it('whoever is in the middle of a handler goes on before its equal that has received from it', () => {
    const m = new Machine({ domains: 2 });
    const ep = m.create(ObjectType.Endpoint);
    const [sender, receiver] = [1, 2].map(() => {
      const thread = m.thread({ priority: 60 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      setDomain(m, thread, 1);
      return thread;
    });
    begin(m, [
      [1, FIRST],
      [0, SECOND],
    ]);
    if (m.current() === receiver) receiver.yieldCore();
    assert.equal(sender.send(EP, [1]), receiver, 'it waits, since nobody receives');
    assert.equal(receiver.recv(EP, REPLY), sender);
    assert.deepEqual(receiver.message.words, [1n]);
    assert.equal(m.image().core(1).head(60), receiver.tcb);
    checkInvariants(m.image());
  });

  it('and before its equal that one woke which waits now', () => {
    const m = new Machine({ domains: 2 });
    const [first, second] = [1, 2].map(() => m.create(ObjectType.Notification));
    const ep = m.create(ObjectType.Endpoint);
    const low = m.thread({ priority: 60 }).give(WAKE, second);
    const equal = m.thread({ priority: 60 }).give(N, first);
    const high = m.thread({ priority: 70 }).give(N, second).give(WAKE, first).give(EP, ep);
    for (const thread of [low, equal, high]) setDomain(m, thread, 1);
    high.give(REPLY, m.create(ObjectType.Reply));
    begin(m, [
      [1, FIRST],
      [0, SECOND],
    ]);
    high.wait(N);
    if (m.current() === low) low.yieldCore();
    assert.equal(equal.wait(N), low);
    assert.equal(low.signal(WAKE), high, 'in the middle of its handler');
    high.compose([], 0);
    assert.equal(m.threadOf(m.kernels[0].nbSendRecv(WAKE, EP, REPLY)), low);
    assert.equal(m.image().core(1).head(60), equal.tcb);
    checkInvariants(m.image());
  });

  it('but nobody goes on in place of who runs, only since that is done with its handler', () => {
    const m = new Machine({ domains: 2 });
    const [first, second] = [1, 2].map(() => m.create(ObjectType.Notification));
    const ep = m.create(ObjectType.Endpoint);
    const sender = m.thread({ priority: 60 }).give(EP, ep).give(N, first);
    const equal = m.thread({ priority: 60 }).give(WAKE, second);
    const high = m.thread({ priority: 70 }).give(N, second).give(EP, ep);
    for (const thread of [sender, equal, high]) setDomain(m, thread, 1);
    high.give(REPLY, m.create(ObjectType.Reply));
    begin(m, [
      [1, FIRST],
      [0, SECOND],
    ]);
    high.wait(N);
    if (m.current() === equal) equal.yieldCore();
    assert.equal(sender.send(EP, [1]), equal);
    assert.equal(equal.signal(WAKE), high);
    assert.equal(high.recv(EP, REPLY), high);
    assert.equal(high.wait(N), sender, 'both are in the middle, and it was woken later');
    assert.equal(sender.nbWait(N), sender);
  });

  it('who is woken in the turn of another domain is the first of its equals in its own', () => {
    const m = new Machine({ domains: 3 });
    const ntfns = [1, 2].map(() => m.create(ObjectType.Notification));
    const waiting = ntfns.map((ntfn) => m.thread({ priority: 50 }).give(N, ntfn));
    const waker = m.thread({ priority: 50 }).give(WAKE, ntfns[0]).give(EP, ntfns[1]);
    for (const thread of waiting) setDomain(m, thread, 2);
    setDomain(m, waker, 1);
    begin(m, [
      [2, SECOND],
      [1, FIRST],
    ]);
    for (let count = 0; count < 2; count++) m.current()!.wait(N);
    assert.equal(at(m, m.time + SECOND), waker);
    waker.signal(WAKE);
    waker.signal(EP);
    m.time += FIRST;
    assert.equal(waker.nbWait(EP), waiting[1]);
    assert.equal(m.image().core(2).head(50), waiting[0].tcb);
  });

  it('nor is who was woken before, under another handler', () => {
    const m = new Machine({ domains: 2 });
    const [first, second] = [1, 2].map(() => m.create(ObjectType.Notification));
    const low = m.thread({ priority: 0 }).give(N, first).give(WAKE, second);
    const between = m.thread({ priority: 50 }).give(N, first);
    const equal = m.thread({ priority: 0 }).give(N, first);
    const high = m.thread({ priority: 60 }).give(N, second).give(WAKE, first);
    for (const thread of [low, between, equal, high]) setDomain(m, thread, 1);
    begin(m, [
      [1, 100],
      [0, 50],
    ]);
    assert.equal(high.wait(N), between);
    between.wait(N);
    if (m.current() === low) low.yieldCore();
    assert.equal(equal.wait(N), low);
    assert.equal(low.signal(WAKE), high, 'on top of the handler of the first');
    assert.equal(high.signal(WAKE), high);
    assert.equal(high.signal(WAKE), high, 'both are woken');
    assert.equal(m.image().core(1).head(0), low.tcb, 'who is in the middle stays before its equals');
    m.time += 100;
    assert.equal(high.wait(N), low);
    assert.equal(low.nbWait(WAKE), undefined, 'and the turn is over');
    checkInvariants(m.image());
    m.time += 50;
    assert.equal(m.threadOf(m.kernels[0].timer()), between);
  });

  it('one that yields to another is done for now', () => {
    const m = new Machine({ domains: 2 });
    const [a, b] = [1, 2].map(() => m.thread({ priority: 40, mcp: 255 }));
    for (const thread of [a, b]) thread.give(N, a.schedContext).give(WAKE, b.schedContext);
    m.sleep();
    const [first, second] = m.current() === a ? [a, b] : [b, a];
    assert.equal(first.call(first === a ? WAKE : N, [], Invocation.SchedContextYieldTo), second);
  });

  it('one that gives way is done for now', () => {
    const { m, high, other } = world();
    assert.equal(high.yieldCore(), high, 'the most urgent of its domain');
    m.time += FIRST;
    assert.equal(high.yieldCore(), other);
  });

  it('a server of another domain answers in its own turn', () => {
    const m = new Machine({ domains: 2 });
    const ep = m.create(ObjectType.Endpoint);
    const client = m.thread({ priority: 40 }).give(EP, ep);
    const server = m.thread({ priority: 50 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
    m.sleep();
    assert.equal(server.recv(EP, REPLY), client);
    setDomain(m, server, 1);
    configure(m, 0, [
      [0, 10],
      [1, 20],
    ]);
    m.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [0]);
    assert.equal(m.current(), client);
    const start = m.time;
    assert.equal(client.call(EP, [7]), undefined, 'the server is not in its turn');
    assert.equal(m.kernels[0].deadline(), (start + 10) * 1000);
    assert.equal(at(m, start + 10), server);
    assert.deepEqual(server.message.words, [7n]);
    assert.equal(server.replyRecv(EP, REPLY, [8]), undefined, 'the client is not in its turn');
    assert.equal(at(m, start + 30), client);
    assert.deepEqual(client.message.words, [8n]);
  });

  it('a budget that comes back in the turn of another domain is used in the next of its own', () => {
    const m = new Machine({ domains: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const limited = m.thread({ priority: 60 }).give(N, ntfn, Rights.All, 1n);
    const other = m.thread({ priority: 50 }).give(N, ntfn, Rights.All, 2n);
    const control = InitialSlot.FirstSchedControl;
    m.invoke(control, Invocation.SchedControlConfigureFlags, [20, 60, 0, 0, 0], [limited.schedContext]);
    setDomain(m, limited, 1);
    begin(m, [
      [1, 40],
      [0, 50],
    ]);
    const start = m.time;
    assert.equal(m.current(), limited);
    limited.signal(N);
    m.time = start + 20;
    assert.equal(limited.wait(N), undefined, 'its budget is used up, and its turn goes on');
    assert.equal(m.kernels[0].deadline(), (start + 40) * 1000, 'that of the other is next');
    assert.equal(at(m, start + 40), other);
    assert.equal(at(m, start + 60), other, 'the budget is back, but not the turn');
    m.time = start + 90;
    assert.equal(other.nbWait(N), limited);
    limited.clearRedo();
    limited.signal(N);
    m.time = start + 109;
    assert.equal(limited.wait(N), limited, '19 of 20 used');
  });

  it('a thread that is moved runs no more before the turn of its new domain', () => {
    const { m, low, high, other } = world([
      [0, 10],
      [1, FIRST],
      [2, SECOND],
    ]);
    assert.equal(m.current(), undefined);
    assert.equal(at(m, m.time + 10), high);
    assert.equal(m.image().thread(high.tcb).domain, 1);
    // The initial thread moves it, and then itself.
    m.kernels[0].interrupt(63);
    assert.equal(high.wait(N), low);
    m.time += FIRST;
    assert.equal(low.wait(N), other);
    m.time += SECOND;
    assert.equal(other.wait(N), m.root);
    setDomain(m, high, 2);
    m.invoke(high.cptr, Invocation.TCBResume);
    m.invoke(InitialSlot.Domain, Invocation.DomainSetSet, [1], [InitialSlot.ThreadTCB]);
    assert.equal(m.current(), undefined);
    checkInvariants(m.image());
    assert.equal(at(m, m.time + 10), m.root);
    m.sleep();
    assert.equal(at(m, m.time + FIRST), high);
  });

  it('another schedule begins at once, or when the handler is done that begins it', () => {
    const { m, high, other } = world([
      [0, 10],
      [1, FIRST],
    ]);
    m.kernels[0].interrupt(63);
    assert.equal(m.current(), m.root);
    configure(m, 5, [
      [2, SECOND],
      [0, 20],
    ]);
    m.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [5]);
    assert.equal(m.current(), m.root);
    m.sleep();
    assert.equal(m.current(), other);
    m.time += SECOND;
    assert.equal(other.wait(N), undefined);
    assert.equal(at(m, m.time + 20), undefined);
    assert.equal(m.image().thread(high.tcb).domain, 1, 'whose domain is in it no more');
  });

  it('the floor of a domain keeps back nobody of another', () => {
    const { m, low, high, other } = world();
    assert.equal(high.wait(N), low);
    m.kernels[0].setFloor(high.tcb, 1);
    assert.equal(m.current(), undefined);
    assert.equal(at(m, m.time + FIRST), other);
    m.kernels[0].setFloor(0, 1);
    assert.equal(m.current(), other);
    m.time += SECOND;
    assert.equal(other.wait(N), low);
    checkInvariants(m.image());
  });

  it('a thread that ends is the floor of no domain any more', () => {
    const { m, low, high, other } = world([
      [0, 10],
      [1, FIRST],
      [2, SECOND],
    ]);
    m.kernels[0].setFloor(high.tcb, 1);
    assert.equal(m.image().core(1).floor, high.tcb);
    m.kernels[0].interrupt(63);
    m.delete(high.cptr);
    assert.equal(m.image().core(1).floor, 0);
    m.sleep();
    assert.equal(at(m, m.time + 10), low);
    m.time += FIRST;
    assert.equal(low.wait(N), other);
  });

  it('is what the invariant checker looks at', () => {
    const { m, low, high } = world();
    const core = m.kernels[0].currentAddress();
    const schedule = m.base + 6144;
    checkInvariants(m.image());
    const breaks: readonly (readonly [address: number, word: number, what: RegExp])[] = [
      [core + 156, 2, /domain's turn it is not/],
      [core + 156, 3, /domain 3 is none of 3/],
      [core + 160, 255, /the domain schedule has no end/],
      [core + 164, 2, /the domain schedule begins with its end/],
      [schedule + 8 * 255, 1, /the domain schedule has no end/],
      [schedule + 8 + 4, 3 << 24, /entry 1 of the domain schedule is none/],
      [schedule + 16 + 4, 1 << 24, /entry 2 of the domain schedule is none/],
      [core + 12, 0, /the turns of domains do not end/],
      [low.tcb + 148, 0, /is ready but should not be/],
      [high.tcb + 148, 2 << 8, /domain's turn it is not/],
    ];
    for (const [address, word, what] of breaks) {
      const before = m.u32(address);
      m.setU32(address, word);
      assert.throws(() => checkInvariants(m.image()), what);
      m.setU32(address, before);
    }
    checkInvariants(m.image());
  });

  it('refuses what seL4 refuses', () => {
    const m = new Machine({ domains: 3 });
    const tcb = m.create(ObjectType.TCB);
    assert.equal(m.image().thread(m.objectAt(tcb)).domain, 0, 'a new thread is in domain 0');
    const call =
      (label: Invocation, words: (number | bigint)[], caps: number[] = []) =>
      () =>
        m.invoke(InitialSlot.Domain, label, words, caps);
    const { DomainSetSet, DomainScheduleConfigure, DomainScheduleSetStart } = Invocation;
    refuses(call(DomainSetSet, [], [tcb]), SeL4Error.TruncatedMessage);
    refuses(call(DomainSetSet, [3]), SeL4Error.InvalidArgument, [0]);
    refuses(call(DomainSetSet, [2]), SeL4Error.TruncatedMessage);
    refuses(call(DomainSetSet, [2], [InitialSlot.CNode]), SeL4Error.InvalidArgument, [1]);
    refuses(call(DomainScheduleConfigure, [1, 1]), SeL4Error.TruncatedMessage);
    refuses(call(DomainScheduleConfigure, [255, 9, 1]), SeL4Error.RangeError, [0, 254]);
    refuses(call(DomainScheduleConfigure, [254, 3, 1]), SeL4Error.RangeError, [0, 2]);
    refuses(call(DomainScheduleConfigure, [1, 1, 1n << 56n]), SeL4Error.InvalidArgument, [2]);
    refuses(call(DomainScheduleConfigure, [1, 1, 0]), SeL4Error.InvalidArgument, [1]);
    refuses(call(DomainScheduleConfigure, [0, 0, 0]), SeL4Error.InvalidArgument, [2]);
    refuses(call(DomainScheduleSetStart, []), SeL4Error.TruncatedMessage);
    refuses(call(DomainScheduleSetStart, [255]), SeL4Error.RangeError, [0, 254]);
    refuses(call(DomainScheduleSetStart, [1]), SeL4Error.InvalidArgument, [0]);
    refuses(call(Invocation.TCBSuspend, []), SeL4Error.IllegalOperation);
    m.invoke(InitialSlot.Domain, DomainScheduleConfigure, [254, 2, (1n << 56n) - 1n]);
    m.invoke(InitialSlot.Domain, DomainScheduleSetStart, [254]);
    m.sleep();
    assert.equal(m.image().core(0).scheduleIndex, 254);
  });

  it('there is one domain unless more are asked for, and no more than 256', () => {
    const two = new Machine({ domains: 2 });
    const least = two.thread({ priority: 0 });
    two.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [0]);
    setDomain(two, least, 1);
    configure(two, 1, [[1, 10]]);
    two.sleep();
    assert.equal(two.current(), undefined, 'the first entry is domain 0, for good');
    assert.notEqual(two.kernels[0].deadline(), 0, 'though another waits, however little urgent');
    const one = new Machine();
    const thread = one.thread();
    refuses(() => setDomain(one, thread, 1), SeL4Error.InvalidArgument, [0]);
    assert.deepEqual(setDomain(one, thread, 0), []);
    configure(one, 0, [[0, 1]]);
    one.invoke(InitialSlot.Domain, Invocation.DomainScheduleSetStart, [0]);
    one.time += 10;
    one.sleep();
    assert.equal(one.current(), thread);
    assert.equal(one.image().core(0).timed, 0, 'no time is accounted');
    assert.equal(new Machine({ domains: 256 }).image().domains, 256);
    assert.throws(() => new Machine({ domains: 257 }), /the kernel boots/);
  });
});
