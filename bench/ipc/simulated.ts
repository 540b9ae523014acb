/**
 * The same on the simulated machine: a call in one image that two cores use in turn, beside a protected call on one core.
 * What goes in is measured by itself: what one core does alone, and what one line of another core costs. What a call costs
 * whose lines another core has comes out.
 */
import { SimulatedMachine } from '../../src/machine/simulated/machine.js';
import type { MachineModel } from '../../src/machine/simulated/model.js';
import { preset } from '../../src/machine/simulated/presets.js';
import {
  bootPairs,
  call,
  partitionSize,
  replyRecv,
  writeMessage,
  type Pair,
} from '../../src/system/simulate/pairs.js';

/** Nanoseconds. */
export interface Measured {
  readonly cycle: number;
  /** To load a line that another core wrote last. */
  readonly farLine: number;
  /** Into WebAssembly and out again: what here is an entry into the kernel. */
  readonly crossing: number;
  /** What the programs of a protected call, and their engine, take beside the kernel. */
  readonly programs: number;
}

export interface SimulatedCalls {
  readonly ppcall: number;
  readonly singleImage: number;
}

const BASE = 1 << 20;
const ROUNDS = 64;
/** A word that says whose turn it is. */
const TURN = 64;
/** Cycles, part of what a load costs anyway. */
const L1 = 4;

/** Nanoseconds, as the bench's figures of the same names. */
export function simulatedCalls(measured: Measured): SimulatedCalls {
  const { cycle } = measured;
  const model = twoCores(measured);
  const crossing = measured.crossing / cycle;
  const alone = cyclesOf(model, 'unicore', (machine, pair, time) => {
    machine.clocks[0] = time;
    machine.user(0, () => callAndReply(machine, pair, crossing));
    return machine.clocks[0];
  });
  return {
    ppcall: alone * cycle + measured.programs,
    singleImage: (turnsOf(model, crossing, true) - turnsOf(model, crossing, false)) * cycle,
  };
}

/** Two cores like this computer's: of the preset that comes nearest, with what a line costs here. */
function twoCores({ cycle, farLine }: Measured): MachineModel {
  const like = preset(process.arch === 'arm64' ? 'ampere-altra' : 'intel-client');
  const line = Math.max(0, farLine / cycle - L1);
  return {
    ...like,
    name: 'this computer',
    interconnect: { kind: 'flat' },
    latencies: { ...like.latencies, sharedL3: line, package: line, machine: line },
    core: { ...like.core, storesByExchange: process.arch !== 'arm64' },
  };
}

/** Cycles a turn, of two cores that take turns, with a call in each or with nothing. */
function turnsOf(model: MachineModel, crossing: number, withCall: boolean): number {
  let side = 0;
  return cyclesOf(model, 'smp', (machine, pair, time) => {
    machine.clocks[side] = time;
    // Who spins goes on when it sees that it is its turn.
    machine.userAccess(side, TURN, 4, false, 0);
    machine.user(side, () => {
      if (withCall) callAndReply(machine, pair, crossing);
      machine.exchange(TURN);
    });
    const end = machine.clocks[side];
    side = 1 - side;
    return end;
  });
}

/** Cycles a round when the caches are warm. A round begins at a time, and yields when it ends. */
function cyclesOf(
  model: MachineModel,
  image: 'unicore' | 'smp',
  round: (machine: SimulatedMachine, pair: Pair, time: number) => number,
): number {
  const size = partitionSize(1);
  const machine = new SimulatedMachine(model, BASE + size);
  const [pair] = bootPairs(machine, { image, base: BASE, size, cores: 1 });
  const rounds = (start: number): number => {
    let time = start;
    for (let i = 0; i < ROUNDS; i++) time = round(machine, pair, time);
    return time;
  };
  const start = rounds(0);
  return (rounds(start) - start) / ROUNDS;
}

/** As in the benchmark, WebAssembly is entered by a call, not by a trap: what is under way stays so. */
function callAndReply(machine: SimulatedMachine, pair: Pair, crossing: number): void {
  writeMessage(machine, pair.client);
  machine.compute(crossing);
  call(pair);
  writeMessage(machine, pair.server);
  machine.compute(crossing);
  replyRecv(pair);
}
