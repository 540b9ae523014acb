import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    pd.notify(0);
  },
  notified() {
    pd.notify(0);
  },
}));
