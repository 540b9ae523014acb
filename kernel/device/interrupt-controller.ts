/**
 * The interrupt controller of the host machine, as the kernel sees it: what src/machine/interrupts.ts describes.
 *
 * It is no part of the kernel, and works on memory outside of every partition. It is WebAssembly since the kernel
 * calls it: a JavaScript function can fail for want of stack, and then would leave the kernel in the middle.
 */

/** Physical address of the doorbell line of core 0. */
@external('machine', 'lines')
declare const LINES: usize;
/** The core of the machine to which this cluster's interrupts go. */
@external('machine', 'firstCore')
declare const FIRST_CORE: u32;
/** Physical address of the numbers, in the machine, of this cluster's cores. */
@external('machine', 'cores')
declare const CORES: usize;

const LINE_BITS: usize = 6;
const PENDING: usize = 0;
const ENABLED: usize = 4;
const PARKED: usize = 8;
const RESCHEDULE: u32 = 0;

@inline
function line(core: u32): usize {
  return LINES + (<usize>core << LINE_BITS);
}

function wake(at: usize): void {
  if (atomic.load<u32>(at + PARKED) != 0) atomic.notify(at + PENDING, 1);
}

export function sendSGI(core: u32, irq: u32): void {
  const at = line(core);
  atomic.or<u32>(at + PENDING, (<u32>1) << irq);
  wake(at);
}

export function sendIPI(core: u32): void {
  sendSGI(load<u32>(CORES + (<usize>core << 2)), RESCHEDULE);
}

export function maskInterrupt(irq: u32, masked: bool): void {
  const at = line(FIRST_CORE);
  const bit = (<u32>1) << irq;
  if (masked) {
    atomic.and<u32>(at + ENABLED, ~bit);
  } else {
    atomic.or<u32>(at + ENABLED, bit);
    wake(at);
  }
}
