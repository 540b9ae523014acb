/** What calls and signals cost on a simulated machine: the programs of `atoll bench` in virtual time. */
import { withLineCosts } from '../src/machine/simulated/line-costs.js';
import type { MachineModel } from '../src/machine/simulated/model.js';
import { clustersOf } from '../src/machine/topology/index.js';
import type { RunReport } from '../src/system/run.js';
import { simulateSystem } from '../src/system/simulate/system.js';
import { benchSystem } from './ipc/bench-system.js';

/** In cycles, means over a run. */
export type SimulatedFigure =
  | 'ppcall_same_core_cycles'
  /** Two cores of one cluster. */
  | 'ppcall_cross_core_rtt_cycles'
  /** Two clusters: the nearest core that is in another. */
  | 'ppcall_cross_cluster_rtt_cycles'
  | 'notify_cross_cluster_rtt_cycles'
  /** One line there and back between these two cores. */
  | 'line_rtt_cycles';

/** Of each run: some thousand calls, so that the first, which find nothing in a cache, do not matter. */
const CYCLES = 1_500_000;

/** The figures that are asked for; null where the machine has no such pair of cores. */
export async function simulatedBenchmark(
  model: MachineModel,
  figures: readonly SimulatedFigure[],
): Promise<Partial<Record<SimulatedFigure, number | null>>> {
  const { cores } = model.topology;
  const { megahertz } = model.core;
  const costs = withLineCosts(model).lineCost![0];
  const own = clustersOf(model.topology, 'auto').find((cluster) => cluster.cores.includes(0))!;
  const nearest = (those: readonly number[]): number | undefined =>
    those
      .filter((core) => cores[core].physical !== cores[0].physical)
      .toSorted((a, b) => costs[a] - costs[b] || a - b)[0];
  const neighbour = nearest(own.cores);
  const other = nearest(cores.map(({ id }) => id).filter((id) => !own.cores.includes(id))) ?? neighbour;

  const call = async (name: string, second: number, clusters: string): Promise<number> => {
    const { channels } = await run(model, name, second, clusters);
    return channels.find(({ callCycles }) => callCycles !== undefined)!.callCycles!;
  };
  const trip = async (second: number): Promise<number> => {
    const { cycles, domains } = await run(model, 'notify.system', second, `0;${second}`);
    return Math.round(cycles! / domains[0].notifications);
  };
  const measure: Record<SimulatedFigure, () => Promise<number> | number | null> = {
    ppcall_same_core_cycles: () => call('ppcall.system', 0, '0'),
    ppcall_cross_core_rtt_cycles: () =>
      neighbour === undefined ? null : call('ppcall-cores.system', neighbour, `0,${neighbour}`),
    ppcall_cross_cluster_rtt_cycles: () =>
      other === undefined ? null : call('ppcall-cores.system', other, `0;${other}`),
    notify_cross_cluster_rtt_cycles: () => (other === undefined ? null : trip(other)),
    line_rtt_cycles: () => (other === undefined ? null : Math.round((2 * costs[other] * megahertz) / 1000)),
  };
  const measured: Partial<Record<SimulatedFigure, number | null>> = {};
  for (const figure of figures) measured[figure] = await measure[figure]();
  return measured;
}

/** A system of bench/ipc, whose second domain is moved to another core, if it is not on the first. */
async function run(model: MachineModel, name: string, second: number, clusters: string): Promise<RunReport> {
  const { system, searchPath } = benchSystem(name);
  const protectionDomains = system.protectionDomains.map((pd) => ({ ...pd, cpu: pd.cpu === 0 ? 0 : second }));
  const seconds = CYCLES / (model.core.megahertz * 1e6);
  return simulateSystem({ ...system, protectionDomains }, model, { clusters, searchPath, seconds });
}
