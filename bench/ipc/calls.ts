import type { ProtectionDomain } from 'atoll';

/**
 * Makes so many calls on channel 0, four message registers each way, and returns the sum of the answers. A closure, as in
 * any program: so its domain's functions are constants to the compiler.
 */
export function caller(pd: ProtectionDomain): (calls: number) => number {
  const message = pd.msginfoNew(1, 4);
  return (calls) => {
    let sum = 0;
    for (let i = 0; i < calls; i++) {
      pd.mrSetNumber(0, i);
      pd.mrSetNumber(1, i);
      pd.mrSetNumber(2, i);
      pd.mrSetNumber(3, i);
      pd.ppcall(0, message);
      sum += pd.mrGetNumber(0);
    }
    return sum;
  };
}

/** Makes so many calls in each of so many rounds, and says when a round begins and ends, and that it is done. */
export function callInRounds(pd: ProtectionDomain, rounds: number, calls: number): void {
  const round = caller(pd);
  for (let i = 0; i < rounds; i++) {
    pd.dbgPuts(`begin ${calls}\n`);
    const sum = round(calls);
    pd.dbgPuts(`end ${sum}\n`);
  }
  pd.dbgPuts('done\n');
}
