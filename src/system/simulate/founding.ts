/**
 * The founding message as an experiment: what a fastpath IPC costs by where its kernel's state was last used, and how
 * many calls independent pairs of client and server make, for each machine and each way to arrange kernels on it.
 */
import { randomNumbers } from '../../machine/random.js';
import { SimulatedMachine } from '../../machine/simulated/machine.js';
import { distanceOf } from '../../machine/simulated/distance.js';
import type { MachineModel } from '../../machine/simulated/model.js';
import { clustersOf } from '../../machine/topology/index.js';
import { CUT_OF, type Design } from './design.js';
import {
  bootPairs,
  call,
  messagesCounted,
  partitionSize,
  replyRecv,
  writeMessage,
  type Pair,
} from './pairs.js';

/** Where the state that an IPC needs was last used. */
export type State = 'warm' | 'same-cluster' | 'far';

export interface IpcRow {
  readonly machine: string;
  readonly design: Design;
  /** Of the machine. */
  readonly cores: number;
  readonly state: State;
  /** One way: from one program into another. */
  readonly ipc_cycles: number;
  /** Cache lines that came from another core, for each IPC. */
  readonly lines_moved: number;
  /** Against the warm state of the same design. */
  readonly slowdown: number;
}

export interface ThroughputRow {
  readonly machine: string;
  readonly design: Design;
  /** That have a pair each. */
  readonly cores: number;
  readonly calls_per_kilocycle: number;
}

/** Throughput where neighbouring pairs' endpoints and reply objects share cache lines, so that transactions conflict. */
export interface ConflictRow {
  readonly machine: string;
  readonly design: 'single-elided';
  readonly cores: number;
  readonly conflicting_calls_per_kilocycle: number;
  readonly aborts_per_call: number;
}

/** An IPC by how far the core is that used the state last. */
export interface DistanceRow {
  readonly machine: string;
  readonly design: Design;
  readonly cores: number;
  /** To bring a line from that core, on average. */
  readonly line_cycles: number;
  readonly ipc_cycles_at_distance: number;
}

/** Who waits for whom, where all cores have a pair each. */
export interface WaitingRow {
  readonly machine: string;
  readonly design: Design;
  readonly cores: number;
  /** Neighbouring cores that are taken together. */
  readonly cores_a_group: number;
  /** By group that waits, then by group that has the lock: cycles for each call of the group that waits. */
  readonly lock_waiting_cycles_per_call: readonly (readonly number[])[];
}

export type FoundingRow = IpcRow | ThroughputRow | ConflictRow | DistanceRow | WaitingRow;

/** How fast pairs were simulated once their kernels had booted. */
export interface Speed {
  /** Kernel entries, those of aborted transactions included. */
  entries: number;
  milliseconds: number;
}

export interface Founding {
  readonly rows: readonly FoundingRow[];
  readonly speed: Speed;
}

export interface FoundingOptions {
  readonly seed: number;
  /** Cycles that client and server compute for each call, together. */
  readonly work: number;
  /** Calls of each pair that count, after as many again that warm up. */
  readonly calls: number;
}

const IPC_ROUNDS = 32;
/** So many distances are tried, and so many groups of cores are told apart. */
const MOST_DISTANCES = 8;
const MOST_GROUPS = 16;
const BASE = 1 << 20;

/** All rows of one design on one machine. `time`: in milliseconds. */
export function founding(
  model: MachineModel,
  design: Design,
  options: FoundingOptions,
  time = (): number => performance.now(),
): Founding {
  const machine = model.name;
  const cores = model.topology.cores.length;
  const rows: FoundingRow[] = [];
  const warm = ipc(model, design, 0, 0);
  const speed: Speed = { entries: 0, milliseconds: 0 };
  for (const [state, other] of statesOf(model, design)) {
    const { cycles, lines } = state === 'warm' ? warm : ipc(model, design, 0, other);
    rows.push({
      machine,
      design,
      cores,
      state,
      ipc_cycles: round(cycles),
      lines_moved: round(lines),
      slowdown: round(cycles / warm.cycles),
    });
  }
  if (design === 'single' || design === 'single-elided') {
    for (const { core, lineCycles } of distancesOf(model)) {
      const { cycles } = ipc(model, design, 0, core);
      rows.push({
        machine,
        design,
        cores,
        line_cycles: round(lineCycles),
        ipc_cycles_at_distance: round(cycles),
      });
    }
  }
  const timed = (packed: number): Throughput => {
    const { machine, pairs } = boot(model, design, packed);
    const start = time();
    const result = throughput(machine, pairs, design, options);
    speed.milliseconds += time() - start;
    speed.entries += machine.entries + machine.aborts;
    return result;
  };
  const separate = timed(1);
  for (const { count, perKilocycle } of separate.points)
    rows.push({ machine, design, cores: count, calls_per_kilocycle: round(perKilocycle) });
  if (design !== 'per-core') rows.push({ machine, design, cores, ...separate.waiting });
  if (design === 'single-elided') {
    const conflicting = timed(PACKED);
    for (const { count, perKilocycle, aborts } of conflicting.points)
      rows.push({
        machine,
        design,
        cores: count,
        conflicting_calls_per_kilocycle: round(perKilocycle),
        aborts_per_call: round(aborts),
      });
  }
  return { rows, speed };
}

