/**
 * Boot: lays the kernel's state at the partition's base, turns the rest into untyped memory, and makes the initial
 * thread that holds it all (manual chapter 9).
 *
 * partition: | kernel state | idle and queues per core or domain | bootinfo | initial thread's objects | untyped … |
 */
import { CapType, Slot, WORD_BITS, setCap, setGuard, slotAt } from '../model/cap';
import { SchedContext, TCB, ThreadState } from '../model/objects';
import {
  IDLE_OFFSET,
  STATE_HEADER,
  STATE_PER_CORE,
  SMP,
  base,
  cluster,
  coreState,
  irqSlot,
  scratch,
} from '../model/state';
import { initLock } from '../smp/lock';
import { initDomains } from '../scheduler/domain';
import { refillNew } from '../scheduler/refill';
import { insertNewCap } from '../object/derivation';
import { useBuffer } from '../object/tcb';
import { BootInfo, InitialSlot, Limit, Rights, SizeBits } from './constants';

const PAGE: usize = 4096;
/** Period and budget of the initial thread: nanoseconds. */
const FULL_BUDGET: u64 = 10000000;

@inline
function alignUp(address: usize, bits: u32): usize {
  const mask = ((<usize>1) << bits) - 1;
  return (address + mask) & ~mask;
}

/**
 * Boots the cluster. `size`: bytes of its partition, all zero, from the image's base. `cores`: its cores.
 * `sharedBase` and `sharedSize`: memory shared with other clusters, given to the initial thread as device memory.
 * `rootBits`: radix of the initial thread's CNode. `domains`: scheduling domains, 0 for one, as it is where there are
 * several cores. Returns the bootinfo's address, or 0 if the partition or the CNode is too small.
 */
export function boot(
  size: usize,
  cores: u32,
  sharedBase: usize,
  sharedSize: usize,
  rootBits: u32,
  domains: u32,
): usize {
  const start = base();
  const end = start + size;
  const states = SMP || domains == 0 ? cores : domains;
  const bootInfo = start + STATE_HEADER + <usize>states * STATE_PER_CORE;
  const tcb = alignUp(bootInfo + PAGE, SizeBits.TCB);
  const sc = tcb + ((<usize>1) << SizeBits.TCB);
  const buffer = alignUp(sc + ((<usize>1) << SizeBits.MinSchedContext), SizeBits.SmallPage);
  const cnode = alignUp(buffer + PAGE, rootBits + SizeBits.Slot);
  const free = cnode + ((<usize>1) << (rootBits + SizeBits.Slot));
  if (free >= end || end < start || <u32>InitialSlot.FirstSchedControl + cores > (<u32>1) << rootBits) return 0;
  if (states > <u32>Limit.Domains && !SMP) return 0;

  cluster().cores = cores;
  cluster().domains = SMP ? 1 : states;
  cluster().end = end;
  for (let core: u32 = 0; core < cores; core++) bootCore(core);

  const thread = changetype<TCB>(tcb);
  const context = changetype<SchedContext>(sc);
  context.budget = FULL_BUDGET;
  context.period = FULL_BUDGET;
  refillNew(context, 2, 0);
  context.tcb = thread;
  thread.sc = context;
  thread.hasTime = 1;
  thread.priority = <u8>Limit.MaxPriority;
  thread.mcp = <u8>Limit.MaxPriority;
  thread.state = <u8>ThreadState.Running;

  provide(cnode, InitialSlot.ThreadTCB, CapType.Thread, tcb);
  const root = provide(cnode, InitialSlot.CNode, CapType.CNode, cnode, rootBits);
  setGuard(root, WORD_BITS - rootBits, 0);
  provide(cnode, InitialSlot.IRQControl, CapType.IRQControl, 0);
  const frameRights = <u8>(Rights.Read | Rights.Write);
  const frame = provide(cnode, InitialSlot.IPCBuffer, CapType.Frame, buffer, SizeBits.SmallPage, frameRights);
  if (!SMP) provide(cnode, InitialSlot.Domain, CapType.Domain, 0);
  provide(cnode, InitialSlot.SchedContext, CapType.SchedContext, sc, SizeBits.MinSchedContext);
  provide(cnode, InitialSlot.UntypedControl, CapType.UntypedControl, 0);
  for (let core: u32 = 0; core < cores; core++) {
    provide(cnode, InitialSlot.FirstSchedControl + core, CapType.SchedControl, core);
  }
  insertNewCap(root, root, thread.ctable);
  insertNewCap(frame, frame, thread.bufferSlot);
  useBuffer(thread, buffer);

  const untypedStart = <u32>InitialSlot.FirstSchedControl + cores;
  const slotsLeft = ((<u32>1) << rootBits) - untypedStart;
  const limit = slotsLeft < <u32>Limit.BootUntypeds ? slotsLeft : <u32>Limit.BootUntypeds;
  let count = provideUntypeds(bootInfo, cnode, untypedStart, 0, limit, free, end, false);
  count = provideUntypeds(bootInfo, cnode, untypedStart, count, limit, sharedBase, sharedBase + sharedSize, true);
  store<u32>(bootInfo + BootInfo.EmptyStart, untypedStart + count);
  store<u32>(bootInfo + BootInfo.EmptyEnd, (<u32>1) << rootBits);
  store<u32>(bootInfo + BootInfo.UntypedStart, untypedStart);
  store<u32>(bootInfo + BootInfo.UntypedCount, count);
  store<u32>(bootInfo + BootInfo.InitialTCB, tcb);

  coreState(0).current = thread;
  if (!SMP) initDomains(coreState(0));
  return bootInfo;
}

function bootCore(core: u32): void {
  const state = coreState(core);
  const idle = changetype<TCB>(changetype<usize>(state) + IDLE_OFFSET);
  idle.state = <u8>ThreadState.Idle;
  idle.core = <u16>core;
  state.idle = idle;
  state.current = idle;
  if (SMP) initLock(state);
}

function provide(cnode: usize, index: u32, type: CapType, object: usize, bits: u32 = 0, rights: u8 = 0): Slot {
  const slot = slotAt(cnode, index);
  setCap(slot, type, object, <u8>bits, rights);
  slot.mdb = 3;
  return slot;
}

/** Splits a range into the largest aligned powers of two, each an untyped capability. */
function provideUntypeds(
  info: usize,
  cnode: usize,
  slots: u32,
  from: u32,
  limit: u32,
  start: usize,
  end: usize,
  device: bool,
): u32 {
  let count = from;
  let address = alignUp(start, SizeBits.MinUntyped);
  while (count < limit && end - address >= (<usize>1) << SizeBits.MinUntyped && address < end) {
    let bits: u32 = address == 0 ? <u32>SizeBits.MaxUntyped : <u32>ctz(address);
    while (((<u64>1) << bits) > <u64>(end - address) || bits > <u32>SizeBits.MaxUntyped) bits--;
    provide(cnode, slots + count, CapType.Untyped, address, bits, <u8>device);
    const entry = info + BootInfo.Untypeds + (<usize>count << 3);
    store<u32>(entry, address);
    store<u16>(entry, <u16>bits, 4);
    store<u16>(entry, <u16>device, 6);
    count++;
    address += (<usize>1) << bits;
  }
  return count;
}
