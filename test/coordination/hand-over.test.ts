/**
 * The hand-over of memory, model-checked: two clusters, two chunks, and everything that can happen between them, in
 * every order. It is the code that runs, over a world that it cannot tell from the real one; only that each thing it does
 * to that world (a word of the ledger, the kernel, a message) is a step of its own, between any two of which the other
 * cluster may act and either may die.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HandOver, HandOverMessage, type HandOverState } from '../../src/coordination/hand-over.js';
import { isOffered, ownedBy, ownerOf } from '../../src/coordination/ledger.js';

const CHUNKS = 2;
const CLUSTERS = [0, 1];

type Event =
  | { kind: 'recover' }
  | { kind: 'ask' }
  | { kind: 'message'; words: [HandOverMessage, number, number] }
  | { kind: 'peer'; up: boolean };

interface Cluster {
  alive: boolean;
  /** The reset controller has declared it dead, but its thread may still run for a while. */
  condemned: boolean;
  state: HandOverState;
  /** By chunk: whether its kernel has the capability. */
  holds: boolean[];
  /** What its monitor is doing, and what the steps so far have returned. */
  task?: { event: Event; results: (number | boolean)[] } | undefined;
  /** What the monitor has not yet been told of its peer. */
  news: boolean[];
  /** Messages that it has not yet received: they outlive it. */
  inbox: [HandOverMessage, number, number][];
  /** What may still happen to it. */
  asksLeft: number;
  deathsLeft: number;
}

interface World {
  ledger: number[];
  clusters: Cluster[];
}

/** Thrown where the code under test begins a step that is not to be made yet. */
const pause = new Error('pause');

type Break = 'commits without comparing' | 'gives up nothing' | 'forgets to recover' | 'hears of no death';

class Explorer {
  private readonly seen = new Set<string>();
  /** How the state at hand was reached. */
  private readonly path: World[] = [];
  ends = 0;
  commits = 0;

  constructor(private readonly broken?: Break) {}

  /** Goes through all states that can follow. @throws AssertionError at the first that must not be. */
  explore(world: World): void {
    const key = keyOf(world);
    if (this.seen.has(key)) return;
    this.seen.add(key);
    this.path.push(world);
    try {
      this.check(world);
      for (const next of this.successors(world)) this.explore(next);
    } catch (violation) {
      if (this.path.length > 0)
        (violation as Error).message +=
          `, after\n${this.path.map((each) => JSON.stringify(each)).join('\n')}`;
      this.path.length = 0;
      throw violation;
    }
    this.path.pop();
  }

  get states(): number {
    return this.seen.size;
  }

  /** What must hold in every state. */
  private check({ ledger, clusters }: World): void {
    ledger.forEach((entry, chunk) => {
      const holders = CLUSTERS.filter((id) => clusters[id].holds[chunk]);
      assert.ok(holders.length <= 1, 'two kernels have one chunk');
      for (const id of holders) {
        assert.equal(id, ownerOf(entry), 'a kernel has what its cluster does not own');
        assert.ok(!isOffered(entry) || clusters[id].task !== undefined, 'a kernel has what is offered');
      }
    });
    // Nothing is under way: what the living own is theirs to use, whether or not the dead ever come back.
    const atRest = clusters.every(
      ({ alive, condemned, task, news, inbox }) =>
        !alive || (!condemned && !task && news.length === 0 && inbox.length === 0),
    );
    if (!atRest) return;
    this.ends++;
    ledger.forEach((entry, chunk) => {
      const { alive, holds } = clusters[ownerOf(entry)];
      assert.ok(!alive || !isOffered(entry), 'a chunk is offered for ever');
      assert.ok(!alive || holds[chunk], 'a chunk is lost');
    });
    for (const { alive, state } of clusters)
      assert.ok(!alive || state.asked.every((asks) => asks === 0), 'an ask is never answered');
  }

