import { protectionDomain, type ProtectionDomain } from 'atoll';

interface Crash {
  readonly how: string;
  do(pd: ProtectionDomain): void;
}

const crashes: readonly Crash[] = [
  {
    how: 'throws an error',
    do: () => {
      throw new Error('the crasher crashes');
    },
  },
  { how: 'reads a property of nothing', do: () => (JSON.parse('null') as { length: number }).length },
  { how: 'writes to a region that it may only read', do: (pd) => (pd.region('rules')[0] = 1) },
  {
    how: 'calls itself for ever',
    do: function again(pd): number {
      return 1 + again(pd);
    },
  },
  { how: 'asks for a region that it was not given', do: (pd) => pd.region('kernel') },
];

export default protectionDomain((pd) => {
  // A restarted domain is a new instance of its program, without the old one's variables. A region stays as it is.
  const notebook = pd.region('notebook', Uint32Array);

  return {
    init() {
      const crash = crashes[notebook[0] % crashes.length];
      notebook[0]++;
      pd.dbgPuts(`crasher: start ${notebook[0]}: ${crash.how}\n`);
      crash.do(pd);
      pd.dbgPuts('crasher: never gets here\n');
    },
  };
});
