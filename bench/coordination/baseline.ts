/** Baselines in C and C++: compiled when they are measured, where a compiler is there. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const TIMEOUT_MILLISECONDS = 60_000;
/** How a baseline ends that cannot be on the CPU it is given (threads.h). */
const NO_CPU = 3;

/** A baseline that was compiled cannot run, as where a core is not to be had. */
export class BaselineError extends Error {
  override readonly name = 'BaselineError';
}

/** A compiled program; to be removed when it is no longer needed. */
export interface Baseline {
  /** Runs it. @returns the numbers that it prints, one a line. @throws BaselineError */
  run(...args: readonly number[]): Promise<number[]>;
  remove(): Promise<void>;
}

/**
 * Compiles a source of this folder.
 * @returns the program, or in words why there is none.
 */
export async function compileBaseline(source: 'line.c' | 'boost-spsc.cc'): Promise<Baseline | string> {
  const compiler = source.endsWith('.c') ? 'cc' : 'c++';
  const file = fileURLToPath(new URL(`../../../bench/coordination/${source}`, import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'atoll-bench-'));
  const remove = () => rm(folder, { recursive: true });
  const program = join(folder, 'baseline');
  try {
    await execute(compiler, ['-O2', '-pthread', '-o', program, file], { timeout: TIMEOUT_MILLISECONDS });
  } catch (error) {
    await remove();
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') return `there is no compiler (${compiler})`;
    const missing = /(\S+): No such file/.exec(stderr);
    return missing === null ? `${compiler} cannot compile ${source}` : `${missing[1]} is not installed`;
  }
  return {
    run: async (...args) => {
      try {
        const { stdout } = await execute(program, args.map(String), { timeout: TIMEOUT_MILLISECONDS });
        return stdout.split('\n').slice(0, -1).map(Number);
      } catch (error) {
        const { code, signal } = error as { code?: number | null; signal?: string | null };
        const end = code === NO_CPU ? `${code}, as where a CPU is not to be had` : (code ?? signal);
        throw new BaselineError(`${source} ended with ${end ?? String(error)}`);
      }
    },
    remove,
  };
}
