/**
 * A run with failures at random points, under load: three clusters, one of them of two cores, each of which calls and
 * notifies the others without a pause, while one after another is killed, hangs, panics, or has its monitor die half-way
 * through a hand-over of memory, and doorbells between them are dropped and doubled.
 * `npm run test:failures [-- COUNT [SEED]]` prints a table.
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { table } from '../../src/cli/table.js';
import { HEARTBEAT_LINE } from '../../src/core/core.js';
import { randomNumbers } from '../../src/machine/random.js';
import { machineTopology, type Topology } from '../../src/machine/topology/index.js';
import { CHUNK_BYTES } from '../../src/coordination/memory.js';
import { loadSystem } from '../../src/system/description/index.js';
import { runSystem, type RunReport, type RunningSystem } from '../../src/system/run.js';
import { type Account, accounts, noHandOvers } from './kernel-account.js';
import { channel, domain, filesOf, withFiles, type System } from './system.js';

/** The cores of each cluster. */
const CORES = [[0], [1], [2, 3]] as const;
const CLUSTERS = CORES.length;
/**
 * So each cluster has a doorbell for the requests and for the answers of both others, and for half of the signals: the
 * others share a line.
 */
const LINES = 1 + 2 * (CLUSTERS - 1) + 2;
const FAILURES = ['kill', 'hang', 'panic', 'hand-over'] as const;
/** That a monitor dies at a step of a hand-over, of which there are about five on each side. */
const DIE = 0.01;
type Failure = (typeof FAILURES)[number];

/** Words of the region that all domains map, and that outlives each cluster. */
enum Word {
  Lost = 0,
  Doubled = 1,
  WrongAnswers = 2,
  Epochs = 3,
  /** By cluster: 1 makes the next of its clients loop for ever. */
  Hang = 8,
  /** By cluster: 1 has its clients take memory from others without end. */
  Take = 12,
  /** By cluster: how often it was booted. */
  Boots = 16,
  /** By pair of clusters: calls that were answered. */
  Calls = 32,
  /** By pair: tokens that came back. Then the token that is out, and the one that was answered. */
  Tokens = 48,
  Sent = 64,
  Answered = 80,
}
/** Each pair of clusters, in both directions; in tables, the pair (from, to) is at `from * CLUSTERS + to`. */
const PAIRS = Array.from(
  { length: CLUSTERS ** 2 },
  (_, at) => [Math.floor(at / CLUSTERS), at % CLUSTERS] as const,
).filter(([from, to]) => from !== to);

export interface FailureRun {
  readonly failures: Readonly<Record<Failure, number>>;
  readonly dropped: number;
  readonly doubled: number;
  /** Messages between domains whose clusters were up all the while. */
  readonly calls: number;
  readonly tokens: number;
  readonly lostMessages: number;
  readonly doubledMessages: number;
  readonly wrongAnswers: number;
  /** Monitors that died half-way through a hand-over, and hand-overs that there were. */
  readonly died: number;
  readonly handOvers: number;
  /** Why clusters were found failed, without numbers, and how often. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Seconds that a cluster was out, by failure. */
  readonly outages: readonly number[];
  /** Seconds from a hang, from the last look at which it was still to come, to when it was found. */
  readonly detections: readonly number[];
  /** By cluster: where the bytes of its partition are after the run. */
  readonly accounts: readonly Account[];
  /** After the first tenth of the failures, by when all caches of this process are full, and after the last. */
  readonly before: Holdings;
  readonly after: Holdings;
  readonly seconds: number;
}

/** What this process holds: threads, and bytes of the main thread's heap and of all memory. */
export interface Holdings {
  readonly threads: number;
  readonly heap: number;
  readonly resident: number;
}

const LOAD = 'const words = pd.region("words", Int32Array); const own = Number(pd.name.slice(-2, -1));';

/** Checks that each client's messages come one by one. A client that starts afresh says so by a new epoch. */
const SERVER = `${LOAD}
  const epochs = new Map(), last = new Map();
  return {
    init() { Atomics.add(words, ${Word.Boots} + own, 1); },
    protected(channel) {
      const epoch = pd.mrGetNumber(0), number = pd.mrGetNumber(1);
      if (epochs.get(channel) === epoch) {
        const due = last.get(channel) + 1;
        if (number > due) Atomics.add(words, ${Word.Lost}, 1);
        if (number < due) Atomics.add(words, ${Word.Doubled}, 1);
      }
      epochs.set(channel, epoch);
      last.set(channel, number);
      pd.mrSetNumber(0, number);
      return pd.msginfoNew(epoch, 1);
    },
  };`;

