/** What the kernel asks of the machine: interrupts, in and out. The machine implements these for each core. */

/** Masks or unmasks an interrupt line of this cluster. */
@external('machine', 'maskInterrupt')
export declare function maskInterrupt(irq: u32, masked: bool): void;

/** Rings interrupt `irq` on a core of the machine, once, without waiting (the SGI of the IPI API's RFC). */
@external('machine', 'sendSGI')
export declare function sendSGI(target: u32, irq: u32): void;

/** The time, in nanoseconds from some moment in the past; the same for all cores of the cluster. It never goes back. */
@external('machine', 'now')
export declare function machineNow(): f64;

/** Asks another core of this cluster to reschedule. */
@external('machine', 'sendIPI')
export declare function sendIPI(core: u32): void;
