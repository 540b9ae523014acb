/** A set of identifiers, of channels or of children: numbers from 0 to 62. Two words, so that to ask takes no memory. */
export class Identifiers {
  /** A bit for each identifier below 32, and from there. */
  readonly low: number;
  readonly high: number;

  constructor(ids: readonly number[]) {
    this.low = bitsOf(ids);
    this.high = bitsOf(ids.map((id) => id - 32));
  }

  /**
   * Whether `id` is in the set. It must be a number, not what turns into one: an object could be one identifier when it is
   * looked up here, and another when the capability's slot is computed.
   */
  has(id: number): boolean {
    return id === (id & 63) && ((id < 32 ? this.low : this.high) & (1 << id)) !== 0;
  }
}

function bitsOf(ids: readonly number[]): number {
  return ids.reduce((bits, id) => (id >= 0 && id < 32 ? bits | (1 << id) : bits), 0);
}
