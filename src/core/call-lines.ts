/**
 * How a message of a call between clusters lies in shared memory: one cache line, and further ones where it is long.
 *
 * The line's words are those of a register file (kernel/model/objects.ts, `TCB`): tag and the first four message
 * registers stand at the same places; two more follow. Word 0 is the call's serial number, which is even, and word 1 is the
 * doorbell's where the line is one (machine/interrupts.ts). A request's number is odd while who calls looks for the answer
 * itself: then no bell is rung for it, which would take the answer's line away from who is reading it.
 *
 * What must hold: one side writes a line, and the other reads it after it has found a new serial number there. The
 * number is stored last, atomically, so all before it is seen by who loads it (ECMAScript's memory model: the load
 * reads from the store, which synchronises with it). Where a doorbell is rung for it, the ring brings the number, so that
 * the line is taken from who looks at it but once. The next message is written only when this one has been answered.
 * Who calls says that it no longer looks (`setSerial`), and looks once more, before it waits for the bell; who answers does so before it
 * asks whether to ring. Both are sequentially consistent, so at least one of them sees what the other has stored.
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

/** The number of the call that follows on one of this number. */
export function nextSerial(serial: number): number {
  return (serial + 2) >>> 0;
}

/** What stands in a request: its serial number, and whether who calls looks for the answer itself. */
export function looking(serial: number, looks: boolean): number {
  return looks ? serial + LOOKING : serial;
}

/** The serial number of what {@link looking} gives. */
export function serialIn(number: number): number {
  return (number & ~LOOKING) >>> 0;
}

/** Message registers that the line holds. */
const LINE_REGISTERS = 6;
/** Words of `more`. */
export const MORE_WORDS = 2 * (64 - LINE_REGISTERS);

const SERIAL_WORD = 0;
const LOOKING = 1;
const TAG_WORD = Register.MsgInfo / 4;
const MR_WORD = Register.MR0 / 4;
const LENGTH_MASK = 127;
/** A bit of the tag that counts extra capabilities, of which a message between clusters has none. */
const GIVEN_UP = 1 << 7;
const FAST = Limit.FastMessageRegisters;
/** Where the line's further registers begin, where theirs begin in an IPC buffer, and their words. */
const FURTHER_WORD = MR_WORD + 2 * FAST;
const BUFFER_FURTHER = 2 + 2 * FAST;
const FURTHER_WORDS = 2 * (LINE_REGISTERS - FAST);

/** How a core's user level reads and writes these lines. `words`: physical memory. */
export class CallAccess {
  constructor(protected readonly words: Uint32Array) {}

  /** Index of the word that holds it. */
  serialWord({ line }: CallLines): number {
    return line + SERIAL_WORD;
  }

  serialOf({ line }: CallLines): number {
    return serialIn(Atomics.load(this.words, line + SERIAL_WORD));
  }

  setSerial({ line }: CallLines, serial: number): void {
    Atomics.store(this.words, line + SERIAL_WORD, serial);
  }

  /** Whether an answer is seen without a bell. */
  isLookedFor({ request }: CallPair): boolean {
    return (Atomics.load(this.words, request.line + SERIAL_WORD) & LOOKING) !== 0;
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

  /**
   * Writes the message of the thread whose register file and IPC buffer begin at these words, and its number: a serial
   * number, or what {@link looking} gives; unless that is `carried`, by the ring of the request's doorbell.
   */
  writeMessage(
    { line, more }: CallLines,
    registers: number,
    buffer: number,
    number: number,
    carried = false,
  ): void {
    const { words } = this;
    const further = buffer + BUFFER_FURTHER;
    copyMessage(words, line, line + FURTHER_WORD, more, registers, further, further + FURTHER_WORDS);
    if (!carried) Atomics.store(words, line + SERIAL_WORD, number);
  }

  /** Reads a message whose serial number has been seen into a thread's register file and IPC buffer. */
  readMessage({ line, more }: CallLines, registers: number, buffer: number): void {
    const further = buffer + BUFFER_FURTHER;
    copyMessage(this.words, registers, further, further + FURTHER_WORDS, line, line + FURTHER_WORD, more);
  }

  /** How many words of a message have no room in the line. Its tag is in a line or register file that begins at `tagged`. */
  protected wordsBeyond(tagged: number): number {
    return 2 * Math.max(0, (this.words[tagged + TAG_WORD] & LENGTH_MASK) - LINE_REGISTERS);
  }
}

/**
 * Copies a message from where its tag and first registers stand as in a register file, those that a line has room for
 * besides in `fromFurther`, and all others in `fromMore`.
 */
function copyMessage(
  words: Uint32Array,
  to: number,
  toFurther: number,
  toMore: number,
  from: number,
  fromFurther: number,
  fromMore: number,
): void {
  const length = words[from + TAG_WORD] & LENGTH_MASK;
  const end = MR_WORD + 2 * Math.min(length, FAST);
  for (let word = TAG_WORD; word < end; word++) words[to + word] = words[from + word];
  if (length <= FAST) return;
  const rest = 2 * (length - FAST);
  const further = Math.min(rest, FURTHER_WORDS);
  for (let word = 0; word < further; word++) words[toFurther + word] = words[fromFurther + word];
  for (let word = 0; word < rest - further; word++) words[toMore + word] = words[fromMore + word];
}
