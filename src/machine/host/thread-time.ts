/** How long a thread has had a CPU: what tells one that hangs from one that the operating system does not run. */
import { readFileSync, readlinkSync } from 'node:fs';

/** The calling thread's name to {@link threadTime}; undefined where the system keeps no such times. */
export function threadName(): string | undefined {
  try {
    const name = readlinkSync('/proc/thread-self');
    return threadTime(name) === undefined ? undefined : name;
  } catch {
    return undefined;
  }
}

/** Milliseconds that a thread of this process has run (Linux's `schedstat`); undefined where that is not known. */
export function threadTime(name: string): number | undefined {
  try {
    const nanoseconds = Number(readFileSync(`/proc/${name}/schedstat`, 'utf8').split(' ', 1)[0]);
    return nanoseconds > 0 ? nanoseconds / 1e6 : undefined;
  } catch {
    return undefined;
  }
}
