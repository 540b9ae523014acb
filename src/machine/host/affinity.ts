/**
 * Binds threads to CPUs, by Linux's `sched_setaffinity(2)`.
 */

import { createRequire } from 'node:module';

type SetAffinity = (pid: number, bytes: number, mask: BigUint64Array) => number;

interface Native {
  readonly setAffinity: SetAffinity;
  readonly errorName: () => string;
}

let native: Native | undefined;

/** Loaded at first use: commands that run nothing need no foreign functions, and some systems have none. */
function load(): Native {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const errors = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
  return {
    // The process itself holds the C library, whichever it is.
    setAffinity: koffi
      .load(null)
      .func('int sched_setaffinity(int pid, size_t bytes, const void *mask)') as SetAffinity,
    errorName: () => errors.get(koffi.errno()) ?? `error ${koffi.errno()}`,
  };
}

/**
 * Pins the calling thread, main or worker, to one CPU. Threads that it starts later inherit the pin.
 * @param cpu the operating system's number, not a core id.
 * @returns true, or why not, for people.
 */
export function pinThread(cpu: number): true | string {
  if (!Number.isSafeInteger(cpu) || cpu < 0) return `${cpu} is no CPU number`;
  if (process.platform !== 'linux') return `threads cannot be pinned on ${process.platform}`;
  try {
    native ??= load();
  } catch (error) {
    return `koffi cannot be loaded: ${(error as Error).message}`;
  }
  // The mask is an array of C's unsigned long: whole words keep it right whatever their byte order.
  const mask = new BigUint64Array(Math.floor(cpu / 64) + 1);
  mask[mask.length - 1] = 1n << BigInt(cpu % 64);
  if (native.setAffinity(0, mask.byteLength, mask) === 0) return true;
  const name = native.errorName();
  return name === 'EINVAL'
    ? `CPU ${cpu} is not there, or not allowed to this process`
    : `sched_setaffinity: ${name}`;
}
