/** Counts what protected calls take in virtual time, by channel. */
import type { ProtectionDomain } from '../../program.js';
import type { Observer } from '../observer.js';
import { Count } from '../statistics.js';
import type { CoreClock } from './clock.js';

export function callTimes(statistics: Float64Array, clock: CoreClock): Observer {
  return {
    entries: (_, entries) => entries,
    functions: (row, functions) => {
      const domain = functions as unknown as ProtectionDomain;
      const timed: ProtectionDomain['ppcall'] = (channel, msginfo) => {
        const start = clock.now;
        const reply = domain.ppcall(channel, msginfo);
        statistics[row + Count.CallCycles + channel] += clock.now - start;
        return reply;
      };
      return { ...functions, ppcall: timed };
    },
  };
}
