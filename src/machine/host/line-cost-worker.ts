/**
 * One side of a ping-pong: a worker thread, pinned to the CPU that it is given.
 *
 * It first posts whether it is pinned (true, or why not), then answers each {@link Game} with the nanoseconds of each
 * round.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { pinThread } from './affinity.js';
import { pingPongLoops, type PingPongMemory } from './ping-pong.js';

export interface PlayerData {
  readonly cpu: number;
  readonly memory: PingPongMemory;
}

export interface Game {
  readonly role: 'ping' | 'pong';
  /** Of the word that goes back and forth: alone in its cache line, and zero. */
  readonly address: number;
  readonly rounds: number;
  readonly trips: number;
}

const { cpu, memory } = workerData as PlayerData;
const port = parentPort!;
port.postMessage(pinThread(cpu));
const loops = pingPongLoops(memory);

port.on('message', ({ role, address, rounds, trips }: Game) => {
  const times: number[] = [];
  // Values go on from round to round, so each side waits for the other without a barrier.
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    loops[role](address, 1 + round * trips * 2, trips);
    times.push(Number(process.hrtime.bigint() - start));
  }
  port.postMessage(times);
});
