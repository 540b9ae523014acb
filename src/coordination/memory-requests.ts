/** Requests about memory by the domains of a cluster that are granted it (memory-request.ts), answered by its monitor. */
import { Register } from '../../kernel/api/constants.js';
import type { Core } from '../core/core.js';
import { MemoryAnswer, MemoryRequest } from '../memory-request.js';
import { CHUNK_BYTES, type MovingMemory } from './memory.js';

const TAG_WORD = Register.MsgInfo / 4;
const MR_WORD = Register.MR0 / 4;
const LABEL_SHIFT = 12;
const LENGTH_MASK = 127;

interface Waiting {
  readonly handle: number;
  /** The reply object; 0 if the domain was restarted and has asked for something else meanwhile. */
  reply: number;
}

export class MemoryRequests {
  private readonly registers: number;
  /** By peer: who waits for its answers, in the order of asks. */
  private readonly waiting: readonly Waiting[][];

  /**
   * @param tcb physical address of the monitor's. @param own the cluster's index. @param ids the clusters' numbers, by index.
   * @param release takes a reply object back.
   */
  constructor(
    private readonly core: Core,
    tcb: number,
    private readonly memory: MovingMemory,
    private readonly own: number,
    private readonly ids: readonly number[],
    private readonly release: (reply: number) => void,
  ) {
    this.registers = tcb / 4;
    this.waiting = ids.map(() => []);
  }

  /**
   * Handles the request of domain `handle` that the monitor has just received with `reply`. True if `reply` is kept for
   * a later answer: at most one of each domain is.
   */
  handle(handle: number, reply: number): boolean {
    for (const waiting of this.waiting.flat()) if (waiting.handle === handle) this.dismiss(waiting);
    const { words } = this.core;
    const tag = words[this.registers + TAG_WORD];
    const isNumber = words[this.registers + MR_WORD + 1] === 0;
    const peer = isNumber ? this.ids.indexOf(words[this.registers + MR_WORD]) : -1;
    const request = tag >>> LABEL_SHIFT;
    if (peer < 0 || (tag & LENGTH_MASK) === 0) {
      this.answer(reply, MemoryAnswer.Wrong);
    } else if (request === Number(MemoryRequest.Owned)) {
      this.answer(reply, MemoryAnswer.Done, this.memory.ledger.owned(peer), CHUNK_BYTES);
    } else if (request !== Number(MemoryRequest.Take) || peer === this.own) {
      this.answer(reply, MemoryAnswer.Wrong);
    } else if (!this.memory.ask(peer)) {
      this.answer(reply, MemoryAnswer.Refused);
    } else {
      this.waiting[peer].push({ handle, reply });
      return true;
    }
    return false;
  }

  /** A peer has answered the first ask that it had not. */
  answered(peer: number, given: boolean): void {
    const waiting = this.waiting[peer].shift()!;
    if (waiting.reply === 0) return;
    this.answer(waiting.reply, given ? MemoryAnswer.Done : MemoryAnswer.Refused);
    this.dismiss(waiting);
  }

  private dismiss(waiting: Waiting): void {
    if (waiting.reply !== 0) this.release(waiting.reply);
    waiting.reply = 0;
  }

  private answer(reply: number, label: MemoryAnswer, ...results: readonly number[]): void {
    const { words, kernel } = this.core;
    words[this.registers + TAG_WORD] = (label << LABEL_SHIFT) | results.length;
    words[this.registers + TAG_WORD + 1] = 0;
    results.forEach((result, index) => {
      words[this.registers + MR_WORD + 2 * index] = result;
      words[this.registers + MR_WORD + 2 * index + 1] = 0;
    });
    kernel.nbSend(reply);
  }
}
