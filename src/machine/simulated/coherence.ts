/**
 * Caches and their coherence: a directory over 64-byte lines with the states of MESI.
 *
 * A line is in no private cache, in one that may write it (exclusive or modified: `#owner`), or in several that may
 * read it (shared: `#sharers`). Reading what another core owns makes both sharers; writing what others hold takes it
 * from them. While a line is on its way to or from one that may write it, the next request for it waits.
 */
import type { Cache as CacheShape, Topology } from '../topology/topology.js';
import { Cache } from './cache.js';
import { CoreSets } from './core-sets.js';
import { distanceOf, type Distance } from './distance.js';
import type { Latencies, MachineModel } from './model.js';

export const LINE_BITS = 6;
export const LINE_BYTES = 1 << LINE_BITS;
/** What most L1 and L2 have between two and sixteen. */
const WAYS = 8;
const DEFAULT_BYTES = 32 * 1024;

interface Level {
  readonly cache: Cache;
  readonly level: number;
}

/** The caches that a core's accesses go through. Hardware threads of one physical core have the same. */
interface Path {
  readonly own: readonly Level[];
  readonly shared: readonly Level[];
}

export class Coherence {
  /** Lines that were brought from another core's cache, or taken from other cores to write them. */
  moved = 0;
  readonly #owner: Int32Array;
  readonly #sharers: CoreSets;
  readonly #busy: Float64Array;
  readonly #paths: readonly Path[];
  /** The first hardware thread of the core's physical core: caches and directory know only these. */
  readonly #agent: Int32Array;
  readonly #distance: Distance;
  readonly #latencies: Latencies;
  readonly #node: readonly number[];

  /** `bytes`: of physical memory. `nodeOf`: the NUMA node of an address. */
  constructor(
    model: MachineModel,
    bytes: number,
    private readonly nodeOf: (address: number) => number = () => 0,
  ) {
    const lines = Math.ceil(bytes / LINE_BYTES);
    this.#owner = new Int32Array(lines).fill(-1);
    this.#sharers = new CoreSets(lines, model.topology.cores.length);
    this.#busy = new Float64Array(lines);
    this.#paths = pathsOf(model.topology);
    this.#agent = Int32Array.from(model.topology.cores, (core) => core.physical);
    this.#distance = distanceOf(model);
    this.#latencies = model.latencies;
    this.#node = model.topology.cores.map((core) => core.node);
  }

  /** When a core that asks for a line at time `now` has it, to read or to write, in cycles. */
  access(core: number, line: number, write: boolean, now: number): number {
    const agent = this.#agent[core];
    const owner = this.#owner[line];
    if (owner === agent) return now + this.#ownHit(agent, line);
    if (!write && this.#sharers.has(line, agent)) return now + this.#ownHit(agent, line);
    const start = Math.max(now, this.#busy[line]);
    const end = start + this.#request(agent, line, write, owner);
    // Copies of a line that nobody may write are handed out as fast as they are asked for.
    if (write || owner >= 0) this.#busy[line] = end;
    return end;
  }

  #request(agent: number, line: number, write: boolean, owner: number): number {
    const sharers = this.#sharers;
    let cost: number;
    if (owner >= 0) {
      cost = this.#distance.transfer(agent, owner, line);
      this.moved++;
      if (write) {
        this.#dropFrom(owner, line);
        this.#owner[line] = agent;
      } else {
        this.#owner[line] = -1;
        sharers.add(line, owner);
        sharers.add(line, agent);
      }
    } else if (sharers.isEmpty(line)) {
      cost = this.#fromShared(agent, line);
      if (cost < 0) cost = this.#fromMemory(agent, line);
      this.#owner[line] = agent;
    } else if (write) {
      // All copies go, at the same time: the farthest decides. It is as far as the data, where they are needed.
      const had = sharers.has(line, agent);
      cost = 0;
      for (let sharer = sharers.next(line, 0); sharer >= 0; sharer = sharers.next(line, sharer + 1)) {
        if (sharer === agent) continue;
        cost = Math.max(cost, this.#distance.transfer(agent, sharer, line));
        this.#dropFrom(sharer, line);
      }
      if (cost > 0) this.moved++;
      sharers.clear(line);
      this.#owner[line] = agent;
      if (had) return cost;
    } else {
      cost = this.#fromShared(agent, line);
      if (cost < 0) cost = this.#fromNearest(agent, line);
      sharers.add(line, agent);
    }
    this.#fill(agent, line);
    return cost;
  }

  /** A line that this core may use already: in its L1 for nothing, or farther out. */
  #ownHit(agent: number, line: number): number {
    const { own } = this.#paths[agent];
    for (let i = 0; i < own.length; i++) {
      if (!own[i].cache.touch(line)) continue;
      for (let j = 0; j < i; j++) own[j].cache.insert(line);
      return i === 0 ? 0 : this.#levelCost(agent, own[i].level, line);
    }
    // A core without a cache that is known: all that it uses is at hand.
    return 0;
  }

  #levelCost(agent: number, level: number, line: number): number {
    if (level <= 2) return this.#latencies.l2;
    return this.#latencies.l3 + this.#latencies.hop * 2 * this.#distance.hopsToHome(agent, line);
  }

