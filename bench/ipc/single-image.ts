/**
 * What the founding message argues about: one kernel image that two cores use in turn, so that each finds in the other's
 * cache what it must touch. Both are core 0 to the kernel: they never enter it at the same time, and do the very same
 * work, so that all of the difference to one core alone is what it costs to bring the lines over.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { InitialSlot, Invocation, ObjectType, Rights, SizeBits } from '../../kernel/api/constants.js';
import { Invoker, readBootInfo } from '../../src/core/invocation.js';
import { compileKernel, instantiateKernel, type KernelImage } from '../../src/core/kernel.js';
import { sharedMemory } from '../../src/machine/shared-memory.js';
import { ObjectAllocator, ROOT_CNODE } from '../../src/system/initialiser/objects.js';
import { median } from '../median.js';
import { ENDPOINT, REPLY, type SharedImage, type Turns } from './single-image-turns.js';

export interface SingleImage {
  /** Nanoseconds for a call and its reply where the two cores take turns; null with one core. */
  readonly inTurn: number | null;
  /** The same where one core does all. */
  readonly alone: number;
}

const CNODE_RADIX = 4;
const BASE = 2 ** 20;
const SIZE = 2 ** 20;
const ROOT_BITS = 8;

/** @param cpus one or two CPUs to pin to. */
export async function singleImage(kernel: KernelImage, cpus: readonly number[]): Promise<SingleImage> {
  const image = boot(kernel);
  const turn = new Int32Array(new SharedArrayBuffer(256));
  const url = new URL('./single-image-worker.js', import.meta.url);
  const workers = cpus.map((cpu, side) => {
    const turns: Turns = { ...image, cpu, side, sides: cpus.length, turn };
    return new Worker(url, { workerData: turns });
  });
  try {
    // Only the first ever says anything, but each may fail.
    const [{ inTurn, alone }] = (await Promise.race(workers.map((worker) => once(worker, 'message')))) as [
      { inTurn: number[]; alone: number[] },
    ];
    return { inTurn: cpus.length === 1 ? null : median(inTurn), alone: median(alone) };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Boots an image for a cluster with a client that is current and a server that waits for its call. */
function boot(image: KernelImage): SharedImage {
  const memory = sharedMemory(BASE + SIZE);
  const module = compileKernel(image);
  const kernel = instantiateKernel(module, memory, BASE, 0, {
    maskInterrupt() {},
    sendSGI() {},
    sendIPI() {},
  });
  const info = readBootInfo(memory.buffer, kernel.boot(SIZE, 1, 0, 0, ROOT_BITS));
  const invoker = new Invoker(kernel, memory.buffer, info.initialTCB);
  const objects = new ObjectAllocator(invoker, info);
  const endpoint = objects.make(ObjectType.Endpoint).slot;
  const reply = objects.make(ObjectType.Reply).slot;
  const thread = (priority: number): { cnode: number; tcb: number } => {
    const tcb = objects.make(ObjectType.TCB);
    const context = objects.make(ObjectType.SchedContext, 1, SizeBits.MinSchedContext).slot;
    const cnode = objects.make(ObjectType.CapTable, 1, CNODE_RADIX).slot;
    const configure = Invocation.SchedControlConfigureFlags;
    invoker.call(InitialSlot.FirstSchedControl, configure, [1000, 1000, 0, 0, 0], [context]);
    invoker.call(tcb.slot, Invocation.TCBSetSpace, [64 - CNODE_RADIX], [0, cnode]);
    invoker.call(
      tcb.slot,
      Invocation.TCBSetSchedParams,
      [priority, priority],
      [InitialSlot.ThreadTCB, context, 0],
    );
    invoker.copy(cnode, ENDPOINT, CNODE_RADIX, ROOT_CNODE, endpoint, 64, Rights.All);
    const resume = 1;
    invoker.call(tcb.slot, Invocation.TCBWriteRegisters, [resume, 2, 0, priority]);
    return { cnode, tcb: tcb.address };
  };
  const client = thread(1);
  const server = thread(2);
  invoker.copy(server.cnode, REPLY, CNODE_RADIX, ROOT_CNODE, reply, 64, Rights.All);
  kernel.wait(objects.make(ObjectType.Notification).slot);
  kernel.recv(ENDPOINT, REPLY);
  return { module, memory, base: BASE, client: client.tcb, server: server.tcb };
}
