/**
 * What it costs to bring a cache line from one core of this computer to another: two pinned threads pass one line
 * back and forth, each spinning until the other's store is there.
 */

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Topology } from '../topology/topology.js';
import type { Game, PlayerData } from './line-cost-worker.js';
import { pingPongMemory } from './ping-pong.js';

/** The first round compiles the loops and is not counted. */
const ROUNDS = 8;
/** A round of 2,000 is some hundred microseconds: shorter than a time slice, so that most rounds are undisturbed. */
const TRIPS = 2_000;
/** A hundred times what a pair takes. Two threads that cannot run at the same time would take minutes. */
const PAIR_TIMEOUT_MS = 2_000;
/** Up to here pairs are measured one after another; beyond, disjoint pairs at once, or it would take minutes. */
const MAX_CORES_ONE_PAIR_AT_A_TIME = 16;
/** Two lines, since prefetchers fetch lines in pairs; and some lines are of 128 bytes. */
const SLOT_BYTES = 256;
/** A thread for each: more would exhaust memory. */
const MAX_CORES = 256;

/** Why a pair could not be measured. */
export class LineCostError extends Error {}

/**
 * The median time of a line's round trip between two CPUs (the operating system's numbers), in nanoseconds.
 * @throws LineCostError when the CPUs are the same, cannot be pinned to, or do not run at the same time.
 */
export async function lineRoundTrip(cpuA: number, cpuB: number): Promise<number> {
  if (cpuA === cpuB) throw new LineCostError(`a line does not move between CPU ${cpuA} and itself`);
  const table = new Table();
  try {
    return await table.roundTrip(cpuA, cpuB, 0);
  } finally {
    await table.end();
  }
}

/**
 * The cost of a line between each two cores of this computer: nanoseconds one way, half of a round trip. Symmetric,
 * 0 on the diagonal, NaN where it could not be measured: where a core cannot be pinned to, or there are more than
 * 256 cores. Takes about 10 ms for each pair; beyond 16 cores, for each core.
 * @param topology this computer's.
 */
export async function measureLineCosts(topology: Topology): Promise<number[][]> {
  const count = topology.cores.length;
  const costs = Array.from({ length: count }, (_, i) =>
    Array.from({ length: count }, (_, j) => (i === j ? 0 : NaN)),
  );
  if (count < 2 || count > MAX_CORES) return costs;
  const table = new Table();
  const measure = async ([a, b]: Pair, slot: number): Promise<void> => {
    try {
      const trip = await table.roundTrip(topology.cores[a].cpu, topology.cores[b].cpu, slot);
      costs[a][b] = costs[b][a] = trip / 2;
    } catch (error) {
      if (!(error instanceof LineCostError)) throw error;
    }
  };
  try {
    for (const pairs of pairings(count)) {
      if (count > MAX_CORES_ONE_PAIR_AT_A_TIME) await Promise.all(pairs.map(measure));
      else for (const pair of pairs) await measure(pair, 0);
    }
  } finally {
    await table.end();
  }
  return costs;
}

export type Pair = [number, number];

/**
 * All pairs of `count` players in rounds in which nobody plays twice: the circle method of tournaments. One player
 * stays, the others move on by one each round; with an odd count, who meets the absent one rests.
 */
export function* pairings(count: number): Generator<Pair[]> {
  const moving = count - 1 + (count % 2);
  for (let round = 0; round < moving; round++) {
    const seat = (i: number): number => (round + i) % moving;
    const pairs: Pair[] = [[seat(0), moving]];
    for (let i = 1; i <= (moving - 1) / 2; i++) pairs.push([seat(i), seat(moving - i)]);
    yield pairs.filter((pair) => Math.max(...pair) < count);
  }
}

/** The players, one thread for each CPU, started when first needed, and the memory in which they play. */
class Table {
  readonly #memory = pingPongMemory();
  readonly #words = new Int32Array(this.#memory.buffer);
  readonly #players = new Map<number, Promise<Worker>>();

  /** @param slot the line to use: of no pair that plays at the same time. */
  async roundTrip(cpuA: number, cpuB: number, slot: number): Promise<number> {
    const [ping, pong] = await Promise.all([this.#player(cpuA), this.#player(cpuB)]);
    const address = slot * SLOT_BYTES;
    Atomics.store(this.#words, address / 4, 0);
    const game = { address, rounds: ROUNDS, trips: TRIPS };
    const over = new AbortController();
    try {
      const [times] = await Promise.race([
        Promise.all([play(ping, { ...game, role: 'ping' }), play(pong, { ...game, role: 'pong' })]),
        delay(PAIR_TIMEOUT_MS, undefined, { signal: over.signal }).then(() => {
          throw new LineCostError(`CPU ${cpuA} and CPU ${cpuB} do not run at the same time`);
        }),
      ]);
      return median(times.slice(1)) / TRIPS;
    } catch (error) {
      // Each of them may spin for ever: the next pair gets new ones.
      await Promise.all([this.#dismiss(cpuA), this.#dismiss(cpuB)]);
      throw error;
    } finally {
      over.abort();
    }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#players.keys()].map((cpu) => this.#dismiss(cpu)));
  }

  #player(cpu: number): Promise<Worker> {
    let player = this.#players.get(cpu);
    if (!player) {
      player = start({ cpu, memory: this.#memory });
      this.#players.set(cpu, player);
    }
    return player;
  }

  async #dismiss(cpu: number): Promise<void> {
    const player = this.#players.get(cpu);
    this.#players.delete(cpu);
    await player?.then(
      (worker) => worker.terminate(),
      () => undefined,
    );
  }
}

async function start(workerData: PlayerData): Promise<Worker> {
  const worker = new Worker(new URL('./line-cost-worker.js', import.meta.url), { workerData });
  const [pinned] = (await once(worker, 'message')) as [true | string];
  if (pinned === true) return worker;
  await worker.terminate();
  throw new LineCostError(pinned);
}

async function play(player: Worker, game: Game): Promise<number[]> {
  player.postMessage(game);
  const [times] = (await once(player, 'message')) as [number[]];
  return times;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
