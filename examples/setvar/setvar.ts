import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    for (const [symbol, value] of Object.entries(pd.vars)) {
      pd.dbgPuts(`setvar: ${symbol} = 0x${value.toString(16)}\n`);
    }
    for (const [region, size] of [
      ['small_vaddr', pd.vars.small_size],
      ['large_vaddr', pd.vars.large_size],
    ] as const) {
      const { length } = pd.region(region);
      if (BigInt(length) !== size) throw new Error(`${region}: ${length} bytes instead of ${size}`);
    }
    pd.notify(Number(pd.vars.peer_channel));
  },
}));
