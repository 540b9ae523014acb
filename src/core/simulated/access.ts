/** Rings and call lines of a simulated core: the same as on the host, and each line that they touch is charged. */
import { CallAccess, type CallLines } from '../call-lines.js';
import type { SharedAccess } from '../core.js';
import { GIVEN_BACK, PUBLISHED, RingConsumer, RingProducer, TAKEN, type Words } from '../ring.js';
import type { CoreClock } from './clock.js';

const LINE_BYTES = 64;
const WORD_BYTES = 4;

/** `memory`: physical memory. */
export function chargedAccess(memory: SharedArrayBuffer, clock: CoreClock): SharedAccess {
  return {
    calls: new ChargedCalls(new Uint32Array(memory), clock),
    producer: (words, start, length) => new ChargedProducer(words, start, length, clock),
    consumer: (words, start, length) => new ChargedConsumer(words, start, length, clock),
  };
}

class ChargedCalls extends CallAccess {
  constructor(
    words: Uint32Array,
    private readonly clock: CoreClock,
  ) {
    super(words);
  }

  override serialOf(lines: CallLines): number {
    this.clock.access(WORD_BYTES * lines.line, LINE_BYTES, false);
    return super.serialOf(lines);
  }

  override setSerial(lines: CallLines, serial: number): void {
    this.clock.access(WORD_BYTES * lines.line, LINE_BYTES, true);
    super.setSerial(lines, serial);
  }

  override writeMessage(lines: CallLines, registers: number, buffer: number, serial: number): void {
    this.charge(lines, this.lengthAt(registers), true);
    super.writeMessage(lines, registers, buffer, serial);
  }

  override readMessage(lines: CallLines, registers: number, buffer: number): void {
    this.charge(lines, this.lengthAt(lines.line), false);
    super.readMessage(lines, registers, buffer);
  }

  /** A message of so many message registers. */
  private charge(lines: CallLines, length: number, write: boolean): void {
    this.clock.access(WORD_BYTES * lines.line, LINE_BYTES, write);
    const more = this.wordsBeyond(length);
    if (more > 0) this.clock.access(WORD_BYTES * lines.more, WORD_BYTES * more, write);
  }
}

class ChargedProducer extends RingProducer {
  constructor(
    words: Int32Array,
    start: number,
    length: number,
    private readonly clock: CoreClock,
  ) {
    super(words, start, length);
  }

  override send(message: Words, length?: number, more?: boolean): boolean {
    this.clock.sync();
    const before = this.written;
    const sent = super.send(message, length, more);
    for (let line = before; line !== this.written; line = (line + 1) | 0)
      charge(this.clock, this.words, this.place(line), true);
    return sent;
  }

  override flush(): void {
    const before = this.published;
    super.flush();
    if (this.published === before) return;
    charge(this.clock, this.words, this.place(before), true);
    charge(this.clock, this.words, this.start + PUBLISHED, true);
  }

  protected override readGivenBack(): void {
    // The constructor looks too; nothing is charged for setting up.
    if (this.clock !== undefined) charge(this.clock, this.words, this.start + GIVEN_BACK, false);
    super.readGivenBack();
  }
}

class ChargedConsumer extends RingConsumer {
  constructor(
    words: Int32Array,
    start: number,
    length: number,
    private readonly clock: CoreClock,
  ) {
    super(words, start, length);
  }

  override receive(into: Words): number {
    const before = this.taken;
    charge(this.clock, this.words, this.place(before), false);
    const length = super.receive(into);
    if (length < 0) return length;
    for (let line = (before + 1) | 0; line !== this.taken; line = (line + 1) | 0)
      charge(this.clock, this.words, this.place(line), false);
    charge(this.clock, this.words, this.start + TAKEN, true);
    return length;
  }

  protected override giveBack(): void {
    charge(this.clock, this.words, this.start + GIVEN_BACK, true);
    super.giveBack();
  }
}

/** The line in which word `index` of `words` is. */
function charge(clock: CoreClock, words: Int32Array, index: number, write: boolean): void {
  clock.access(words.byteOffset + WORD_BYTES * index, WORD_BYTES, write);
}
