/**
 * What producer and consumer agree on: the shared region holds one block, which belongs to the producer until it
 * notifies the consumer, and to the consumer until it notifies the producer.
 */

export const BLOCKS = 100;

/** Places in the block, in 32-bit words; the data fills the rest. */
export const NUMBER = 0;
export const CHECKSUM = 1;
export const DATA = 2;

/** Of all words from `DATA` on. */
export function checksum(block: Uint32Array): number {
  let sum = 0;
  for (let i = DATA; i < block.length; i++) sum = (Math.imul(sum, 31) + block[i]) >>> 0;
  return sum;
}
