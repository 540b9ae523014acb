/**
 * The same on the simulated machine: a call in one image that two cores use in turn, beside a protected call on one core.
 * What goes in is measured, each by itself on one core, but for what a line costs; what a line costs many of in a call
 * comes out.
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
  /** One cache line there and back between two cores. */
  readonly lineRoundTrip: number;
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
/** Cycles, part of what a load costs anyway. */
const L1 = 4;

/** Nanoseconds, as the bench's figures of the same names. */
export function simulatedCalls(measured: Measured): SimulatedCalls {
  const model = twoCores(measured);
  return {
    ppcall: (rounds(model, 'unicore', [0]) + measured.programs / measured.cycle) * measured.cycle,
    singleImage: rounds(model, 'smp', [0, 1]) * measured.cycle,
  };
}

/** Two cores like this computer's: of the preset that comes nearest, with what a line and a kernel entry cost here. */
function twoCores({ cycle, lineRoundTrip, crossing }: Measured): MachineModel {
  const like = preset(process.arch === 'arm64' ? 'ampere-altra' : 'intel-client');
  // Each way is a store, which V8 makes an exchange where the architecture has no ordered store, and a load of the line.
  const line = Math.max(0, lineRoundTrip / 2 / cycle - like.core.atomic - L1);
  return {
    ...like,
    name: 'this computer',
    interconnect: { kind: 'flat' },
    latencies: { ...like.latencies, sharedL3: line, package: line, machine: line },
    core: {
      ...like.core,
      kernelEntry: crossing / cycle,
      atomicStore: process.arch === 'arm64' ? 0 : like.core.atomic,
    },
  };
}

/** Cycles for a call and its reply, by these cores in turn. */
function rounds(model: MachineModel, image: 'unicore' | 'smp', cores: readonly number[]): number {
  const size = partitionSize(1);
  const machine = new SimulatedMachine(model, BASE + size);
  const [pair] = bootPairs(machine, { image, base: BASE, size, cores: 1 });
  let now = 0;
  const turns = (): void => {
    for (let round = 0; round < ROUNDS; round++) {
      const core = cores[round % cores.length];
      machine.clocks[core] = now;
      callAndReply(machine, core, pair);
      now = machine.clocks[core];
    }
  };
  turns();
  const start = now;
  turns();
  return (now - start) / ROUNDS;
}

function callAndReply(machine: SimulatedMachine, core: number, pair: Pair): void {
  machine.user(core, () => writeMessage(machine, pair.client));
  machine.enterKernel(core, () => call(pair));
  machine.user(core, () => writeMessage(machine, pair.server));
  machine.enterKernel(core, () => replyRecv(pair));
}
