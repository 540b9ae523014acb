/**
 * Builds the kernel's two images from one source, `unicore` for clusters of one core and `smp` for several, and the
 * host machine's interrupt controller; and from each image that of the simulated machine. Tests explore the interleavings
 * of two of them in another form, which is not shipped.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from './compile.mjs';
import { expose } from './expose.mjs';
import { instrument } from './instrument.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../build/kernel');
mkdirSync(out, { recursive: true });

const builds = [
  { source: 'index.ts', output: 'unicore.wasm', smp: 0 },
  { source: 'index.ts', output: 'smp.wasm', smp: 1 },
  { source: 'device/interrupt-controller.ts', output: 'interrupt-controller.wasm', smp: 0 },
];

for (const { source, output, smp } of builds) {
  const { image, wrong } = await compile(join(here, source), smp);
  if (wrong !== undefined) {
    console.error(wrong);
    process.exit(1);
  }
  writeFileSync(join(out, output), image);
}

for (const image of ['unicore', 'smp']) {
  const shipped = readFileSync(join(out, `${image}.wasm`));
  writeFileSync(join(out, `${image}.simulated.wasm`), instrument(shipped));
}

mkdirSync(join(out, '../exposed'), { recursive: true });
for (const image of ['smp', 'interrupt-controller']) {
  writeFileSync(join(out, `../exposed/${image}.wasm`), expose(readFileSync(join(out, `${image}.wasm`))));
}
