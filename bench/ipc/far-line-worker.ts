/** One of the two cores: it follows the chain that the other has written, and writes it. The first posts nanoseconds. */
import { parentPort, workerData } from 'node:worker_threads';
import { pinThread } from '../../src/machine/host/affinity.js';
import { FIRST, LINES, type Chain } from './far-line.js';

const WARM_UP = 60;
const ROUNDS = 61;

const { cpu, side, words } = workerData as Chain;
pinThread(cpu);

function follow(): number {
  let at = FIRST;
  for (let line = 0; line < LINES; line++) at = words[at];
  return at;
}

function write(): void {
  let at = FIRST;
  for (let line = 0; line < LINES; line++) {
    words[at + 1]++;
    at = words[at];
  }
}

const times = Array.from({ length: WARM_UP + ROUNDS }, () => {
  while (Atomics.load(words, 0) !== side);
  const start = process.hrtime.bigint();
  const end = follow();
  const time = Number(process.hrtime.bigint() - start) / LINES;
  if (end !== FIRST) throw new Error('the chain is broken');
  write();
  Atomics.store(words, 0, 1 - side);
  return time;
});
if (side === 0) parentPort!.postMessage(times.slice(WARM_UP));
