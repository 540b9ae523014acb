/** Ends a process whose threads do not end. */
import { createRequire } from 'node:module';

let arranged = false;

/**
 * Node ends its threads before it exits, and waits for them. One that is inside a long operation of the language's own
 * (`Array.prototype.indexOf` on an object of length 2^53, for one) cannot be ended, and the process would never exit.
 * After this call it exits without waiting, with the code and at the time that it would have.
 */
export function exitWithoutThreads(): void {
  if (arranged) return;
  arranged = true;
  process.once('exit', (code) => {
    try {
      const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
      (koffi.load(null).func('void _exit(int code)') as (code: number) => void)(code);
    } catch {
      process.kill(process.pid, 'SIGKILL');
    }
  });
}
