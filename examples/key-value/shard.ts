import { protectionDomain } from 'atoll';
import { DONE, FULL, PUT } from './store.js';

/**
 * The log's region: word 0 says which of two halves holds the log, and word 1 how often it was compacted, or nearly.
 * The first word of a half is how many words of entries follow. An entry is a key and a value, and counts once that
 * word says so; a half counts once word 0 says so. So the shard may crash between any two stores.
 */
const CURRENT = 0;
const COMPACTIONS = 1;
const HALVES = 2;

/** Part of the store: answers from memory, and has in its log all that it acknowledged. */
export default protectionDomain((pd) => {
  const log = pd.region('log', Uint32Array);
  const halfWords = (log.length - HALVES) >> 1;
  const values = new Map<number, number>();

  const startOf = (half: number): number => HALVES + half * halfWords;

  const isFull = (half: number): boolean => 1 + log[startOf(half)] + 2 > halfWords;

  /** Returns whether there was room. */
  function append(half: number, key: number, value: number): boolean {
    if (isFull(half)) return false;
    const start = startOf(half);
    const used = log[start];
    log[start + 1 + used] = key;
    log[start + 2 + used] = value;
    log[start] = used + 2;
    return true;
  }

  function recover(): void {
    const start = startOf(log[CURRENT]);
    const end = start + 1 + log[start];
    for (let entry = start + 1; entry < end; entry += 2) values.set(log[entry], log[entry + 1]);
  }

  /** Writes the newest value of each key to the other half. Every other time, this program has an accident. */
  function compact(): void {
    const other = 1 - log[CURRENT];
    const accident = ++log[COMPACTIONS] % 2 === 1;
    log[startOf(other)] = 0;
    let left = values.size;
    for (const [key, value] of values) {
      append(other, key, value);
      if (accident && --left <= values.size / 2) throw new Error('out of luck, half-way through the log');
    }
    log[CURRENT] = other;
  }

  return {
    init: recover,

    protected(_channel, msginfo) {
      const key = pd.mrGetNumber(0);
      if (pd.msginfoGetLabel(msginfo) === PUT) {
        const value = pd.mrGetNumber(1);
        if (!append(log[CURRENT], key, value)) return pd.msginfoNew(FULL, 0);
        values.set(key, value);
        return pd.msginfoNew(DONE, 0);
      }
      pd.mrSetNumber(0, values.get(key) ?? 0);
      return pd.msginfoNew(DONE, 1);
    },

    /** A client found no room. Somebody else may have asked before. */
    notified() {
      if (isFull(log[CURRENT])) compact();
    },
  };
});
