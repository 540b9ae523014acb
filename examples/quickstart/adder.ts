import { protectionDomain } from 'atoll';

/** Adds up the message registers of a call. */
export default protectionDomain((pd) => ({
  init() {},

  protected(_channel, msginfo) {
    let sum = 0;
    for (let i = pd.msginfoGetCount(msginfo) - 1; i >= 0; i--) sum += pd.mrGetNumber(i);
    pd.mrSetNumber(0, sum);
    return pd.msginfoNew(0, 1);
  },
}));
