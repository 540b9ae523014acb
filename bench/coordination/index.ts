/**
 * `atoll bench coordination`: what crosses from one core to another costs, beside the same in C and C++ from the same
 * run. All is measured in turns, since where a virtual machine's cores are may change from second to second, and what a line
 * costs with it: so figures are compared that were measured in the same place.
 */
import { LineCostError, lineRoundTrip } from '../../src/machine/host/line-cost.js';
import { machineTopology, type Topology } from '../../src/machine/topology/index.js';
import { postMessageRoundTrip } from '../ipc/post-message.js';
import { systemRounds } from '../ipc/system-rounds.js';
import { median } from '../median.js';
import { type Bracketed, steadyTurns } from '../steady.js';
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

export interface RatioTarget {
  readonly ratio: number | null;
  readonly at_most?: number;
  readonly at_least?: number;
  /** Null where the ratio could not be measured. */
  readonly met: boolean | null;
}

export interface CoordinationReport extends CoordinationFigures {
  readonly cores: number;
  /** Medians of {@link turns} turns between cores that stayed where they were. */
  readonly figures: CoordinationFigures;
  readonly turns: number;
  /**
   * Of the turns in which a line cost less than half of what it cost in others, if any: a virtual machine's cores move, and
   * shared a cache in these, which makes them one cluster. {@link figures} are of the others then.
   */
  readonly near: { readonly turns: number; readonly figures: CoordinationFigures } | null;
  /** Why a figure is null, where there is more to say than that there is one core. */
  readonly missing: Partial<Record<keyof CoordinationFigures, string>>;
  readonly targets: {
    readonly notify_per_c_line_rtt: RatioTarget;
    readonly ppcall_per_c_line_rtt: RatioTarget;
    /** The same per a line each way, which is what a doorbell each way cannot do without. */
    readonly notify_per_c_two_lines_rtt: RatioTarget;
    readonly ppcall_per_c_two_lines_rtt: RatioTarget;
    readonly post_message_per_ppcall: RatioTarget;
    readonly ring_per_boost: RatioTarget;
  };
}

/** Turns in which all is measured one after the other. */
const TURNS = 5;
/** Of a line there and back, between cores that stay where they are. */
const NOISE = 1.5;
const LINE_ROUNDS = 8;
const LINE_TRIPS = 2_000;
/** In the first the compilers settle. */
const MESSAGE_WARM_UP = 400;
const MESSAGE_ROUNDS = 1_001;
/** A round is some hundred microseconds: far shorter than a time slice, so that most are undisturbed on a busy machine. */
const MESSAGES = 2_000;
const CAPACITY = 1024;

type Figure = keyof CoordinationFigures;
type Failures = Partial<Record<Figure, string>>;

interface Turn extends Bracketed {
  readonly figures: CoordinationFigures;
}

/** `progress` is told how many of how many turns are done. */
export async function coordinationBenchmark(
  progress: (done: number, all: number) => void = () => undefined,
): Promise<CoordinationReport> {
  const topology = await machineTopology('host', { measure: 'never' });
  const cpus = topology.cores.slice(0, 2).map(({ cpu }) => cpu);
  if (cpus.length < 2) return coordinationReport(1, [], {});
  const baselines = { line: await compileBaseline('line.c'), boost: await compileBaseline('boost-spsc.cc') };
  const failures: Failures = {};
  const turns: Turn[] = [];
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      progress(turn, TURNS);
      turns.push(await measureTurn(topology, cpus, baselines, failures));
    }
  } finally {
    for (const baseline of Object.values(baselines)) {
      if (typeof baseline !== 'string') await baseline.remove();
    }
  }
  return coordinationReport(topology.cores.length, turns, failures);
}

