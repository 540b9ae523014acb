/**
 * `atoll bench ipc`: what calls and notifications cost, beside what they are made of and beside what else there is.
 * All figures come from one run on one computer, so that what counts are their ratios.
 */
import { readFileSync } from 'node:fs';
import { LineCostError, lineRoundTrip } from '../../src/machine/host/line-cost.js';
import { machineTopology, type Topology } from '../../src/machine/topology/index.js';
import { wasmCrossingPair } from './crossing.js';
import { cycleTime } from './cycle.js';
import { farLine } from './far-line.js';
import { median } from '../median.js';
import { type Bracketed, steadyTurns } from '../steady.js';
import { postMessageRoundTrip } from './post-message.js';
import { simulatedCalls } from './simulated.js';
import { singleImage } from './single-image.js';
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

/** What is compared is measured in turns: each is a run of its own, which V8 compiles anew and not always alike. */
const TURNS = 5;
/** Of what it takes to load a line, between cores that stay where they are: about a tenth, and some. */
const NOISE = 1.25;

/** What moves lines between the cores, in nanoseconds: figures are compared within one turn. */
interface Turn extends Bracketed {
  readonly line: number | null;
  readonly notify: number | null;
  readonly far: number | null;
  readonly inTurn: number | null;
  readonly alone: number;
}

export async function ipcBenchmark(): Promise<IpcReport> {
  const topology = await machineTopology('host', { measure: 'never' });
  const cpus = topology.cores.slice(0, 2).map(({ cpu }) => cpu);
  const [first, second = first] = cpus;
  const calls: { ppcall: number; crossing: number }[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    calls.push({
      ppcall: await systemRounds('ppcall.system', topology),
      crossing: await wasmCrossingPair(first),
    });
  }
  const { ppcall, crossing } = middle(calls, (turn) => turn.ppcall / turn.crossing);
  const postMessage = await postMessageRoundTrip(first, second);
  const kernel = await singleImage('unicore', [first]);
  const turns: Turn[] = [];
  for (let turn = 0; turn < TURNS; turn++) turns.push(await measureTurn(topology, cpus));
  const steady = steadyTurns(turns, NOISE);
  const { line, notify } = middle(steady, (turn) => quotient(turn.notify, turn.line));
  const { far, inTurn } = middle(steady, (turn) => quotient(turn.inTurn, turn.far));
  const alone = median(turns.map((turn) => turn.alone));
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
  const hostRatio = quotient(inTurn, ppcall);

  const ratios: IpcRatios = {
    ppcall_per_crossing_pair: ppcall / crossing,
    post_message_per_ppcall: postMessage / ppcall,
    notify_per_line_rtt: quotient(notify, line),
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

async function measureTurn(topology: Topology, cpus: readonly number[]): Promise<Turn> {
  const [first, second] = cpus;
  if (second === undefined) {
    const { alone } = await singleImage('smp', cpus);
    return { line: null, notify: null, far: null, inTurn: null, alone, lines: null };
  }
  const line = await lineOrNull(first, second);
  const notify = await systemRounds('notify.system', topology);
  const before = await farLine([first, second]);
  const { inTurn, alone } = await singleImage('smp', cpus);
  const after = await farLine([first, second]);
  return { line, notify, far: (before + after) / 2, inTurn, alone, lines: [before, after] };
}

/** The turn in the middle by a figure: the median of a ratio whose parts belong together. */
function middle<T>(turns: readonly T[], figure: (turn: T) => number | null): T {
  return turns.toSorted((a, b) => (figure(a) ?? 0) - (figure(b) ?? 0))[(turns.length - 1) >> 1];
}

/** Null where one of them is. */
function quotient(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a / b;
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
