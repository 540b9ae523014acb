/** The kernel's side of the doorbell controller (kernel/device/interrupt-controller.ts), for one core. */
import { readFileSync } from 'node:fs';
import type { InterruptController } from '../interrupts.js';

/** what a core found that looked for a word and for interrupts. */
export enum Awaited {
  Neither = 0,
  Word = 1,
  Interrupt = 2,
}

/** What one core has of the controller: first what a kernel image imports of its machine. */
export interface CoreInterrupts {
  maskInterrupt(irq: number, masked: number): void;
  sendSGI(core: number, irq: number): void;
  sendIPI(core: number): void;
  /**
   * Looks for an interrupt that is enabled, so many times (at least once), and takes it: the lowest line on which one has
   * come, doorbells last, and {@link MORE} besides where there may be others; -1 if none came.
   */
  take(times: number): number;
  /**
   * Looks for one as well, takes none, and ends when the word at the physical address `at` is `value`: an
   * {@link Awaited}.
   */
  awaitWord(at: number, value: number, times: number): Awaited;
}

/** Of what a core takes: a bit above the number of the line. */
export const MORE = 32;

/**
 * @param core the number of the core itself, in the machine.
 * @param cores the cores of the kernel's cluster, by their numbers in the machine; interrupts go to the first.
 * @param routes physical address of a word for each of them, for the controller's own use.
 * @param module the controller, or a derived image of it, which imports `imports` besides.
 */
export function coreInterrupts(
  memory: WebAssembly.Memory,
  interrupts: InterruptController,
  core: number,
  cores: readonly number[],
  routes: number,
  module: WebAssembly.Module = new WebAssembly.Module(
    readFileSync(new URL('../../../kernel/interrupt-controller.wasm', import.meta.url)),
  ),
  imports: Readonly<Record<string, object>> = {},
): CoreInterrupts {
  new Uint32Array(memory.buffer, routes, cores.length).set(cores);
  const instance = new WebAssembly.Instance(module, {
    ...imports,
    env: { memory },
    machine: {
      lines: interrupts.base,
      doorbells: interrupts.base + 4 * interrupts.doorbellIndex(0, 0),
      self: core,
      firstCore: cores[0],
      enabled: interrupts.base + 4 * interrupts.enabledIndex(cores[0]),
      outbox: interrupts.base + 4 * interrupts.outboxIndex(core),
      alone: cores.length === 1 ? 1 : 0,
      cores: routes,
    },
  });
  // An ordinary object: its functions are constants to the compiler, which those of an exports object are not.
  return { ...(instance.exports as CoreInterrupts) };
}
