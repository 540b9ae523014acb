/** Runs a system on this computer, or on a simulated machine: from the description to the table of what happened. */
import type { Bundle } from '../core/engine/typescript/bundle.js';
import { clustersOf } from '../machine/topology/index.js';
import { DescriptionError, checkPrograms, type SystemDescription } from './description/index.js';
import { planSystem } from './placement/plan.js';
import { withTopologyRegion } from './placement/topology-region.js';
import type { RunReport } from './run-report.js';
import { RunningMachine, type RunOptions } from './running-machine.js';

export { CoreError, RunError } from './boot/running-cluster.js';
export type { DomainReport, RunReport } from './run-report.js';
export type { RunOptions, RunningSystem } from './running-machine.js';

/**
 * @throws DescriptionError, ProgramError or RunError for a system that cannot run; then nothing is left running.
 */
export async function runSystem(description: SystemDescription, options: RunOptions): Promise<RunReport> {
  const { topology } = options;
  const { files, indices } = findPrograms(description, options.searchPath);
  const clusters = clustersOf(topology, options.clusters);
  const system = withTopologyRegion(description, topology, clusters);
  const plan = planSystem(system, topology, clusters, indices, options.lines, options.spare);
  // The bundler is loaded, and bundles, while the cores' threads start.
  const Running =
    options.simulated === undefined
      ? RunningMachine
      : (await import('./simulate/running-simulation.js')).RunningSimulation;
  const machine = new Running(plan, system, clusters, options);
  try {
    await machine.boot(bundle(files));
    return await machine.run();
  } finally {
    await machine.end();
  }
}

async function bundle(files: readonly string[]): Promise<Bundle[]> {
  const { bundlePrograms } = await import('../core/engine/typescript/bundle.js');
  const bundles = await bundlePrograms(files);
  return files.map((file) => bundles.get(file)!);
}

/** The distinct program files, and for each domain the index of its own. */
export function findPrograms(
  system: SystemDescription,
  searchPath: readonly string[],
): { files: string[]; indices: number[] } {
  const files: string[] = [];
  const indices = checkPrograms(system, [...searchPath]).map((found, index) => {
    const pd = system.protectionDomains[index];
    if (found.kind === 'elf') {
      throw new DescriptionError(
        `program image '${pd.programImage.path}' cannot run: Atoll does not run ELF images yet; put a TypeScript program of the same name (.ts for .elf) on the search path and the image off it`,
        { file: system.file, at: pd.programImage.at },
      );
    }
    const known = files.indexOf(found.file);
    return known >= 0 ? known : files.push(found.file) - 1;
  });
  return { files, indices };
}
