/** The machine that `--machine` names: this computer, one to simulate, or what an hwloc file describes. */
import { existsSync } from 'node:fs';
import { withLineCosts } from '../machine/simulated/line-costs.js';
import type { MachineModel } from '../machine/simulated/model.js';
import { PRESETS, simulatedModel } from '../machine/simulated/presets.js';
import { hostTopology, machineTopology, type Measure, type Topology } from '../machine/topology/index.js';

export interface NamedMachine {
  readonly topology: Topology;
  /** Where it is to be simulated. */
  readonly simulated?: MachineModel;
}

/**
 * The machine to run on. A preset or a machine file is simulated. So is what an hwloc file describes, unless it has the
 * same CPUs as this computer: then the file says what shape this computer has, which it may hide.
 * @param simulate even then.
 * @throws TopologyError
 */
export async function machineToRun(spec: string, measure: Measure, simulate: boolean): Promise<NamedMachine> {
  if (hasModel(spec) || (spec !== 'host' && (simulate || !(await isOfHost(spec))))) {
    const simulated = simulatedModel(spec);
    return { topology: measure === 'always' ? withLineCosts(simulated) : simulated.topology, simulated };
  }
  return { topology: await machineTopology(spec, { measure }) };
}

/**
 * The shape of a machine, with what a line costs: measured on this computer, by its model on one to simulate. Of an hwloc
 * file's machine nothing is known but the shape.
 * @throws TopologyError
 */
export async function machineShape(spec: string): Promise<Topology> {
  return hasModel(spec)
    ? withLineCosts(simulatedModel(spec))
    : await machineTopology(spec, { measure: 'always' });
}

/** Whether it is to be simulated. What looks like no file is a preset, or the name of none. */
function hasModel(spec: string): boolean {
  return (
    PRESETS.includes(spec) ||
    spec.endsWith('.json') ||
    (spec !== 'host' && /^[\w-]+$/.test(spec) && !existsSync(spec))
  );
}

async function isOfHost(file: string): Promise<boolean> {
  const cpus = ({ cores }: Topology): string => cores.map(({ cpu }) => cpu).join();
  const described = await machineTopology(file);
  return cpus(described) === cpus(await hostTopology({ measure: 'never' }));
}
