/** What a run has to say when it is over. */
import { RegisterState } from '../../kernel/api/constants.js';
import { CHUNK_BYTES, ledgerOf } from '../coordination/memory.js';
import { IDLE_TIME_STRIDE, Stop } from '../core/core.js';
import type { KernelImage } from '../core/kernel.js';
import { Count, statisticsRow, sumOfChannels } from '../core/statistics.js';
import { Injected } from '../machine/host/injection.js';
import type { Machine, RunningCluster } from './boot/running-cluster.js';
import type { ChannelEnd, SystemDescription } from './description/index.js';
import type { ClusterFailure, ClusterState, Supervisor } from './supervisor.js';
import type { TraceCounts } from './trace.js';

export type DomainState = 'running' | 'waiting' | 'calling' | 'faulted' | 'stopped';

export interface DomainReport {
  readonly name: string;
  readonly core: number;
  readonly cluster: number;
  readonly state: DomainState;
  readonly entries: {
    readonly init: number;
    readonly notified: number;
    readonly protected: number;
    readonly fault: number;
  };
  readonly calls: number;
  readonly notifications: number;
  readonly faults: number;
  readonly restarts: number;
}

/** One direction of a channel, as `from` used it on its channel `fromId`. */
export interface ChannelReport {
  readonly from: string;
  readonly fromId: number;
  readonly to: string;
  readonly toId: number;
  readonly calls: number;
  readonly notifications: number;
  /** On the simulated machine: what a call took, until its answer was there; the mean. */
  readonly callCycles?: number;
}

/** What a cluster of the simulated machine did, by its cores. */
export interface SimulatedCluster {
  /** Cycles that a core had something to do. */
  readonly busyCycles: readonly number[];
  readonly kernelEntries: readonly number[];
  /** Cycles that it waited for the kernel's lock. */
  readonly lockWaitingCycles: readonly number[];
  /** Cache lines that came to it from other cores' caches, or that it took from them. */
  readonly linesMoved: readonly number[];
  /** Where the lock is elided: its transactions that did not commit. */
  readonly aborts?: readonly number[];
}

export interface ClusterReport {
  readonly id: number;
  readonly cores: readonly number[];
  readonly kernel: KernelImage;
  /** Bytes. */
  readonly memory: number;
  /** Seconds that each of its cores had something to do. */
  readonly busySeconds: readonly number[];
  /** On the simulated machine. */
  readonly simulated?: SimulatedCluster;
  readonly state: ClusterState;
  readonly restarts: number;
  readonly failures: readonly ClusterFailure[];
  /** Where memory can move between clusters: what it had of that at the end, and has given and taken, in bytes. */
  readonly moving?: { readonly owned: number; readonly given: number; readonly taken: number };
}

export interface RunReport {
  readonly machine: string;
  readonly cores: number;
  readonly clusters: readonly ClusterReport[];
  readonly domains: readonly DomainReport[];
  /** Each direction in which domains may call or notify. */
  readonly channels: readonly ChannelReport[];
  /** Why it ended. `failed`: no cluster is left. */
  readonly ended: 'idle' | 'time' | 'interrupted' | 'failed';
  /** When the domains were started: seconds since Node was up. Like `peakMemory` not on the simulated machine, where the same run gives the same report. */
  readonly startedAt?: number;
  /** How long the domains ran. */
  readonly seconds: number;
  /** The most memory that this process has held, in bytes. */
  readonly peakMemory?: number;
  /** On the simulated machine: its virtual time. `seconds` is the same at the machine's frequency. */
  readonly cycles?: number;
  readonly megahertz?: number;
  /** Faults that reached a monitor. */
  readonly unhandledFaults: number;
  /** Where a trace was written. */
  readonly trace?: TraceCounts;
  /** Cores whose program did not return when the system was stopped. */
  readonly hungCores: readonly number[];
  /** Interrupts that were dropped and doubled on purpose, and monitors that died so, if any were to be. */
  readonly injected?: { readonly dropped: number; readonly doubled: number; readonly died: number };
  /** Why threads could not be pinned to their cores, if they could not. */
  readonly notPinned?: string;
}

