/** Sets of identifiers, of channels and of children: numbers from 0 to 62. */
import { CHANNELS } from './slots.js';

/** One byte for each identifier: 1 where it is in `ids`. */
export function tableOf(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(CHANNELS + 1);
  for (const id of ids) table[id] = 1;
  return table;
}

/**
 * Whether `id` is in a table. It must be a number, not what turns into one: an object could be one identifier when it
 * is looked up here, and another when the capability's slot is computed.
 */
export function hasId(table: Uint8Array, id: number): boolean {
  return id === (id & 63) && table[id] === 1;
}

/** A bit for each identifier below 32, and from 0. */
export function bitsOf(ids: readonly number[]): number {
  return ids.reduce((bits, id) => (id >= 0 && id < 32 ? bits | (1 << id) : bits), 0);
}
