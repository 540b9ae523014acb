/**
 * The interrupt controller of the host machine, as the kernel sees it: what src/machine/interrupts.ts describes.
 *
 * It is no part of the kernel, and works on memory outside of every partition. It is WebAssembly since the kernel
 * calls it: a JavaScript function can fail for want of stack, and then would leave the kernel in the middle.
 */

/** Physical address of the shared line of core 0. */
@external('machine', 'lines')
declare const LINES: usize;
/** Physical address of the doorbells of core 0, as if they began with line 0. */
@external('machine', 'doorbells')
declare const DOORBELLS: usize;
/** The core of the machine to which this cluster's interrupts go, and physical address of its mask of enabled lines. */
@external('machine', 'firstCore')
declare const FIRST_CORE: u32;
@external('machine', 'enabled')
declare const ENABLED: usize;
/** Physical address of this core's outbox. */
@external('machine', 'outbox')
declare const OUTBOX: usize;
/** Not 0 where the cluster has one core: then nobody else changes what it has enabled. */
@external('machine', 'alone')
declare const ALONE: u32;
/** Physical address of the numbers, in the machine, of this cluster's cores. */
@external('machine', 'cores')
declare const CORES: usize;

const LINE_BITS: usize = 6;
/** A core's doorbells, with its own lines before them, are 16 lines. */
const BLOCK_BITS: usize = 10;
const FIRST_DOORBELL: u32 = 2;
const LAST_DOORBELL: u32 = 15;
const PENDING: usize = 0;
const MAILBOX: usize = 4;
const PARKED: usize = 14 * 4;
const WAKE: u32 = 1 << 30;
const RESCHEDULE: u32 = 0;

@inline
function line(core: u32): usize {
  return LINES + (<usize>core << LINE_BITS);
}

function wake(at: usize): void {
  if (atomic.load<u32>(at + PARKED) == 0) return;
  atomic.or<u32>(at + PENDING, WAKE);
  atomic.notify(at + PENDING, 1);
}

/** Raises what is in the outbox, then interrupts: together, where one word of 64 bits holds both. */
export function sendSGI(core: u32, irq: u32): void {
  const at = line(core);
  if (irq - FIRST_DOORBELL <= LAST_DOORBELL - FIRST_DOORBELL) {
    atomic.add<u32>(DOORBELLS + (<usize>core << BLOCK_BITS) + (<usize>irq << LINE_BITS), 1);
    return wake(at);
  }
  const bit = (<u32>1) << irq;
  const flags = load<u32>(OUTBOX);
  if (flags == 0) {
    atomic.or<u32>(at + PENDING, bit);
  } else {
    store<u32>(OUTBOX, 0);
    const word = LINES + (load<u32>(OUTBOX, 4) << 2);
    const mask = load<u32>(OUTBOX, 8);
    if (word == at + MAILBOX) {
      atomic.or<u64>(at + PENDING, (<u64>mask << 32) | bit);
    } else {
      atomic.or<u32>(word, mask);
      if (flags == 2) atomic.or<u32>(LINES + (load<u32>(OUTBOX, 12) << 2), load<u32>(OUTBOX, 16));
      atomic.or<u32>(at + PENDING, bit);
    }
  }
  wake(at);
}

export function sendIPI(core: u32): void {
  const at = line(load<u32>(CORES + (<usize>core << 2)));
  atomic.or<u32>(at + PENDING, (<u32>1) << RESCHEDULE);
  wake(at);
}

export function maskInterrupt(irq: u32, masked: bool): void {
  const bit = (<u32>1) << irq;
  if (ALONE) {
    const enabled = load<u32>(ENABLED);
    store<u32>(ENABLED, masked ? enabled & ~bit : enabled | bit);
  } else if (masked) {
    atomic.and<u32>(ENABLED, ~bit);
  } else {
    atomic.or<u32>(ENABLED, bit);
    wake(line(FIRST_CORE));
  }
}
