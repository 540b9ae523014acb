import { protectionDomain } from 'atoll';

const PIECE_CYCLES = 2000;

/** Two of these hand each other a piece of work for ever. */
export default protectionDomain((pd) => ({
  init() {
    if (pd.name.endsWith('ping')) pd.notify(0);
  },
  notified() {
    pd.compute(PIECE_CYCLES);
    pd.notify(0);
  },
}));
