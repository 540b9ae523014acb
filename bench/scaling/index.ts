/**
 * `atoll bench scaling`: the same independent pairs of a client and a server, one pair a core, on one kernel image for
 * all cores and on an image for each core; beside what the founding argument for clusters predicts.
 */
import { withLineCosts } from '../../src/machine/simulated/line-costs.js';
import type { MachineModel } from '../../src/machine/simulated/model.js';
import { machineTopology, type Topology } from '../../src/machine/topology/index.js';
import { coreCounts, scaling } from '../../src/system/simulate/founding.js';
import { median } from '../median.js';
import { throughput } from './throughput.js';

/**
 * The argument, from seL4's mailing list (29 January 2020): a fastpath touches about ten cache lines, and where one
 * image runs on many cores, each line has to come from the core that had it last.
 */
export const LINES_A_FASTPATH = 10;
/** Call, and ReplyRecv. */
export const FASTPATHS_A_CALL = 2;

const ROUNDS = 5;
const SLICES = 50;
const QUICK_SLICES = 5;
/** Of each simulated pair. */
const CALLS = 8;

/** Both designs on the first so many cores. */
export interface ScalingPoint {
  readonly cores: number;
  /** Calls a second of all pairs together: medians. With one core, both designs are the same system. */
  readonly calls_per_second: { readonly one_image: number; readonly image_per_cluster: number };
  /** Image per cluster to one image. */
  readonly ratio: number;
  /** The same as predicted; null where lines could not be measured. */
  readonly predicted_ratio: number | null;
  /** Nanoseconds to bring a line from one of these cores to another, the mean of all pairs. Null where not measured. */
  readonly line_cost_ns: number | null;
}

export interface ScalingReport {
  /** On 1, 2, 4, … cores, and on all. */
  readonly points: readonly ScalingPoint[];
  /** Nanoseconds a call on one core alone, which the prediction starts from. */
  readonly call_ns: number;
  /** Of all cores: that of the last point. */
  readonly ratio: number;
  readonly predicted_ratio: number | null;
}

/** @param quick whether one short round is enough. */
export async function scalingBenchmark(quick: boolean): Promise<ScalingReport> {
  const topology = await machineTopology('host', { measure: 'never' });
  const lines: Topology[] = [];
  const counts = coreCounts(topology.cores.length);
  const oneImage = counts.map((): number[] => []);
  const imagePerCluster = counts.map((): number[] => []);
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    lines.push(await machineTopology('host', { measure: 'always' }));
    for (const [at, cores] of counts.entries()) {
      const ids = Array.from({ length: cores }, (_, id) => id);
      const measure = (clusters: string): Promise<number[]> =>
        throughput(topology, cores, clusters, quick ? QUICK_SLICES : SLICES);
      imagePerCluster[at].push(...(await measure(ids.join(';'))));
      if (cores > 1) oneImage[at].push(...(await measure(ids.join(','))));
    }
  }
  return scalingReport(
    counts.map((cores, at) => ({
      cores,
      oneImage: median(cores === 1 ? imagePerCluster[at] : oneImage[at]),
      imagePerCluster: median(imagePerCluster[at]),
      line: leastLineCost(lines, cores),
    })),
  );
}

/** The same in virtual time, where the programs compute nothing. */
export function simulatedScaling(model: MachineModel): ScalingReport {
  const options = { seed: 1, work: 0, calls: CALLS };
  const topology = withLineCosts(model);
  const oneImage = scaling(model, 'single', options);
  const second = 1000 * model.core.megahertz;
  return scalingReport(
    scaling(model, 'per-core', options).map(({ cores, calls_per_kilocycle: calls }, at) => ({
      cores,
      oneImage: oneImage[at].calls_per_kilocycle * second,
      imagePerCluster: calls * second,
      line: leastLineCost([topology], cores),
    })),
  );
}

/** What was measured on so many cores: calls a second, and nanoseconds a line. */
interface Measured {
  readonly cores: number;
  readonly oneImage: number;
  readonly imagePerCluster: number;
  readonly line: number | null;
}

function scalingReport(measured: readonly Measured[]): ScalingReport {
  const callNs = 1e9 / measured[0].imagePerCluster;
  const points = measured.map(({ cores, oneImage, imagePerCluster, line }): ScalingPoint => ({
    cores,
    calls_per_second: { one_image: oneImage, image_per_cluster: imagePerCluster },
    ratio: imagePerCluster / oneImage,
    predicted_ratio: line === null ? null : (callNs + FASTPATHS_A_CALL * LINES_A_FASTPATH * line) / callNs,
    line_cost_ns: line,
  }));
  const { ratio, predicted_ratio } = points.at(-1)!;
  return { points, call_ns: callNs, ratio, predicted_ratio };
}

/** One way, between the first so many cores; 0 for one core, to which no line comes. Others can only make it dearer. */
function leastLineCost(measured: readonly Topology[], cores: number): number | null {
  if (cores === 1) return 0;
  const costs = measured.map((topology) => meanLineCost(topology, cores)).filter((cost) => cost !== null);
  return costs.length === 0 ? null : Math.min(...costs);
}

function meanLineCost({ lineCost }: Topology, cores: number): number | null {
  const costs = lineCost?.slice(0, cores).flatMap((row, core) => row.slice(0, core)) ?? [];
  const known = costs.filter((cost) => !Number.isNaN(cost));
  return known.length === 0 ? null : known.reduce((sum, cost) => sum + cost, 0) / known.length;
}
