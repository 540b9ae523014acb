/** A kernel whose memory is checked after each entry: `atoll run --check-invariants`. For clusters of one core. */
import type { Kernel } from '../kernel.js';
import { readBootInfo } from '../invocation.js';
import { checkInvariants } from './invariants.js';
import { KernelMemory } from './memory.js';

/** What changes nothing, or is called before there is anything to check. */
const UNCHECKED = new Set<keyof Kernel>(['boot', 'currentAddress', 'currentTCB', 'deadline']);

/**
 * `base` and `size`: the cluster's partition. A violation is thrown as what the kernel itself throws when it cannot go
 * on, and so ends the cluster with a report.
 */
export function checkedKernel(kernel: Kernel, memory: SharedArrayBuffer, base: number, size: number): Kernel {
  let inspected: KernelMemory | undefined;
  const check = (): void => {
    try {
      if (inspected) checkInvariants(inspected);
    } catch (violation) {
      throw new WebAssembly.RuntimeError(`invariant violated: ${(violation as Error).message}`);
    }
  };
  const entries = Object.entries(kernel) as [keyof Kernel, (...words: number[]) => number][];
  const checked = entries.map(([name, entry]) => {
    const after = (...words: number[]): number => {
      const next = entry(...words);
      check();
      return next;
    };
    return [name, UNCHECKED.has(name) ? entry : after] as const;
  });
  return {
    ...(Object.fromEntries(checked) as unknown as Kernel),
    boot: (bytes, ...rest) => {
      const info = kernel.boot(bytes, ...rest);
      if (info !== 0)
        inspected = new KernelMemory(memory, base, size, 1, readBootInfo(memory, info).initialTCB);
      return info;
    },
  };
}
