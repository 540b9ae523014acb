/** A kernel whose entries take virtual time: what its instrumented image reports, and the way in and out. */
import { Register } from '../../../kernel/api/constants.js';
import type { Kernel } from '../kernel.js';
import type { CoreClock } from './clock.js';

/** What programs enter the kernel for, and what the machine does. The other functions are no entries of a real kernel. */
const SYSTEM_CALLS = new Set<string>([
  'call',
  'replyRecv',
  'send',
  'nbSend',
  'recv',
  'nbSendRecv',
  'nbRecv',
  'wait',
  'nbWait',
  'signal',
  'yieldCore',
  'fault',
] satisfies (keyof Kernel)[]);
const INTERRUPTS = new Set<string>(['interrupt', 'timer'] satisfies (keyof Kernel)[]);

/** Instructions of a program's stub around a system call, besides the registers: libsel4's, about a dozen. */
const STUB_INSTRUCTIONS = 12;
const LENGTH_MASK = 127;
const FAST_REGISTERS = 4;

/** `memory`: physical memory. Before `clock.started` entries take no time, as while the cluster is built. */
export function chargedKernel(kernel: Kernel, memory: SharedArrayBuffer, clock: CoreClock): Kernel {
  const { machine, core } = clock;
  const words = new Uint32Array(memory);
  type Entry = (...words: number[]) => number;

  /** The message registers that are in memory, of the thread that is current. */
  const touchBuffer = (tcb: number, write: boolean): void => {
    const length = words[(tcb + Register.MsgInfo) / 4] & LENGTH_MASK;
    if (length <= FAST_REGISTERS) return;
    const buffer = words[(tcb + Register.IPCBuffer) / 4];
    machine.touch(buffer + 8 * (FAST_REGISTERS + 1), 8 * (length - FAST_REGISTERS), write);
  };
  const interrupt =
    (entry: Entry): Entry =>
    (...parameters) => {
      if (!clock.started) return entry(...parameters);
      clock.sync();
      machine.beginEntry(core);
      const next = entry(...parameters);
      machine.endEntry();
      return next;
    };
  const systemCall =
    (entry: Entry): Entry =>
    (...parameters) => {
      if (!clock.started) return entry(...parameters);
      clock.sync();
      machine.beginEntry(core);
      const tcb = kernel.currentTCB();
      machine.touch(tcb + Register.MR0, 32, false);
      machine.touch(tcb + Register.MsgInfo, 40, true);
      machine.execute(STUB_INSTRUCTIONS);
      touchBuffer(tcb, true);
      const next = entry(...parameters);
      if (next !== 0) touchBuffer(kernel.currentTCB(), false);
      machine.endEntry();
      return next;
    };
  const entries = Object.entries(kernel) as [string, Entry][];
  const charged = entries.map(([name, entry]) => {
    if (SYSTEM_CALLS.has(name)) return [name, systemCall(entry)];
    return [name, INTERRUPTS.has(name) ? interrupt(entry) : entry];
  });
  return Object.fromEntries(charged) as Kernel;
}
