/** The systems of this folder, which the benchmarks run. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadSystem, type SystemDescription } from '../../src/system/description/index.js';

export interface BenchSystem {
  readonly system: SystemDescription;
  /** Where its programs are. */
  readonly searchPath: readonly string[];
}

/** `name`: of the description's file. */
export function benchSystem(name: string): BenchSystem {
  const file = fileURLToPath(new URL(`../../../bench/ipc/${name}`, import.meta.url));
  const searchPath = [dirname(file)];
  return { system: loadSystem(file, { arch: 'aarch64', searchPath }), searchPath };
}
