import { protectionDomain } from 'atoll';

/** Starts a shard afresh when it has crashed, wherever it runs. */
export default protectionDomain((pd) => ({
  init() {},

  fault(shard) {
    pd.pdRestart(shard);
    pd.dbgPuts(`supervisor: shard ${shard} crashed, and starts afresh from its log\n`);
  },
}));
