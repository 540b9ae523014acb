import { protectionDomain } from 'atoll';
import { SQUARE } from './labels.js';

const SERVER = 0;

export default protectionDomain((pd) => ({
  init() {
    for (const number of [3, 4, 5]) {
      pd.mrSetNumber(0, number);
      pd.ppcall(SERVER, pd.msginfoNew(SQUARE, 1));
      pd.dbgPuts(`client: the square of ${number} is ${pd.mrGetNumber(0)}\n`);
    }
  },
}));
