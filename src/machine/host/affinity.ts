/**
 * Binds threads to CPUs, by Linux's `sched_setaffinity(2)`.
 */

import { createRequire } from 'node:module';

type SetAffinity = (pid: number, bytes: number, mask: BigUint64Array) => number;

interface Native {
  readonly setAffinity: SetAffinity;
  readonly getAffinity: SetAffinity;
  readonly errorName: () => string;
}

/** For which a mask has room: as many as the C library's own. */
const MOST_CPUS = 1024;

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
    getAffinity: koffi
      .load(null)
      .func('int sched_getaffinity(int pid, size_t bytes, void *mask)') as SetAffinity,
    errorName: () => errors.get(koffi.errno()) ?? `error ${koffi.errno()}`,
  };
}

/**
 * Pins the calling thread, main or worker, to one CPU. Threads that it starts later inherit the pin.
 * @param cpu the operating system's number, not a core id.
 * @param before gets the CPUs to which it was pinned, where it is given.
 * @returns true, or why not, for people.
 */
export function pinThread(cpu: number, before?: BigUint64Array): true | string {
  if (!Number.isSafeInteger(cpu) || cpu < 0) return `${cpu} is no CPU number`;
  if (process.platform !== 'linux') return `threads cannot be pinned on ${process.platform}`;
  try {
    native ??= load();
  } catch (error) {
    return `koffi cannot be loaded: ${(error as Error).message}`;
  }
  if (before !== undefined && native.getAffinity(0, before.byteLength, before) < 0)
    return `sched_getaffinity: ${native.errorName()}`;
  // The mask is an array of C's unsigned long: whole words keep it right whatever their byte order.
  const mask = new BigUint64Array(Math.floor(cpu / 64) + 1);
  mask[mask.length - 1] = 1n << BigInt(cpu % 64);
  if (native.setAffinity(0, mask.byteLength, mask) === 0) return true;
  const name = native.errorName();
  return name === 'EINVAL'
    ? `CPU ${cpu} is not there, or not allowed to this process`
    : `sched_setaffinity: ${name}`;
}

/**
 * Has the threads that `start` starts inherit a pin, and the calling thread keep its own. So those threads need no foreign
 * functions, of which each thread that loads them leaves some 30 KiB behind when it ends.
 * @returns what `start` does, and whether they are pinned: true, or why not, for people.
 */
export function startPinned<T>(cpu: number, start: () => T): [T, true | string] {
  const own = new BigUint64Array(MOST_CPUS / 64);
  const pinned = pinThread(cpu, own);
  try {
    return [start(), pinned];
  } finally {
    if (pinned === true) native!.setAffinity(0, own.byteLength, own);
  }
}
