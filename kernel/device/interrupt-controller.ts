/**
 * The interrupt controller of the host machine, as the kernel sees it: what src/machine/interrupts.ts describes.
 *
 * It is no part of the kernel, and works on memory outside of every partition. It is WebAssembly since the kernel
 * calls it: a JavaScript function can fail for want of stack, and then would leave the kernel in the middle. And it is
 * quick at what a core does until an interrupt comes.
 */

/** Physical address of the shared line of core 0. */
@external('machine', 'lines')
declare const LINES: usize;
/** Physical address of the doorbells of core 0, as if they began with line 0. */
@external('machine', 'doorbells')
declare const DOORBELLS: usize;
/** The core itself, by its number in the machine. */
@external('machine', 'self')
declare const SELF: u32;
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
/** From one line that others write to the next. */
const PAIR_BITS: usize = 7;
/** A core's doorbells, with its own pair of lines before them, are 16 pairs. */
const BLOCK_BITS: usize = 11;
const FIRST_DOORBELL: u32 = 2;
const LAST_DOORBELL: u32 = 15;
const PENDING: usize = 0;
const MAILBOX: usize = 4;
const PARKED: usize = 14 * 4;
const WAKE: u32 = 1 << 30;
const RESCHEDULE: u32 = 0;
/** In a core's block: its mask of enabled lines, and the counts of rings that it has seen. */
const OWN_ENABLED: usize = 5 * 4;
/**
 * A word for nothing but to be written atomically between two looks at a doorbell, as the pause instruction that
 * WebAssembly has not: without, a processor runs ahead by many looks, and discards them all when the line changes.
 */
const PAUSE: usize = 6 * 4;
const SEEN: usize = 1 << LINE_BITS;
/** In a doorbell: the count of rings, behind the word to which a ring adds what is in the outbox. */
const RINGS: usize = 4;
/** Above the number of a line. */
const MORE: u32 = 32;
const DOORBELL_LINES: u32 = (1 << (LAST_DOORBELL + 1)) - (1 << FIRST_DOORBELL);

@inline
function line(core: u32): usize {
  return LINES + (<usize>core << PAIR_BITS);
}

function wake(at: usize): void {
  if (atomic.load<u32>(at + PARKED) == 0) return;
  atomic.or<u32>(at + PENDING, WAKE);
  atomic.notify(at + PENDING, 1);
}

@inline
function block(core: u32): usize {
  return DOORBELLS + (<usize>core << BLOCK_BITS);
}

@inline
function doorbell(core: u32, irq: u32): usize {
  return block(core) + (<usize>irq << PAIR_BITS);
}

/** Lines of the shared word on which an interrupt has come to this core, of those in the mask `enabled`, and `WAKE`. */
@inline
function ready(enabled: u32): u32 {
  return atomic.load<u32>(line(SELF) + PENDING) & (enabled | WAKE);
}

@inline
function pause(): void {
  atomic.add<u32>(block(SELF) + PAUSE, 1);
}

/** The lowest doorbell of this core in the mask `enabled` that has rung and was not yet seen; -1 if there is none. */
@inline
function rung(enabled: u32): i32 {
  for (let lines = enabled & DOORBELL_LINES; lines != 0; lines &= lines - 1) {
    const irq = ctz(lines);
    const count = atomic.load<u32>(doorbell(SELF, irq), RINGS);
    if (count != load<u32>(block(SELF) + SEEN + (<usize>irq << 2))) return irq;
  }
  return -1;
}

/**
 * Looks for an interrupt of this core that is enabled, so many times, and takes it: the lowest line on which one has come,
 * doorbells last; -1 if none came. With `MORE`, there may be others.
 */
export function take(times: u32): i32 {
  while (true) {
    const enabled = atomic.load<u32>(block(SELF) + OWN_ENABLED);
    const lines = ready(enabled);
    if (lines != 0) {
      const bit = lines & (0 - lines);
      atomic.and<u32>(line(SELF) + PENDING, ~(bit | WAKE));
      if (bit != WAKE) return ctz(bit) | MORE;
    }
    const irq = rung(enabled);
    if (irq >= 0) {
      store<u32>(block(SELF) + SEEN + (<usize>irq << 2), atomic.load<u32>(doorbell(SELF, irq), RINGS));
      return rung(enabled) < 0 ? irq : irq | MORE;
    }
    if (--times == 0) return -1;
    pause();
  }
}

/**
 * Looks for an interrupt of this core as `take` does, but takes none, and whether the word at `at` is `value`: 1 where it is,
 * 2 for an interrupt, else 0.
 */
export function awaitWord(at: usize, value: u32, times: u32): u32 {
  for (; times != 0; times--) {
    if (atomic.load<u32>(at) == value) return 1;
    const enabled = atomic.load<u32>(block(SELF) + OWN_ENABLED);
    if (ready(enabled) != 0 || rung(enabled) >= 0) return 2;
    pause();
  }
  return 0;
}

/** Raises what is in the outbox, then interrupts: together, where one word of 64 bits holds both. */
export function sendSGI(core: u32, irq: u32): void {
  const at = line(core);
  if (irq - FIRST_DOORBELL <= LAST_DOORBELL - FIRST_DOORBELL) {
    const data = load<u32>(OUTBOX);
    store<u32>(OUTBOX, 0);
    atomic.add<u64>(doorbell(core, irq), (<u64>1 << 32) | data);
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
