import { protectionDomain } from 'atoll';
import { caller } from './calls.js';

const ROUNDS = 60;
/** A round of these is a millisecond: shorter than a time slice, so that most rounds are undisturbed. */
const CALLS = 20_000;

export default protectionDomain((pd) => {
  const round = caller(pd);
  return {
    init() {
      for (let i = 0; i < ROUNDS; i++) {
        pd.dbgPuts(`begin ${CALLS}\n`);
        const sum = round(CALLS);
        pd.dbgPuts(`end ${sum}\n`);
      }
      pd.dbgPuts('done\n');
    },
  };
});
