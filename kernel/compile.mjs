/** How the kernel's images are compiled. */
import asc from 'assemblyscript/asc';

const MEMORY = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
const FEATURES = ['--enable', 'threads', '--enable', 'simd', '--noAssert', '--noExportMemory'];

/** `smp`: 0 for clusters of one core, 1 for several. Returns what is wrong with the source, or nothing. */
export async function compile(source, output, smp, optimisation = ['-O3', '--converge']) {
  const { error, stderr } = await asc.main([
    ...[source, '--use', `ATOLL_SMP=${smp}`, '--outFile', output, '--runtime', 'stub'],
    ...[...MEMORY, ...FEATURES, ...optimisation],
  ]);
  return error ? `${stderr}${error.message}` : undefined;
}
