/**
 * Builds the kernel's two images from one source, `unicore` for clusters of one core and `smp` for several, and the
 * host machine's interrupt controller; and from each image that of the simulated machine.
 *
 * Two forms are for tests and not shipped: one whose accesses to memory can be explored (exposed/), and one without
 * fastpaths (slowpath/), which must do the same as the image that has them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QUICK, compile } from './compile.mjs';
import { expose } from './expose.mjs';
import { instrument } from './instrument.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../build');
for (const folder of ['kernel', 'exposed', 'slowpath']) mkdirSync(join(out, folder), { recursive: true });

const KERNEL = 'index.ts';
const slow = { fastpath: false, optimisation: QUICK };
const builds = [
  { source: KERNEL, output: 'kernel/unicore.wasm' },
  { source: KERNEL, output: 'kernel/smp.wasm', how: { smp: true } },
  { source: 'device/interrupt-controller.ts', output: 'kernel/interrupt-controller.wasm' },
  { source: KERNEL, output: 'slowpath/unicore.wasm', how: slow },
  { source: KERNEL, output: 'slowpath/smp.wasm', how: { ...slow, smp: true } },
];

for (const { source, output, how } of builds) {
  const { image, wrong } = await compile(join(here, source), how);
  if (wrong !== undefined) {
    console.error(wrong);
    process.exit(1);
  }
  writeFileSync(join(out, output), image);
}

const shipped = (image) => readFileSync(join(out, `kernel/${image}.wasm`));
for (const image of ['unicore', 'smp'])
  writeFileSync(join(out, `kernel/${image}.simulated.wasm`), instrument(shipped(image)));
for (const image of ['smp', 'interrupt-controller'])
  writeFileSync(join(out, `exposed/${image}.wasm`), expose(shipped(image)));