async function measureTurn(
  topology: Topology,
  [first, second]: readonly number[],
  { line, boost }: Readonly<Record<'line' | 'boost', Baseline | string>>,
  failures: Failures,
): Promise<Turn> {
  const measured = async (figure: Figure, once: () => Promise<number>): Promise<number | null> => {
    try {
      return await once();
    } catch (error) {
      if (!(error instanceof LineCostError || error instanceof BaselineError)) throw error;
      failures[figure] = error.message;
      return null;
    }
  };
  const wasmLine = (): Promise<number | null> => measured('line_rtt_ns', () => lineRoundTrip(first, second));
  const cLines = (figure: Figure, lines: number): Promise<number | null> =>
    measured(figure, async () =>
      median((await runnable(line).run(first, second, LINE_ROUNDS, LINE_TRIPS, lines)).slice(1)),
    );
  const rounds = MESSAGE_WARM_UP + MESSAGE_ROUNDS;
  const messages = (times: readonly number[]): number => median(times.slice(MESSAGE_WARM_UP));
  const before = await wasmLine();
  const figures: CoordinationFigures = {
    line_rtt_ns: before,
    c_line_rtt_ns: await cLines('c_line_rtt_ns', 1),
    c_two_lines_rtt_ns: await cLines('c_two_lines_rtt_ns', 2),
    notify_cross_cluster_rtt_ns: await systemRounds('notify.system', topology),
    ppcall_cross_cluster_rtt_ns: await systemRounds('ppcall-cores.system', topology),
    ppcall_cross_core_rtt_ns: await systemRounds('ppcall-cores.system', topology, 'one'),
    post_message_rtt_ns: await postMessageRoundTrip(first, second),
    ring_message_ns: await measured('ring_message_ns', async () =>
      messages(await ringRounds([first, second], rounds, MESSAGES, CAPACITY)),
    ),
    boost_spsc_message_ns: await measured('boost_spsc_message_ns', async () =>
      messages(await runnable(boost).run(first, second, rounds, MESSAGES, CAPACITY)),
    ),
  };
  const after = await wasmLine();
  return { figures, lines: before === null || after === null ? null : [before, after] };
}

/** @throws BaselineError where `baseline` is the reason why there is none. */
function runnable(baseline: Baseline | string): Baseline {
  if (typeof baseline === 'string') throw new BaselineError(baseline);
  return baseline;
}

/** Of all turns. Exported for tests: where cores are is nothing that one can arrange. */
export function coordinationReport(
  cores: number,
  turns: readonly Turn[],
  failures: Failures,
): CoordinationReport {
  const steady = steadyTurns(turns, NOISE);
  const dearest = Math.max(...steady.map(({ figures }) => figures.line_rtt_ns ?? 0));
  const isNear = ({ figures }: Turn): boolean => (figures.line_rtt_ns ?? 0) < dearest / 2;
  const near = steady.filter(isNear);
  const far = steady.filter((turn) => !isNear(turn));
  const figures = medians(far);
  const { notify_cross_cluster_rtt_ns: notify, ppcall_cross_cluster_rtt_ns: ppcall } = figures;
  const missing = Object.entries(failures).filter(([figure]) => figures[figure as Figure] === null);
  return {
    ...figures,
    cores,
    figures,
    turns: far.length,
    near: near.length === 0 ? null : { turns: near.length, figures: medians(near) },
    missing: Object.fromEntries(missing),
    targets: {
      notify_per_c_line_rtt: atMost(1.6, notify, figures.c_line_rtt_ns),
      ppcall_per_c_line_rtt: atMost(2.5, ppcall, figures.c_line_rtt_ns),
      notify_per_c_two_lines_rtt: atMost(1.6, notify, figures.c_two_lines_rtt_ns),
      ppcall_per_c_two_lines_rtt: atMost(2.5, ppcall, figures.c_two_lines_rtt_ns),
      post_message_per_ppcall: atLeast(15, figures.post_message_rtt_ns, ppcall),
      ring_per_boost: atMost(0.6, figures.ring_message_ns, figures.boost_spsc_message_ns),
    },
  };
}

function medians(turns: readonly Turn[]): CoordinationFigures {
  const of = (figure: Figure): number | null => {
    const known = turns.map(({ figures }) => figures[figure]).filter((ns) => ns !== null);
    return known.length === 0 ? null : median(known);
  };
  return {
    line_rtt_ns: of('line_rtt_ns'),
    c_line_rtt_ns: of('c_line_rtt_ns'),
    c_two_lines_rtt_ns: of('c_two_lines_rtt_ns'),
    notify_cross_cluster_rtt_ns: of('notify_cross_cluster_rtt_ns'),
    ppcall_cross_cluster_rtt_ns: of('ppcall_cross_cluster_rtt_ns'),
    ppcall_cross_core_rtt_ns: of('ppcall_cross_core_rtt_ns'),
    post_message_rtt_ns: of('post_message_rtt_ns'),
    ring_message_ns: of('ring_message_ns'),
    boost_spsc_message_ns: of('boost_spsc_message_ns'),
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
