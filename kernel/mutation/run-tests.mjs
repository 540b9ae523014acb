/** Runs the tests in the files that are named, in one process and in this order. */
import { afterEach } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';

// That it fails is enough to know: not for which smallest program.
fc.configureGlobal({ endOnFailure: true });
// The reporter gets its turn after each test, so that the first that fails is the last.
afterEach(() => setImmediate());
for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);
