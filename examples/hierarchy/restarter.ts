import { protectionDomain } from 'atoll';

const MOST_RESTARTS = 9;

export default protectionDomain((pd) => {
  let restarts = 0;

  return {
    init() {
      pd.dbgPuts('restarter: starting\n');
    },

    fault(child) {
      if (restarts < MOST_RESTARTS) {
        restarts++;
        pd.pdRestart(child);
        pd.dbgPuts(`restarter: child ${child} faulted, restart ${restarts} of ${MOST_RESTARTS}\n`);
      } else {
        pd.pdStop(child);
        pd.dbgPuts(`restarter: child ${child} faulted once too often, stopped\n`);
      }
      // No reply to the fault: a restarted child starts at `init`, a stopped one does not go on.
    },
  };
});
