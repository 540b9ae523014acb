/** Loads a kernel image and instantiates it for one core. */
import { readFileSync } from 'node:fs';
import { withHeadroom } from './headroom.js';

/** `unicore` for clusters of one core (no lock), `smp` for clusters of several (big kernel lock). */
export type KernelImage = 'unicore' | 'smp';

/** What the kernel asks of the machine (kernel/smp/machine.ts). */
export interface KernelMachine {
  maskInterrupt(irq: number, masked: number): void;
  /** `target`: a core of the machine. */
  sendSGI(target: number, irq: number): void;
  /** `core`: a core of the kernel's own cluster. */
  sendIPI(core: number): void;
  /**
   * The time in nanoseconds, the same on all cores of a cluster: this computer's clock, unless given. It must not fail
   * for want of stack: see core/headroom.ts.
   */
  now?(): number;
}

/** Of kernels that ring nobody and have no devices. */
export const NO_DEVICES: KernelMachine = { maskInterrupt() {}, sendSGI() {}, sendIPI() {} };

/** The kernel's entry points (kernel/index.ts). Each system call returns the program handle of the current thread. */
export interface Kernel {
  /** `domains`: scheduling domains; one, unless given, and where there are several cores. */
  boot(
    size: number,
    cores: number,
    sharedBase: number,
    sharedSize: number,
    rootBits: number,
    domains?: number,
  ): number;
  /** `thread`: the caller's TCB. Where it is not the current thread, that one's call is made, only slower. */
  call(cptr: number, thread: number): number;
  /** `thread`: as for `call`. */
  replyRecv(cptr: number, reply: number, thread: number): number;
  send(cptr: number): number;
  nbSend(cptr: number): number;
  recv(cptr: number, reply: number): number;
  /** `thread`: as for `call`; unless given, it takes the slower way. */
  nbSendRecv(dest: number, cptr: number, reply: number, thread?: number): number;
  nbRecv(cptr: number, reply: number): number;
  wait(cptr: number): number;
  nbWait(cptr: number): number;
  /** `thread`: as for `nbSendRecv`. */
  signal(cptr: number, thread?: number): number;
  yieldCore(): number;
  fault(number: number, code: number): number;
  /** The current thread made a system call of a number that there is none. */
  unknownSyscall(number: number): number;
  interrupt(irq: number): number;
  /** To be called when the time that `deadline` gives has come: the next at which a thread of this core can go on, if the core is idle. */
  timer(): number;
  /** Nanoseconds, as `KernelMachine.now` has them; 0 if there is none. */
  deadline(): number;
  /** `domain`: the scheduling domain of the thread, or that whose floor is lifted. */
  setFloor(tcb: number, domain?: number): number;
  hold(tcb: number, held: number): number;
  currentAddress(): number;
  currentTCB(): number;
}

/** What programs enter the kernel for. */
export const SYSTEM_CALLS = [
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
  'unknownSyscall',
] as const satisfies readonly (keyof Kernel)[];
/** What the machine enters it for. The other functions of {@link Kernel} are no entries of a real kernel. */
export const INTERRUPTS = ['interrupt', 'timer'] as const satisfies readonly (keyof Kernel)[];

/** What programs enter it for in the middle of a handler, with as much on the stack as they like; the rest the engine does. */
const DEEP_CALLS: readonly (keyof Kernel)[] = ['call', 'signal'];

/** Compiles an image; the module can be posted to other threads. `simulated`: its form for the simulated machine. */
export function compileKernel(image: KernelImage, simulated = false): WebAssembly.Module {
  return new WebAssembly.Module(withHeadroom(kernelBytes(image, simulated), DEEP_CALLS));
}

export function kernelBytes(image: KernelImage, simulated: boolean): Buffer {
  const file = `../../kernel/${image}${simulated ? '.simulated' : ''}.wasm`;
  return readFileSync(new URL(file, import.meta.url));
}

/**
 * `base`: physical address of the cluster's partition. `core`: the core's number within its cluster.
 * `imports`: what a derived image imports besides, by module.
 */
export function instantiateKernel(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  base: number,
  core: number,
  machine: KernelMachine,
  imports: Readonly<Record<string, object>> = {},
): Kernel {
  const instance = new WebAssembly.Instance(module, {
    env: { memory },
    machine: { base, core, now: hostTime, ...machine },
    ...imports,
  });
  // An ordinary object: its functions are constants to the compiler, which those of an exports object are not.
  return { ...(instance.exports as Kernel) };
}

const NANOSECONDS = 1_000_000;
/** From this thread's clock to the one that all threads share, in milliseconds. */
const origin = Number(process.hrtime.bigint()) / NANOSECONDS - performance.now();

/** The time of this computer, in nanoseconds. */
export function hostTime(): number {
  return (origin + performance.now()) * NANOSECONDS;
}
