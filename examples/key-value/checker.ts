import { protectionDomain } from 'atoll';
import { CLIENTS, GET, KEYS, SHARDS } from './store.js';

/** Once all clients are done: reads every key, and compares with what was acknowledged. */
export default protectionDomain((pd) => {
  let done = 0;

  /** How many keys of a client have another value than it was told. */
  function lostOf(client: number): number {
    const acknowledged = pd.region(`acknowledged_${client}`, Uint32Array).slice();
    let lost = 0;
    for (let index = 0; index < KEYS; index++) {
      const key = client * KEYS + index;
      pd.mrSetNumber(0, key);
      pd.ppcall(key % SHARDS, pd.msginfoNew(GET, 1));
      if (pd.mrGetNumber(0) !== acknowledged[index]) lost++;
    }
    return lost;
  }

  return {
    init() {},

    notified() {
      if (++done < CLIENTS) return;
      let lost = 0;
      for (let client = 0; client < CLIENTS; client++) lost += lostOf(client);
      if (lost > 0) throw new Error(`${lost} acknowledged writes are lost`);
      pd.dbgPuts(`checker: ${CLIENTS * KEYS} keys on ${SHARDS} shards, no acknowledged write is lost\n`);
    },
  };
});
