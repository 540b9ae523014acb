/** How the kernel's images are compiled. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import asc from 'assemblyscript/asc';

const MEMORY = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
const FEATURES = ['--enable', 'threads', '--enable', 'simd', '--noAssert', '--noExportMemory'];
const BEST = ['-O3', '--converge'];
/** For tests: what is optimised little compiles in a tenth of the time. */
export const QUICK = ['-O1'];

/**
 * `smp`: for clusters of several cores. `fastpath`: false for the slow paths alone. `changed`: what stands in a source
 * file, by path, where that is not what is on disk. Returns the image, or says what is wrong with the source.
 */
export async function compile(
  source,
  { smp = false, fastpath = true, optimisation = BEST, changed = new Map() } = {},
) {
  const constants = ['--use', `ATOLL_SMP=${Number(smp)}`, '--use', `ATOLL_FASTPATH=${Number(fastpath)}`];
  let image;
  const { error, stderr } = await asc.main(
    [
      ...[source, ...constants, '--outFile', 'image.wasm', '--runtime', 'stub'],
      ...[...MEMORY, ...FEATURES, ...optimisation],
    ],
    {
      readFile: (name, folder) => {
        const path = resolve(folder, name);
        return changed.get(path) ?? readFile(path, 'utf8').catch(() => null);
      },
      writeFile: (_name, contents) => (image = contents),
    },
  );
  return error ? { wrong: `${stderr}${error.message}` } : { image };
}
