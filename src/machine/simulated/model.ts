/**
 * What the simulated machine is told of a machine: its topology, and what things cost there, in cycles.
 */
import { TopologyError, type Topology } from '../topology/topology.js';

/** How the caches of one package reach each other: what a step costs is {@link Latencies.hop}. */
export type Interconnect =
  /** All are equally far. */
  | { readonly kind: 'flat' }
  /** In a circle, in the order of the cores; a message takes the shorter way. */
  | { readonly kind: 'ring' }
  /**
   * In rows of `width` stops, in the order of the cores, of which so many (1 unless given) are at each stop; a message
   * goes along the row, then along the column.
   */
  | { readonly kind: 'mesh'; readonly width: number; readonly coresPerStop?: number };

/** Cycles beyond a hit in the L1, which is part of an instruction's own cost. */
export interface Latencies {
  /** From an L2, private or shared. */
  readonly l2: number;
  /** From an L3, without the hops to the slice that the line's address selects. */
  readonly l3: number;
  /** A line that another core's L1 holds, where both share an L2. */
  readonly sharedL2: number;
  /** A line that another core's cache holds, where both share an L3, without hops. */
  readonly sharedL3: number;
  /** The same where they share only the package. */
  readonly package: number;
  /** The same where they are in two packages. */
  readonly machine: number;
  /** One step on the ring or mesh. */
  readonly hop: number;
  /** From the memory of the core's own node, and of another. */
  readonly memory: number;
  readonly remoteMemory: number;
}

/** What a core does by itself. */
export interface CoreCosts {
  /** Cycles in a microsecond: what turns budgets, and the periods of timers, into cycles. */
  readonly megahertz: number;
  readonly cyclesPerInstruction: number;
  /** Into the kernel and out again: the trap, its return, and the switch of address spaces. */
  readonly kernelEntry: number;
  /** An atomic read-modify-write beyond a store, its line at hand. */
  readonly atomic: number;
  /** How many instructions may be under way behind one that waits: the reorder buffer's entries; 0 if it executes in order. */
  readonly window: number;
  /** How many lines may be on their way to the core at a time. */
  readonly misses: number;
  /** 1 where nothing begins before the atomic operations before it are done; 0 where lines are asked for ahead. */
  readonly atomicsStall: number;
  /** Whether the stores of a lock's protocol are exchanges, as V8 compiles them for x86. */
  readonly storesByExchange?: boolean;
}

/** Hardware transactions, for the design that elides the lock. */
export interface TransactionCosts {
  readonly begin: number;
  readonly commit: number;
  /** From the conflict until the next attempt begins. */
  readonly abort: number;
  /** After so many aborts the lock is taken. */
  readonly attempts: number;
  /** Lines that one transaction may write, and read. */
  readonly writeLines: number;
  readonly readLines: number;
}

export interface MachineModel {
  /** As the command line names it. */
  readonly name: string;
  readonly topology: Topology;
  readonly interconnect: Interconnect;
  readonly latencies: Latencies;
  readonly core: CoreCosts;
  readonly transactions: TransactionCosts;
}

/** A directory has a bit for each core and line, and each core an instance of the kernel. */
export const MOST_CORES = 4096;

/** More than any core has. */
const MOST_MISSES = 1024;
const MOST_TRANSACTION_LINES = { writeLines: 4096, readLines: 65_536 };

/**
 * The model, if it can be simulated.
 * @throws TopologyError when a figure is missing, negative or no number, the mesh has no width, or there are too many cores.
 */
export function checkModel(model: MachineModel): MachineModel {
  const { name, interconnect } = model;
  for (const [group, figures] of Object.entries(FIGURES)) {
    const values = model[group as keyof typeof FIGURES] as unknown as
      Partial<Record<string, unknown>> | undefined;
    for (const figure of figures) {
      const value = values?.[figure];
      if (typeof value === 'number' && Number.isFinite(value) && value >= 0) continue;
      const what = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`;
      throw new TopologyError(`machine '${name}': ${group}.${figure} ${what}; give a number from 0`);
    }
  }
  if (model.core.megahertz === 0)
    throw new TopologyError(`machine '${name}': core.megahertz is 0; give a number above that`);
  if (!Number.isSafeInteger(model.core.misses) || model.core.misses < 1 || model.core.misses > MOST_MISSES)
    throw new TopologyError(`machine '${name}': core.misses must be a whole number from 1 to ${MOST_MISSES}`);
  for (const [figure, most] of Object.entries(MOST_TRANSACTION_LINES)) {
    const lines = model.transactions[figure as keyof typeof MOST_TRANSACTION_LINES];
    if (!Number.isSafeInteger(lines) || lines > most)
      throw new TopologyError(
        `machine '${name}': transactions.${figure} must be a whole number up to ${most}`,
      );
  }
  if (interconnect.kind === 'mesh') {
    const { width, coresPerStop = 1 } = interconnect;
    if (![width, coresPerStop].every((count) => Number.isSafeInteger(count) && count > 0))
      throw new TopologyError(`machine '${name}': the mesh's width must be a whole number from 1`);
  }
  if (model.topology.cores.length > MOST_CORES)
    throw new TopologyError(
      `machine '${name}' has ${model.topology.cores.length} cores; at most ${MOST_CORES} can be simulated`,
    );
  return model;
}

/** The names of all latencies. */
export const LATENCIES = [
  'l2',
  'l3',
  'sharedL2',
  'sharedL3',
  'package',
  'machine',
  'hop',
  'memory',
  'remoteMemory',
] as const satisfies readonly (keyof Latencies)[];

export function isLatency(name: string): name is keyof Latencies {
  return (LATENCIES as readonly string[]).includes(name);
}

/** The names of all figures, by group. */
export const FIGURES = {
  latencies: LATENCIES,
  core: [
    'megahertz',
    'cyclesPerInstruction',
    'kernelEntry',
    'atomic',
    'window',
    'misses',
    'atomicsStall',
  ] satisfies (keyof CoreCosts)[],
  transactions: [
    'begin',
    'commit',
    'abort',
    'attempts',
    'writeLines',
    'readLines',
  ] satisfies (keyof TransactionCosts)[],
} as const;
