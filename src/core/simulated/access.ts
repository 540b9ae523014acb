/** Rings, call lines and doorbells' counts of a simulated core: the same as on the host, and each line that they touch is charged. */
import { CallAccess, type CallLines, type CallPair } from '../call-lines.js';
import type { SharedAccess } from '../core.js';
import { SignalAccess, type DoorbellSignal } from '../doorbell-signals.js';
import { RingConsumer, RingProducer, RingWords, type Words } from '../ring.js';
import type { CoreClock } from './clock.js';

const LINE_BYTES = 64;
const WORD_BYTES = 4;

/** `memory`: physical memory. `controller`: words of the interrupt controller. */
export function chargedAccess(
  memory: SharedArrayBuffer,
  controller: Int32Array,
  clock: CoreClock,
): SharedAccess {
  const chargeLine = (line: number, write: boolean): void =>
    clock.access(WORD_BYTES * line, LINE_BYTES, write);
  /** The line in which word `index` of `words` is. */
  const charge = (words: Int32Array, index: number, write: boolean): void =>
    clock.access(words.byteOffset + WORD_BYTES * index, WORD_BYTES, write);

  class ChargedCalls extends CallAccess {
    override serialOf(lines: CallLines): number {
      chargeLine(lines.line, false);
      return super.serialOf(lines);
    }

    override isLookedFor(pair: CallPair): boolean {
      chargeLine(pair.request.line, false);
      return super.isLookedFor(pair);
    }

    override setSerial(lines: CallLines, serial: number): void {
      chargeLine(lines.line, true);
      super.setSerial(lines, serial);
    }

    override writeMessage(
      lines: CallLines,
      registers: number,
      buffer: number,
      number: number,
      carried?: boolean,
    ): void {
      chargeLine(lines.line, true);
      this.chargeMore(lines, registers, true);
      super.writeMessage(lines, registers, buffer, number, carried);
    }

    override giveUp(pair: CallPair): void {
      chargeLine(pair.reply.line, true);
      super.giveUp(pair);
    }

    override isGivenUp(pair: CallPair): boolean {
      chargeLine(pair.reply.line, false);
      return super.isGivenUp(pair);
    }

    override readMessage(lines: CallLines, registers: number, buffer: number): void {
      chargeLine(lines.line, false);
      this.chargeMore(lines, lines.line, false);
      super.readMessage(lines, registers, buffer);
    }

    /** What a message has in further lines, whose tag is in the register file or line that begins at `tagged`. */
    private chargeMore({ more }: CallLines, tagged: number, write: boolean): void {
      const words = this.wordsBeyond(tagged);
      if (words > 0) clock.access(WORD_BYTES * more, WORD_BYTES * words, write);
    }
  }

  class ChargedSignals extends SignalAccess {
    override count(sent: number, number: number): void {
      charge(this.words, sent, true);
      super.count(sent, number);
    }

    override hear(signal: DoorbellSignal): boolean {
      charge(this.words, signal.sent, false);
      charge(this.words, signal.heard, true);
      return super.hear(signal);
    }
  }

  class ChargedProducer extends RingProducer {
    override send(message: Words, length?: number, more?: boolean): boolean {
      clock.sync();
      const before = this.written;
      const sent = super.send(message, length, more);
      for (let line = before; line !== this.written; line = (line + 1) | 0)
        charge(this.words, this.place(line), true);
      return sent;
    }

    override flush(): void {
      const before = this.published;
      super.flush();
      if (this.published === before) return;
      charge(this.words, this.place(before), true);
      charge(this.words, this.start + RingWords.PUBLISHED, true);
    }

    protected override readGivenBack(): void {
      charge(this.words, this.start + RingWords.GIVEN_BACK, false);
      super.readGivenBack();
    }
  }

  class ChargedConsumer extends RingConsumer {
    override receive(into: Words): number {
      const before = this.taken;
      charge(this.words, this.place(before), false);
      const length = super.receive(into);
      if (length < 0) return length;
      for (let line = (before + 1) | 0; line !== this.taken; line = (line + 1) | 0)
        charge(this.words, this.place(line), false);
      charge(this.words, this.start + RingWords.TAKEN, true);
      return length;
    }

    protected override giveBack(): void {
      charge(this.words, this.start + RingWords.GIVEN_BACK, true);
      super.giveBack();
    }
  }

  return {
    calls: new ChargedCalls(new Uint32Array(memory)),
    signals: new ChargedSignals(controller),
    producer: (words, start, length) => new ChargedProducer(words, start, length),
    consumer: (words, start, length) => new ChargedConsumer(words, start, length),
  };
}
