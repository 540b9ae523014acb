/**
 * Caches and their coherence: a directory over 64-byte lines with the states of MESI.
 *
 * A line is in no private cache, in one that may write it (exclusive or modified), or in some that may read it (shared:
 * `#sharers`). Reading what another core owns makes both sharers; writing what others hold takes it from them. While a
 * line is on its way to or from one that may write it, the next request for it waits.
 */
import type { Topology } from '../topology/topology.js';
import { Caches } from './cache.js';
import { distanceOf, type Distance } from './distance.js';
import type { Latencies, MachineModel } from './model.js';
import { SharedArrays } from './shared-arrays.js';

export const LINE_BITS = 6;
export const LINE_BYTES = 1 << LINE_BITS;
/** What most L1 and L2 have between two and sixteen. */
const WAYS = 8;
const DEFAULT_BYTES = 32 * 1024;

const NONE = -1;

/** The caches that a core's accesses go through. Hardware threads of one physical core have the same. */
class Paths {
  /** By agent, the nearest first and {@link NONE} at the end: numbers of caches. */
  readonly #caches: Int32Array;
  readonly #length: number;

  constructor(paths: readonly (readonly number[])[]) {
    this.#length = 1 + Math.max(0, ...paths.map((path) => path.length));
    this.#caches = new Int32Array(paths.length * this.#length).fill(NONE);
    paths.forEach((path, agent) => this.#caches.set(path, agent * this.#length));
  }

  at(agent: number, index: number): number {
    return this.#caches[agent * this.#length + index];
  }
}

/** Who has a line: nobody; or the agent that may write it, plus one; or some to read it, minus their number. */
const NOBODY = 0;

export class Coherence {
  readonly #holder: Int32Array;
  /** By line: a bit for each agent, in so many words. All zero unless some may read it. */
  readonly #sharers: Int32Array;
  readonly #sharerWords: number;
  readonly #busy: Float64Array;
  /** Whether the last core that had to wait had the line already, to read it. */
  upgraded = false;
  /** By agent: lines that were brought to it from another core's cache, or that it took from others to write them. */
  readonly movedTo: Float64Array;
  readonly #caches: Caches;
  /** By cache. */
  readonly #levels: readonly number[];
  /** Caches that one agent has alone, and that it shares with others. */
  readonly #own: Paths;
  readonly #shared: Paths;
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
    const { lines: sizes, levels, own, shared } = cachesOf(model.topology);
    this.#caches = new Caches(sizes, WAYS, arrays);
    this.#levels = levels;
    this.#own = new Paths(own);
    this.#shared = new Paths(shared);
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
    if (!write && holder < 0 && this.#shares(agent, line)) return now + this.#ownHit(agent, line);
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
        this.#holder[line] = NOBODY;
        this.#share(owner, line);
        this.#share(agent, line);
      }
    } else if (holder < 0) {
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
    this.#holder[line]--;
  }

  /** All copies but the writer's go, at the same time: the farthest decides. It is as far as the data, where they are needed. */
  #takeFromSharers(agent: number, line: number): number {
    let cost = 0;
    let left = -this.#holder[line];
    this.#distance.ask(agent, line);
    for (let word = 0; left > 0; word++) {
      const at = line * this.#sharerWords + word;
      for (let bits = this.#sharers[at]; bits !== 0; bits &= bits - 1) {
        left--;
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
    const own = this.#own;
    const caches = this.#caches;
    for (let i = 0, cache = own.at(agent, 0); cache !== NONE; cache = own.at(agent, ++i)) {
      if (!caches.touch(cache, line)) continue;
      for (let j = 0; j < i; j++) caches.insert(own.at(agent, j), line);
      return i === 0 ? 0 : this.#levelCost(agent, this.#levels[cache], line);
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
    for (let i = 0, cache; (cache = this.#shared.at(agent, i)) !== NONE; i++)
      if (this.#caches.touch(cache, line)) return this.#levelCost(agent, this.#levels[cache], line);
    return -1;
  }

  #fromNearest(agent: number, line: number): number {
    const words = this.#sharerWords;
    const least = this.#distance.least(agent, line);
    let cost = Infinity;
    this.#distance.ask(agent, line);
    // Cores of near numbers first, to both sides: one of them is mostly as near as can be.
    for (
      let step = 0, word = agent >>> 5;
      step < 2 * words && cost > least;
      word += ++step & 1 ? step : -step
    ) {
      if (word < 0 || word >= words) continue;
      let bits = this.#sharers[line * words + word];
      if (bits === 0 || this.#distance.leastOf(word) >= cost) continue;
      for (; bits !== 0 && cost > least; bits &= bits - 1) {
        const from = this.#distance.from(word * 32 + 31 - Math.clz32(bits & -bits));
        if (from < cost) cost = from;
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
    const caches = this.#caches;
    for (let i = 0, cache; (cache = this.#shared.at(agent, i)) !== NONE; i++)
      if (!caches.touch(cache, line)) caches.insert(cache, line);
    let evicted = -1;
    for (let i = 0, cache; (cache = this.#own.at(agent, i)) !== NONE; i++)
      evicted = caches.insert(cache, line);
    if (evicted >= 0) this.#evict(agent, evicted);
  }

  #evict(agent: number, line: number): void {
    this.#dropFrom(agent, line);
    if (this.#holder[line] === agent + 1) this.#holder[line] = NOBODY;
    if (this.#holder[line] >= 0 || !this.#shares(agent, line)) return;
    this.#sharers[line * this.#sharerWords + (agent >>> 5)] &= ~(1 << (agent & 31));
    this.#holder[line]++;
  }

  #dropFrom(agent: number, line: number): void {
    for (let i = 0, cache; (cache = this.#own.at(agent, i)) !== NONE; i++) this.#caches.remove(cache, line);
  }
}

/** All caches: how many lines each has and its level; and by agent the numbers of those that it has alone, and shares. */
function cachesOf({ caches, cores }: Topology) {
  const lines: number[] = [];
  const levels: number[] = [];
  const own: number[][] = cores.map(() => []);
  const shared: number[][] = cores.map(() => []);
  const add = (bytes: number, level: number): number =>
    levels.push(level) && lines.push(bytes / LINE_BYTES) - 1;
  for (const { kind, level, sizeBytes = DEFAULT_BYTES, cores: those } of caches) {
    if (kind === 'instruction') continue;
    const cache = add(sizeBytes, level);
    const agents = new Set(those.map((core) => cores[core].physical));
    for (const agent of agents) (agents.size === 1 ? own : shared)[agent].push(cache);
  }
  own.forEach((path, core) => {
    // Where no private cache is known there is one all the same, or nothing would ever be warm.
    if (path.length === 0 && cores[core].physical === core) path.push(add(DEFAULT_BYTES, 1));
  });
  return { lines, levels, own, shared };
}
