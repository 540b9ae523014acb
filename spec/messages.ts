/** Messages (section 4.1): a tag, and words in registers and in the IPC buffer, as far as a thread has one. */
import { Limit } from '../kernel/api/constants.js';
import { Capabilities } from './capabilities.js';
import type { Name, Thread } from './state.js';

const REGISTERS: number = Limit.FastMessageRegisters;
/** Word offsets in an IPC buffer. */
const MESSAGE = 1;
const CAPS = 122;
const RECEIVE = 125;

export const messageInfo = (label: number | bigint, length: number, unwrapped = 0, caps = 0): bigint =>
  (BigInt(label) << 12n) | BigInt((unwrapped << 9) | (caps << 7) | length);
export const labelOf = (info: bigint): bigint => info >> 12n;
const capsOf = (info: bigint): number => Number((info >> 7n) & 3n);
const lengthOf = (info: bigint): number => Math.min(Number(info & 127n), Limit.MessageRegisters);

export class Messages extends Capabilities {
  protected thread = (name: Name): Thread => this.state.threads.get(name)!;

  private bufferWord = ({ buffer }: Thread, index: number): bigint =>
    buffer === 0 ? 0n : (this.state.memory.get(buffer + 8 * index) ?? 0n);

  /** As many words as the tag says; those that would be in a buffer which is not there are 0. */
  protected readMessage(me: Name): bigint[] {
    const thread = this.thread(me);
    const word = (_: unknown, index: number): bigint =>
      index < REGISTERS ? thread.mrs[index] : this.bufferWord(thread, MESSAGE + index);
    return Array.from({ length: lengthOf(thread.info) }, word);
  }

  protected sentMessage = (me: Name): bigint[] =>
    this.readMessage(me).slice(0, this.thread(me).buffer === 0 ? REGISTERS : undefined);

  /** Writes as many words as the thread has room for, and returns how many. */
  protected writeMessage(thread: Thread, words: readonly bigint[]): number {
    const fit = thread.buffer === 0 ? words.slice(0, REGISTERS) : words;
    fit.forEach((word, index) => {
      if (index < REGISTERS) thread.mrs[index] = word;
      else this.state.memory.set(thread.buffer + 8 * (MESSAGE + index), word);
    });
    return fit.length;
  }

  /** The answer to a call of the kernel (section 10.1). */
  protected answer(thread: Thread, label: number | bigint, words: readonly bigint[]): void {
    thread.info = messageInfo(label, this.writeMessage(thread, words));
    thread.badge = 0n;
  }

  /** Section 4.2.2: the slots of capabilities that a thread sends along. */
  protected extraCaps(me: Name): Name[] {
    const thread = this.thread(me);
    const count = thread.buffer === 0 ? 0 : capsOf(thread.info);
    return Array.from({ length: count }, (_, index) =>
      this.lookup(me, this.bufferWord(thread, CAPS + index)),
    );
  }
  protected writeUnwrappedBadge = (me: Name, index: number, badge: bigint): unknown =>
    this.state.memory.set(this.thread(me).buffer + 8 * (CAPS + index), badge);

  /** The empty slot that a receiver names in its buffer, or 0. */
  protected receiveSlot(me: Name): Name {
    const [cnode, index, depth] = [0, 1, 2].map((word) => this.bufferWord(this.thread(me), RECEIVE + word));
    try {
      const slot = this.target(this.cap(this.lookup(me, cnode)), index, depth);
      return this.isEmpty(slot) ? slot : 0;
    } catch {
      return 0;
    }
  }
}
