/**
 * The big kernel lock of the `smp` build: a CLH queue lock (Craig; Landin and Hagersten, 1993). Its tail names whose
 * turn is last; a core puts its own turn there and spins on the word of the core before it, so the order is first come,
 * first served.
 *
 * Where CLH's nodes go from core to core, here each core keeps its own, and a turn is told from the next by a bit: so
 * the word lies in the first line of `CoreState`, which a kernel entry needs anyway, and a lock that nobody else wants
 * costs one line, the tail's.
 *
 * What must hold: a core's word is its turn while it has the lock or waits for it, and that without `TAKEN` otherwise. A
 * core that waits for a turn cannot miss its end: that core's next turn differs, and the one after comes behind its own.
 */
import { ClusterOffset } from '../api/constants';
import { ClusterState, CoreState, cluster, coreState } from '../model/state';

/** A turn is the address of its core's word, and these bits; the second changes from turn to turn. */
const TAKEN: u32 = 1;
const ODD: u32 = 2;
const BITS: u32 = TAKEN | ODD;
/** A core that waits looks this often whether the cluster is to be reset. */
const SPINS_PER_LOOK: u32 = 4096;

@inline
function wordOf(core: CoreState): u32 {
  return <u32>(changetype<usize>(core) + offsetof<CoreState>('lockWord'));
}

@inline
export function initLock(core: CoreState): void {
  core.lockWord = wordOf(core);
  // The last turn is one of the first core, and over.
  cluster().lockTail = wordOf(coreState(0)) | TAKEN;
}

export function acquire(core: CoreState): void {
  const turn = (core.lockWord ^ ODD) | TAKEN;
  atomic.store<u32>(wordOf(core), turn);
  const before = atomic.xchg<u32>(changetype<usize>(cluster()) + offsetof<ClusterState>('lockTail'), turn);
  const word = before & ~BITS;
  let spins: u32 = 0;
  while (atomic.load<u32>(word) == before) {
    // A core that panicked keeps the lock for ever, and who waits for it in here could not be stopped.
    if (++spins % SPINS_PER_LOOK == 0 && atomic.load<u32>(changetype<usize>(cluster()) + <usize>ClusterOffset.Halted) != 0) {
      unreachable();
    }
  }
}

export function release(core: CoreState): void {
  atomic.store<u32>(wordOf(core), core.lockWord & ~TAKEN);
}
