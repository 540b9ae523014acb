/** `atoll bench boot`: how long systems of many domains take to boot, and what memory they need. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RunReport } from '../../src/system/run.js';
import { median } from '../median.js';

/** Seconds from when Node is up until all domains of a system have initialised: medians. */
export interface BootReport {
  readonly boot_1000_seconds: number;
  /** The most memory that the process has held, in MB (10^6 bytes). */
  readonly boot_1000_mb: number;
  readonly boot_63_seconds: number;
  readonly targets: Readonly<Record<Figure, { readonly at_most: number; readonly met: boolean }>>;
}

type Figure = 'boot_1000_seconds' | 'boot_1000_mb' | 'boot_63_seconds';

const ROUNDS = 5;
const PROGRAM = `import { protectionDomain } from 'atoll';

export default protectionDomain(() => ({ init() {} }));
`;

/** @param quick whether one round is enough. */
export async function bootBenchmark(quick: boolean): Promise<BootReport> {
  const folder = mkdtempSync(join(tmpdir(), 'atoll-bench-'));
  try {
    writeFileSync(join(folder, 'domain.ts'), PROGRAM);
    const small = await boots(folder, 63, quick ? 1 : ROUNDS);
    const large = await boots(folder, 1000, quick ? 1 : ROUNDS);
    const figures = {
      boot_1000_seconds: median(large.map(({ seconds }) => seconds)),
      boot_1000_mb: median(large.map(({ bytes }) => bytes)) / 1e6,
      boot_63_seconds: median(small.map(({ seconds }) => seconds)),
    };
    const atMost = (figure: Figure, limit: number) => ({ at_most: limit, met: figures[figure] <= limit });
    return {
      ...figures,
      targets: {
        boot_1000_seconds: atMost('boot_1000_seconds', 3),
        boot_1000_mb: atMost('boot_1000_mb', 400),
        boot_63_seconds: atMost('boot_63_seconds', 0.5),
      },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a system of `count` domains on core 0 until it is idle, each time in a process of its own. */
async function boots(
  folder: string,
  count: number,
  rounds: number,
): Promise<{ readonly seconds: number; readonly bytes: number }[]> {
  const file = join(folder, `${count}.system`);
  writeFileSync(file, description(count));
  const atoll = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  const results = [];
  for (let round = 0; round < rounds; round++) {
    const run = [atoll, 'run', file, '--clusters', '0', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, run, { maxBuffer: 2 ** 26 });
    const report = JSON.parse(stdout) as RunReport;
    const initialised = report.domains.filter(({ entries }) => entries.init === 1).length;
    if (initialised !== count) throw new Error(`${initialised} of ${count} domains initialised`);
    results.push({ seconds: report.startedAt! + report.seconds, bytes: report.peakMemory! });
  }
  return results;
}

function description(count: number): string {
  const domains = Array.from(
    { length: count },
    (_, index) => `    <protection_domain name="domain_${index}">
        <program_image path="domain.elf" />
    </protection_domain>
`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<system>\n${domains.join('')}</system>\n`;
}