/**
 * Sends a token to its echo once the last is back, and before each makes a call. One that is given up, as the server's
 * cluster has failed, may have been made or not: the next number is right both ways.
 */
const CLIENT = `${LOAD}
  const at = own * ${CLUSTERS} + Number(pd.name.slice(-1));
  const epoch = Atomics.add(words, ${Word.Epochs}, 1) + 1;
  let number = 0;
  function call() {
    if (Atomics.compareExchange(words, ${Word.Hang} + own, 1, 0) === 1) for (;;);
    while (Atomics.load(words, ${Word.Take} + own) === 1) {
      pd.mrSetNumber(0, Number(pd.name.slice(-1)));
      pd.ppcall(62, pd.msginfoNew(1, 1));
    }
    pd.mrSetNumber(0, epoch);
    pd.mrSetNumber(1, ++number);
    try {
      const answer = pd.ppcall(0, pd.msginfoNew(0, 2));
      if (pd.msginfoGetLabel(answer) !== epoch || pd.mrGetNumber(0) !== number)
        Atomics.add(words, ${Word.WrongAnswers}, 1);
      Atomics.add(words, ${Word.Calls} + at, 1);
    } catch (error) {
      if (!/^the cluster of the server has failed/.test(error.message)) throw error;
    }
  }
  function go() {
    if (Atomics.load(words, ${Word.Answered} + at) === Atomics.load(words, ${Word.Sent} + at)) {
      call();
      Atomics.add(words, ${Word.Tokens} + at, 1);
      Atomics.add(words, ${Word.Sent} + at, 1);
    }
    pd.notify(1);
  }
  return { init: go, notified: go };`;

/** Answers a token once. When it starts afresh, its client may wait for what is lost. */
const ECHO = `${LOAD}
  const at = Number(pd.name.slice(-1)) * ${CLUSTERS} + own;
  function answer() {
    const sent = Atomics.load(words, ${Word.Sent} + at);
    if (Atomics.exchange(words, ${Word.Answered} + at, sent) !== sent) pd.notify(0);
  }
  return { init() { answer(); pd.notify(0); }, notified: answer };`;

function load(): System {
  /** A core of a cluster: one for what it has to do with each other. */
  const core = (cluster: number, other: number): number => CORES[cluster][other % CORES[cluster].length];
  const map = '<map mr="words" vaddr="0x2000000" perms="rw" setvar_vaddr="words"/>';
  return {
    description: [
      '<memory_region name="words" size="0x1000"/>',
      ...CORES.map((cores, cluster) =>
        domain(`server_${cluster}_`, `priority="50" cpu="${cores[0]}"`, map, 'server'),
      ),
      ...PAIRS.flatMap(([from, to]) => [
        domain(`client_${from}${to}`, `priority="${20 + to}" cpu="${core(from, to)}"`, map, 'client'),
        domain(`echo_${to}${from}`, `priority="40" cpu="${core(to, from)}"`, map, 'echo'),
        `<?atoll grant resource="memory" pd="client_${from}${to}"?>`,
      ]),
      ...PAIRS.flatMap(([from, to]) => [
        channel(`client_${from}${to} 0 pp="true"`, `server_${to}_ ${from}`),
        channel(`client_${from}${to} 1`, `echo_${to}${from} 0`),
      ]),
    ].join(''),
    programs: { server: SERVER, client: CLIENT, echo: ECHO },
  };
}

/** This computer's cores, and if there are too few, the same again. */
async function enoughCores(): Promise<Topology> {
  const topology = await machineTopology('host', { measure: 'never' });
  const cores = CORES.flat().map((id) => {
    const core = topology.cores[id % topology.cores.length];
    return { ...core, id, physical: id };
  });
  const ids = cores.map(({ id }) => id);
  return {
    ...topology,
    cores,
    caches: [],
    packages: [{ id: cores[0].package, cores: ids }],
    nodes: [{ id: cores[0].node, cores: ids }],
  };
}

