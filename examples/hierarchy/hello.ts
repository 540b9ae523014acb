import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    pd.dbgPuts('hello: my sibling is not my problem\n');
  },
}));
