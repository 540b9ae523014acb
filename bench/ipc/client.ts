import { protectionDomain } from 'atoll';

const ROUNDS = 60;
/** A round of these is a millisecond: shorter than a time slice, so that most rounds are undisturbed. */
const CALLS = 20_000;

export default protectionDomain((pd) => {
  const message = pd.msginfoNew(1, 4);
  const round = (calls: number): number => {
    let sum = 0;
    for (let i = 0; i < calls; i++) {
      pd.mrSetNumber(0, i);
      pd.mrSetNumber(1, i);
      pd.mrSetNumber(2, i);
      pd.mrSetNumber(3, i);
      pd.ppcall(0, message);
      sum += pd.mrGetNumber(0);
    }
    return sum;
  };
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
