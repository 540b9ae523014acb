/**
 * `atoll bench ipc`: what calls and notifications cost, beside what they are made of and beside what else there is.
 * All figures come from one run on one computer, so that what counts are their ratios.
 */
import { readFileSync } from 'node:fs';
import { LineCostError, lineRoundTrip } from '../../src/machine/host/line-cost.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { wasmCrossingPair } from './crossing.js';
import { cycleTime } from './cycle.js';
import { farLine } from './far-line.js';
import { median } from '../median.js';
import { postMessageRoundTrip } from './post-message.js';
import { simulatedCalls } from './simulated.js';
import { type SingleImage, singleImage } from './single-image.js';
import { systemRounds } from './system-rounds.js';

/** Nanoseconds, each the median of at least five rounds after warm-up. Null where there is one core only. */
export interface IpcFigures {
  /** Client program, kernel, server program, kernel, client; four message registers each way. */
  readonly ppcall_same_core_ns: number;
  /** Two calls of an empty WebAssembly function: the floor under a protected call. */
  readonly wasm_crossing_pair_ns: number;
  /** The kernel's part of a protected call: call and reply, without the programs and their engine. */
  readonly kernel_call_ns: number;
  /** A message of eight words there and back by `postMessage` between two worker threads. */
  readonly post_message_rtt_ns: number;
  /** One cache line there and back between two cores: the floor under all that crosses cores. */
  readonly line_rtt_ns: number | null;
  /** To load a line that the other core wrote last: one after the other, as each says where the next is. */
  readonly far_line_ns: number | null;
  /** A notification to a domain of another cluster, and one back. */
  readonly notify_cross_cluster_rtt_ns: number | null;
  /** A call and its reply in one kernel image that two cores use in turn. */
  readonly single_image_call_ns: number | null;
  /** The same in the same image where one core does all. */
  readonly single_image_call_local_ns: number;
  /** A cycle of a core. */
  readonly cycle_ns: number;
  /** A protected call and one in turn on two simulated cores, with `far_line_ns`, the crossing and the programs of this run. */
  readonly simulated_ppcall_same_core_ns: number | null;
  readonly simulated_single_image_call_ns: number | null;
}

export interface IpcRatios {
  readonly ppcall_per_crossing_pair: number;
  readonly post_message_per_ppcall: number;
  readonly notify_per_line_rtt: number | null;
  readonly single_image_per_ppcall: number | null;
  readonly simulated_single_image_per_ppcall: number | null;
  /** How far the simulation's ratio is from this computer's: 0.1 for a tenth more, -0.1 for a tenth less. */
  readonly simulation_error: number | null;
}

/** What a ratio should be, and whether it is; null where it could not be measured. */
export interface Target {
  readonly at_most?: number;
  readonly at_least?: number;
  readonly met: boolean | null;
}

export interface IpcReport extends IpcFigures {
  readonly cores: number;
  /** The frequency of the cycle counter, in MHz; null where the system does not tell. */
  readonly tsc_mhz: number | null;
  readonly ratios: IpcRatios;
  readonly targets: Readonly<
    Record<Exclude<keyof IpcRatios, 'single_image_per_ppcall' | 'simulated_single_image_per_ppcall'>, Target>
  >;
}

/** What moves a line is measured in turns, since where a machine's cores are may change between one and the next. */
const TURNS = 5;

export async function ipcBenchmark(): Promise<IpcReport> {
  const topology = await machineTopology('host', { measure: 'never' });
  const cpus = topology.cores.slice(0, 2).map(({ cpu }) => cpu);
  const [first, second = first] = cpus;
  const several = cpus.length > 1;
  const ppcall = await systemRounds('ppcall.system', topology);
  const crossing = await wasmCrossingPair(first);
  const postMessage = await postMessageRoundTrip(first, second);
  const notify = several ? await systemRounds('notify.system', topology) : null;
  const kernel = await singleImage('unicore', [first]);
  const turns: { line: number | null; far: number | null; smp: SingleImage }[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    turns.push({
      line: several ? await lineOrNull(first, second) : null,
      far: several ? await farLine([first, second]) : null,
      smp: await singleImage('smp', cpus),
    });
  }
  const line = medianOf(turns.map((turn) => turn.line));
  const far = medianOf(turns.map((turn) => turn.far));
  const inTurn = medianOf(turns.map(({ smp }) => smp.inTurn));
  const alone = median(turns.map(({ smp }) => smp.alone));
  const cycle = cycleTime();
  const simulated =
    far === null
      ? null
      : simulatedCalls({
          cycle,
          farLine: far,
          crossing: crossing / 2,
          programs: Math.max(0, ppcall - kernel.alone),
        });
  const simulatedRatio = simulated === null ? null : simulated.singleImage / simulated.ppcall;
  const hostRatio = inTurn === null ? null : inTurn / ppcall;

  const ratios: IpcRatios = {
    ppcall_per_crossing_pair: ppcall / crossing,
    post_message_per_ppcall: postMessage / ppcall,
    notify_per_line_rtt: notify === null || line === null ? null : notify / line,
    single_image_per_ppcall: hostRatio,
    simulated_single_image_per_ppcall: simulatedRatio,
    simulation_error: simulatedRatio === null || hostRatio === null ? null : simulatedRatio / hostRatio - 1,
  };
  return {
    ppcall_same_core_ns: ppcall,
    wasm_crossing_pair_ns: crossing,
    kernel_call_ns: kernel.alone,
    post_message_rtt_ns: postMessage,
    line_rtt_ns: line,
    far_line_ns: far,
    notify_cross_cluster_rtt_ns: notify,
    single_image_call_ns: inTurn,
    single_image_call_local_ns: alone,
    cycle_ns: cycle,
    simulated_ppcall_same_core_ns: simulated?.ppcall ?? null,
    simulated_single_image_call_ns: simulated?.singleImage ?? null,
    cores: topology.cores.length,
    tsc_mhz: cycleCounter(),
    ratios,
    targets: {
      ppcall_per_crossing_pair: atMost(6, ratios.ppcall_per_crossing_pair),
      post_message_per_ppcall: { at_least: 400, met: ratios.post_message_per_ppcall >= 400 },
      notify_per_line_rtt: atMost(3, ratios.notify_per_line_rtt),
      simulation_error: within(0.3, ratios.simulation_error),
    },
  };
}

/** Null where one of them is. */
function medianOf(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((figure) => figure !== null);
  return known.length < figures.length ? null : median(known);
}

function atMost(limit: number, ratio: number | null): Target {
  return { at_most: limit, met: ratio === null ? null : ratio <= limit };
}

function within(limit: number, error: number | null): Target {
  return { at_most: limit, met: error === null ? null : Math.abs(error) <= limit };
}

async function lineOrNull(cpuA: number, cpuB: number): Promise<number | null> {
  try {
    return await lineRoundTrip(cpuA, cpuB);
  } catch (error) {
    if (error instanceof LineCostError) return null;
    throw error;
  }
}

/**
 * Linux computes a processor's `bogomips` from the frequency of its time stamp counter, twice that, where the counter
 * runs at a constant rate (arch/x86/kernel/tsc.c); `cpu MHz` is that of the moment.
 */
function cycleCounter(): number | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  const info = readFileSync('/proc/cpuinfo', 'utf8');
  const bogomips = /^bogomips\s*:\s*([\d.]+)$/m.exec(info);
  return bogomips !== null && /\bconstant_tsc\b/.test(info) ? Number(bogomips[1]) / 2 : null;
}