const PACKED = 4;

/** The throughput alone: a pair on each of the first 1, 2, 4 … cores, and on all. */
export function scaling(
  model: MachineModel,
  design: Design,
  options: FoundingOptions,
): readonly Pick<ThroughputRow, 'cores' | 'calls_per_kilocycle'>[] {
  const { machine, pairs } = boot(model, design, 1);
  return throughput(machine, pairs, design, options).points.map(({ count, perKilocycle }) => ({
    cores: count,
    calls_per_kilocycle: perKilocycle,
  }));
}

/** 1, 2, 4 … and all. */
export function coreCounts(cores: number): number[] {
  const counts: number[] = [];
  for (let count = 1; count < cores; count *= 2) counts.push(count);
  return [...counts, cores];
}

/** The states that a design's kernels can be in, and the core that used the state last, where core 0 runs. */
function statesOf(model: MachineModel, design: Design): [State, number][] {
  const states: [State, number][] = [['warm', 0]];
  if (design === 'per-core') return states;
  const neighbour = clustersOf(model.topology, 'auto')
    .find(({ cores }) => cores.includes(0))!
    .cores.find((core) => model.topology.cores[core].physical !== 0);
  if (neighbour !== undefined) states.push(['same-cluster', neighbour]);
  if (design !== 'clustered') states.push(['far', mostDistant(model)]);
  return states;
}

/** What a line costs from each core to core 0, on average. */
function lineCycles(model: MachineModel): number[] {
  const distance = distanceOf(model);
  const lines = 64;
  return model.topology.cores.map(({ id, physical }) => {
    let sum = 0;
    if (physical !== 0) for (let line = 0; line < lines; line++) sum += distance.transfer(0, id, line);
    return sum / lines;
  });
}

/** The core from which lines take longest to core 0. */
function mostDistant(model: MachineModel): number {
  const cost = lineCycles(model);
  return cost.indexOf(Math.max(...cost));
}

/** Cores at some distances from core 0, the nearest and the farthest among them; nearest first. */
function distancesOf(model: MachineModel): { core: number; lineCycles: number }[] {
  const firstAt = new Map<number, number>();
  lineCycles(model).forEach((cycles, core) => {
    if (cycles > 0 && !firstAt.has(cycles)) firstAt.set(cycles, core);
  });
  const all = [...firstAt].sort(([a], [b]) => a - b).map(([lineCycles, core]) => ({ core, lineCycles }));
  const count = Math.min(all.length, MOST_DISTANCES);
  return Array.from(
    { length: count },
    (_, at) => all[Math.round((at * (all.length - 1)) / (count - 1 || 1))],
  );
}

/**
 * One pair, whose IPCs are done by `core` and `other` in turn: each finds the kernel's state and the threads' in the
 * other's caches. Both are the same core to the kernel, since they never enter it at once.
 */
function ipc(
  model: MachineModel,
  design: Design,
  core: number,
  other: number,
): { cycles: number; lines: number } {
  const size = partitionSize(1);
  const nodeOf = (): number => model.topology.cores[core].node;
  const { elided } = CUT_OF[design];
  const machine = new SimulatedMachine(model, BASE + size, nodeOf, undefined, elided);
  machine.aborted = unexpected;
  const image = imageOf(model, design);
  const [pair] = bootPairs(machine, { image, base: BASE, size, cores: 1 });
  let now = 0;
  let turn = 0;
  const step = (tcb: number, entry: (pair: Pair) => void): void => {
    const who = turn++ % 2 === 0 ? core : other;
    machine.clocks[who] = now;
    machine.user(who, () => writeMessage(machine, tcb));
    if (elided) machine.enterKernelElided(who, () => entry(pair));
    else machine.enterKernel(who, () => entry(pair));
    now = machine.clocks[who];
  };
  const rounds = (): void => {
    for (let i = 0; i < IPC_ROUNDS; i++) {
      step(pair.client, call);
      step(pair.server, replyRecv);
    }
  };
  rounds();
  const start = { now, lines: machine.linesMoved };
  rounds();
  return {
    cycles: (now - start.now) / (2 * IPC_ROUNDS),
    lines: (machine.linesMoved - start.lines) / (2 * IPC_ROUNDS),
  };
}

