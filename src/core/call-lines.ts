/**
 * How a message of a call between clusters lies in shared memory: one cache line, and further ones where it is long.
 *
 * The line's words are those of a register file (kernel/model/objects.ts, `TCB`): tag and the first four message
 * registers stand at the same places; two more follow. Word 0 is the doorbell's where the line is one
 * (machine/interrupts.ts), and word 1 is the call's serial number.
 *
 * What must hold: one side writes a line, and the other reads it after it has found a new serial number there. The
 * number is stored last, atomically, so all before it is seen by who loads it (ECMAScript's memory model: the load
 * reads from the store, which synchronises with it). The next message is written only when this one has been answered.
 */
import { Limit, Register } from '../../kernel/api/constants.js';

/** Where a message lies: indices of 32-bit words of physical memory. */
export interface CallLines {
  readonly line: number;
  /** For the message registers beyond the line's. */
  readonly more: number;
}

/** Both ways of a call. */
export interface CallPair {
  readonly request: CallLines;
  readonly reply: CallLines;
}

/** Message registers that the line holds. */
const LINE_REGISTERS = 6;
/** Words of `more`. */
export const MORE_WORDS = 2 * (64 - LINE_REGISTERS);

const SERIAL_WORD = 1;
const TAG_WORD = Register.MsgInfo / 4;
const MR_WORD = Register.MR0 / 4;
const LENGTH_MASK = 127;
/** A bit of the tag that counts extra capabilities, of which a message between clusters has none. */
const GIVEN_UP = 1 << 7;
const FAST = Limit.FastMessageRegisters;
/** Where the line's further registers begin, and where theirs begin in an IPC buffer. */
const FURTHER_WORD = MR_WORD + 2 * FAST;
const BUFFER_FURTHER = 2 + 2 * FAST;

/** How a core's user level reads and writes these lines. `words`: physical memory. */
export class CallAccess {
  constructor(protected readonly words: Uint32Array) {}

  serialOf({ line }: CallLines): number {
    return Atomics.load(this.words, line + SERIAL_WORD);
  }

  setSerial({ line }: CallLines, serial: number): void {
    Atomics.store(this.words, line + SERIAL_WORD, serial);
  }

  /** Answers a call that nobody else will: with the serial number, and nothing but that it was given up. */
  giveUp({ request, reply }: CallPair): void {
    this.words[reply.line + TAG_WORD] = GIVEN_UP;
    this.setSerial(reply, this.serialOf(request));
  }

  /** Whether the answer that has come says that the call was given up. */
  isGivenUp({ reply }: CallPair): boolean {
    return (this.words[reply.line + TAG_WORD] & GIVEN_UP) !== 0;
  }

  /** Writes the message of the thread whose register file and IPC buffer begin at these words, and its serial number. */
  writeMessage({ line, more }: CallLines, registers: number, buffer: number, serial: number): void {
    const { words } = this;
    const length = words[registers + TAG_WORD] & LENGTH_MASK;
    const end = MR_WORD + 2 * Math.min(length, FAST);
    for (let word = TAG_WORD; word < end; word++) words[line + word] = words[registers + word];
    if (length > FAST) {
      const from = buffer + BUFFER_FURTHER;
      const rest = 2 * (length - FAST);
      const here = Math.min(rest, 2 * (LINE_REGISTERS - FAST));
      for (let word = 0; word < here; word++) words[line + FURTHER_WORD + word] = words[from + word];
      for (let word = here; word < rest; word++) words[more + word - here] = words[from + word];
    }
    Atomics.store(words, line + SERIAL_WORD, serial);
  }

  /** Reads a message whose serial number has been seen into a thread's register file and IPC buffer. */
  readMessage({ line, more }: CallLines, registers: number, buffer: number): void {
    const { words } = this;
    const length = words[line + TAG_WORD] & LENGTH_MASK;
    const end = MR_WORD + 2 * Math.min(length, FAST);
    for (let word = TAG_WORD; word < end; word++) words[registers + word] = words[line + word];
    if (length <= FAST) return;
    const to = buffer + BUFFER_FURTHER;
    const rest = 2 * (length - FAST);
    const here = Math.min(rest, 2 * (LINE_REGISTERS - FAST));
    for (let word = 0; word < here; word++) words[to + word] = words[line + FURTHER_WORD + word];
    for (let word = here; word < rest; word++) words[to + word] = words[more + word - here];
  }

  /** Message registers of the message whose tag stands where a line's does. */
  protected lengthAt(index: number): number {
    return this.words[index + TAG_WORD] & LENGTH_MASK;
  }

  /** Words of a message of so many registers for which the line has no room. */
  protected wordsBeyond(length: number): number {
    return 2 * Math.max(0, length - LINE_REGISTERS);
  }
}
