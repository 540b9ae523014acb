/**
 * The message of a domain, as its program reads and writes it: libmicrokit's msginfo and message registers, over the
 * thread's register file and IPC buffer. A msginfo is an integer here, label and count of registers in one.
 */
import { Register } from '../../../../kernel/api/constants.js';

const MOST_REGISTERS = 64;
const COUNT_BITS = 7;
const COUNT_MASK = 127;
/** Labels are below 2^46: with the count they make a JavaScript integer. */
const MOST_LABEL = 2 ** 46 - 1;
/** Bits of the label in the low half of the tag. */
const LOW_LABEL = 2 ** 20;

/**
 * The class of all messages of a core. A function makes it for the same reason as the engine's (`typescriptEngine`).
 *
 * @param words physical memory.
 */
export function messagesOf(words: Uint32Array) {
  const MR_WORD = Register.MR0 / 4;
  const TAG_WORD = Register.MsgInfo / 4;

  return class Message {
    /** Indices in the words: of the register file, and of the IPC buffer. */
    readonly registers: number;
    readonly buffer: number;

    /** @param tcb physical address of the thread's TCB, which begins with its register file. */
    constructor(readonly tcb: number) {
      this.registers = tcb / 4;
      this.buffer = words[this.registers + Register.IPCBuffer / 4] / 4;
    }

    /** The tag, as a msginfo. */
    readTag(): number {
      const low = words[this.registers + TAG_WORD];
      const high = words[this.registers + TAG_WORD + 1];
      const small = ((low >>> 12) << COUNT_BITS) | (low & COUNT_MASK);
      return high === 0 ? small : high * LOW_LABEL * (COUNT_MASK + 1) + small;
    }

    /** @throws TypeError when `msginfo` is none. */
    writeTag(msginfo: unknown): void {
      const index = this.registers + TAG_WORD;
      const small = (msginfo as number) | 0;
      if (small === msginfo && small >= 0 && (small & COUNT_MASK) <= MOST_REGISTERS) {
        const label = small >>> COUNT_BITS;
        words[index] = (label << 12) | (small & COUNT_MASK);
        words[index + 1] = label >>> 20;
      } else {
        const label = labelOf(msginfo);
        words[index] = ((label % LOW_LABEL) << 12) | ((msginfo as number) % (COUNT_MASK + 1));
        words[index + 1] = Math.floor(label / LOW_LABEL);
      }
    }

    // The next two are small so that V8 inlines them into programs, and leave what is rare to others.

    mrGetNumber(index: number): number {
      if (index === (index & 3)) {
        const at = this.registers + MR_WORD + 2 * index;
        if (words[at + 1] === 0) return words[at];
      }
      return this.getWideNumber(index);
    }

    mrSetNumber(index: number, value: number): void {
      if (index === (index & 3) && value === value >>> 0) {
        const at = this.registers + MR_WORD + 2 * index;
        words[at] = value;
        words[at + 1] = 0;
      } else {
        this.setWideNumber(index, value);
      }
    }

    getWideNumber(index: number): number {
      const at = this.register(index);
      const high = words[at + 1];
      if (high > 0x1fffff)
        throw new RangeError(`message register ${index} holds a word of more than 53 bits`);
      return high * 0x100000000 + words[at];
    }

    setWideNumber(index: number, value: number): void {
      const at = this.register(index);
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new RangeError(`${String(value)} is no integer from 0 to 2^53 - 1`);
      }
      words[at] = value % 0x100000000;
      words[at + 1] = value / 0x100000000;
    }

    mrGet(index: number): bigint {
      const at = this.register(index);
      return (BigInt(words[at + 1]) << 32n) | BigInt(words[at]);
    }

    mrSet(index: number, value: bigint): void {
      const at = this.register(index);
      const word = BigInt.asUintN(64, value);
      words[at] = Number(word & 0xffffffffn);
      words[at + 1] = Number(word >> 32n);
    }

    /** Any register, as a word of 32 bits. */
    setWord(index: number, value: number): void {
      const at = this.register(index);
      words[at] = value;
      words[at + 1] = 0;
    }

    /** Index of a message register's low half in the core's words. */
    register(index: number): number {
      if (index !== index >>> 0 || index >= MOST_REGISTERS) {
        throw new RangeError(`there is no message register ${index}: they are 0 to ${MOST_REGISTERS - 1}`);
      }
      return index < 4 ? this.registers + MR_WORD + 2 * index : this.buffer + 2 * (index + 1);
    }
  };
}

/** As `microkit_msginfo_new`. */
export function msginfoNew(label: number, count: number): number {
  if (!Number.isSafeInteger(label) || label < 0 || label > MOST_LABEL) {
    throw new RangeError(`${String(label)} is no label: labels are integers from 0 to 2^46 - 1`);
  }
  if (!Number.isSafeInteger(count) || count < 0 || count > MOST_REGISTERS) {
    throw new RangeError(`a message has 0 to ${MOST_REGISTERS} registers, not ${String(count)}`);
  }
  return label * (COUNT_MASK + 1) + count;
}

/** As `microkit_msginfo_get_label`. @throws TypeError when `msginfo` is none. */
export function labelOf(msginfo: unknown): number {
  const number = msginfo as number;
  if (!Number.isSafeInteger(msginfo) || number < 0 || number % (COUNT_MASK + 1) > MOST_REGISTERS) {
    throw new TypeError(
      `${typeof msginfo === 'number' ? msginfo : typeof msginfo} is no msginfo: msginfoNew makes one`,
    );
  }
  return Math.floor(number / (COUNT_MASK + 1));
}

/** As `microkit_msginfo_get_count`. */
export function countOf(msginfo: number): number {
  labelOf(msginfo);
  return msginfo % (COUNT_MASK + 1);
}
