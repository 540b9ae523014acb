/** Memory that clusters give to one another, on real clusters (docs/memory.md). */
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { InitialSlot, Invocation, ObjectType } from '../../kernel/api/constants.js';
import { isOffered, ownerOf } from '../../src/coordination/ledger.js';
import { ledgerOf } from '../../src/coordination/memory.js';
import { HEARTBEAT_LINE } from '../../src/core/core.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CapType, KernelMemory } from '../../src/core/inspect/memory.js';
import { Invoker } from '../../src/core/invocation.js';
import { compileKernel, instantiateKernel } from '../../src/core/kernel.js';
import { coreInterrupts } from '../../src/machine/host/controller.js';
import { InterruptController } from '../../src/machine/interrupts.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { loadSystem, withGrants } from '../../src/system/description/index.js';
import { runSystem, type RunReport, type RunningSystem } from '../../src/system/run.js';
import { rootInformation } from './kernel-account.js';
import { atoll, domain, run, twoCores, withFiles, filesOf, type System } from './system.js';

const MIB = 2 ** 20;
const CHUNK = 2 ** 18;

/** A program that has its cluster take `count` chunks from cluster `from`, and says what came of it. */
const taker = (from: number, count: number): string => `return { init() {
  const ask = (label, cluster) => { pd.mrSetNumber(0, cluster); return pd.msginfoGetLabel(pd.ppcall(62, pd.msginfoNew(label, 1))); };
  const taken = [0, 0, 0];
  for (let i = 0; i < ${count}; i++) taken[ask(1, ${from})]++;
  ask(0, ${1 - from});
  pd.dbgPuts(pd.name + ' ' + taken.join(' ') + ', owns ' + pd.mrGetNumber(0) + ' of ' + pd.mrGetNumber(1) + '\\n');
} };`;

describe('memory between clusters', { ...twoCores, concurrency: 2 }, () => {
  const pair = (args: readonly string[], a: string, b: string) => ({
    args: ['--clusters', 'per-core', ...args],
    description: domain('a', 'priority="10" cpu="0"') + domain('b', 'priority="10" cpu="1"'),
    programs: { a, b },
  });
  const idle = 'return { init() {} };';

  it('goes to who asks for it, until the other has no more', async () => {
    const ran = await run(pair(['--grant', 'memory:a'], taker(1, 6), idle));
    assert.deepEqual(ran.said, [`a 4 2 0, owns 8 of ${CHUNK}`]);
    assert.deepEqual(
      ran.report.clusters.map(({ moving }) => moving),
      [
        { owned: 2 * MIB, given: 0, taken: MIB },
        { owned: 0, given: MIB, taken: 0 },
      ],
    );
    assert.equal(ran.report.ended, 'idle');
  });

  it('goes hundreds of times both ways at once, and none is lost or doubled', async () => {
    const grants = ['--grant', 'memory:a,b', '--spare', '768K'];
    const ran = await run(pair(grants, taker(1, 400), taker(0, 400)));
    const [a, b] = ran.report.clusters.map(({ moving }) => moving!);
    assert.equal(ran.said.length, 2);
    assert.equal(a.owned + b.owned, 6 * CHUNK);
    assert.equal(a.given, b.taken);
    assert.equal(b.given, a.taken);
    assert.equal(a.owned, 3 * CHUNK + a.taken - a.given);
    assert.ok(a.taken > 0 && b.taken > 0);
  });

  it('is refused where there is nothing to give, and is nobody’s who is not granted it', async () => {
    const wrong = `return { init() {
      const label = (reply) => pd.msginfoGetLabel(reply);
      pd.mrSetNumber(0, 0);
      const said = [label(pd.ppcall(62, pd.msginfoNew(1, 1))), label(pd.ppcall(62, pd.msginfoNew(7, 1)))];
      pd.mrSet(0, 1n << 40n);
      said.push(label(pd.ppcall(62, pd.msginfoNew(1, 1))), label(pd.ppcall(62, pd.msginfoNew(1, 0))));
      pd.dbgPuts(said.join(' ') + '\\n');
    } };`;
    const ran = await run(pair(['--grant', 'memory:a', '--spare', '0'], wrong, idle));
    assert.deepEqual(ran.said, ['2 2 2 2']);
    const other = await run(pair([], 'return { init() { pd.ppcall(62, pd.msginfoNew(1, 1)); } };', idle));
    assert.equal(other.domain('a').state, 'faulted');
  });

  it('may be granted by the description, on a channel that it names', async () => {
    const asks = `return { init() {
      pd.mrSetNumber(0, 0);
      const reply = pd.ppcall(5, pd.msginfoNew(0, 1));
      pd.dbgPuts(pd.msginfoGetLabel(reply) + ' ' + pd.mrGetNumber(0) + '\\n');
    } };`;
    const grant = '<?atoll grant resource="memory" pd="a" id="5"?>';
    const { description, ...rest } = pair([], asks, idle);
    const ran = await run({ ...rest, description: description + grant });
    assert.deepEqual(ran.said, ['0 4']);
    const twice = { ...rest, description: description + grant + grant };
    await assert.rejects(
      run(twice),
      /'a' is granted memory already on element '\?atoll grant': .*test\.system:3:48/,
    );
  });

  it('wants a domain, a free channel and a size', async () => {
    const files = filesOf({
      description:
        domain('a', 'priority="10"', '<irq irq="16" id="62"/>') + domain('b', 'priority="10"', '', 'a'),
      programs: { a: idle },
    });
    await withFiles(files, async (folder) => {
      const refused = async (...args: string[]): Promise<string> => {
        const { code, stderr } = await atoll(
          'run',
          join(folder, 'test.system'),
          '--clusters',
          'one',
          ...args,
        );
        assert.equal(code, 2, stderr);
        return stderr;
      };
      assert.match(await refused('--grant', 'memory:nobody'), /there is no protection domain 'nobody'/);
      assert.match(
        await refused('--grant', 'memory:a'),
        /^Error: .*channel 62 of protection domain 'a' is in use/,
      );
      assert.match(await refused('--grant', 'memory:b,b'), /'b' is granted memory already/);
      assert.match(await refused('--spare', 'much'), /a size is a number with K, M or G/);
    });
  });
});