function unexpected(): void {
  throw new Error('a transaction had a conflict although no other was there');
}

function imageOf(model: MachineModel, design: Design): 'unicore' | 'smp' {
  if (design === 'per-core') return 'unicore';
  if (design === 'clustered')
    return clustersOf(model.topology, 'auto')[0].cores.length > 1 ? 'smp' : 'unicore';
  return 'smp';
}

interface Throughput {
  readonly points: readonly {
    readonly count: number;
    readonly perKilocycle: number;
    readonly aborts: number;
  }[];
  /** At the last point. */
  readonly waiting: Pick<WaitingRow, 'cores_a_group' | 'lock_waiting_cycles_per_call'>;
}

/** A pair on each of the first 1, 2, 4 … cores, and on all. */
function throughput(
  machine: SimulatedMachine,
  pairs: readonly Pair[],
  design: Design,
  options: FoundingOptions,
): Throughput {
  let made: Uint32Array = new Uint32Array();
  const points = coreCounts(pairs.length).map((count) => {
    machine.lockWaitingFor.fill(0);
    const run = runPairs(machine, pairs.slice(0, count), CUT_OF[design].elided, options);
    made = run.made;
    const calls = made.reduce((a, b) => a + b, 0);
    return { count, perKilocycle: 1000 * run.callsPerCycle, aborts: run.aborts / calls };
  });
  return { points, waiting: waitingOf(machine, made) };
}

/** `made`: calls of each core. */
function waitingOf(machine: SimulatedMachine, made: Uint32Array): Throughput['waiting'] {
  const size = Math.ceil(made.length / MOST_GROUPS);
  const groups = Math.ceil(made.length / size);
  const cycles = Array.from({ length: groups }, () => new Array<number>(groups).fill(0));
  const calls = new Array<number>(groups).fill(0);
  made.forEach((count, core) => {
    const group = Math.floor(core / size);
    calls[group] += count;
    for (let holder = 0; holder < made.length; holder++)
      cycles[group][Math.floor(holder / size)] += machine.lockWaitingFor[core * made.length + holder];
  });
  return {
    cores_a_group: size,
    lock_waiting_cycles_per_call: cycles.map((row, group) => row.map((sum) => round(sum / calls[group]))),
  };
}

/** One kernel for all cores, or one for each cluster, in partitions one after the other. */
function boot(
  model: MachineModel,
  design: Design,
  packed: number,
): { machine: SimulatedMachine; pairs: Pair[] } {
  const cut = CUT_OF[design];
  const clusters = clustersOf(model.topology, cut.clusters);
  const size = partitionSize(Math.max(...clusters.map(({ cores }) => cores.length)));
  const first = Math.ceil(BASE / size) * size;
  const nodes = clusters.map(({ cores }) => model.topology.cores[cores[0]].node);
  const nodeOf = (address: number): number => nodes[Math.floor((address - first) / size)];
  const bytes = first + clusters.length * size;
  const machine = new SimulatedMachine(model, bytes, nodeOf, undefined, cut.elided);
  const pairs: Pair[] = [];
  clusters.forEach(({ cores }, index) => {
    const image = cores.length > 1 ? 'smp' : 'unicore';
    const booted = bootPairs(machine, {
      image,
      base: first + index * size,
      size,
      cores: cores.length,
      packed,
    });
    booted.forEach((pair, core) => (pairs[cores[core]] = pair));
  });
  return { machine, pairs };
}

/** A core's pair goes round: the client runs, calls, the server runs, replies. */
const enum Step {
  Client,
  Call,
  Server,
  Reply,
}
const STEPS = 4;

/**
 * Runs the pairs, that of core i on core i, until each has made its calls. Whoever has made them goes on as long as
 * others have not, so that all calls are made under the same load.
 */
