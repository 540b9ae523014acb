/** What it costs to get a line from another core's cache, by where the two cores are. */
import type { MachineModel } from './model.js';
import type { Topology } from '../topology/topology.js';

export interface Distance {
  /** Cycles to bring `line` from core `owner`'s cache to `core`'s. */
  transfer(core: number, owner: number, line: number): number;
  /** A core asks for a line: {@link from} says what it costs from one owner or another. */
  ask(core: number, line: number): void;
  from(owner: number): number;
  /** Not more than {@link transfer} from any other core. */
  least(core: number, line: number): number;
  /** Not more than {@link from} says of any of the 32 cores with numbers from `32 * word`. */
  leastOf(word: number): number;
  /** Steps from a core to the slice that keeps the directory, and a part of the L3, for `line`. */
  hopsToHome(core: number, line: number): number;
  /** Whether the two share an L2. */
  sharesL2(core: number, other: number): boolean;
}

/**
 * A line is asked for at its home, a slice of its owner's package that its address selects; the home asks the owner,
 * which sends the line: three legs, as directory protocols have it.
 */
export function distanceOf({ topology, interconnect, latencies }: MachineModel): Distance {
  const l2 = groupOf(topology, 2);
  const l3 = groupOf(topology, 3);
  const packageOf = Int32Array.from(topology.cores, (core) => core.package);
  const members = new Map(topology.packages.map(({ id, cores }) => [id, cores]));
  const place = new Map(topology.packages.flatMap(({ cores }) => cores.map((core, index) => [core, index])));
  const placeOf = Int32Array.from(topology.cores, ({ id }) => place.get(id)!);
  const sizeOf = Int32Array.from(topology.cores, (core) => members.get(core.package)!.length);

  /** The link between packages is at the first core of each. */
  const link = Int32Array.from(topology.cores, (core) => members.get(core.package)![0]);

  const { kind } = interconnect;
  const { width, coresPerStop = 1 } = kind === 'mesh' ? interconnect : { width: 1 };
  const stopOf = placeOf.map((place) => Math.floor(place / coresPerStop));
  const column = stopOf.map((stop) => stop % width);
  const row = stopOf.map((stop) => Math.floor(stop / width));
  /** Between two cores of a package. */
  const hops = (a: number, b: number): number => {
    if (kind === 'flat') return 0;
    if (kind === 'mesh') return Math.abs(column[a] - column[b]) + Math.abs(row[a] - row[b]);
    const steps = Math.abs(placeOf[a] - placeOf[b]);
    return Math.min(steps, sizeOf[a] - steps);
  };
  /** The core where a line's home is, in the package of another. */
  const homeOf = (line: number, core: number): number => {
    const cores = members.get(packageOf[core])!;
    return cores[scatter(line) % cores.length];
  };
  const sharesL2 = (a: number, b: number): boolean => l2[a] >= 0 && l2[a] === l2[b];
  const hopsToHome = (core: number, line: number): number => hops(core, homeOf(line, core));
  const isShared = (level: number): boolean =>
    topology.caches.some((cache) => cache.level === level && cache.cores.length > 1);
  const inPackage = isShared(3) ? Math.min(latencies.sharedL3, latencies.package) : latencies.package;
  const elsewhere = Math.min(
    isShared(2) ? latencies.sharedL2 : Infinity,
    topology.packages.length > 1 ? latencies.machine : Infinity,
  );

  /** What is asked for, its home in the package that was looked at last, and the hops to there. */
  const asked = { core: 0, line: 0, package: -1, home: 0, legs: 0 };
  const ask = (core: number, line: number): void => {
    asked.core = core;
    asked.line = line;
    asked.package = -1;
  };
  const from = (owner: number): number => {
    const { core } = asked;
    if (sharesL2(core, owner)) return latencies.sharedL2;
    const near = packageOf[core] === packageOf[owner];
    if (packageOf[owner] !== asked.package) {
      asked.package = packageOf[owner];
      asked.home = homeOf(asked.line, owner);
      asked.legs = near ? hops(core, asked.home) : 2 * hops(core, link[core]) + hops(link[owner], asked.home);
    }
    const legs = asked.legs + hops(asked.home, owner) + hops(owner, near ? core : link[owner]);
    if (!near) return latencies.machine + latencies.hop * legs;
    const together = l3[core] >= 0 && l3[core] === l3[owner];
    return (together ? latencies.sharedL3 : latencies.package) + latencies.hop * legs;
  };

  // From the home to the owner and on to the core is not less than from the home to the core.
  const least = (core: number, line: number): number =>
    Math.min(elsewhere, inPackage + 2 * latencies.hop * hopsToHome(core, line));
  const words = Math.ceil(topology.cores.length / 32);
  const ofWord = <T>(figures: Int32Array, what: (...those: number[]) => T): T[] =>
    Array.from({ length: words }, (_, word) => what(...figures.subarray(32 * word, 32 * word + 32)));
  const top = Int32Array.from(ofWord(row, Math.min));
  const bottom = Int32Array.from(ofWord(row, Math.max));
  /** The package of all of these, or -1. */
  const packageOfWord = ofWord(packageOf, (first, ...others) =>
    others.every((at) => at === first) ? first : -1,
  );
  /** The rows beyond both the core's and the home's are on the way there and on the way back. */
  const leastOf = (word: number): number => {
    const { core, line } = asked;
    if (kind !== 'mesh' || packageOfWord[word] !== packageOf[core]) return 0;
    const home = row[homeOf(line, core)];
    const above = Math.min(home, row[core]) - bottom[word];
    const below = top[word] - Math.max(home, row[core]);
    const beyond = Math.max(0, above, below);
    return Math.min(elsewhere, least(core, line) + 2 * latencies.hop * beyond);
  };

  return {
    sharesL2,
    hopsToHome,
    least,
    leastOf,
    ask,
    from,
    transfer(core, owner, line) {
      ask(core, line);
      return from(owner);
    },
  };
}

/** For each core the index of its cache of that level, or -1. */
function groupOf(topology: Topology, level: number): Int32Array {
  const groups = new Int32Array(topology.cores.length).fill(-1);
  topology.caches.forEach((cache, index) => {
    if (cache.level === level && cache.kind !== 'instruction')
      for (const core of cache.cores) groups[core] = index;
  });
  return groups;
}

/** Spreads neighbouring lines over the slices, as processors' hashes do (the mixing step of MurmurHash3). */
function scatter(line: number): number {
  let hash = Math.imul(line ^ (line >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
