import { protectionDomain } from 'atoll';
import { BLOCKS, CHECKSUM, NUMBER, checksum } from './block.js';

const PRODUCER = 0;

export default protectionDomain((pd) => {
  const shared = pd.region('block', Uint32Array);
  let received = 0;

  return {
    init() {},

    /** A block is there. */
    notified() {
      const block = shared.slice();
      if (block[NUMBER] !== received) throw new Error(`block ${block[NUMBER]} instead of ${received}`);
      if (block[CHECKSUM] !== checksum(block)) throw new Error(`block ${received} is damaged`);
      received++;
      if (received === BLOCKS) {
        const kibibytes = (BLOCKS * block.byteLength) / 1024;
        pd.dbgPuts(`consumer: ${BLOCKS} blocks, ${kibibytes} KiB, every checksum is right\n`);
      }
      pd.notify(PRODUCER);
    },
  };
});
