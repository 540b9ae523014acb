/**
 * What libsel4 is to C: kernel invocations by name, for the initialiser and the monitor. They run as the kernel's
 * current thread, through its register file and IPC buffer. Not for hot paths.
 */
import {
  BootInfo,
  Invocation,
  Limit,
  Register,
  SeL4Error,
  type ObjectType,
} from '../../kernel/api/constants.js';
import type { Kernel } from './kernel.js';

/** The tag of the message that acknowledges an interrupt. */
export const ACKNOWLEDGE = Invocation.IRQAckIRQ << 12;

/** The kernel refused an invocation. */
export class InvocationError extends Error {
  constructor(
    readonly error: SeL4Error,
    readonly invocation: Invocation,
    /** The error's details, as the manual lists them. */
    readonly details: readonly bigint[],
  ) {
    super(
      `${Invocation[invocation]}: ${SeL4Error[error]}${details.length > 0 ? ` (${details.join(', ')})` : ''}`,
    );
  }
}

/** An untyped capability of the bootinfo. */
export interface BootUntyped {
  readonly cptr: number;
  /** Physical address. */
  readonly address: number;
  readonly sizeBits: number;
  readonly device: boolean;
}

export interface BootInformation {
  /** The first empty slot of the initial thread's CNode, and the first behind the empty ones. */
  readonly emptyStart: number;
  readonly emptyEnd: number;
  readonly untypeds: readonly BootUntyped[];
  /** Physical address of the initial thread's TCB. */
  readonly initialTCB: number;
}

/** Reads the bootinfo at the address that `Kernel.boot` returned. */
export function readBootInfo(memory: ArrayBufferLike, address: number): BootInformation {
  const view = new DataView(memory, address);
  const word = (offset: number): number => view.getUint32(offset, true);
  const untypeds: BootUntyped[] = [];
  for (let i = 0; i < word(BootInfo.UntypedCount); i++) {
    const entry = BootInfo.Untypeds + 8 * i;
    untypeds.push({
      cptr: word(BootInfo.UntypedStart) + i,
      address: word(entry),
      sizeBits: view.getUint16(entry + 4, true),
      device: view.getUint16(entry + 6, true) === 1,
    });
  }
  return {
    emptyStart: word(BootInfo.EmptyStart),
    emptyEnd: word(BootInfo.EmptyEnd),
    untypeds,
    initialTCB: word(BootInfo.InitialTCB),
  };
}

/** Word offset of the extra capabilities in an IPC buffer. */
const BUFFER_CAPS = 122;

/** Makes invocations as the thread whose TCB lies at `tcb`, which must be current. */
export class Invoker {
  private readonly registers: BigUint64Array;
  private readonly buffer: BigUint64Array;
  private readonly redo: Uint32Array;

  constructor(
    private readonly kernel: Kernel,
    memory: ArrayBufferLike,
    private readonly tcb: number,
  ) {
    this.registers = new BigUint64Array(memory, tcb, 6);
    this.redo = new Uint32Array(memory, tcb + Register.Redo, 1);
    const ipcBuffer = new DataView(memory, tcb).getUint32(Register.IPCBuffer, true);
    this.buffer = new BigUint64Array(memory, ipcBuffer, 128);
  }

  /** @throws InvocationError when the kernel refuses. Returns the reply's message registers. */
  call(
    cptr: number,
    label: Invocation,
    words: readonly (number | bigint)[],
    caps: readonly number[] = [],
  ): bigint[] {
    words.forEach((word, index) => this.setMR(index, BigInt(word)));
    caps.forEach((cap, index) => (this.buffer[BUFFER_CAPS + index] = BigInt(cap)));
    this.registers[Register.MsgInfo / 8] = (BigInt(label) << 12n) | BigInt((caps.length << 7) | words.length);
    // An invocation that takes long stops now and then to let interrupts in, and is made again.
    do {
      this.redo[0] = 0;
      this.kernel.call(cptr, this.tcb);
    } while (this.redo[0] !== 0);
    const info = this.registers[Register.MsgInfo / 8];
    const result = Array.from({ length: Number(info & 127n) }, (_, index) => this.getMR(index));
    const error = Number(info >> 12n);
    if (error !== 0) throw new InvocationError(error, label, result);
    return result;
  }

  getMR(index: number): bigint {
    return index < Limit.FastMessageRegisters
      ? this.registers[Register.MR0 / 8 + index]
      : this.buffer[1 + index];
  }

  setMR(index: number, value: bigint): void {
    if (index < Limit.FastMessageRegisters) this.registers[Register.MR0 / 8 + index] = value;
    else this.buffer[1 + index] = value;
  }

  /** `node`: the CNode that receives the objects, itself named by its root's capability and depth 0. */
  retype(
    untyped: number,
    type: ObjectType,
    sizeBits: number,
    node: number,
    offset: number,
    count: number,
  ): void {
    this.call(untyped, Invocation.UntypedRetype, [type, sizeBits, 0, 0, offset, count], [node]);
  }

  copy(
    root: number,
    index: number,
    depth: number,
    from: number,
    source: number,
    fromDepth: number,
    rights: number,
  ): void {
    this.call(root, Invocation.CNodeCopy, [index, depth, source, fromDepth, rights], [from]);
  }

  /** Copies with a badge, or with a guard for a CNode. Indices and depths as in `CNode_Mint`. */
  mint(
    root: number,
    index: number,
    depth: number,
    from: number,
    source: number,
    fromDepth: number,
    rights: number,
    badge: number | bigint,
  ): void {
    this.call(root, Invocation.CNodeMint, [index, depth, source, fromDepth, rights, badge], [from]);
  }
}
