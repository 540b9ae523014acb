import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    pd.dbgPuts(`hello, world, from the protection domain ${pd.name}\n`);
  },
}));
