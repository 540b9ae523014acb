import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {},

  notified(channel) {
    const expected = Number(pd.vars.setvar_channel);
    if (channel !== expected) throw new Error(`notified on channel ${channel} instead of ${expected}`);
    pd.dbgPuts(`peer: notified on channel ${channel}, as setvar_channel says\n`);
  },
}));