const WORDS = '<memory_region name="words" size="0x1000"/>';
const MAP = '<map mr="words" vaddr="0x2000000" perms="rw" setvar_vaddr="words"/>';

async function until(condition: () => boolean): Promise<void> {
  const giveUp = performance.now() + 60_000;
  while (!condition()) {
    assert.ok(performance.now() < giveUp, 'waited too long');
    await sleep(1);
  }
}

/** Runs a system of two domains, `a` and `b`, in this process, and beside it `use`, which has the words that they share. */
const supervise = (
  system: System,
  use: (running: RunningSystem, words: Int32Array) => Promise<void>,
): Promise<RunReport> =>
  withFiles(filesOf(system), async (folder) => {
    const stop = new AbortController();
    const console = openSync(devNull, 'w');
    let used: Promise<void> | undefined;
    try {
      const description = loadSystem(join(folder, 'test.system'), {
        arch: 'aarch64',
        searchPath: [folder],
      });
      const report = await runSystem(withGrants(description, ['memory:a,b']), {
        topology: await machineTopology('host', { measure: 'never' }),
        ...{ clusters: 'per-core', searchPath: [folder], console, onFailure: 'restart' },
        signal: stop.signal,
        onStart: (running) => {
          const { sharedAddress } = running.plan.regions[0];
          const words = new Int32Array(running.memory.buffer, sharedAddress, 1024);
          used = use(running, words).finally(() => stop.abort());
        },
      });
      await used;
      return report;
    } finally {
      closeSync(console);
    }
  });

describe('memory between clusters that are killed at any moment', twoCores, () => {
  /** Takes memory from the other cluster until it is told to stop, and counts how often. */
  const greedy = (own: number): string => `return { init() {
    const words = pd.region('words', Int32Array);
    Atomics.store(words, ${3 + own}, 0);
    while (Atomics.load(words, 2) === 0) {
      pd.mrSetNumber(0, ${1 - own});
      pd.ppcall(62, pd.msginfoNew(1, 1));
      Atomics.add(words, ${own}, 1);
    }
    Atomics.store(words, ${3 + own}, 1);
  } };`;
  const system = {
    description:
      WORDS + domain('a', 'priority="10" cpu="0"', MAP) + domain('b', 'priority="10" cpu="1"', MAP),
    programs: { a: greedy(0), b: greedy(1) },
  };

  it('ends with every chunk in one place, on the real clusters', async () => {
    const kills = 8;
    const report = await supervise(system, async (running, words) => {
      for (let kill = 0; kill < kills; kill++) {
        const before = [words[0], words[1]];
        await until(() => words[0] > before[0] + 20 && words[1] > before[1] + 20);
        running.kill(kill % 2);
      }
      const before = [words[0], words[1]];
      await until(() => words[0] > before[0] + 20 && words[1] > before[1] + 20);
      Atomics.store(words, 2, 1);
      await until(() => words[3] === 1 && words[4] === 1);
      const ledger = ledgerOf(new Int32Array(running.memory.buffer), running.plan.moving!);
      assert.equal(ledger.chunks, 8);
      await until(() =>
        Array.from({ length: 8 }, (_, chunk) => ledger.entry(chunk)).every((e) => !isOffered(e)),
      );
      for (let chunk = 0; chunk < 8; chunk++) assert.ok(ownerOf(ledger.entry(chunk)) < 2);
    });
    // A kernel that is issued what it has, or a monitor that loses count, would have brought its cluster down once more.
    assert.deepEqual(
      report.clusters.map(({ state, restarts }) => [state, restarts]),
      [
        ['up', kills / 2],
        ['up', kills / 2],
      ],
    );
    const [a, b] = report.clusters.map(({ moving }) => moving!);
    assert.equal(a.owned + b.owned, 2 * MIB);
    assert.ok(a.taken > 0 && b.taken > 0);
  });
});

