/**
 * UntypedControl: memory that comes into the kernel's care after boot. Atoll's own; seL4 parts memory once and for all.
 *
 * Of memory outside of its partition a kernel knows nothing, so it cannot tell whose it is: who holds this capability
 * answers for that no other kernel, and no other capability of this one, has it. The initial thread has the only one
 * (it cannot be copied), and memory is given up by revoking and deleting what was issued.
 */
import { CapType, Slot, isNull, setCap } from '../model/cap';
import { TCB } from '../model/objects';
import { base, cluster, scratch } from '../model/state';
import { Invocation, SeL4Error, SizeBits } from '../api/constants';
import { failedLookup, invalidArgument, rangeError } from '../api/error';
import { extraCap, lookupTargetSlot } from '../api/lookup';
import { getMR } from '../ipc/message';
import { insertNewCap } from './derivation';

const WASM_PAGE_BITS: u32 = 16;

/**
 * `UntypedControl_Issue(address, size_bits, index, depth)`, with the root of the CNode as extra capability: an untyped
 * capability to physical memory outside of the partition. Whatever is there is cleared before anything is made of it:
 * the untyped counts as used up and without children, and retyping clears such memory.
 */
export function invokeUntypedControl(thread: TCB, label: u32, length: u32, slot: Slot): SeL4Error {
  if (label != Invocation.UntypedIssue) return SeL4Error.IllegalOperation;
  const root = extraCap(0);
  if (length < 4 || isNull(root)) return SeL4Error.TruncatedMessage;
  const address = getMR(thread, 0);
  const bits = getMR(thread, 1);
  if (bits < <u64>SizeBits.MinUntyped || bits > <u64>SizeBits.MaxUntyped)
    return rangeError(SizeBits.MinUntyped, SizeBits.MaxUntyped);
  const size = (<u64>1) << bits;
  if (address & (size - 1)) return SeL4Error.AlignmentError;
  const memoryEnd = (<u64>memory.size()) << WASM_PAGE_BITS;
  if (address == 0 || address > memoryEnd - size || size > memoryEnd) return invalidArgument(0);
  if (address < <u64>cluster().end && address + size > <u64>base()) return invalidArgument(0);
  const target = lookupTargetSlot(root, getMR(thread, 2), getMR(thread, 3));
  if (isNull(target)) return failedLookup(false);
  if (!target.empty) return SeL4Error.DeleteFirst;
  const cap = scratch(0);
  setCap(cap, CapType.Untyped, <usize>address, <u8>bits, 0, size);
  insertNewCap(slot, cap, target);
  return SeL4Error.NoError;
}
