import assert from 'node:assert/strict';
import { devNull } from 'node:os';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HEARTBEAT_LINE } from '../../src/core/core.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { loadSystem, type OnFailure } from '../../src/system/description/index.js';
import { runSystem, type DomainReport, type RunReport, type RunningSystem } from '../../src/system/run.js';
import {
  atoll,
  channel,
  domain,
  filesOf,
  run,
  start,
  twoCores,
  untilEnd,
  withFiles,
  type System,
} from './system.js';

/** In a region that both clusters map, and that outlives them: word 0 counts how often the failing domain started. */
const COUNTERS = '<memory_region name="counters" size="0x1000"/>';
const MAP = '<map mr="counters" vaddr="0x2000000" perms="rw" setvar_vaddr="counters"/>';
const FIRST_TIME = `const counters = pd.region('counters', Int32Array);
  const firstTime = Atomics.add(counters, 0, 1) === 0;`;
const LOOP = 'for (;;) { try { pd.msginfoNew(0, 99); } catch { } }';

/** `failing` on the second cluster, called and notified by domains beside it; `survivor` on the first. */
function system(failing: string, args: readonly string[]): System {
  return {
    args: ['--clusters', 'per-core', ...args],
    description:
      COUNTERS +
      domain('failing', 'priority="20" cpu="1"', MAP) +
      domain('client', 'priority="10" cpu="1"') +
      domain('survivor', 'priority="10"', MAP) +
      channel('client 0 pp="true"', 'failing 0') +
      channel('failing 1', 'survivor 1') +
      channel('failing 2', 'client 2'),
    programs: {
      failing,
      client: `return {
        init() { pd.ppcall(0, pd.msginfoNew(0, 0)); pd.notify(2); },
        notified() {},
      };`,
      survivor: `const counters = pd.region('counters', Int32Array);
        return { init() {}, notified() { pd.dbgPuts('start ' + Atomics.load(counters, 0) + '\\n'); } };`,
    },
  };
}

const HANGS: Readonly<Record<string, string>> = {
  init: `${FIRST_TIME} return {
    init() { if (firstTime) ${LOOP} pd.notify(1); },
    protected: () => pd.msginfoNew(0, 0),
  };`,
  notified: `${FIRST_TIME} return {
    init() {},
    protected: () => pd.msginfoNew(0, 0),
    notified() { if (firstTime) ${LOOP} pd.notify(1); },
  };`,
  protected: `${FIRST_TIME} return {
    init() {},
    protected() { if (firstTime) ${LOOP} pd.notify(1); return pd.msginfoNew(0, 0); },
  };`,
};

