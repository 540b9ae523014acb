/** Builds the kernel's two images from one source: `unicore` for clusters of one core, `smp` for several. */
import asc from 'assemblyscript/asc';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../build/kernel');
mkdirSync(out, { recursive: true });

for (const image of ['unicore', 'smp']) {
  const { error, stderr } = await asc.main([
    join(here, 'index.ts'),
    ...['--use', `ATOLL_SMP=${image === 'smp' ? 1 : 0}`],
    ...['--outFile', join(out, `${image}.wasm`)],
    ...[
      '--runtime',
      'stub',
      '--importMemory',
      '--sharedMemory',
      '--initialMemory',
      '1',
      '--maximumMemory',
      '65536',
    ],
    ...['--enable', 'threads', '--enable', 'simd', '--noAssert', '-O3', '--converge', '--noExportMemory'],
  ]);
  if (error) {
    console.error(`${stderr}${error.message}`);
    process.exit(1);
  }
}
