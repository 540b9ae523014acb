/** Untyped memory (manual chapter 2): all objects are made from it, and all it takes back is by revoking. */
import { CapType, FRAME_DEVICE, Slot, isNull, setCap, slotAt } from '../model/cap';
import { TCB } from '../model/objects';
import { scratch } from '../model/state';
import { Invocation, Limit, ObjectType, Rights, SeL4Error, SizeBits } from '../api/constants';
import { failedLookup, invalidArgument, missingCapability, notEnoughMemory, rangeError } from '../api/error';
import { beginWork, isPreempted, preemptionPoint } from '../api/preemption';
import { extraCap, lookupTargetSlot } from '../api/lookup';
import { getMR } from '../ipc/message';
import { ensureNoChildren, insertNewCap } from './derivation';

const WORD_BITS: u64 = 64;
/** What is cleared between two preemption points: bytes. */
const RESET_CHUNK: u64 = 1024;

/** Size of an object of a type, in bits; `userBits` counts for those whose size the user chooses. */
function sizeBits(type: u32, userBits: u32): u32 {
  switch (<i32>type) {
    case ObjectType.TCB:
      return SizeBits.TCB;
    case ObjectType.Endpoint:
      return SizeBits.Endpoint;
    case ObjectType.Notification:
      return SizeBits.Notification;
    case ObjectType.CapTable:
      return userBits + SizeBits.Slot;
    case ObjectType.Reply:
      return SizeBits.Reply;
    case ObjectType.SmallPage:
      return SizeBits.SmallPage;
    case ObjectType.LargePage:
      return SizeBits.LargePage;
    default:
      return userBits;
  }
}

/**
 * `Untyped_Retype(type, size_bits, node_index, node_depth, node_offset, num_objects)` with the CNode's root as extra
 * capability. Checks come in the order of the manual; nothing has changed when one fails.
 */
export function invokeUntyped(thread: TCB, label: u32, length: u32, slot: Slot): SeL4Error {
  if (label != Invocation.UntypedRetype) return SeL4Error.IllegalOperation;
  const root = extraCap(0);
  if (length < 6 || isNull(root)) return SeL4Error.TruncatedMessage;
  const typeWord = getMR(thread, 0);
  const userBitsWord = getMR(thread, 1);
  const nodeIndex = getMR(thread, 2);
  const nodeDepth = getMR(thread, 3);
  const offset = getMR(thread, 4);
  const count = getMR(thread, 5);

  if (typeWord >= <u64>ObjectType.Count) return invalidArgument(0);
  const type = <u32>typeWord;
  if (userBitsWord >= WORD_BITS) return rangeError(0, SizeBits.MaxUntyped);
  const userBits = <u32>userBitsWord;
  const bits = sizeBits(type, userBits);
  if (bits > <u32>SizeBits.MaxUntyped) return rangeError(0, SizeBits.MaxUntyped);
  if (type == ObjectType.CapTable && userBits == 0) return invalidArgument(1);
  if (type == ObjectType.Untyped && userBits < <u32>SizeBits.MinUntyped) return invalidArgument(1);
  if (type == ObjectType.SchedContext && userBits < <u32>SizeBits.MinSchedContext) return invalidArgument(1);

  let node = root;
  if (nodeDepth != 0) {
    node = lookupTargetSlot(root, nodeIndex, nodeDepth);
    if (isNull(node)) return failedLookup(false);
  }
  if (node.type != CapType.CNode) return missingCapability(false, nodeDepth);
  const nodeSize = (<u64>1) << node.bits;
  if (offset > nodeSize - 1) return rangeError(0, nodeSize - 1);
  if (count < 1 || count > <u64>Limit.RetypeFanOut) return rangeError(1, Limit.RetypeFanOut);
  if (count > nodeSize - offset) return rangeError(1, nodeSize - offset);
  const cnode = node.object;
  for (let i: u64 = 0; i < count; i++) {
    if (!slotAt(cnode, <u32>(offset + i)).empty) return SeL4Error.DeleteFirst;
  }

  const reset = ensureNoChildren(slot) == SeL4Error.NoError;
  const watermark: u64 = reset ? 0 : slot.badge;
  const left = ((<u64>1) << slot.bits) - watermark;
  if (left >> bits < count) return notEnoughMemory(left);
  const device = slot.rights != 0;
  if (device && type != ObjectType.Untyped && type != ObjectType.SmallPage && type != ObjectType.LargePage) {
    return invalidArgument(1);
  }

  if (reset) resetUntyped(slot);
  if (isPreempted()) return SeL4Error.NoError;
  const mask = ((<u64>1) << bits) - 1;
  const first = (<u64>slot.object + slot.badge + mask) & ~mask;
  slot.badge = first + (count << bits) - slot.object;
  const cap = scratch(0);
  for (let i: u64 = 0; i < count; i++) {
    createObject(type, <usize>(first + (i << bits)), userBits, device, cap);
    insertNewCap(slot, cap, slotAt(cnode, <u32>(offset + i)));
  }
  return SeL4Error.NoError;
}

/**
 * Takes back memory that nobody uses any more, and clears what was used of it: fresh objects are all zero. It clears from
 * the top and lowers the watermark as it goes, so that below it everything stays in use, and above it clear.
 */
function resetUntyped(slot: Slot): void {
  if (slot.rights != 0) slot.badge = 0;
  while (slot.badge != 0) {
    const rest = (slot.badge - 1) & ~(RESET_CHUNK - 1);
    memory.fill(slot.object + <usize>rest, 0, <usize>(slot.badge - rest));
    slot.badge = rest;
    if (preemptionPoint() && rest != 0) return;
  }
  beginWork();
}

function createObject(type: u32, address: usize, userBits: u32, device: bool, cap: Slot): void {
  switch (<i32>type) {
    case ObjectType.Untyped:
      setCap(cap, CapType.Untyped, address, <u8>userBits, <u8>device);
      break;
    case ObjectType.TCB:
      setCap(cap, CapType.Thread, address);
      break;
    case ObjectType.Endpoint:
      setCap(cap, CapType.Endpoint, address, 0, <u8>Rights.All);
      break;
    case ObjectType.Notification:
      setCap(cap, CapType.Notification, address, 0, <u8>(Rights.Read | Rights.Write));
      break;
    case ObjectType.CapTable:
      setCap(cap, CapType.CNode, address, <u8>userBits);
      break;
    case ObjectType.SchedContext:
      setCap(cap, CapType.SchedContext, address, <u8>userBits);
      break;
    case ObjectType.Reply:
      setCap(cap, CapType.Reply, address, 0, <u8>Rights.Grant);
      break;
    default:
      setCap(
        cap,
        CapType.Frame,
        address,
        <u8>sizeBits(type, 0),
        <u8>(Rights.Read | Rights.Write),
        device ? FRAME_DEVICE : 0,
      );
  }
}
