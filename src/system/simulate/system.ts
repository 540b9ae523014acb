/** A user's own system on a simulated machine, for who compares many machines, cuts and placements. */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { MachineModel } from '../../machine/simulated/model.js';
import type { SystemDescription } from '../description/index.js';
import { runSystem, type RunOptions, type RunReport } from '../run.js';

/** What of a run can be chosen here. `console`: by default what the domains say is lost. */
export type SimulateOptions = Pick<
  RunOptions,
  'clusters' | 'elideLock' | 'lines' | 'spare' | 'searchPath' | 'seconds' | 'signal'
> & {
  readonly console?: number;
};

/**
 * Runs a system, placed as its description says, in virtual time. It takes a thread for each core that runs something,
 * of which one runs at a time; several systems can be run at once.
 * @throws as `runSystem`.
 */
export async function simulateSystem(
  system: SystemDescription,
  model: MachineModel,
  { console, ...options }: SimulateOptions,
): Promise<RunReport> {
  const fd = console ?? openSync(devNull, 'w');
  try {
    return await runSystem(system, { ...options, topology: model.topology, simulated: model, console: fd });
  } finally {
    if (console === undefined) closeSync(fd);
  }
}
