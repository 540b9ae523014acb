/**
 * `atoll bench coordination`: what crosses from one core to another costs, beside the same in C and C++ from the same
 * run. What is compared is measured in turns, since a machine's state moves.
 */
import { LineCostError, lineRoundTrip } from '../../src/machine/host/line-cost.js';
import { machineTopology } from '../../src/machine/topology/index.js';
import { postMessageRoundTrip } from '../ipc/post-message.js';
import { systemRounds } from '../ipc/system-rounds.js';
import { median } from '../median.js';
import { type Baseline, BaselineError, compileBaseline } from './baseline.js';
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

/** What is measured in turns. */
type TurnFigure =
  'line_rtt_ns' | 'c_line_rtt_ns' | 'c_two_lines_rtt_ns' | 'ring_message_ns' | 'boost_spsc_message_ns';

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
  if (cpus.length < 2) return report(1, {}, {});
  const [first, second] = cpus;
  const line = await compileBaseline('line.c');
  const boost = await compileBaseline('boost-spsc.cc');
  const rounds = MESSAGE_WARM_UP + MESSAGE_ROUNDS;
  const turns: Record<TurnFigure, number[]> = {
    line_rtt_ns: [],
    c_line_rtt_ns: [],
    c_two_lines_rtt_ns: [],
    ring_message_ns: [],
    boost_spsc_message_ns: [],
  };
  const failures: CoordinationReport['missing'] = {};
  const measure = async (figure: TurnFigure, once: () => Promise<number>): Promise<void> => {
    try {
      turns[figure].push(await once());
    } catch (error) {
      if (!(error instanceof LineCostError || error instanceof BaselineError)) throw error;
      failures[figure] = error.message;
    }
  };
  const cLine = async (lines: number): Promise<number> =>
    median((await runnable(line).run(first, second, LINE_ROUNDS, LINE_TRIPS, lines)).slice(1));
  const messages = (times: readonly number[]): number => median(times.slice(MESSAGE_WARM_UP));
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      await measure('line_rtt_ns', () => lineRoundTrip(first, second));
      await measure('c_line_rtt_ns', () => cLine(1));
      await measure('c_two_lines_rtt_ns', () => cLine(2));
      await measure('ring_message_ns', async () =>
        messages(await ringRounds([first, second], rounds, MESSAGES, CAPACITY)),
      );
      await measure('boost_spsc_message_ns', async () =>
        messages(await runnable(boost).run(first, second, rounds, MESSAGES, CAPACITY)),
      );
    }
  } finally {
    for (const baseline of [line, boost]) if (typeof baseline !== 'string') await baseline.remove();
  }
  const measured: Partial<CoordinationFigures> = Object.fromEntries(
    Object.entries(turns).map(([figure, times]) => [figure, times.length === 0 ? null : median(times)]),
  );
  const missing = Object.fromEntries(
    Object.entries(failures).filter(([figure]) => measured[figure as TurnFigure] === null),
  );
  return report(
    topology.cores.length,
    {
      ...measured,
      notify_cross_cluster_rtt_ns: await systemRounds('notify.system', topology),
      ppcall_cross_cluster_rtt_ns: await systemRounds('ppcall-cores.system', topology),
      ppcall_cross_core_rtt_ns: await systemRounds('ppcall-cores.system', topology, 'one'),
      post_message_rtt_ns: await postMessageRoundTrip(first, second),
    },
    missing,
  );
}

/** @throws BaselineError where `baseline` is the reason why there is none. */
function runnable(baseline: Baseline | string): Baseline {
  if (typeof baseline === 'string') throw new BaselineError(baseline);
  return baseline;
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
