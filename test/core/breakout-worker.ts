/** A core's worker thread, reduced to what the breakout test needs: a hardened realm, memory, two domains. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ProtectionDomain, RegionArray, RegionArrayConstructor } from '../../src/program.js';
import type { Bundle } from '../../src/core/engine/typescript/bundle.js';
import { checkProgram, evaluateProgram } from '../../src/core/engine/typescript/compartment.js';
import { hardenRealm } from '../../src/core/engine/typescript/realm.js';
import { regionView } from '../../src/core/engine/typescript/region.js';

const { hostile, victim, memory } = workerData as {
  hostile: Bundle;
  victim: Bundle;
  memory: SharedArrayBuffer;
};

hardenRealm();

/** Starts a program with the given regions, as offset and writable, of 4 KiB each. Returns what it printed. */
function start(bundle: Bundle, regions: Record<string, readonly [number, boolean]>): string[] {
  const lines: string[] = [];
  const pd = harden({
    region(symbol: string, as: RegionArrayConstructor<RegionArray> = Uint8Array) {
      const region = regions[symbol];
      if (!region) throw new RangeError(`no region ${symbol}`);
      return regionView(memory, region[0], 4096, as, region[1]);
    },
    dbgPuts(text: string) {
      lines[lines.length] = text;
    },
  }) as unknown as ProtectionDomain;
  checkProgram(evaluateProgram(bundle)(pd)).init();
  return lines;
}

const before = start(victim, { victim: [16384, true] });
const attempts = start(hostile, { own: [4096, true], read_only: [8192, false] });
const after = start(victim, { victim: [16384, true] });
parentPort!.postMessage({ before, attempts, after });