  private *successors(world: World): Generator<World> {
    for (const id of CLUSTERS) {
      const cluster = world.clusters[id];
      const step = (change: (next: World, it: Cluster, peer: Cluster) => void): World => {
        const next = copyOf(world);
        change(next, next.clusters[id], next.clusters[1 - id]);
        return next;
      };
      const begin = (event: Event, change: (it: Cluster) => void): World =>
        step((next, it) => {
          change(it);
          it.task = { event, results: [] };
          this.run(next, id, false);
        });
      if (!cluster.alive) {
        yield step((next, it, peer) => {
          const peerUp = peer.alive && !peer.condemned && peer.task?.event.kind !== 'recover';
          const up = CLUSTERS.map((each) => each !== id && peerUp);
          Object.assign(it, { alive: true, state: { up, asked: [0, 0] }, news: [] });
          it.task = { event: { kind: 'recover' }, results: [] };
          this.run(next, id, false);
        });
        continue;
      }
      if (cluster.condemned) {
        yield step((_, it) => {
          Object.assign(it, { alive: false, condemned: false, holds: [false, false], news: [] });
          it.task = undefined;
        });
      } else if (cluster.deathsLeft > 0) {
        yield step((_, it, peer) => {
          it.condemned = true;
          it.deathsLeft--;
          if (peer.alive) peer.news.push(false);
        });
      }
      if (cluster.task !== undefined) {
        yield step((next) => this.run(next, id, true));
        continue;
      }
      const [up] = cluster.news;
      if (up !== undefined) yield begin({ kind: 'peer', up }, (it) => it.news.shift());
      const [words] = cluster.inbox;
      if (words !== undefined) yield begin({ kind: 'message', words }, (it) => it.inbox.shift());
      if (cluster.asksLeft > 0) yield begin({ kind: 'ask' }, (it) => it.asksLeft--);
    }
  }

  /**
   * Goes on with what the monitor of cluster `id` does: anew, with the results of the steps that it has made; then, if
   * `act`, one further step is made, and the work that leads to the next.
   */
  private run(world: World, id: number, act: boolean): void {
    const cluster = world.clusters[id];
    const { event, results } = cluster.task!;
    let at = 0;
    const step = <T extends number | boolean>(action: () => T): T => {
      if (at < results.length) return results[at++] as T;
      if (!act) throw pause;
      act = false;
      at++;
      const result = action();
      results.push(result);
      return result;
    };
    const { ledger } = world;
    const state = { up: [...cluster.state.up], asked: [...cluster.state.asked] };
    const monitor = new HandOver(
      id,
      {
        chunks: CHUNKS,
        entry: (chunk) => step(() => ledger[chunk]),
        replace: (chunk, before, after) =>
          step(() => {
            if (ledger[chunk] !== before && this.broken !== 'commits without comparing') return false;
            ledger[chunk] = after;
            if (ownerOf(before) !== ownerOf(after)) this.commits++;
            return true;
          }),
        take: (chunk) =>
          step(() => {
            assert.ok(!cluster.holds[chunk], 'a kernel takes what it has');
            return (cluster.holds[chunk] = true);
          }),
        giveUp: (chunk) =>
          step(() => {
            assert.ok(cluster.holds[chunk], 'a kernel gives up what it has not');
            return (cluster.holds[chunk] = this.broken === 'gives up nothing');
          }),
        send: (peer, ...words) => step(() => world.clusters[peer].inbox.push(words)),
        answered: () => {},
        given: () => {},
      },
      state,
    );
    try {
      switch (event.kind) {
        case 'recover':
          if (this.broken !== 'forgets to recover') monitor.recover();
          break;
        case 'ask':
          monitor.ask(1 - id);
          break;
        case 'message':
          monitor.receive(1 - id, ...event.words);
          break;
        case 'peer':
          if (this.broken !== 'hears of no death') monitor.peerChanged(1 - id, event.up);
          break;
      }
    } catch (thrown) {
      if (thrown !== pause) throw thrown;
      return;
    }
    cluster.state = state;
    cluster.task = undefined;
    // It is up when it has recovered; a monitor that was told of its death meanwhile is told of this afterwards.
    if (event.kind === 'recover' && !cluster.condemned && world.clusters[1 - id].alive)
      world.clusters[1 - id].news.push(true);
  }
}

