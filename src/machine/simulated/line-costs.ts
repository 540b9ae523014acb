/** What the model says of a line between two cores, in the terms in which a real machine is measured. */
import type { Topology } from '../topology/topology.js';
import { distanceOf } from './distance.js';
import type { MachineModel } from './model.js';

/** Lines have homes all over the chip: the mean of so many. */
const LINES = 16;

/** The machine's topology with the cost of a line between each two cores, in nanoseconds, one way. */
export function withLineCosts(model: MachineModel): Topology {
  const { topology, core, latencies } = model;
  const distance = distanceOf(model);
  const between = (a: number, b: number): number => {
    if (topology.cores[a].physical === topology.cores[b].physical) return a === b ? 0 : latencies.l2;
    let cycles = 0;
    for (let line = 0; line < LINES; line++) cycles += distance.transfer(a, b, line);
    return cycles / LINES;
  };
  const cores = topology.cores.map(({ id }) => id);
  const lower = cores.map((a) => cores.slice(0, a).map((b) => (between(a, b) + between(b, a)) / 2));
  const cost = (a: number, b: number): number => (a === b ? 0 : lower[Math.max(a, b)][Math.min(a, b)]);
  return {
    ...topology,
    lineCost: cores.map((a) => cores.map((b) => (cost(a, b) * 1000) / core.megahertz)),
    lineCostSource: 'model',
  };
}