describe('a cluster that fails', { ...twoCores, concurrency: 2 }, () => {
  for (const [where, failing] of Object.entries(HANGS)) {
    it(`by a loop in ${where} is booted afresh with --on-failure restart`, async () => {
      const ran = await run(system(failing, ['--on-failure', 'restart']));
      // Once, unless this computer is so busy that a core which has just been booted is taken to hang.
      assert.equal(ran.said[0], 'start 2');
      assert.equal(ran.report.ended, 'idle');
      const [first, second] = ran.report.clusters;
      assert.deepEqual([first.state, first.restarts, first.failures], ['up', 0, []]);
      assert.equal(second.state, 'up');
      assert.ok(second.restarts >= 1);
      assert.equal(second.failures.length, second.restarts);
      assert.match(second.failures[0].why, /^core 1 did not answer for \d+ ms$/);
      assert.ok(second.failures[0].outageSeconds! > 0);
      assert.equal(ran.domain('failing').entries.init, 1 + second.restarts, 'counters go on');
      assert.equal(ran.domain('failing').restarts, 0, 'that is not a restart by a parent');
      assert.equal(ran.domain('survivor').entries.init, 1);
      assert.equal(ran.code, 0);
    });
  }

  it('is left down with --on-failure stop, and the others run on', async () => {
    const ran = await run(system(HANGS.init, ['--on-failure', 'stop']));
    assert.equal(ran.report.ended, 'idle');
    assert.deepEqual(
      ran.report.clusters.map(({ state, restarts }) => [state, restarts]),
      [
        ['up', 0],
        ['stopped', 0],
      ],
    );
    assert.equal(ran.report.clusters[1].failures[0].outageSeconds, undefined);
    assert.equal(ran.domain('failing').state, 'stopped');
    assert.equal(ran.domain('client').state, 'stopped');
    assert.equal(ran.domain('survivor').state, 'waiting');
    assert.deepEqual(ran.report.hungCores, []);
    assert.equal(ran.code, 1);
  });

  it('is treated as the description says, by the strictest word for its domains, unless the command line says otherwise', async () => {
    const says = system(HANGS.init, []);
    const restart = '<?atoll on-failure policy="restart"?>';
    const stop = '<?atoll on-failure policy="stop" pd="client"?>';
    const statesWith = async (instructions: string, ...args: string[]): Promise<string[]> => {
      const ran = await run({
        ...says,
        args: [...says.args!, ...args],
        description: says.description + instructions,
      });
      return ran.report.clusters.map(({ state, restarts }) => `${state}${restarts > 0 ? ' again' : ''}`);
    };
    assert.deepEqual(await statesWith(restart), ['up', 'up again']);
    assert.deepEqual(await statesWith(restart + stop), ['up', 'stopped']);
    assert.deepEqual(await statesWith(restart + stop, '--on-failure', 'restart'), ['up', 'up again']);
  });

  it('ends the run with --on-failure halt', async () => {
    const ended = await withFiles(filesOf(system(HANGS.init, [])), (folder) =>
      atoll('run', join(folder, 'test.system'), '--clusters', 'per-core', '--on-failure', 'halt'),
    );
    assert.match(ended.stderr, /^Error: core 1 did not answer for \d+ ms\n$/);
    assert.equal(ended.stdout, '');
    assert.equal(ended.code, 1);
  });

  it('is only reported without --on-failure, also where it answers again', async () => {
    const slow = `${FIRST_TIME} return {
      init() { let sum = 0; for (let i = 0; i < 2e8; i++) sum = (sum + i) | 0; pd.notify(1); return sum; },
      protected: () => pd.msginfoNew(0, 0),
    };`;
    // A clock keeps the run going until the cluster has been heard again.
    const { description, programs, args } = system(slow, ['--for', '6s']);
    const ran = await run({
      args: args!,
      description: description + domain('clock', 'priority="5"', '<irq irq="16" id="1"/>'),
      programs: { ...programs, clock: 'return { init() {}, notified(channel) { pd.irqAck(channel); } };' },
    });
    const [{ failures, state, restarts }] = ran.report.clusters.slice(1);
    assert.deepEqual([state, restarts, failures.length], ['up', 0, 1]);
    assert.ok(failures[0].outageSeconds! > 0);
    assert.deepEqual(ran.said, ['start 1']);
    assert.equal(ran.code, 0);
  });

  it('shows in the table, which says why', async () => {
    const { stdout } = await withFiles(filesOf(system(HANGS.init, [])), (folder) =>
      atoll('run', join(folder, 'test.system'), '--clusters', 'per-core', '--on-failure', 'restart'),
    );
    assert.match(
      stdout,
      /\nCluster 1 failed after \d\.\d+ s: core 1 did not answer for \d+ ms\. It was back \d\.\d+ s later\.\n/,
    );
  });

  it('may be one that cannot be ended: it is given up, and the run ends all the same', async () => {
    const endless = `return {
      init() { Array.prototype.indexOf.call({ length: Number.MAX_SAFE_INTEGER }, 1); },
      protected: () => pd.msginfoNew(0, 0),
    };`;
    const ran = await run(system(endless, ['--on-failure', 'restart']));
    assert.deepEqual(
      ran.report.clusters.map(({ state }) => state),
      ['up', 'hung'],
    );
    assert.equal(ran.report.ended, 'idle');
    assert.equal(ran.code, 1);
  });

  it('may have used up its memory: with no policy that ends the run, and says so', async () => {
    const hungry = `return {
      init() { const all = []; for (;;) all.push(new Array(1e6).fill(0.5)); },
      protected: () => pd.msginfoNew(0, 0),
    };`;
    const ended = await withFiles(filesOf(system(hungry, [])), (folder) =>
      untilEnd(start(['run', join(folder, 'test.system'), '--clusters', 'per-core'])),
    );
    assert.match(ended.stderr, /Error: core 1 stopped: its programs used up its memory\n$/);
    assert.equal(ended.code, 1);
  });

  it('does not fail by handlers that take their time but end', async () => {
    const busy = `${FIRST_TIME} let left = 200; return {
      init() { pd.notify(2); },
      notified() { let sum = 0; for (let i = 0; i < 2e6; i++) sum = (sum + i) | 0; if (--left > 0) pd.notify(2); return sum; },
      protected: () => pd.msginfoNew(0, 0),
    };`;
    const parts = system(busy, ['--on-failure', 'restart']);
    const ran = await run({
      ...parts,
      programs: { ...parts.programs, client: `return { init() {}, notified() { pd.notify(2); } };` },
    });
    assert.deepEqual(
      ran.report.clusters.map(({ failures }) => failures),
      [[], []],
    );
    assert.equal(ran.domain('failing').entries.notified, 200);
  });
});

it('--on-failure takes three policies', async () => {
  const { code, stderr } = await atoll('run', 'any.system', '--on-failure', 'shrug');
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^Error: option '--on-failure <policy>' argument 'shrug' is invalid\. Allowed choices/,
  );
});

/**
 * Two pairs of domains that pass a token to and fro, one pair on each core, and a signal to the other pair each time.
 * Counters, from word 16 * core: tokens, signals from the other pair, starts.
 */
