/** What a monitor on the simulated machine reads and writes of what clusters share: the same, and each line is charged. */
import { Liveness } from '../../coordination/liveness.js';
import { SignalFlags } from '../../coordination/signals.js';
import type { CoreClock } from '../../core/simulated/clock.js';

const WORD_BYTES = 4;

export class ChargedFlags extends SignalFlags {
  constructor(
    private readonly clock: CoreClock,
    ...rest: ConstructorParameters<typeof SignalFlags>
  ) {
    super(...rest);
  }

  protected override lower(at: number): number {
    const address = addressOf(this.words, at);
    this.clock.access(address, WORD_BYTES, false);
    if (this.words[at] !== 0) this.clock.atomic(address);
    return super.lower(at);
  }
}

export class ChargedLiveness extends Liveness {
  constructor(
    private readonly clock: CoreClock,
    ...rest: ConstructorParameters<typeof Liveness>
  ) {
    super(...rest);
  }

  protected override beat(at: number): number {
    this.clock.access(addressOf(this.words, at), WORD_BYTES, false);
    return super.beat(at);
  }

  protected override countBeat(at: number): void {
    this.clock.atomic(addressOf(this.words, at));
    super.countBeat(at);
  }
}

function addressOf(words: Int32Array, at: number): number {
  return words.byteOffset + WORD_BYTES * at;
}
