import { protectionDomain } from 'atoll';

const ADDER = 0;
const CALLS = 5_000;

export default protectionDomain((pd) => ({
  init() {
    for (let i = 0; i < CALLS; i++) {
      pd.mrSetNumber(0, i);
      pd.mrSetNumber(1, 2 * i);
      pd.mrSetNumber(2, 1);
      pd.ppcall(ADDER, pd.msginfoNew(0, 3));
      const sum = pd.mrGetNumber(0);
      if (sum !== 3 * i + 1) throw new Error(`${i} + ${2 * i} + 1 is not ${sum}`);
    }
    pd.dbgPuts(`${pd.name}: ${CALLS} calls to the adder on my core, every sum is right\n`);
  },
}));
