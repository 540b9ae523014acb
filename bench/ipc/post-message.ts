/** The baseline that Node offers: two worker threads that send each other a message of eight words. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { median } from '../median.js';

/** The median time of a message there and back, in nanoseconds, by two threads pinned to the two CPUs. */
export async function postMessageRoundTrip(cpuA: number, cpuB: number): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  const worker = new URL('./post-message-worker.js', import.meta.url);
  const ping = { role: 'ping', cpu: cpuA, port: port1 };
  const pong = { role: 'pong', cpu: cpuB, port: port2 };
  const workers = [ping, pong].map(
    (workerData) => new Worker(worker, { workerData, transferList: [workerData.port] }),
  );
  try {
    // Only ping ever says anything, but each may fail.
    const [rounds] = (await Promise.race(workers.map((worker) => once(worker, 'message')))) as [number[]];
    return median(rounds);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
