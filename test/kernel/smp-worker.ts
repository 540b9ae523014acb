/**
 * One core of the stress test: its client calls its server, signals the other core's client and waits for that one's
 * signal, round after round.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Register } from '../../kernel/api/constants.js';
import { instantiateKernel } from '../../src/core/kernel.js';

const N = 6;
const EP = 5;
const REPLY = 4;
const PEER = 7;

const { module, memory, base, core, start, rounds, server, serverProgram, client, clientProgram } =
  workerData as {
    module: WebAssembly.Module;
    memory: WebAssembly.Memory;
    base: number;
    core: number;
    start: SharedArrayBuffer;
    rounds: number;
    server: number;
    serverProgram: number;
    client: number;
    clientProgram: number;
  };
const kernel = instantiateKernel(module, memory, base, core, {
  maskInterrupt() {},
  sendSGI() {},
  sendIPI() {},
});
const words = new BigUint64Array(memory.buffer);
const at = (tcb: number, register: Register): number => (tcb + register) / 8;

// Both begin at once.
const gate = new Int32Array(start);
Atomics.add(gate, 0, 1);
while (Atomics.load(gate, 0) < 2);

const expect = (actual: number, wanted: number, what: string): void => {
  if (actual !== wanted) throw new Error(`core ${core}: ${what}: program ${actual} runs, not ${wanted}`);
};

// The interrupt by which another core would ask this one to look at its queues.
while (kernel.interrupt(0) !== serverProgram);
expect(kernel.recv(EP, REPLY), clientProgram, 'the server waits');
let replies = 0;
let sum = 0n;
let signals = 0n;
for (let round = 1; round <= rounds; round++) {
  words[at(client, Register.MsgInfo)] = 1n;
  words[at(client, Register.MR0)] = BigInt(round);
  expect(kernel.call(EP, client), serverProgram, 'call');
  sum += words[at(server, Register.MR0)];
  words[at(server, Register.MsgInfo)] = 0n;
  expect(kernel.replyRecv(EP, REPLY, server), clientProgram, 'reply');
  replies++;
  // The cores take turns, so that no two signals become one.
  if (core === 0) expect(kernel.signal(PEER, client), clientProgram, 'signal');
  let current = kernel.wait(N);
  while (current === 0) current = kernel.interrupt(0);
  expect(current, clientProgram, 'wait');
  signals += words[at(client, Register.Badge)];
  if (core === 1) expect(kernel.signal(PEER, client), clientProgram, 'signal');
}
parentPort!.postMessage({ replies, sum, signals });
