/** A thread of the exploration: answers each job with its rows. */
import { parentPort } from 'node:worker_threads';
import { simulatedModel } from '../../machine/simulated/presets.js';
import type { Job } from './explore.js';
import { founding } from './founding.js';

parentPort!.on('message', ({ machine, design, latencies, options }: Job) => {
  parentPort!.postMessage(founding(simulatedModel(machine, latencies), design, options));
});
