import { protectionDomain } from 'atoll';

const CALLS = 20_000;

/** Calls for as long as the system runs, with four message registers each way, as bench/ipc/client.ts does. */
export default protectionDomain((pd) => {
  const message = pd.msginfoNew(1, 4);
  const round = (): number => {
    let sum = 0;
    for (let i = 0; i < CALLS; i++) {
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
      while (round() === (CALLS * (CALLS + 1)) / 2);
      throw new Error('the server did not answer every call');
    },
  };
});