function runPairs(
  machine: SimulatedMachine,
  pairs: readonly Pair[],
  elided: boolean,
  { seed, work, calls }: FoundingOptions,
): { callsPerCycle: number; made: Uint32Array; aborts: number } {
  const random = randomNumbers(seed);
  const abortsBefore = machine.aborts;
  const steps = new Uint8Array(pairs.length);
  const made = new Uint32Array(pairs.length);
  const written = pairs.map((pair) => messagesCounted(machine, pair));
  const began = new Float64Array(pairs.length);
  const ended = new Float64Array(pairs.length);
  const queue = new Agenda(pairs.length);
  const origin = machine.clocks.reduce((a, b) => Math.max(a, b), 0);
  pairs.forEach((_, core) => {
    // Not all at once: as if each had been started by itself.
    machine.clocks[core] = origin + Math.floor(random() * (work + 1000));
    queue.add(core, machine.clocks[core]);
  });
  machine.aborted = (core) => {
    steps[core] = (steps[core] + STEPS - 1) % STEPS;
    queue.add(core, machine.clocks[core]);
  };
  let left = pairs.length;
  while (left > 0) {
    const core = queue.next();
    const pair = pairs[core];
    const step = steps[core] as Step;
    let done = true;
    if (step === Step.Client || step === Step.Server) {
      machine.user(core, () => {
        machine.compute(work / 2);
        writeMessage(machine, step === Step.Client ? pair.client : pair.server);
      });
      written[core]++;
    } else {
      const entry = step === Step.Call ? () => call(pair) : () => replyRecv(pair);
      if (elided) done = machine.enterKernelElided(core, entry);
      else machine.enterKernel(core, entry);
    }
    if (done) {
      // A reply counts when the client goes on: until then its transaction may yet be undone.
      if (step === Step.Client) {
        const count = made[core]++;
        if (count === calls) began[core] = machine.clocks[core];
        if (count === 2 * calls) {
          ended[core] = machine.clocks[core];
          left--;
        }
      }
      steps[core] = (step + 1) % STEPS;
    }
    queue.add(core, machine.clocks[core]);
  }
  const aborts = machine.aborts - abortsBefore;
  finishCalls(machine, pairs, steps);
  for (const [core, pair] of pairs.entries())
    if (messagesCounted(machine, pair) !== written[core]) throw new Error(`core ${core}: a call was lost`);
  let callsPerCycle = 0;
  for (let core = 0; core < pairs.length; core++) callsPerCycle += calls / (ended[core] - began[core]);
  return { callsPerCycle, made, aborts };
}

/**
 * Brings all pairs to where clients are about to call, for the next run. Who takes the lock for that may undo what others
 * have done last: then these come to it once more.
 */
function finishCalls(machine: SimulatedMachine, pairs: readonly Pair[], steps: Uint8Array): void {
  const isOver = (step: Step): boolean => step === Step.Client;
  while (!steps.every(isOver)) {
    pairs.forEach((pair, core) => {
      for (; !isOver(steps[core]); steps[core] = (steps[core] + 1) % STEPS) {
        if (steps[core] === Step.Call) machine.enterKernel(core, () => call(pair));
        if (steps[core] === Step.Reply) machine.enterKernel(core, () => replyRecv(pair));
      }
    });
  }
}

/** Which core is next: the one with the lowest clock, of those the one with the lowest number. A binary heap. */
class Agenda {
  readonly #time: Float64Array;
  readonly #heap: number[] = [];
  readonly #times: number[] = [];

  constructor(cores: number) {
    this.#time = new Float64Array(cores);
  }

  /** A core's clock has changed: what was noted of it before is void. */
  add(core: number, time: number): void {
    this.#time[core] = time;
    let at = this.#heap.length;
    for (let up = (at - 1) >> 1; at > 0 && this.#before(time, core, up); at = up, up = (at - 1) >> 1) {
      this.#heap[at] = this.#heap[up];
      this.#times[at] = this.#times[up];
    }
    this.#heap[at] = core;
    this.#times[at] = time;
  }

  next(): number {
    for (;;) {
      const core = this.#heap[0];
      const time = this.#times[0];
      this.#removeFirst();
      if (time !== this.#time[core]) continue;
      this.#time[core] = NaN;
      return core;
    }
  }

  #removeFirst(): void {
    const core = this.#heap.pop()!;
    const time = this.#times.pop()!;
    const length = this.#heap.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#before(this.#times[child + 1], this.#heap[child + 1], child)) child++;
      if (this.#before(time, core, child)) break;
      this.#heap[at] = this.#heap[child];
      this.#times[at] = this.#times[child];
      at = child;
    }
    this.#heap[at] = core;
    this.#times[at] = time;
  }

  #before(time: number, core: number, at: number): boolean {
    return time < this.#times[at] || (time === this.#times[at] && core < this.#heap[at]);
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