/** Waits for `condition`. @throws Error that says what did not come. */
async function until(condition: () => boolean, what: () => string): Promise<void> {
  const giveUp = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > giveUp) throw new Error(`waited too long for ${what()}`);
    await sleep(2);
  }
}

/** Makes `count` failures, with what and where from `seed`, and waits after each until everybody talks to everybody again. */
export async function runWithFailures(
  count: number,
  seed: number,
  progress: (done: number) => void = () => {},
): Promise<FailureRun> {
  const topology = await enoughCores();
  return withFiles(filesOf(load()), async (folder) => {
    const searchPath = [folder];
    const console = openSync(devNull, 'w');
    const stop = new AbortController();
    const random = randomNumbers(seed);
    const failures = { kill: 0, hang: 0, panic: 0, 'hand-over': 0 };
    const hangs: { readonly cluster: number; readonly at: number }[] = [];
    let words = new Int32Array(new SharedArrayBuffer(0));
    let system: RunningSystem;
    let before: Holdings | undefined;
    let after: Holdings | undefined;
    const inject = async (running: RunningSystem): Promise<void> => {
      const start = performance.now();
      system = running;
      words = new Int32Array(running.memory.buffer, running.plan.regions[0].sharedAddress, 1024);
      const talk = (): Promise<void> => everybodyTalks(words);
      await talk();
      for (let done = 0; done < count; done++) {
        await sleep(20 * random());
        const failure = FAILURES[Math.floor(random() * FAILURES.length)];
        const cluster = Math.floor(random() * CLUSTERS);
        const boots = words.slice(Word.Boots, Word.Boots + CLUSTERS);
        cause(failure, running, cluster, words, random);
        if (failure === 'hang') {
          let last = performance.now();
          await until(
            () => {
              const looked = performance.now();
              const loops = Atomics.load(words, Word.Hang + cluster) === 0;
              if (!loops) last = looked;
              return loops;
            },
            () => `a client of cluster ${cluster} to loop`,
          );
          hangs.push({ cluster, at: (last - start) / 1000 });
        }
        // It takes two for a hand-over, and either may die.
        await until(
          () =>
            boots.some(
              (before, at) =>
                (at === cluster || failure === 'hand-over') && Atomics.load(words, Word.Boots + at) > before,
            ),
          () => `cluster ${cluster} after failure ${done}, a ${failure}`,
        );
        Atomics.store(words, Word.Take + cluster, 0);
        await talk();
        failures[failure]++;
        progress(done + 1);
        if (done === Math.floor(count / 10)) before = holdings();
      }
      after = holdings();
      before ??= after;
      await until(
        () => noHandOvers(running),
        () => 'the last hand-over of memory',
      );
    };
    try {
      let injected: Promise<void> | undefined;
      const report = await runSystem(
        loadSystem(join(folder, 'test.system'), { arch: 'aarch64', searchPath }),
        {
          topology,
          clusters: CORES.map((cores) => cores.join()).join(';'),
          lines: LINES,
          searchPath,
          console,
          onFailure: 'restart',
          inject: { drop: 0.001, double: 0.01, die: DIE, seed },
          signal: stop.signal,
          onStart: (running) => {
            injected = inject(running).finally(() => stop.abort());
          },
        },
      );
      await injected;
      const sum = (first: Word): number =>
        words.subarray(first, first + CLUSTERS ** 2).reduce((total, each) => total + each, 0);
      return {
        failures,
        ...report.injected!,
        calls: sum(Word.Calls),
        tokens: sum(Word.Tokens),
        lostMessages: words[Word.Lost],
        doubledMessages: words[Word.Doubled],
        wrongAnswers: words[Word.WrongAnswers],
        handOvers: report.clusters.reduce((sum, { moving }) => sum + moving!.taken, 0) / CHUNK_BYTES,
        reasons: reasonsOf(report),
        outages: report.clusters.flatMap((each) => each.failures.map(({ outageSeconds }) => outageSeconds!)),
        detections: hangs.map(
          ({ cluster, at }) => report.clusters[cluster].failures.find((each) => each.at >= at)!.at - at,
        ),
        accounts: accounts(system!),
        before: before!,
        after: after!,
        seconds: report.seconds,
      };
    } finally {
      closeSync(console);
    }
  });
}