/** As `structuredClone`, and many times faster. Events and messages are never changed. */
function copyOf({ ledger, clusters }: World): World {
  return {
    ledger: [...ledger],
    clusters: clusters.map((it) => ({
      ...it,
      state: { up: [...it.state.up], asked: [...it.state.asked] },
      holds: [...it.holds],
      task: it.task && { event: it.task.event, results: [...it.task.results] },
      news: [...it.news],
      inbox: [...it.inbox],
    })),
  };
}

const EVENTS: readonly Event['kind'][] = ['recover', 'ask', 'message', 'peer'];

/** A text of its own for each state. */
function keyOf({ ledger, clusters }: World): string {
  const codes: number[] = [];
  const add = (...numbers: readonly number[]): void => {
    for (const number of numbers) codes.push(number & 0xffff, number >>> 16);
  };
  const bits = (...flags: readonly boolean[]): number =>
    flags.reduce((sum, flag) => 2 * sum + Number(flag), 1);
  add(...ledger);
  for (const { alive, condemned, state, holds, task, news, inbox, asksLeft, deathsLeft } of clusters) {
    codes.push(bits(alive, condemned, ...state.up, ...holds), bits(...news), ...state.asked);
    codes.push(asksLeft, deathsLeft, inbox.length);
    for (const message of inbox) add(...message);
    if (task === undefined) {
      codes.push(0);
      continue;
    }
    const { event, results } = task;
    codes.push(EVENTS.indexOf(event.kind) + 1);
    if (event.kind === 'message') add(...event.words);
    if (event.kind === 'peer') codes.push(Number(event.up));
    codes.push(results.length);
    add(...results.map(Number));
  }
  return String.fromCharCode(...codes);
}

/** A machine that has booted. By cluster: the chunks that it owns, how often it asks, and how often it dies. */
function machine(...clusters: readonly { chunks: number[]; asks: number; deaths: number }[]): World {
  return {
    ledger: Array.from({ length: CHUNKS }, (_, chunk) =>
      ownedBy(
        0,
        clusters.findIndex(({ chunks }) => chunks.includes(chunk)),
      ),
    ),
    clusters: clusters.map(({ chunks, asks, deaths }, id) => ({
      alive: true,
      condemned: false,
      state: { up: CLUSTERS.map((peer) => peer !== id), asked: [0, 0] },
      holds: [0, 1].map((chunk) => chunks.includes(chunk)),
      task: undefined,
      news: [],
      inbox: [],
      asksLeft: asks,
      deathsLeft: deaths,
    })),
  };
}

describe('the hand-over of memory between clusters', () => {
  const machines: Record<string, World> = {
    'both ask, both die': machine({ chunks: [0], asks: 1, deaths: 1 }, { chunks: [1], asks: 1, deaths: 1 }),
    'one takes all, both die': machine(
      { chunks: [], asks: 2, deaths: 1 },
      { chunks: [0, 1], asks: 0, deaths: 1 },
    ),
    'both ask again and again': machine(
      { chunks: [0, 1], asks: 3, deaths: 0 },
      { chunks: [], asks: 3, deaths: 0 },
    ),
  };

  for (const [name, world] of Object.entries(machines)) {
    it(`neither loses nor doubles a chunk in any order of events: ${name}`, () => {
      const explorer = new Explorer();
      explorer.explore(world);
      assert.ok(explorer.states > 2000, `${explorer.states} states`);
      assert.ok(explorer.ends > 0 && explorer.commits > 0);
    });
  }

  const breaks: Record<Break, RegExp> = {
    'commits without comparing': /a kernel (takes what it has|gives up what it has not|has what)/,
    'gives up nothing': /a kernel has what is offered|two kernels have one chunk/,
    'forgets to recover': /a chunk is lost/,
    'hears of no death': /a chunk is offered for ever|an ask is never answered/,
  };
  for (const [broken, violation] of Object.entries(breaks)) {
    it(`is found out where it ${broken}`, () => {
      const explorer = new Explorer(broken as Break);
      assert.throws(() => explorer.explore(machines['both ask, both die']), violation);
    });
  }
});
