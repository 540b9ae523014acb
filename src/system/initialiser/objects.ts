/** Kernel objects out of the untyped memory that a root task holds. */
import { ObjectType, SizeBits, Invocation } from '../../../kernel/api/constants.js';
import type { BootInformation, BootUntyped, Invoker } from '../../core/invocation.js';

/** Slots that every root task's CNode has (kernel/api/constants.ts, `InitialSlot`). */
export const ROOT_CNODE = 2;
export const DEPTH = 64;
const FAN_OUT = 256;

/** Sizes of objects of a fixed size, in bits. */
const FIXED_BITS: Partial<Record<ObjectType, number>> = {
  [ObjectType.TCB]: SizeBits.TCB,
  [ObjectType.Endpoint]: SizeBits.Endpoint,
  [ObjectType.Notification]: SizeBits.Notification,
  [ObjectType.Reply]: SizeBits.Reply,
  [ObjectType.SmallPage]: SizeBits.SmallPage,
  [ObjectType.LargePage]: SizeBits.LargePage,
};

/** Objects in a row: their slots and their physical addresses both ascend, one object apart. */
export interface Objects {
  readonly slot: number;
  readonly address: number;
}

class OutOfMemory extends Error {}

/** Hands out slots and objects. It knows where each object lies, since the kernel allocates by a fixed rule. */
export class ObjectAllocator {
  private nextSlot: number;
  private readonly untypeds: { readonly untyped: BootUntyped; used: number }[];

  constructor(
    private readonly invoker: Invoker,
    private readonly info: BootInformation,
  ) {
    this.nextSlot = info.emptyStart;
    this.untypeds = [...info.untypeds]
      .sort((a, b) => a.sizeBits - b.sizeBits)
      .map((untyped) => ({ untyped, used: 0 }));
  }

  slots(count: number): number {
    const slot = this.nextSlot;
    this.nextSlot += count;
    if (this.nextSlot > this.info.emptyEnd)
      throw new OutOfMemory('the root task has no capability slots left');
    return slot;
  }

  /** `userBits`: for objects whose size is chosen, as `Untyped_Retype` takes it. */
  make(type: ObjectType, count = 1, userBits = 0, device = false): Objects {
    const bits = FIXED_BITS[type] ?? (type === ObjectType.CapTable ? userBits + SizeBits.Slot : userBits);
    const size = 2 ** bits;
    for (const entry of this.untypeds) {
      if (entry.untyped.device !== device) continue;
      const start = Math.ceil(entry.used / size) * size;
      if (start + count * size > 2 ** entry.untyped.sizeBits) continue;
      const slot = this.slots(count);
      for (let done = 0; done < count; done += FAN_OUT) {
        const some = Math.min(FAN_OUT, count - done);
        this.invoker.retype(entry.untyped.cptr, type, userBits, ROOT_CNODE, slot + done, some);
      }
      entry.used = start + count * size;
      return { slot, address: entry.untyped.address + start };
    }
    throw new OutOfMemory(`no untyped memory is left for ${count} objects of ${size} bytes`);
  }

  /** A slot with a copy of the capability in `source`, badged where `badge` is given. */
  mint(source: number, rights: number, badge: bigint): number {
    const slot = this.slots(1);
    this.invoker.mint(ROOT_CNODE, slot, DEPTH, ROOT_CNODE, source, DEPTH, rights, badge);
    return slot;
  }

  /** A slot for an invocation of IRQControl to fill. */
  issue(label: Invocation, irqControl: number, words: readonly number[]): number {
    const slot = this.slots(1);
    this.invoker.call(irqControl, label, [...words, slot, DEPTH], [ROOT_CNODE]);
    return slot;
  }
}
