/** A kernel whose entries take virtual time: what its instrumented image reports, and the way in and out. */
import { Register } from '../../../kernel/api/constants.js';
import { INTERRUPTS, SYSTEM_CALLS, type Kernel } from '../kernel.js';
import type { CoreClock } from './clock.js';

/** Instructions of a program's stub around a system call, besides the registers: libsel4's, about a dozen. */
const STUB_INSTRUCTIONS = 12;
const LENGTH_MASK = 127;
const FAST_REGISTERS = 4;

type Entry = (...words: number[]) => number;

/** `memory`: physical memory. Before `clock.started` entries take no time, as while the cluster is built. */
export function chargedKernel(kernel: Kernel, memory: SharedArrayBuffer, clock: CoreClock): Kernel {
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
  const result: Record<string, Entry> = { ...(kernel as unknown as Record<string, Entry>) };
  for (const name of SYSTEM_CALLS) result[name] = charged(result[name], true);
  for (const name of INTERRUPTS) result[name] = charged(result[name], false);
  return result as unknown as Kernel;
}
