/** One of the cores that share an image: takes turns with the other. The first posts nanoseconds, round by round. */
import { parentPort, workerData } from 'node:worker_threads';
import { Register } from '../../kernel/api/constants.js';
import { NO_DEVICES, instantiateKernel } from '../../src/core/kernel.js';
import { pinThread } from '../../src/machine/host/affinity.js';
import { ENDPOINT, REPLY } from '../../src/system/simulate/pairs.js';
import type { Turns } from './single-image-turns.js';

/** Many: V8 compiles the kernel anew when it has run for some time. */
const WARM_UP = 60;
const ROUNDS = 31;
/** So many that a round is about a millisecond: shorter than a time slice. */
const CALLS = 20_000;
const TURNS = 500;

// Constants of this module: the members of an enumeration are properties, to be loaded at each use.
const TAG = Register.MsgInfo / 4;
const MR0 = Register.MR0 / 4;

const { module, memory, base, client, cpu, side, sides, turn } = workerData as Turns;
pinThread(cpu);
const kernel = instantiateKernel(module, memory, base, 0, NO_DEVICES);
const words = new Uint32Array(memory.buffer);
const clientWords = client / 4;

/**
 * What the client and the server do for a call and its reply, with four message registers each way. Who goes on after the
 * call is what the kernel says: so nothing of the second entry begins before the first knows its server, as it would not
 * behind a trap.
 */
function callAndReply(value: number): void {
  writeMessage(clientWords, value);
  const current = kernel.call(ENDPOINT, client);
  const serverWords = current / 4;
  writeMessage(serverWords, words[serverWords + MR0] + 1);
  kernel.replyRecv(ENDPOINT, REPLY, current);
  if (words[clientWords + MR0] !== value + 1) throw new Error('the call was not answered');
}

function writeMessage(registers: number, value: number): void {
  words[registers + TAG] = 4;
  words[registers + TAG + 1] = 0;
  for (let mr = MR0; mr < MR0 + 8; mr += 2) {
    words[registers + mr] = value;
    words[registers + mr + 1] = 0;
  }
}

/** Nanoseconds a call, by this core alone. */
function roundAlone(): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) callAndReply(i);
  return Number(process.hrtime.bigint() - start) / CALLS;
}

/** Nanoseconds that a turn takes its core, with a call in each or with nothing: what handing it over takes is not in it. */
function roundOfTurns(withCall: boolean): number {
  const next = (side + 1) % sides;
  let milliseconds = 0;
  for (let i = 0; i < TURNS; i++) {
    while (Atomics.load(turn, 0) !== side);
    const start = performance.now();
    if (withCall) callAndReply(i);
    milliseconds += performance.now() - start;
    Atomics.store(turn, 0, next);
  }
  return (milliseconds * 1e6) / TURNS;
}

function afterWarmUp(round: () => number): number[] {
  return Array.from({ length: WARM_UP + ROUNDS }, round).slice(WARM_UP);
}

const inTurn =
  sides === 1
    ? []
    : afterWarmUp(() => {
        const empty = roundOfTurns(false);
        return roundOfTurns(true) - empty;
      });
if (side === 0) {
  // The other's last turn.
  while (Atomics.load(turn, 0) !== 0);
  parentPort!.postMessage({ inTurn, alone: afterWarmUp(roundAlone) });
}
