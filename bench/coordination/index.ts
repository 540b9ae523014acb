/**
 * `atoll bench coordination`: what crosses from one core to another costs, beside the same in C and C++ from the same
 * run. What is compared is measured in turns, since a machine's state moves.
 */
import { LineCostError, lineRoundTrip } from '../../src/machine/host/line-cost.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { postMessageRoundTrip } from '../ipc/post-message.js';
import { systemRounds } from '../ipc/system-rounds.js';
import { median } from '../median.js';
import { compileBaseline } from './baseline.js';
import { ringRounds } from './ring.js';

/** Nanoseconds, each a median after warm-up. Null where it could not be measured. */
export interface CoordinationFigures {
  /** One cache line there and back, in WebAssembly. */
  readonly line_rtt_ns: number | null;
  /** The same in C, with C11 atomics and the pause instruction. */
  readonly c_line_rtt_ns: number | null;
  /** The same with a line each way, as between two doorbells. */
  readonly c_two_lines_rtt_ns: number | null;
  /** A notification to a domain of another cluster, and one back. */
  readonly notify_cross_cluster_rtt_ns: number | null;
  /** A protected call to a server of another cluster, four message registers each way. */
  readonly ppcall_cross_cluster_rtt_ns: number | null;
  /** The same to another core of one cluster. */
  readonly ppcall_cross_core_rtt_ns: number | null;
  /** A message of eight words there and back by `postMessage`. */
  readonly post_message_rtt_ns: number | null;
  /** A message of one 64-byte line, of many that stream through a ring. */
  readonly ring_message_ns: number | null;
  /** A message of 64 bytes, of many that stream through Boost's `spsc_queue`. */
  readonly boost_spsc_message_ns: number | null;
}

export interface RatioTarget {
  readonly ratio: number | null;
  readonly at_most?: number;
  readonly at_least?: number;
  /** Null where the ratio could not be measured. */
  readonly met: boolean | null;
}

export interface CoordinationReport extends CoordinationFigures {
  readonly cores: number;
  readonly figures: CoordinationFigures;
  /** Why a figure is null, where there is more to say than that there is one core. */
  readonly missing: Partial<Record<keyof CoordinationFigures, string>>;
  readonly targets: {
    readonly notify_per_c_line_rtt: RatioTarget;
    readonly ppcall_per_c_line_rtt: RatioTarget;
    readonly post_message_per_ppcall: RatioTarget;
    readonly ring_per_boost: RatioTarget;
  };
}

/** Turns in which what is compared is measured one after the other. */
const TURNS = 5;
const LINE_ROUNDS = 8;
const LINE_TRIPS = 2_000;
/** In the first the compilers settle. */
const MESSAGE_WARM_UP = 400;
const MESSAGE_ROUNDS = 1_001;
/** A round is some hundred microseconds: far shorter than a time slice, so that most are undisturbed on a busy machine. */
const MESSAGES = 2_000;
const CAPACITY = 1024;

export async function coordinationBenchmark(): Promise<CoordinationReport> {
  const topology = await machineTopology('host', { measure: 'never' });
  const cpus = topology.cores.slice(0, 2).map(({ cpu }) => cpu);
  const missing: Record<string, string> = {};
  if (cpus.length < 2) return report(1, {}, missing);
  const [first, second] = cpus;
  const line = await compileBaseline('line.c');
  const boost = await compileBaseline('boost-spsc.cc');
  const rounds = MESSAGE_WARM_UP + MESSAGE_ROUNDS;
  const times = {
    ...{ line: [] as number[], c: [] as number[], cTwo: [] as number[] },
    ...{ ring: [] as number[], boost: [] as number[] },
  };
  try {
    if (typeof line === 'string') missing.c_line_rtt_ns = line;
    if (typeof boost === 'string') missing.boost_spsc_message_ns = boost;
    for (let turn = 0; turn < TURNS; turn++) {
      try {
        times.line.push(await lineRoundTrip(first, second));
      } catch (error) {
        if (!(error instanceof LineCostError)) throw error;
        missing.line_rtt_ns = error.message;
      }
      if (typeof line !== 'string') {
        times.c.push(median((await line.run(first, second, LINE_ROUNDS, LINE_TRIPS, 1)).slice(1)));
        times.cTwo.push(median((await line.run(first, second, LINE_ROUNDS, LINE_TRIPS, 2)).slice(1)));
      }
      const ring = await ringRounds([first, second], rounds, MESSAGES, CAPACITY);
      times.ring.push(median(ring.slice(MESSAGE_WARM_UP)));
      if (typeof boost !== 'string') {
        const messages = await boost.run(first, second, rounds, MESSAGES, CAPACITY);
        times.boost.push(median(messages.slice(MESSAGE_WARM_UP)));
      }
    }
  } finally {
    for (const baseline of [line, boost]) if (typeof baseline !== 'string') await baseline.remove();
  }
  const figure = (all: readonly number[]): number | null => (all.length === 0 ? null : median(all));
  return report(
    topology.cores.length,
    {
      line_rtt_ns: figure(times.line),
      c_line_rtt_ns: figure(times.c),
      c_two_lines_rtt_ns: figure(times.cTwo),
      notify_cross_cluster_rtt_ns: await systemRounds('notify.system', topology),
      ppcall_cross_cluster_rtt_ns: await systemRounds('ppcall-cores.system', topology),
      ppcall_cross_core_rtt_ns: await systemRounds('ppcall-cores.system', topology, 'one'),
      post_message_rtt_ns: await postMessageRoundTrip(first, second),
      ring_message_ns: figure(times.ring),
      boost_spsc_message_ns: figure(times.boost),
    },
    missing,
  );
}

function report(
  cores: number,
  measured: Partial<CoordinationFigures>,
  missing: CoordinationReport['missing'],
): CoordinationReport {
  const figures: CoordinationFigures = {
    line_rtt_ns: null,
    c_line_rtt_ns: null,
    c_two_lines_rtt_ns: null,
    notify_cross_cluster_rtt_ns: null,
    ppcall_cross_cluster_rtt_ns: null,
    ppcall_cross_core_rtt_ns: null,
    post_message_rtt_ns: null,
    ring_message_ns: null,
    boost_spsc_message_ns: null,
    ...measured,
  };
  return {
    ...figures,
    cores,
    figures,
    missing,
    targets: {
      notify_per_c_line_rtt: atMost(1.6, figures.notify_cross_cluster_rtt_ns, figures.c_line_rtt_ns),
      ppcall_per_c_line_rtt: atMost(2.5, figures.ppcall_cross_cluster_rtt_ns, figures.c_line_rtt_ns),
      post_message_per_ppcall: atLeast(15, figures.post_message_rtt_ns, figures.ppcall_cross_cluster_rtt_ns),
      ring_per_boost: atMost(0.6, figures.ring_message_ns, figures.boost_spsc_message_ns),
    },
  };
}

function atMost(limit: number, figure: number | null, per: number | null): RatioTarget {
  const ratio = figure === null || per === null ? null : figure / per;
  return { ratio, at_most: limit, met: ratio === null ? null : ratio <= limit };
}

function atLeast(limit: number, figure: number | null, per: number | null): RatioTarget {
  const ratio = figure === null || per === null ? null : figure / per;
  return { ratio, at_least: limit, met: ratio === null ? null : ratio >= limit };
}