  /** What a cache that the core shares with others costs, if the line is in one; else -1. */
  #fromShared(agent: number, line: number): number {
    for (const { cache, level } of this.#paths[agent].shared)
      if (cache.touch(line)) return this.#levelCost(agent, level, line);
    return -1;
  }

  #fromNearest(agent: number, line: number): number {
    const sharers = this.#sharers;
    const least = this.#distance.least(agent, line);
    let cost = Infinity;
    for (let sharer = sharers.next(line, 0); sharer >= 0; sharer = sharers.next(line, sharer + 1)) {
      cost = Math.min(cost, this.#distance.transfer(agent, sharer, line));
      if (cost <= least) break;
    }
    this.moved++;
    return cost;
  }

  #fromMemory(agent: number, line: number): number {
    const local = this.nodeOf(line << LINE_BITS) === this.#node[agent];
    return local ? this.#latencies.memory : this.#latencies.remoteMemory;
  }

  /** Puts a new line into all caches on the core's path. What leaves the last of its own caches leaves the core. */
  #fill(agent: number, line: number): void {
    const { own, shared } = this.#paths[agent];
    for (const { cache } of shared) if (!cache.touch(line)) cache.insert(line);
    const last = own.length - 1;
    for (let i = 0; i < last; i++) own[i].cache.insert(line);
    const evicted = own[last].cache.insert(line);
    if (evicted >= 0) this.#evict(agent, evicted);
  }

  #evict(agent: number, line: number): void {
    for (const { cache } of this.#paths[agent].own) cache.remove(line);
    if (this.#owner[line] === agent) this.#owner[line] = -1;
    this.#sharers.delete(line, agent);
  }

  #dropFrom(agent: number, line: number): void {
    for (const { cache } of this.#paths[agent].own) cache.remove(line);
  }
}

function pathsOf(topology: Topology): Path[] {
  const built = new Map<CacheShape, Cache>();
  const cacheOf = (shape: CacheShape): Cache => {
    let cache = built.get(shape);
    if (cache === undefined) {
      cache = new Cache(shape.sizeBytes ?? DEFAULT_BYTES, LINE_BYTES, WAYS);
      built.set(shape, cache);
    }
    return cache;
  };
  const levels: { own: Level[]; shared: Level[] }[] = topology.cores.map(() => ({ own: [], shared: [] }));
  for (const shape of topology.caches) {
    if (shape.kind === 'instruction') continue;
    const agents = new Set(shape.cores.map((core) => topology.cores[core].physical));
    const entry: Level = { cache: cacheOf(shape), level: shape.level };
    for (const agent of agents) levels[agent][agents.size === 1 ? 'own' : 'shared'].push(entry);
  }
  return levels.map(({ own, shared }, core) =>
    // Where no private cache is known there is one all the same, or nothing would ever be warm.
    own.length > 0 || topology.cores[core].physical !== core
      ? { own, shared }
      : { own: [{ cache: new Cache(DEFAULT_BYTES, LINE_BYTES, WAYS), level: 1 }], shared },
  );
}
