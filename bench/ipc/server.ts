import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => {
  const message = pd.msginfoNew(0, 4);
  return {
    init() {},
    protected() {
      pd.mrSetNumber(0, pd.mrGetNumber(0) + 1);
      return message;
    },
  };
});
