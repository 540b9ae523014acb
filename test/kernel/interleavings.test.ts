/** The lock, the inter-processor interrupts, and how cores idle, park and wake, in all interleavings of a cluster's cores. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { isIdle } from '../../src/core/core.js';
import { ExploredCluster, isLock, TAKEN, type Call, type Scenario } from './explored-cluster.js';
import { Violation, type Access, type Model, type Options, type Process } from './interleavings.js';

const full = process.env['ATOLL_INTERLEAVINGS'] === 'full';
/** What can happen under SC can under TSO. */
const MODELS: readonly Model[] = full ? ['SC', 'TSO'] : ['TSO'];
const EP = 5;
const REPLY = 4;
const N = 6;
const PEER = 7;
const HANDLER = 8;
const NEVER = 9;
/** Of a core's shared line, as src/machine/interrupts.ts has it. */
const PARKED_WORD = 14;

const wait: Call = ({ kernel }) => kernel.wait(N);
const signal: Call = ({ kernel, tcb }) => kernel.signal(PEER, tcb);
const lastWait: Call = ({ kernel }) => kernel.wait(NEVER);

/** Each core enters the kernel so many times and does nothing there. */
const entries = (cores: number, times: number): Scenario => ({
  cores,
  programs: (m) =>
    Array.from({ length: cores }, (_, core) => ({
      thread: m.thread({ core }).give(NEVER, m.create(ObjectType.Notification)),
      script: [...Array<Call>(times).fill(({ kernel }) => kernel.nbWait(NEVER)), lastWait],
    })),
});

/** A ring of cores: each waits for its predecessor's signal and sends one to its successor. */
const turns = (cores: number, rounds: number): Scenario => ({
  cores,
  programs: (m) => {
    const notifications = Array.from({ length: cores }, () => m.create(ObjectType.Notification));
    return notifications.map((own, core) => ({
      thread: m
        .thread({ core })
        .give(N, own, Rights.Read)
        .give(PEER, notifications[(core + 1) % cores], Rights.Write, 1n)
        .give(NEVER, m.create(ObjectType.Notification)),
      script: [
        ...Array<Call[]>(rounds)
          .fill(core === 0 ? [signal, wait] : [wait, signal])
          .flat(),
        lastWait,
      ],
    }));
  },
});

/** A program calls, and finds the answer to its own call. */
const callAndCheck: readonly Call[] = [
  (program) => {
    program.message(0, 1, 100 * program.core.id + ++program.count);
    return program.kernel.call(EP, program.tcb);
  },
  (program) => {
    const answer = 100 * program.core.id + program.count + 1;
    assert.equal(program.register(Register.MR0), answer, 'the answer to its own call');
    return program.handle;
  },
];
const receive: Call = ({ kernel }) => kernel.recv(EP, REPLY);
const answer: Call = (program) => {
  program.message(0, 1, program.register(Register.MR0) + 1);
  return program.kernel.replyRecv(EP, REPLY, program.tcb);
};

/** Clients on all other cores call a server on core 1. */
const calls = (cores: number, rounds: number): Scenario => ({
  cores,
  programs: (m) => {
    const ep = m.create(ObjectType.Endpoint);
    const never = m.create(ObjectType.Notification);
    return Array.from({ length: cores }, (_, core) => {
      const thread = m.thread({ core }).give(EP, ep);
      if (core === 1)
        return {
          thread: thread.give(REPLY, m.create(ObjectType.Reply)),
          script: [receive, ...Array<Call>(rounds * (cores - 1)).fill(answer)],
        };
      return {
        thread: thread.give(NEVER, never),
        script: [...Array<readonly Call[]>(rounds).fill(callAndCheck).flat(), lastWait],
      };
    });
  },
});