/** A run that is over. */
export interface Run {
  /** Where the machine's topology is from. */
  readonly source: string;
  readonly machine: Machine;
  readonly system: SystemDescription;
  readonly clusters: readonly RunningCluster[];
  readonly supervisor: Supervisor;
  readonly ended: RunReport['ended'];
  readonly startedAt: number;
  readonly seconds: number;
  readonly hungCores: readonly number[];
  readonly unhandledFaults: number;
  readonly notPinned: string | undefined;
}

export function reportOf(run: Run): RunReport {
  const { machine, supervisor, seconds, notPinned } = run;
  const { plan, orders, injection } = machine;
  return {
    machine: run.source,
    cores: plan.cores,
    clusters: plan.clusters.map(({ id, cores, image, size }, index) => ({
      id,
      cores,
      kernel: image,
      memory: size,
      busySeconds: cores.map((core) =>
        Math.max(0, seconds - orders.idleTimes[core * IDLE_TIME_STRIDE] / 1000),
      ),
      ...supervisor.records[index],
      ...movingOf(machine, index),
    })),
    domains: domainsOf(run),
    channels: channelsOf(run),
    ended: run.ended,
    startedAt: run.startedAt,
    seconds,
    peakMemory: process.resourceUsage().maxRSS * 1024,
    unhandledFaults: run.unhandledFaults,
    hungCores: run.hungCores,
    ...(injection === undefined
      ? {}
      : {
          injected: {
            dropped: injection.counters[Injected.Dropped],
            doubled: injection.counters[Injected.Doubled],
            died: injection.counters[Injected.Died],
          },
        }),
    ...(notPinned === undefined ? {} : { notPinned }),
  };
}

function domainsOf(run: Run): DomainReport[] {
  const domains: DomainReport[] = [];
  run.machine.plan.clusters.forEach((cluster, at) => {
    for (const { index, core, configuration } of cluster.domains) {
      const counts = statisticsRow(run.machine.statistics, index);
      domains[index] = {
        name: configuration.name,
        core,
        cluster: cluster.id,
        state: stateOf(run, at, configuration.handle),
        entries: {
          init: counts[Count.Init],
          notified: counts[Count.Notified],
          protected: counts[Count.Protected],
          fault: counts[Count.Fault],
        },
        calls: sumOfChannels(counts, Count.Calls),
        notifications: sumOfChannels(counts, Count.Notifications),
        faults: counts[Count.Faults],
        restarts: counts[Count.Restarts],
      };
    }
  });
  return domains;
}

function movingOf({ plan, interrupts }: Machine, cluster: number): Pick<ClusterReport, 'moving'> {
  if (plan.moving === undefined) return {};
  const ledger = ledgerOf(interrupts.words, plan.moving);
  const { given, taken } = ledger.counts(cluster);
  const [owned, ...moved] = [ledger.owned(cluster), given, taken].map((chunks) => chunks * CHUNK_BYTES);
  return { moving: { owned, given: moved[0], taken: moved[1] } };
}

function channelsOf({ system, machine }: Run): ChannelReport[] {
  const { protectionDomains, channels } = system;
  const direction = (from: ChannelEnd, to: ChannelEnd): ChannelReport[] => {
    if (!from.notify && !from.pp) return [];
    const counts = statisticsRow(machine.statistics, from.pd);
    const calls = counts[Count.Calls + from.id];
    const cycles = counts[Count.CallCycles + from.id];
    return [
      {
        from: protectionDomains[from.pd].name,
        fromId: from.id,
        to: protectionDomains[to.pd].name,
        toId: to.id,
        calls,
        notifications: counts[Count.Notifications + from.id],
        ...(cycles === 0 ? {} : { callCycles: Math.round(cycles / calls) }),
      },
    ];
  };
  return channels.flatMap(({ ends: [a, b] }) => [...direction(a, b), ...direction(b, a)]);
}

function stateOf({ machine, clusters, supervisor }: Run, cluster: number, handle: number): DomainState {
  const { tables } = clusters[cluster];
  if (supervisor.records[cluster].state === 'stopped') return 'stopped';
  const tcb = tables.tcbs[handle];
  const state = new Uint8Array(machine.memory.buffer)[tcb + RegisterState.Byte];
  if (tables.stopped[handle] === Number(Stop.Fault)) return 'faulted';
  if (state === RegisterState.Inactive) return 'stopped';
  if (state === RegisterState.Running) return 'running';
  return state === RegisterState.Receiving ? 'waiting' : 'calling';
}
