/** How many calls a second pairs of a client and a server make, one pair on each core, all at the same time. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Topology } from '../../src/machine/topology/index.js';
import { loadSystem } from '../../src/system/description/index.js';
import { RunError, runSystem, type RunningSystem } from '../../src/system/run.js';

/** Until then the compiler and the caches settle. */
const WARM_UP_MILLISECONDS = 500;
/** So short that many are undisturbed where others use the computer too. */
const SLICE_MILLISECONDS = 10;
/** All cores were at work in a slice in which each pair made at least this part of the calls of the busiest. */
const LEAST_SHARE = 0.25;
const PATIENCE_MILLISECONDS = 30_000;

const SEARCH_PATH = ['scaling', 'ipc'].map((folder) =>
  fileURLToPath(new URL(`../../../bench/${folder}`, import.meta.url)),
);

/**
 * Runs a pair on each of the first `cores` cores. The clients start together and call until the run is over; meanwhile
 * their counters are read. A slice of time counts if all cores were at work in it: a core that the operating system
 * gives to others leaves a shared image to the rest of them, or stops all of them while it holds the lock.
 * @param clusters how the machine is cut, as `clustersOf` takes it.
 * @param slices how many are to count.
 * @returns calls a second of all pairs together, in each slice that counts.
 * @throws RunError where the computer is too busy.
 */
export async function throughput(
  topology: Topology,
  cores: number,
  clusters: string,
  slices: number,
): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'atoll-bench-'));
  const console = openSync(devNull, 'w');
  const rates: number[] = [];
  const enough = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const watch = (running: RunningSystem): void => {
    const start = performance.now() + WARM_UP_MILLISECONDS;
    let last = { at: Infinity, calls: [] as number[] };
    timer = setInterval(() => {
      const now = { at: performance.now(), calls: running.calls() };
      if (now.at > start + PATIENCE_MILLISECONDS || rates.length === slices) return enough.abort();
      if (last.at >= start && last.at < now.at) {
        // Every other domain is a client.
        const calls = now.calls
          .map((count, domain) => count - last.calls[domain])
          .filter((_, i) => i % 2 === 0);
        if (Math.min(...calls) >= LEAST_SHARE * Math.max(...calls) && Math.max(...calls) > 0)
          rates.push((calls.reduce((sum, count) => sum + count) * 1000) / (now.at - last.at));
      }
      last = now;
    }, SLICE_MILLISECONDS);
  };
  try {
    const file = join(folder, 'pairs.system');
    writeFileSync(file, description(cores));
    const system = loadSystem(file, { arch: 'aarch64', searchPath: SEARCH_PATH });
    const options = { topology, clusters, searchPath: SEARCH_PATH, console, onStart: watch };
    const { unhandledFaults } = await runSystem(system, { ...options, signal: enough.signal });
    if (unhandledFaults > 0) throw new Error('a pair failed');
  } finally {
    clearInterval(timer);
    closeSync(console);
    rmSync(folder, { recursive: true });
  }
  if (rates.length < slices)
    throw new RunError(
      `others use this computer so much that ${cores} cores hardly ever ran at the same time; try again when it is quiet`,
    );
  return rates;
}

function description(cores: number): string {
  const pairs = Array.from(
    { length: cores },
    (_, core) => `    <protection_domain name="client_${core}" priority="100" cpu="${core}">
        <program_image path="caller.elf" />
    </protection_domain>
    <protection_domain name="server_${core}" priority="200" cpu="${core}">
        <program_image path="server.elf" />
    </protection_domain>
    <channel>
        <end pd="client_${core}" id="0" pp="true" />
        <end pd="server_${core}" id="0" />
    </channel>
`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<system>\n${pairs.join('')}</system>\n`;
}
