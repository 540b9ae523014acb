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
  return {
    ppcall: cyclesOfCall(model, 'unicore', [0], crossing) * cycle + measured.programs,
    singleImage: cyclesOfCall(model, 'smp', [0, 1], crossing) * cycle,
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

/** Cycles that a call and its reply take when the caches are warm, where these cores make one in turn. */
function cyclesOfCall(
  model: MachineModel,
  image: 'unicore' | 'smp',
  cores: readonly number[],
  crossing: number,
): number {
  const size = partitionSize(1);
  const machine = new SimulatedMachine(model, BASE + size);
  const [pair] = bootPairs(machine, { image, base: BASE, size, cores: 1 });
  let time = 0;
  const rounds = (): number => {
    let cycles = 0;
    for (let i = 0; i < ROUNDS; i++) {
      for (const core of cores) {
        machine.clocks[core] = time;
        // It goes on when it sees that it is its turn.
        machine.userAccess(core, TURN, 4, false, 0);
        const start = machine.clocks[core];
        callAndReply(machine, pair, core, crossing);
        cycles += machine.clocks[core] - start;
        machine.userAtomic(core, TURN);
        time = machine.clocks[core];
      }
    }
    return cycles / (ROUNDS * cores.length);
  };
  rounds();
  return rounds();
}

/** Who is done with an entry goes on when its loads are there, as on the host, where it is the kernel that says who goes on. */
function callAndReply(machine: SimulatedMachine, pair: Pair, core: number, crossing: number): void {
  machine.user(core, () => {
    writeMessage(machine, pair.client);
    machine.compute(crossing);
    call(pair);
  });
  machine.user(core, () => {
    writeMessage(machine, pair.server);
    machine.compute(crossing);
    replyRecv(pair);
  });
}
