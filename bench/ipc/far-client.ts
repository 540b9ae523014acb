import { protectionDomain } from 'atoll';
import { callInRounds } from './calls.js';

/** As client.ts, where a call takes a microsecond. */
export default protectionDomain((pd) => ({ init: () => callInRounds(pd, 600, 1_000) }));
