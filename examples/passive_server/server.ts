import { protectionDomain } from 'atoll';
import { SQUARE } from './labels.js';

export default protectionDomain((pd) => ({
  init() {
    pd.dbgPuts('server: ready; from here on it runs only on the time of its callers\n');
  },

  protected(channel, msginfo) {
    const label = pd.msginfoGetLabel(msginfo);
    if (label !== SQUARE) throw new Error(`unknown label ${label} on channel ${channel}`);
    const number = pd.mrGetNumber(0);
    pd.dbgPuts(`server: asked for the square of ${number}\n`);
    pd.mrSetNumber(0, number * number);
    return pd.msginfoNew(0, 1);
  },
}));
