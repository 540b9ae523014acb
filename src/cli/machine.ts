/** The machine that `--machine` names: this computer, a preset of the simulated machine, or a file. */
import type { MachineModel } from '../machine/simulated/model.js';
import { PRESETS, simulatedModel } from '../machine/simulated/presets.js';
import { hostTopology, machineTopology, type Measure, type Topology } from '../machine/topology/index.js';

export interface NamedMachine {
  readonly topology: Topology;
  /** Where it is to be simulated. */
  readonly simulated?: MachineModel;
}

/**
 * The machine to run on. A preset is simulated. So is what a file describes, unless it has the same CPUs as this
 * computer: then the file says what shape this computer has, which it may hide.
 * @param simulate even then.
 * @throws TopologyError
 */
export async function machineToRun(spec: string, measure: Measure, simulate: boolean): Promise<NamedMachine> {
  if (
    PRESETS.includes(spec) ||
    spec.endsWith('.json') ||
    (spec !== 'host' && (simulate || !(await isOfHost(spec))))
  ) {
    const simulated = simulatedModel(spec);
    return { topology: simulated.topology, simulated };
  }
  return { topology: await machineTopology(spec, { measure }) };
}

async function isOfHost(file: string): Promise<boolean> {
  const cpus = ({ cores }: Topology): string => cores.map(({ cpu }) => cpu).join();
  const described = await machineTopology(file);
  return cpus(described) === cpus(await hostTopology({ measure: 'never' }));
}
