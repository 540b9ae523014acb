import { protectionDomain } from 'atoll';
import { FULL, GET, KEYS, PUT, SHARDS, WRITES } from './store.js';

const CHECKER = 2;

/** Writes to its keys on all shards, reads now and then what it wrote, and notes what was acknowledged. */
export default protectionDomain((pd) => {
  /** By key: the last value that a shard acknowledged. */
  const acknowledged = pd.region('acknowledged', Uint32Array);
  const firstKey = Number(pd.name.slice(-1)) * KEYS;

  function put(key: number, value: number): void {
    const shard = key % SHARDS;
    for (;;) {
      pd.mrSetNumber(0, key);
      pd.mrSetNumber(1, value);
      if (pd.msginfoGetLabel(pd.ppcall(shard, pd.msginfoNew(PUT, 2))) !== FULL) return;
      pd.notify(shard);
    }
  }

  function get(key: number): number {
    pd.mrSetNumber(0, key);
    pd.ppcall(key % SHARDS, pd.msginfoNew(GET, 1));
    return pd.mrGetNumber(0);
  }

  return {
    init() {
      for (let write = 1; write <= WRITES; write++) {
        const index = (write * 29) % KEYS;
        put(firstKey + index, write);
        acknowledged[index] = write;
        const old = (write * 31) % KEYS;
        const value = get(firstKey + old);
        if (value !== acknowledged[old])
          throw new Error(`key ${firstKey + old} is ${value}, not ${acknowledged[old]}`);
      }
      pd.dbgPuts(`${pd.name}: ${WRITES} writes acknowledged, and read what I wrote\n`);
      pd.notify(CHECKER);
    },
  };
});
