/** What a thread's time went by with: what tells one that hangs from one that the operating system does not run. */
import { readFileSync, readlinkSync } from 'node:fs';

/** Milliseconds, since the thread started. */
export interface ThreadTime {
  /** In which it had a CPU. */
  readonly ran: number;
  /** In which it could have run, and waited for a CPU. */
  readonly waited: number;
}

/** The calling thread's name to {@link threadTime}; undefined where the system keeps no such times. */
export function threadName(): string | undefined {
  try {
    const name = readlinkSync('/proc/thread-self');
    return threadTime(name) === undefined ? undefined : name;
  } catch {
    return undefined;
  }
}

/** The times of a thread of this process (Linux's `schedstat`); undefined where they are not known. */
export function threadTime(name: string): ThreadTime | undefined {
  try {
    const [ran, waited] = readFileSync(`/proc/${name}/schedstat`, 'utf8').split(' ', 2).map(Number);
    return ran > 0 ? { ran: ran / 1e6, waited: waited / 1e6 } : undefined;
  } catch {
    return undefined;
  }
}
