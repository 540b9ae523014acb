/** One end of a ring, on the CPU that it is given. The consumer posts nanoseconds a message, round by round. */
import { parentPort, workerData } from 'node:worker_threads';
import { hardenRealm } from '../../src/core/engine/typescript/realm.js';
import { LINE_DATA_WORDS, RingConsumer, RingProducer } from '../../src/core/ring.js';
import { pinThread } from '../../src/machine/host/affinity.js';

export interface RingEndData {
  readonly side: 'producer' | 'consumer';
  readonly cpu: number;
  readonly words: Int32Array;
  readonly rounds: number;
  readonly messages: number;
}

/** Polls without a message after which a consumer says that it waits: a microsecond or so. */
const PATIENCE = 100;
const LAST = LINE_DATA_WORDS - 1;

const { side, cpu, words, rounds, messages } = workerData as RingEndData;
pinThread(cpu);
hardenRealm();
const message = new Int32Array(LINE_DATA_WORDS);
if (side === 'producer') produce();
else parentPort!.postMessage(consume());

function produce(): void {
  const ring = new RingProducer(words, 0, words.length);
  for (let sent = 0; sent < rounds * messages; sent++) {
    message[0] = message[LAST] = sent;
    while (!ring.send(message, LINE_DATA_WORDS, true));
  }
  ring.flush();
}

function consume(): number[] {
  const ring = new RingConsumer(words, 0, words.length, PATIENCE);
  return Array.from({ length: rounds }, (_, round) => {
    const start = process.hrtime.bigint();
    for (let received = round * messages; received < (round + 1) * messages; received++) {
      while (ring.receive(message) < 0);
      if (message[0] !== received || message[LAST] !== received) throw new Error('the ring lost a message');
    }
    return Number(process.hrtime.bigint() - start) / messages;
  });
}
