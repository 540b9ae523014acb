/** Where each byte of the kernels' memory is, of a machine that has stopped: what a leak would show in. */
import assert from 'node:assert/strict';
import { isOffered, ownerOf } from '../../src/coordination/ledger.js';
import { CHUNK_BYTES, ledgerOf } from '../../src/coordination/memory.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { CapType, KernelMemory, objectSize, type Slot } from '../../src/core/inspect/memory.js';
import { type BootInformation, readBootInfo } from '../../src/core/invocation.js';
import type { RunningSystem } from '../../src/system/run.js';

/** Of one partition. */
export interface Account {
  readonly capabilities: number;
  /** What the kernel keeps for itself: its state, the bootinfo, the root task's first objects. */
  readonly kernel: number;
  /** Bytes of objects, by type. */
  readonly objects: Readonly<Record<string, number>>;
  /** Lost to alignment, between objects. An object to which no capability is left would show here. */
  readonly between: number;
  readonly unused: number;
}

const STATE_BYTES = 8192;
const CORE_BYTES = 4096;

/**
 * An account of each partition, with what its kernel has of memory that moves left out: that is compared with the ledger.
 * @throws AssertionError where a kernel's memory is not as it should be, or the parts are not the whole.
 */
export function accounts({ memory: { buffer }, plan }: RunningSystem): Account[] {
  return plan.clusters.map(({ base, size, cores }, index) => {
    const info = rootInformation(buffer, plan.clusters[index]);
    const memory = new KernelMemory(buffer, base, size, cores.length, info.initialTCB);
    checkInvariants(memory);
    const isOwn = ({ object }: Slot): boolean => object >= base && object < base + size;
    const slots = [...memory.allSlots().values()];
    const foreign = slots.filter(
      (slot) => slot.type === CapType.Untyped && slot.rights === 0 && !isOwn(slot),
    );
    assert.deepEqual(foreign.map(({ object }) => object).sort(), chunksOf(buffer, plan, index));

    const untypeds = slots.filter((slot) => slot.type === CapType.Untyped && isOwn(slot));
    const first = Math.min(...untypeds.map(({ object }) => object));
    const sizes = new Map<number, Slot>();
    for (const slot of slots)
      if (isOwn(slot) && slot.object >= first && slot.type !== CapType.Untyped && objectSize(slot) > 0)
        sizes.set(slot.object, slot);
    const objects: Record<string, number> = {};
    for (const slot of sizes.values())
      objects[CapType[slot.type]] = (objects[CapType[slot.type]] ?? 0) + objectSize(slot);
    const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
    const used = sum(untypeds.map(({ badge }) => Number(badge)));
    const account = {
      capabilities: slots.length - foreign.length,
      kernel: first - base,
      objects,
      between: used - sum(Object.values(objects)),
      unused: sum(untypeds.map(({ bits }) => 2 ** bits)) - used,
    };
    const { kernel, between, unused } = account;
    assert.equal(kernel + sum(Object.values(objects)) + between + unused, size, 'the parts are the whole');
    return account;
  });
}

/** What a cluster's root task was told when its kernel booted. */
export function rootInformation(
  buffer: SharedArrayBuffer,
  { base, cores }: RunningSystem['plan']['clusters'][number],
): BootInformation {
  return readBootInfo(buffer, base + STATE_BYTES + cores.length * CORE_BYTES);
}

/** Addresses of the chunks that a cluster owns by the ledger, in ascending order. */
function chunksOf(buffer: SharedArrayBuffer, { moving }: RunningSystem['plan'], cluster: number): number[] {
  if (moving === undefined) return [];
  const ledger = ledgerOf(new Int32Array(buffer), moving);
  return Array.from({ length: moving.chunks }, (_, chunk) => chunk)
    .filter((chunk) => ownerOf(ledger.entry(chunk)) === cluster)
    .map((chunk) => moving.base + chunk * CHUNK_BYTES);
}

/** Whether no chunk is on its way from one cluster to another. */
export function noHandOvers({ memory: { buffer }, plan: { moving } }: RunningSystem): boolean {
  const ledger = ledgerOf(new Int32Array(buffer), moving!);
  return !Array.from({ length: ledger.chunks }, (_, chunk) => ledger.entry(chunk)).some(isOffered);
}
