import { protectionDomain } from 'atoll';

const ROUNDS = 600;
/** As many as in a millisecond or two, which is shorter than a time slice. */
const TRIPS = 1_000;

export default protectionDomain((pd) => {
  let rounds = 0;
  let trips = TRIPS;
  return {
    init() {},
    // The first notification says that pong is there.
    notified() {
      if (trips === TRIPS) {
        if (rounds > 0) pd.dbgPuts(`end ${rounds}\n`);
        if (rounds++ === ROUNDS) {
          pd.dbgPuts('done\n');
          return;
        }
        pd.dbgPuts(`begin ${TRIPS}\n`);
        trips = 0;
      }
      trips++;
      pd.notify(0);
    },
  };
});
