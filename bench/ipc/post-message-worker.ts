/** `pong` answers each message; `ping` posts the nanoseconds a round trip, of each round after warm-up. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { pinThread } from '../../src/machine/host/affinity.js';

const WARM_UP = 20;
const ROUNDS = 31;
const TRIPS = 50;

const { role, cpu, port } = workerData as { role: 'ping' | 'pong'; cpu: number; port: MessagePort };
pinThread(cpu);

if (role === 'pong') {
  port.on('message', (message) => port.postMessage(message));
} else {
  const message = [1, 2, 3, 4, 5, 6, 7, 8];
  const times: number[] = [];
  let trips = 0;
  let start = process.hrtime.bigint();
  port.on('message', (answer) => {
    if (++trips === TRIPS) {
      const now = process.hrtime.bigint();
      times.push(Number(now - start) / TRIPS);
      if (times.length === WARM_UP + ROUNDS) return parentPort!.postMessage(times.slice(WARM_UP));
      start = now;
      trips = 0;
    }
    port.postMessage(answer);
  });
  port.postMessage(message);
}
