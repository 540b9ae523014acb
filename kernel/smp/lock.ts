/**
 * The big kernel lock of the `smp` build: a CLH queue lock (Craig; Landin and Hagersten, 1993). Each core spins on
 * its predecessor's node, alone in its cache line, so the hand-over moves one line and the order is first come,
 * first served. On release a core leaves its node to its successor and takes over its predecessor's.
 */
import { ClusterOffset } from '../api/constants';
import { ClusterState, CoreState, cluster } from '../model/state';

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/** A core that waits looks this often whether the cluster is to be reset. */
const SPINS_PER_LOOK: u32 = 4096;

@inline
export function initLock(spareNode: usize): void {
  store<u32>(spareNode, FREE);
  cluster().lockTail = spareNode;
}

export function acquire(core: CoreState): void {
  const node = core.lockNode;
  atomic.store<u32>(node, TAKEN);
  const predecessor = atomic.xchg<usize>(changetype<usize>(cluster()) + offsetof<ClusterState>('lockTail'), node);
  core.lockPredecessor = predecessor;
  let spins: u32 = 0;
  while (atomic.load<u32>(predecessor) == TAKEN) {
    // A core that panicked keeps the lock for ever, and who waits for it in here could not be stopped.
    if (++spins % SPINS_PER_LOOK == 0 && atomic.load<u32>(changetype<usize>(cluster()) + <usize>ClusterOffset.Halted) != 0) {
      unreachable();
    }
  }
}

export function release(core: CoreState): void {
  const node = core.lockNode;
  core.lockNode = core.lockPredecessor;
  atomic.store<u32>(node, FREE);
}
