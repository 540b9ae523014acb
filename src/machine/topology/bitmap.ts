/**
 * Sets of numbers as hwloc writes them: 32-bit words in hexadecimal, the highest first, such as `0x0000000f,0xff000000`.
 * A word that is left out between commas is zero; `0xf...f` in front means that all numbers beyond are in the set.
 */
export class Bitmap {
  /** The lowest first. */
  readonly #words: Uint32Array;
  readonly #infinite: boolean;

  private constructor(words: Uint32Array, infinite: boolean) {
    this.#words = words;
    this.#infinite = infinite;
  }

  /** @returns undefined when the text is no such set. */
  static parse(text: string): Bitmap | undefined {
    const parts = text.trim().split(',');
    const infinite = parts[0] === '0xf...f';
    if (infinite) parts.shift();
    const words = new Uint32Array(parts.length);
    for (const [i, part] of parts.entries()) {
      if (part === '' && parts.length > 1) continue;
      if (!/^(0x)?[0-9a-f]{1,8}$/i.test(part)) return undefined;
      words[parts.length - 1 - i] = parseInt(part, 16);
    }
    return new Bitmap(words, infinite);
  }

  has(number: number): boolean {
    const word = number >>> 5;
    return word < this.#words.length ? ((this.#words[word] >>> (number & 31)) & 1) === 1 : this.#infinite;
  }
}