/** The kernel of a machine that has stopped, at work for its cluster's root task: all that it is stands in memory. */
function rootTaskOf({ memory, plan }: RunningSystem, index: number) {
  const { base, size, cores, routes, image } = plan.clusters[index];
  const interrupts = new InterruptController(memory.buffer, 0, plan.cores);
  const device = coreInterrupts(memory, interrupts, cores[0], cores, routes);
  const kernel = instantiateKernel(compileKernel(image), memory, base, 0, device);
  const { initialTCB } = rootInformation(memory.buffer, plan.clusters[index]);
  // Has it handle an interrupt, so that it is current.
  kernel.interrupt(HEARTBEAT_LINE);
  assert.equal(kernel.currentTCB(), initialTCB);
  const inspected = new KernelMemory(memory.buffer, base, size, cores.length, initialTCB);
  const slots = [...inspected.allSlots().values()];
  const root = slots.find(
    ({ type, bits }) => type === CapType.CNode && bits === plan.clusters[index].rootBits,
  )!;
  return { invoker: new Invoker(kernel, memory.buffer, initialTCB), inspected, root: root.object };
}

describe('memory that came from another cluster', twoCores, () => {
  it('is made by the taker’s kernel into objects of any kind, clear of what it was', async () => {
    const system = {
      description:
        WORDS + domain('a', 'priority="10" cpu="0"', MAP) + domain('b', 'priority="10" cpu="1"', MAP),
      programs: {
        a: `return { init() {
          for (let taken = 0; taken < 4; taken++) { pd.mrSetNumber(0, 1); pd.ppcall(62, pd.msginfoNew(1, 1)); }
          Atomics.store(pd.region('words', Int32Array), 0, 1);
        } };`,
        b: 'return { init() {} };',
      },
    };
    let stopped: RunningSystem;
    await supervise(system, async (running, words) => {
      stopped = running;
      await until(() => words[0] === 1);
    });
    const { memory, plan } = stopped!;
    const moving = plan.moving!;
    const ledger = ledgerOf(new Int32Array(memory.buffer), moving);
    assert.equal(ledger.owned(0), 8);
    const { invoker, inspected, root } = rootTaskOf(stopped!, 0);
    // At first every other chunk was the giver's.
    for (let chunk = 1; chunk < moving.chunks; chunk += 2) {
      const address = moving.base + chunk * CHUNK;
      const bytes = new Uint8Array(memory.buffer, address, CHUNK).fill(0xff);
      const capability = [...inspected.allSlots().values()].find(({ object }) => object === address)!;
      assert.equal(capability.type, CapType.Untyped);
      const untyped = (capability.at - root) / 32;
      const free = 2 ** plan.clusters[0].rootBits - 16;
      const kinds = [
        ...[ObjectType.TCB, ObjectType.Endpoint, ObjectType.Notification, ObjectType.Reply],
        ObjectType.SmallPage,
      ];
      kinds.forEach((kind, index) => invoker.retype(untyped, kind, 0, InitialSlot.CNode, free + index, 1));
      invoker.retype(untyped, ObjectType.CapTable, 4, InitialSlot.CNode, free + kinds.length, 1);
      invoker.retype(untyped, ObjectType.Untyped, 16, InitialSlot.CNode, free + kinds.length + 1, 2);
      checkInvariants(inspected);
      const made = [...inspected.allSlots().values()].filter(
        ({ at, object }) => at !== capability.at && object >= address && object < address + CHUNK,
      );
      assert.equal(made.length, kinds.length + 3);
      assert.ok(
        bytes.every((byte) => byte !== 0xff),
        'what the giver left there is gone',
      );
      invoker.call(InitialSlot.CNode, Invocation.CNodeRevoke, [untyped, 64]);
      checkInvariants(inspected);
    }
  });
});
