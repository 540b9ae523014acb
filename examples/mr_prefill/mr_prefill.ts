import { protectionDomain } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    const size = Number(pd.vars.poem_size);
    const region = pd.region('poem');
    pd.dbgPuts(`${size} bytes of ${region.length} are prefilled:\n`);
    // One copy, then plain memory: the view of a region without `w` is slower to index.
    for (const character of region.slice(0, size)) pd.dbgPutc(character);
  },
}));