function reasonsOf({ clusters }: RunReport): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const { why } of clusters.flatMap(({ failures }) => failures)) {
    const reason = why.replaceAll(/\d+/g, 'N');
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  return reasons;
}

function cause(
  failure: Failure,
  running: RunningSystem,
  cluster: number,
  words: Int32Array,
  random: () => number,
): void {
  const cores = CORES[cluster];
  switch (failure) {
    case 'kill':
      running.kill(cores[Math.floor(random() * cores.length)]);
      break;
    case 'hang':
      Atomics.store(words, Word.Hang + cluster, 1);
      break;
    case 'panic': {
      // The capability that its kernel signals at a tick now leads to no memory.
      const slot = running.plan.clusters[cluster].base + 2048 + 32 * HEARTBEAT_LINE;
      Atomics.store(new Uint32Array(running.memory.buffer), slot / 4 + 1, 0xfffffff0);
      break;
    }
    case 'hand-over':
      Atomics.store(words, Word.Take + cluster, 1);
  }
}

/** Each pair of clusters, in both directions, gets some calls and tokens through. */
async function everybodyTalks(words: Int32Array): Promise<void> {
  const before = words.slice();
  const stuck = (): string[] =>
    PAIRS.filter(([from, to]) =>
      [Word.Calls, Word.Tokens].some((first) => {
        const at = first + from * CLUSTERS + to;
        return Atomics.load(words, at) < before[at] + 3;
      }),
    ).map(([from, to]) => `cluster ${from} to ${to}`);
  await until(
    () => stuck().length === 0,
    () => stuck().join(', '),
  );
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function holdings(): Holdings {
  collectGarbage();
  return {
    threads: readdirSync('/proc/self/task').length,
    heap: process.memoryUsage().heapUsed,
    resident: process.memoryUsage.rss(),
  };
}

function describe({
  failures,
  outages,
  detections,
  before,
  after,
  accounts,
  reasons,
  ...counts
}: FailureRun): string {
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const medianAndLongest = (seconds: readonly number[]): string => {
    const sorted = [...seconds].sort((a, b) => a - b);
    return sorted.length === 0
      ? '-'
      : `${sorted[sorted.length >> 1].toFixed(3)} s, ${sorted.at(-1)!.toFixed(3)} s`;
  };
  return table(
    ['what', 'figure'],
    [
      ...Object.entries(failures).map(([failure, count]) => [`failures: ${failure}`, `${count}`]),
      ['clusters found failed', `${outages.length}`],
      ...Object.entries(reasons).map(([reason, count]) => [`  ${reason}`, `${count}`]),
      ['interrupts dropped, doubled', `${counts.dropped}, ${counts.doubled}`],
      ['hand-overs of memory, monitors dead in one', `${counts.handOvers}, ${counts.died}`],
      ['calls, tokens', `${counts.calls}, ${counts.tokens}`],
      ['lost, doubled messages', `${counts.lostMessages}, ${counts.doubledMessages}`],
      ['wrong answers', `${counts.wrongAnswers}`],
      ['hangs found after, median and longest', medianAndLongest(detections)],
      ['outage, median and longest', medianAndLongest(outages)],
      ...accounts.map(({ capabilities, kernel, objects, between, unused }, cluster) => [
        `kernel memory of cluster ${cluster}`,
        `${capabilities} capabilities; bytes: ${kernel} kernel, ${Object.entries(objects)
          .map(([type, bytes]) => `${bytes} ${type}`)
          .join(', ')}, ${between} between, ${unused} unused`,
      ]),
      ['threads, after a tenth and at the end', `${before.threads}, ${after.threads}`],
      ['heap', `${mebibytes(before.heap)}, ${mebibytes(after.heap)}`],
      ['resident memory', `${mebibytes(before.resident)}, ${mebibytes(after.resident)}`],
      ['time', `${counts.seconds.toFixed(1)} s`],
    ],
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [count = 1000, seed = 1] = process.argv.slice(2).map(Number);
  const say = (done: number): void => {
    if (done % 50 === 0) process.stderr.write(`${done} failures\n`);
  };
  console.log(describe(await runWithFailures(count, seed, say)));
}
