/** A thread of the exploration: answers each job with its rows, and how fast it was. */
import { parentPort } from 'node:worker_threads';
import { threadName, threadTime } from '../../machine/host/thread-time.js';
import { simulatedModel } from '../../machine/simulated/presets.js';
import type { Job } from './explore.js';
import { founding } from './founding.js';

const thread = threadName();
/** Milliseconds that this thread has run, or that have passed where the system does not tell. */
const time = (): number => (thread === undefined ? undefined : threadTime(thread)?.ran) ?? performance.now();

parentPort!.on('message', ({ machine, design, latencies, options }: Job) => {
  parentPort!.postMessage(founding(simulatedModel(machine, latencies), design, options, time));
});
