/** A kernel whose entries take virtual time: what its instrumented image reports, and the way in and out. */
import { Register } from '../../../kernel/api/constants.js';
import { INTERRUPTS, SYSTEM_CALLS, type Kernel, type KernelMachine } from '../kernel.js';
import type { CoreClock } from './clock.js';

/** Instructions of a program's stub around a system call, besides the registers: libsel4's, about a dozen. */
const STUB_INSTRUCTIONS = 12;
const LENGTH_MASK = 127;
const FAST_REGISTERS = 4;

type Entry = (...words: number[]) => number;

/** What the core's loop asks of the kernel beside: on a real machine it would be part of the entries. */
const BESIDE = ['deadline', 'setFloor', 'hold'] as const satisfies readonly (keyof Kernel)[];

/**
 * What the kernel does to the machine, where its entries elide the lock: such a transaction fails, and its entry takes the
 * lock. Neither Intel's nor Arm's transactions can write a device's registers.
 */
export function outsideTransactions(device: KernelMachine, { machine }: CoreClock): KernelMachine {
  return {
    ...device,
    maskInterrupt: (irq, masked) => {
      machine.mustStand();
      device.maskInterrupt(irq, masked);
    },
    sendSGI: (target, irq) => {
      machine.mustStand();
      device.sendSGI(target, irq);
    },
    sendIPI: (target) => {
      machine.mustStand();
      device.sendIPI(target);
    },
  };
}

/**
 * `memory`: physical memory. `elided`: whether entries elide the lock. Before `clock.started` entries take no time, as while
 * the cluster is built.
 */
export function chargedKernel(
  kernel: Kernel,
  memory: SharedArrayBuffer,
  clock: CoreClock,
  elided: boolean,
): Kernel {
  const { machine, core } = clock;
  const words = new Uint32Array(memory);

  /** The message registers that are in memory, of a thread. */
  const touchBuffer = (tcb: number, write: boolean): void => {
    const length = words[(tcb + Register.MsgInfo) / 4] & LENGTH_MASK;
    if (length <= FAST_REGISTERS) return;
    const buffer = words[(tcb + Register.IPCBuffer) / 4];
    machine.touch(buffer + 8 * (FAST_REGISTERS + 1), 8 * (length - FAST_REGISTERS), write);
  };
  const enter = (): void => {
    const tcb = kernel.currentTCB();
    machine.touch(tcb + Register.MR0, 32, false);
    machine.touch(tcb + Register.MsgInfo, 40, true);
    machine.execute(STUB_INSTRUCTIONS);
    touchBuffer(tcb, true);
  };
  const charged =
    (entry: Entry, byProgram: boolean): Entry =>
    (...parameters) => {
      if (!clock.started) return entry(...parameters);
      clock.sync();
      machine.beginEntry(core);
      if (byProgram) enter();
      const next = entry(...parameters);
      if (byProgram && next !== 0) touchBuffer(kernel.currentTCB(), false);
      machine.endEntry();
      return next;
    };
  const transactional =
    (entry: Entry, byProgram: boolean): Entry =>
    (...parameters) => {
      if (!clock.started) return entry(...parameters);
      clock.sync();
      let next = 0;
      const attempt = (): void => {
        next = entry(...parameters);
        if (byProgram && next !== 0) touchBuffer(kernel.currentTCB(), false);
      };
      const stub = byProgram ? enter : undefined;
      do machine.enterKernelElided(core, attempt, stub);
      while (!clock.settle());
      return next;
    };
  const wrapped = elided ? transactional : charged;
  const result: Record<string, Entry> = { ...(kernel as unknown as Record<string, Entry>) };
  for (const name of SYSTEM_CALLS) result[name] = wrapped(result[name], true);
  for (const name of INTERRUPTS) result[name] = wrapped(result[name], false);
  if (!elided) return result as unknown as Kernel;
  for (const name of BESIDE) {
    const entry = result[name];
    result[name] = (...parameters) => machine.uncharged(core, () => entry(...parameters));
  }
  return result as unknown as Kernel;
}
