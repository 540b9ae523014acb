/** What it costs to get a line from another core's cache, by where the two cores are. */
import type { MachineModel } from './model.js';
import type { Topology } from '../topology/topology.js';

export interface Distance {
  /** Cycles to bring `line` from core `owner`'s cache to `core`'s. */
  transfer(core: number, owner: number, line: number): number;
  /** Not more than {@link transfer} from any other core. */
  least(core: number, line: number): number;
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

  const { kind } = interconnect;
  const { width, coresPerStop = 1 } = kind === 'mesh' ? interconnect : { width: 1 };
  const stops = Array.from(topology.cores, (_, place) => Math.floor(place / coresPerStop));
  const column = Int32Array.from(stops, (stop) => stop % width);
  const row = Int32Array.from(stops, (stop) => Math.floor(stop / width));
  const hops = (a: number, b: number, size: number): number => {
    if (kind === 'flat') return 0;
    if (kind === 'ring') return Math.min(Math.abs(a - b), size - Math.abs(a - b));
    return Math.abs(column[a] - column[b]) + Math.abs(row[a] - row[b]);
  };
  const home = (line: number, size: number): number => scatter(line) % size;
  const sharesL2 = (a: number, b: number): boolean => l2[a] >= 0 && l2[a] === l2[b];

  const hopsToHome = (core: number, line: number): number =>
    hops(placeOf[core], home(line, sizeOf[core]), sizeOf[core]);
  const isShared = (level: number): boolean =>
    topology.caches.some((cache) => cache.level === level && cache.cores.length > 1);
  const inPackage = isShared(3) ? Math.min(latencies.sharedL3, latencies.package) : latencies.package;
  const elsewhere = Math.min(
    isShared(2) ? latencies.sharedL2 : Infinity,
    topology.packages.length > 1 ? latencies.machine : Infinity,
  );

  return {
    sharesL2,
    hopsToHome,
    // From the home to the owner and on to the core is not less than from the home to the core.
    least: (core, line) => Math.min(elsewhere, inPackage + 2 * latencies.hop * hopsToHome(core, line)),
    transfer(core, owner, line) {
      if (sharesL2(core, owner)) return latencies.sharedL2;
      const size = sizeOf[owner];
      const at = home(line, size);
      if (packageOf[core] !== packageOf[owner]) {
        // The link between packages is at the first place of each.
        const legs =
          hops(placeOf[core], 0, sizeOf[core]) + hops(0, at, size) + hops(at, placeOf[owner], size);
        return (
          latencies.machine +
          latencies.hop * (legs + hops(placeOf[owner], 0, size) + hops(0, placeOf[core], size))
        );
      }
      const legs =
        hops(placeOf[core], at, size) +
        hops(at, placeOf[owner], size) +
        hops(placeOf[owner], placeOf[core], size);
      const together = l3[core] >= 0 && l3[core] === l3[owner];
      return (together ? latencies.sharedL3 : latencies.package) + latencies.hop * legs;
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
