/**
 * Caches and their coherence: a directory over 64-byte lines with the states of MESI.
 *
 * A line is in no private cache, in one that may write it (exclusive or modified), or in some that may read it (shared:
 * `#sharers`). Reading what another core owns makes both sharers; writing what others hold takes it from them. While a
 * line is on its way to or from one that may write it, the next request for it waits.
 */
import type { Cache as CacheShape, Topology } from '../topology/topology.js';
import { Cache } from './cache.js';
import { distanceOf, type Distance } from './distance.js';
import type { Latencies, MachineModel } from './model.js';
import { SharedArrays } from './shared-arrays.js';

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

/** Who has a line: nobody, or some to read it; else it is the agent that may write it, plus one. */
const NOBODY = 0;
const SHARED = -1;

export class Coherence {
  readonly #holder: Int32Array;
  /** By line: a bit for each agent, in so many words. They count where the holder is `SHARED`. */
  readonly #sharers: Int32Array;
  readonly #sharerWords: number;
  readonly #busy: Float64Array;
  /** Whether the last core that had to wait had the line already, to read it. */
  upgraded = false;
  /** By agent: lines that were brought to it from another core's cache, or that it took from others to write them. */
  readonly movedTo: Float64Array;
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
    arrays = new SharedArrays(),
  ) {
    const lines = Math.ceil(bytes / LINE_BYTES);
    this.#sharerWords = Math.ceil(model.topology.cores.length / 32);
    this.#holder = arrays.int32(lines);
    this.#sharers = arrays.int32(lines * this.#sharerWords);
    this.#busy = arrays.float64(lines);
    this.movedTo = arrays.float64(model.topology.cores.length);
    this.#paths = pathsOf(model.topology, arrays);
    this.#agent = Int32Array.from(model.topology.cores, (core) => core.physical);
    this.#distance = distanceOf(model);
    this.#latencies = model.latencies;
    this.#node = model.topology.cores.map((core) => core.node);
  }

  /** Lines that were brought from another core's cache, or taken from other cores to write them. */
  get moved(): number {
    return this.movedTo.reduce((a, b) => a + b, 0);
  }

  /** When a core that asks for a line at time `now` has it, to read or to write, in cycles. */
  access(core: number, line: number, write: boolean, now: number): number {
    const agent = this.#agent[core];
    const holder = this.#holder[line];
    if (holder === agent + 1) return now + this.#ownHit(agent, line);
    if (!write && holder === SHARED && this.#shares(agent, line)) return now + this.#ownHit(agent, line);
    const start = Math.max(now, this.#busy[line]);
    const end = start + this.#request(agent, line, write, holder);
    // Copies of a line that nobody may write are handed out as fast as they are asked for.
    if (write || holder > 0) this.#busy[line] = end;
    return end;
  }

  #request(agent: number, line: number, write: boolean, holder: number): number {
    let cost: number;
    this.upgraded = false;
    if (holder > 0) {
      const owner = holder - 1;
      cost = this.#distance.transfer(agent, owner, line);
      this.movedTo[agent]++;
      if (write) {
        this.#dropFrom(owner, line);
        this.#holder[line] = agent + 1;
      } else {
        this.#holder[line] = SHARED;
        this.#share(owner, line);
        this.#share(agent, line);
      }
    } else if (holder === SHARED) {
      if (write) {
        const had = this.#shares(agent, line);
        cost = this.#takeFromSharers(agent, line);
        this.#holder[line] = agent + 1;
        if (had) {
          this.upgraded = true;
          return cost;
        }
      } else {
        cost = this.#fromShared(agent, line);
        if (cost < 0) cost = this.#fromNearest(agent, line);
        this.#share(agent, line);
      }
    } else {
      cost = this.#fromShared(agent, line);
      if (cost < 0) cost = this.#fromMemory(agent, line);
      this.#holder[line] = agent + 1;
    }
    this.#fill(agent, line);
    return cost;
  }

  #shares(agent: number, line: number): boolean {
    return (this.#sharers[line * this.#sharerWords + (agent >>> 5)] & (1 << (agent & 31))) !== 0;
  }

  #share(agent: number, line: number): void {
    this.#sharers[line * this.#sharerWords + (agent >>> 5)] |= 1 << (agent & 31);
  }

  /** All copies but the writer's go, at the same time: the farthest decides. It is as far as the data, where they are needed. */
  #takeFromSharers(agent: number, line: number): number {
    let cost = 0;
    this.#distance.ask(agent, line);
    for (let word = 0; word < this.#sharerWords; word++) {
      const at = line * this.#sharerWords + word;
      for (let bits = this.#sharers[at]; bits !== 0; bits &= bits - 1) {
        const sharer = word * 32 + 31 - Math.clz32(bits & -bits);
        if (sharer === agent) continue;
        cost = Math.max(cost, this.#distance.from(sharer));
        this.#dropFrom(sharer, line);
      }
      this.#sharers[at] = 0;
    }
    if (cost > 0) this.movedTo[agent]++;
    return cost;
  }

  /** A line that this core may use already: in its L1 for nothing, or farther out. */
  #ownHit(agent: number, line: number): number {
    this.upgraded = false;
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
    const words = this.#sharerWords;
    const least = this.#distance.least(agent, line);
    let cost = Infinity;
    this.#distance.ask(agent, line);
    // Cores of near numbers first: one of them is mostly as near as can be.
    for (let word = agent >>> 5, left = words; left > 0 && cost > least; left--, word = (word + 1) % words) {
      let bits = this.#sharers[line * words + word];
      for (; bits !== 0 && cost > least; bits &= bits - 1) {
        const sharer = word * 32 + 31 - Math.clz32(bits & -bits);
        cost = Math.min(cost, this.#distance.from(sharer));
      }
    }
    this.movedTo[agent]++;
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
    if (this.#holder[line] === agent + 1) this.#holder[line] = NOBODY;
    if (this.#holder[line] !== SHARED) return;
    this.#sharers[line * this.#sharerWords + (agent >>> 5)] &= ~(1 << (agent & 31));
    for (let word = 0; word < this.#sharerWords; word++)
      if (this.#sharers[line * this.#sharerWords + word] !== 0) return;
    this.#holder[line] = NOBODY;
  }

  #dropFrom(agent: number, line: number): void {
    for (const { cache } of this.#paths[agent].own) cache.remove(line);
  }
}

function pathsOf(topology: Topology, arrays: SharedArrays): Path[] {
  const built = new Map<CacheShape, Cache>();
  const cacheOf = (shape: CacheShape): Cache => {
    let cache = built.get(shape);
    if (cache === undefined) {
      cache = new Cache(shape.sizeBytes ?? DEFAULT_BYTES, LINE_BYTES, WAYS, arrays);
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
      : { own: [{ cache: new Cache(DEFAULT_BYTES, LINE_BYTES, WAYS, arrays), level: 1 }], shared },
  );
}
