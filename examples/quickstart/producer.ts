import { protectionDomain } from 'atoll';
import { BLOCKS, CHECKSUM, DATA, NUMBER, checksum } from './block.js';

const CONSUMER = 0;

export default protectionDomain((pd) => {
  const block = pd.region('block', Uint32Array);
  let sent = 0;

  function send(): void {
    for (let i = DATA; i < block.length; i++) block[i] = Math.imul(sent + 1, i * 2654435761);
    block[NUMBER] = sent;
    block[CHECKSUM] = checksum(block);
    sent++;
    pd.notify(CONSUMER);
  }

  return {
    init: send,

    /** The consumer is done with the block. */
    notified() {
      if (sent < BLOCKS) send();
      else pd.dbgPuts(`producer: all ${sent} blocks were taken by the consumer on the other core\n`);
    },
  };
});