const PAIRS: System = {
  description:
    COUNTERS +
    [0, 1]
      .map(
        (cpu) =>
          domain(`ping_${cpu}`, `priority="10" cpu="${cpu}"`, MAP, 'ping') +
          domain(`pong_${cpu}`, `priority="20" cpu="${cpu}"`, MAP, 'pong') +
          channel(`ping_${cpu} 0`, `pong_${cpu} 0`),
      )
      .join('') +
    channel('ping_0 1', 'ping_1 1'),
  programs: {
    ping: `const counters = pd.region('counters', Int32Array);
      const own = Number(pd.name.slice(-1)) * 16;
      return { init() { Atomics.add(counters, own + 2, 1); pd.notify(0); }, notified(channel) {
        if (channel === 1) { Atomics.add(counters, own + 1, 1); return; }
        Atomics.add(counters, own, 1);
        pd.notify(0);
        pd.notify(1);
      } };`,
    pong: `return { init() {}, notified() { pd.notify(0); } };`,
  },
};

/** Runs a system in this process, hands it to `use` while it runs, and stops it afterwards. */
async function supervise(
  system: System,
  clusters: string,
  onFailure: OnFailure,
  use: (running: RunningSystem, counter: (word: number) => number) => Promise<void>,
): Promise<RunReport> {
  return withFiles(filesOf(system), async (folder) => {
    const file = join(folder, 'test.system');
    const searchPath = [folder];
    const stop = new AbortController();
    const console = openSync(devNull, 'w');
    let used: Promise<void> | undefined;
    try {
      const report = await runSystem(loadSystem(file, { arch: 'aarch64', searchPath }), {
        topology: await machineTopology('host', { measure: 'never' }),
        clusters,
        searchPath,
        console,
        onFailure,
        signal: stop.signal,
        onStart: (running) => {
          const { sharedAddress = 0 } = running.plan.regions[0];
          const counters = new Int32Array(running.memory.buffer, sharedAddress, 1024);
          used = use(running, (word) => Atomics.load(counters, word)).finally(() => stop.abort());
        },
      });
      await used;
      return report;
    } finally {
      closeSync(console);
    }
  });
}

/** Waits until `condition` holds; that it does in the end is what is asserted. */
async function until(condition: () => boolean): Promise<void> {
  const giveUp = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < giveUp, 'waited too long');
    await sleep(2);
  }
}

describe('a cluster that is killed under load', twoCores, () => {
  it('ten times in a row is back each time, and the others never pause', async () => {
    let tokens = (): number => 0;
    const report = await supervise(PAIRS, 'per-core', 'restart', async (running, counter) => {
      tokens = () => counter(0);
      for (let round = 0; round < 10; round++) {
        const [survivor, failing] = [counter(0), counter(16)];
        await until(() => counter(0) > survivor + 100 && counter(16) > failing + 100);
        const before = counter(0);
        running.kill(1);
        await until(() => counter(18) === round + 2);
        assert.ok(counter(0) > before + 1000, 'the survivors have gone on meanwhile');
      }
    });
    assert.deepEqual(
      report.clusters.map(({ state, restarts, failures }) => [state, restarts, failures.length]),
      [
        ['up', 0, 0],
        ['up', 10, 10],
      ],
    );
    for (const { why, outageSeconds } of report.clusters[1].failures) {
      // A thread takes its time to end, and may be missed before.
      assert.match(why, /^core 1 (stopped: its thread was ended|did not answer for \d+ ms)$/);
      assert.ok(outageSeconds! > 0);
    }
    // The survivors' one token was neither lost nor doubled: each of the two has had it as often as the other.
    const find = (name: string): DomainReport => report.domains.find((each) => each.name === name)!;
    const pong = find('pong_0');
    assert.equal(find('ping_0').entries.init, 1);
    assert.ok(Math.abs(tokens() - pong.entries.notified) <= 1, `${tokens()} and ${pong.entries.notified}`);
    assert.equal(find('ping_1').entries.init, 11);
  });

  it('is scrubbed with stop, and its monitor is missed by nobody', async () => {
    const report = await supervise(PAIRS, 'per-core', 'stop', async (running, counter) => {
      await until(() => counter(16) > 100);
      const { base, size } = running.plan.clusters[1];
      const partition = new Uint8Array(running.memory.buffer, base, size);
      assert.ok(partition.some((byte) => byte !== 0));
      running.kill(1);
      await until(() => partition.every((byte) => byte === 0));
      const before = counter(0);
      await until(() => counter(0) > before + 1000);
    });
    assert.deepEqual(
      report.clusters.map(({ state }) => state),
      ['up', 'stopped'],
    );
    assert.deepEqual(report.clusters[0].failures, []);
  });
});

describe('a kernel that panics', twoCores, () => {
  it('is booted afresh', async () => {
    const report = await supervise(PAIRS, 'per-core', 'restart', async (running, counter) => {
      await until(() => counter(16) > 100);
      // The capability that its kernel signals at a tick now leads to no memory.
      const { base } = running.plan.clusters[1];
      const slot = base + 2048 + 32 * HEARTBEAT_LINE;
      Atomics.store(new Uint32Array(running.memory.buffer), slot / 4 + 1, 0xfffffff0);
      await until(() => counter(18) === 2);
    });
    const { state, restarts, failures } = report.clusters[1];
    assert.deepEqual([state, restarts, failures.length], ['up', 1, 1]);
    assert.equal(failures[0].why, 'the kernel of core 1 panicked: memory access out of bounds');
  });
});