/** A client on core 0 calls a server on core 1, which calls one on core 2 before it answers. */
const callsThrough = (rounds: number): Scenario => ({
  cores: 3,
  programs: (m) => {
    const [outer, inner] = [m.create(ObjectType.Endpoint), m.create(ObjectType.Endpoint)];
    const pass: Call = (program) => {
      program.message(0, 1, program.register(Register.MR0) + 1);
      return program.kernel.call(PEER, program.tcb);
    };
    const passBack: Call = (program) => {
      program.message(0, 1, program.register(Register.MR0) - 1);
      return program.kernel.replyRecv(EP, REPLY, program.tcb);
    };
    const server = (core: number, ep: number) =>
      m.thread({ core }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
    return [
      {
        thread: m.thread().give(EP, outer).give(NEVER, m.create(ObjectType.Notification)),
        script: [...Array<readonly Call[]>(rounds).fill(callAndCheck).flat(), lastWait],
      },
      {
        thread: server(1, outer).give(PEER, inner),
        script: [receive, ...Array<Call[]>(rounds).fill([pass, passBack]).flat()],
      },
      { thread: server(2, inner), script: [receive, ...Array<Call>(rounds).fill(answer)] },
    ];
  },
});

/** A thread is suspended and resumed by the other core while it makes system calls: each is done once. */
const suspensions: Scenario = {
  cores: 2,
  programs: (m) => {
    const counted = m.create(ObjectType.Notification);
    const never = m.create(ObjectType.Notification);
    const target = m.thread({ core: 1 }).give(PEER, counted, Rights.Write, 1n).give(NEVER, never);
    const order =
      (label: number): Call =>
      (program) =>
        program.invoke(HANDLER, label);
    const noMore: Call = (program) => {
      assert.equal(program.register(Register.Badge), 0, 'the signal is sent once');
      return program.kernel.wait(NEVER);
    };
    return [
      {
        thread: m.thread().give(HANDLER, target.cptr).give(N, counted, Rights.Read).give(NEVER, never),
        script: [
          wait,
          order(Invocation.TCBSuspend),
          order(Invocation.TCBResume),
          ({ kernel }) => kernel.nbWait(N),
          noMore,
        ],
      },
      { thread: target, script: [signal, lastWait] },
    ];
  },
};

/**
 * Another cluster rings a line of core 0, so often, and counts in memory that it has. On core 1 waits the line's
 * handler; it acknowledges, then reads the count, until it has seen all.
 */
const rings = (line: number, times: number): Scenario => ({
  cores: 2,
  lines: [line],
  programs: (m, { words }) => {
    const notification = m.create(ObjectType.Notification);
    const handler = m.handler(line, notification);
    const again: Call = (program) => {
      if (Atomics.load(words, 0) < times) program.position -= 3;
      return program.handle;
    };
    return [
      {
        thread: m
          .thread({ core: 1 })
          .give(N, notification, Rights.Read)
          .give(HANDLER, handler)
          .give(NEVER, m.create(ObjectType.Notification)),
        script: [wait, (program) => program.invoke(HANDLER, Invocation.IRQAckIRQ), again, lastWait],
      },
    ];
  },
  others: (cluster) => {
    const device = cluster.device(2);
    const outside = { rung: 0 };
    const ring = {
      objects: [outside],
      isDone: () => outside.rung === times,
      step: () => {
        if (outside.rung === times) cluster.explorer.end();
        Atomics.add(cluster.words, 0, 1);
        device.sendSGI(0, line);
        outside.rung++;
      },
    };
    return [ring];
  },
});

/** Somebody asks, at any moment, whether the machine is idle for good; if it is, all is done. */
const observed = (scenario: Scenario): Scenario => ({
  ...scenario,
  isObserved: true,
  others: (cluster) => {
    const observer = { asked: false };
    const process: Process = {
      objects: [observer],
      isDone: () => observer.asked,
      step: () => {
        if (observer.asked) cluster.explorer.end();
        if (isIdle(cluster.orders, cluster.interrupts)) assert(cluster.allDone(), 'it was idle for good');
        observer.asked = true;
      },
    };
    return [process];
  },
});

const lockAtOnce = (scenario: Scenario): Scenario => ({ ...scenario, lockAtOnce: true });

type Bug = (cluster: ExploredCluster, access: Access) => ReturnType<NonNullable<Options['bug']>>;

const explore = (scenario: Scenario, model: Model, bug?: Bug) => {
  const cluster = new ExploredCluster(scenario);
  return cluster.explore({ model, ...(bug && { bug: (access: Access) => bug(cluster, access) }) });
};

const QUICK: Readonly<Record<string, Scenario>> = {
  'two cores enter the kernel, three times each': entries(2, 3),
  'three cores enter the kernel': entries(3, 1),
  'two cores signal and wait in turns': turns(2, 2),
  'a call crosses, and so does its reply': calls(2, 2),
  'a thread that the other core suspends and resumes makes each call once': suspensions,
  'a doorbell that another cluster rings, acknowledged by the other core': rings(2, 1),
  'nobody takes a machine for idle that is not': observed(turns(2, 1)),
};

const FULL: typeof QUICK = {
  'three cores enter the kernel, twice each': entries(3, 2),
  'three cores signal and wait in turns': turns(3, 1),
  'a doorbell that rings twice': rings(2, 2),
  'a line that shares its word with others': rings(20, 2),
};

/** What takes minutes, under the model that can do all that the other can. */
const LARGE: typeof QUICK = {
  'three cores signal and wait in turns, twice': lockAtOnce(turns(3, 2)),
  'a server calls a third core before it answers': callsThrough(1),
  'calls among three cores': calls(3, 1),
  'calls among three cores, twice': lockAtOnce(calls(3, 2)),
};

describe('all interleavings of a cluster', () => {
  for (const [what, scenario] of Object.entries(full ? { ...QUICK, ...FULL, ...LARGE } : QUICK)) {
    for (const model of what in LARGE ? (['TSO'] as const) : MODELS) {
      it(`${what} (${model})`, (t) => {
        const { states, transitions, finals } = explore(scenario, model);
        assert(states > 500 && finals > 0, `${states} states, of which ${finals} are final`);
        t.diagnostic(`${states} states, ${transitions} transitions, ${finals} ends`);
      });
    }
  }
});

it('with the lock at once there are fewer states, and the same ends', () => {
  for (const scenario of [entries(3, 1), turns(2, 1), calls(2, 1), suspensions]) {
    const [all, fewer] = [explore(scenario, 'TSO'), explore(lockAtOnce(scenario), 'TSO')];
    assert(fewer.states < all.states, `${fewer.states} and ${all.states} states`);
    assert.equal(fewer.finals, all.finals);
  }
});

describe('bugs that the interleavings show', () => {
  const finds = (what: string, scenario: Scenario, expected: RegExp, bug?: Bug, models = MODELS) => {
    for (const model of models) {
      it(`${what} (${model})`, () => {
        assert.throws(
          () => explore(scenario, model, bug),
          (error) => error instanceof Violation && expected.test(error.message),
        );
      });
    }
  };
  const LOST = /nobody goes on, and .* not done all/;
  const NO_MUTUAL_EXCLUSION = /without the lock/;
  const RESCHEDULE = 1;
  const WAKE = 1 << 30;
  /** Whether this sets a bit of a core's pending word. */
  const raises = (cluster: ExploredCluster, { kind, at, value, old }: Access, bit: number) =>
    kind === 'change' &&
    [0, 1].some((core) => at === cluster.pendingWord(core)) &&
    (value & ~old & bit) !== 0;
  const isParking = (cluster: ExploredCluster, { kind, at, process, value }: Access) =>
    kind === 'atomic store' && at === cluster.parkedWord(process) && value === 1;

  const losesInterrupts: Bug = (cluster, access) =>
    raises(cluster, access, RESCHEDULE) ? 'dropped' : undefined;
  finds('an interrupt between processors is lost', turns(2, 1), LOST, losesInterrupts);
  finds('also with the lock at once', lockAtOnce(turns(2, 1)), LOST, losesInterrupts);
  finds('who parks is not woken', turns(2, 1), LOST, (_, { kind }) =>
    kind === 'notify' ? 'dropped' : undefined,
  );
  finds(
    'a doorbell does not change the word on which its core sleeps',
    rings(2, 1),
    LOST,
    (cluster, access) => (raises(cluster, access, WAKE) ? 'dropped' : undefined),
  );
  finds('a core does not say that it parks', turns(2, 1), LOST, (cluster, access) =>
    isParking(cluster, access) ? 'dropped' : undefined,
  );
  const parksPlainly: Bug = (cluster, access) => (isParking(cluster, access) ? 'plain' : undefined);
  // Other lines change the word on which the core sleeps, and `Atomics.wait` looks at that.
  finds('a core says so by a store that is buffered when a doorbell rings', rings(2, 1), LOST, parksPlainly, [
    'TSO',
  ]);
  it('without store buffers that would do', () => {
    assert(explore(rings(2, 1), 'SC', parksPlainly).finals > 0);
  });
  finds(
    'a core parks without a last look',
    {
      ...turns(2, 1),
      park: (interrupts, core) => {
        const { words } = interrupts;
        const pending = interrupts.pendingIndex(core);
        Atomics.store(words, pending + PARKED_WORD, 1);
        Atomics.wait(words, pending, Atomics.load(words, pending));
        Atomics.store(words, pending + PARKED_WORD, 0);
      },
    },
    LOST,
  );
  finds(
    'a core that wakes does not say so',
    observed(turns(2, 1)),
    /it was idle for good/,
    (cluster, access) =>
      access.kind === 'atomic store' && access.at === cluster.awakeWord(access.process) && access.value === 1
        ? 'dropped'
        : undefined,
  );
  finds('who takes the lock does not say so', entries(2, 2), NO_MUTUAL_EXCLUSION, (_, { kind, at, value }) =>
    kind === 'atomic store' && isLock(at) && (value & TAKEN) !== 0 ? 'dropped' : undefined,
  );
  finds('the lock is not handed over', entries(2, 1), LOST, (_, { kind, at, value }) =>
    kind === 'atomic store' && isLock(at) && (value & TAKEN) === 0 ? 'dropped' : undefined,
  );
});
