/** What an operation costs in an ordinary system, as the system's own console shows it. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Topology } from '../../src/machine/topology/index.js';
import { runSystem } from '../../src/system/run.js';
import { median } from '../median.js';
import { benchSystem } from './bench-system.js';

const POLL_MILLISECONDS = 20;

/**
 * Runs a description of this folder, by default on a cluster for each core, and none parks, until it says `done`. Its domains
 * write `begin N` before and `end …` after each round of N operations.
 * @returns the median time of an operation, in nanoseconds.
 */
export async function systemRounds(name: string, topology: Topology, clusters = 'per-core'): Promise<number> {
  const { system, searchPath } = benchSystem(name);
  const folder = mkdtempSync(join(tmpdir(), 'atoll-bench-'));
  const output = join(folder, 'console');
  const console = openSync(output, 'w');
  const done = new AbortController();
  const poll = setInterval(() => {
    if (/ done\n$/.test(readFileSync(output, 'utf8'))) done.abort();
  }, POLL_MILLISECONDS);
  try {
    const options = { topology, clusters, searchPath, console, timestamps: true, spin: true };
    await runSystem(system, { ...options, signal: done.signal });
    const rounds = roundsOf(readFileSync(output, 'utf8'));
    // In the first half the compiler and the caches settle.
    return median(rounds.slice(rounds.length / 2));
  } finally {
    clearInterval(poll);
    closeSync(console);
    rmSync(folder, { recursive: true });
  }
}

/** Nanoseconds an operation, of each round on a console with timestamps. */
function roundsOf(text: string): number[] {
  const rounds = /^\[([\d.]+)\] begin (\d+)\n\[([\d.]+)\] end /gm;
  return [...text.matchAll(rounds)].map(
    ([, begin, count, end]) => ((Number(end) - Number(begin)) * 1e9) / Number(count),
  );
}
