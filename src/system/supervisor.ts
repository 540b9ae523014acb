/**
 * The machine's reset controller: the one authority on whether a cluster is up. It learns of a failure from a thread
 * that ended or from the monitors of the other clusters, decides once for each incarnation, and does what the policy
 * says: take the cluster down, scrub it, and boot it afresh, while all others run on.
 */
import type { ClusterStates } from '../coordination/liveness.js';
import { HEARTBEAT_LINE, OrderWord, type Orders } from '../core/core.js';
import type { Bundle } from '../core/engine/typescript/bundle.js';
import type { ThreadTime } from '../machine/host/thread-time.js';
import type { InterruptController } from '../machine/interrupts.js';
import type { OnFailure } from './description/index.js';
import { LateCores, TICK_MILLISECONDS } from './late-cores.js';
import { CoreError, type ClusterEvents, type RunningCluster } from './boot/running-cluster.js';

/** A cluster that boots afresh and is not ready by then has failed again. */
const BOOT_MILLISECONDS = 10_000;

export interface ClusterFailure {
  /** For people. */
  readonly why: string;
  /** Seconds from the start of the domains to when it was found. */
  readonly at: number;
  /** How long the cluster was down, or did not answer; absent while it still does not. */
  outageSeconds?: number;
}

/** `hung`: it was to be stopped, but a thread of it cannot be ended and its memory is not scrubbed. */
export type ClusterState = 'up' | 'stopped' | 'hung';

export interface ClusterRecord {
  state: ClusterState;
  restarts: number;
  readonly failures: ClusterFailure[];
}

export class Supervisor implements Pick<ClusterEvents, 'died' | 'silent' | 'heard'> {
  readonly records: readonly ClusterRecord[];
  /** Why the whole system must end. */
  crash: CoreError | undefined;
  /** When the domains started; failures before that end the system. */
  private startedAt: number | undefined;
  private bundles: Promise<readonly Bundle[]> | undefined;
  private readonly late: LateCores;
  /** By cluster: what a monitor last said that misses it. */
  private readonly suspects = new Map<number, { readonly incarnation: number; readonly missed: number }>();
  private outages = 0;
  private ending = false;

  /**
   * @param policies by cluster: without one, the death of a thread ends the system, and a cluster that does not answer is
   * noted.
   */
  constructor(
    private readonly clusters: readonly RunningCluster[],
    private readonly states: ClusterStates,
    private readonly interrupts: InterruptController,
    private readonly orders: Orders,
    private readonly policies: readonly (OnFailure | undefined)[],
  ) {
    const timeOf = (core: number): ThreadTime | undefined =>
      clusters.find(({ plan }) => plan.cores.includes(core))!.threadTime(core);
    this.late = new LateCores(timeOf);
    this.records = clusters.map(() => ({ state: 'up', restarts: 0, failures: [] }));
  }

  /** The domains start. `bundles`: their programs, for clusters that boot afresh. */
  start(now: number, bundles: Promise<readonly Bundle[]>): void {
    this.startedAt = now;
    this.bundles = bundles;
  }

  /** No cluster is brought up again from now on. */
  end(): void {
    this.ending = true;
  }

  /** Whether no cluster is on its way down or up. */
  get settled(): boolean {
    return this.outages === 0;
  }

  get allDown(): boolean {
    return this.records.every(({ state }) => state !== 'up');
  }

  /** The heartbeat timer ticks: on all cores of all clusters that are up, if there are others to watch them. */
  tick(): void {
    if (this.clusters.length < 2) return;
    Atomics.add(this.orders.words, OrderWord.Ticks, 1);
    this.forEachCoreUp((core) => this.interrupts.ring(core, HEARTBEAT_LINE));
  }

  /** To be called more often than `tick`: looks which cores are late, and whether a cluster that is missed hangs. */
  watch(): void {
    if (this.clusters.length < 2) return;
    const { words, ticksTaken } = this.orders;
    const tick = Atomics.load(words, OrderWord.Ticks);
    this.forEachCoreUp((core) => this.late.note(core, tick, Atomics.load(ticksTaken, core)));
    for (const cluster of this.suspects.keys()) this.examine(cluster);
  }

  private forEachCoreUp(act: (core: number) => void): void {
    for (const { index, plan } of this.clusters)
      if (Atomics.load(this.states, index) > 0) plan.cores.forEach(act);
  }

  died(cluster: number, cause: CoreError): void {
    if (this.startedAt === undefined || this.policies[cluster] === undefined) this.crash ??= cause;
    else void this.failed(cluster, Atomics.load(this.states, cluster), cause);
  }

  silent(cluster: number, incarnation: number, missed: number): void {
    if (!this.isCurrent(cluster, incarnation)) return;
    this.suspects.set(cluster, { incarnation, missed });
    this.examine(cluster);
  }

  private examine(cluster: number): void {
    const { incarnation, missed } = this.suspects.get(cluster)!;
    const who = this.late.culprit(this.clusters[cluster].plan.cores, missed);
    if (who === undefined) return;
    const milliseconds = missed * TICK_MILLISECONDS;
    const cause = new CoreError(`${who} did not answer for ${milliseconds} ms`);
    if (this.policies[cluster] !== undefined) void this.failed(cluster, incarnation, cause);
    // Each of the others may say so.
    else if (this.silence(cluster) === undefined) this.note(cluster, cause);
  }

  heard(cluster: number): void {
    this.suspects.delete(cluster);
    const silence = this.silence(cluster);
    if (this.policies[cluster] === undefined && silence !== undefined) this.noteEnd(silence);
  }

  /** The failure of a cluster that has not ended. */
  private silence(cluster: number): ClusterFailure | undefined {
    const last = this.records[cluster].failures.at(-1);
    return last?.outageSeconds === undefined ? last : undefined;
  }

  private isCurrent(cluster: number, incarnation: number): boolean {
    return incarnation > 0 && Atomics.load(this.states, cluster) === incarnation;
  }

  private note(cluster: number, { message }: Error): ClusterFailure {
    const failure: ClusterFailure = { why: message, at: this.seconds() };
    this.records[cluster].failures.push(failure);
    return failure;
  }

  private noteEnd(failure: ClusterFailure): void {
    failure.outageSeconds = this.seconds() - failure.at;
  }

  /** Seconds since the domains started. */
  private seconds(): number {
    return (performance.now() - this.startedAt!) / 1000;
  }

  private async failed(index: number, incarnation: number, cause: CoreError): Promise<void> {
    if (this.ending || !this.isCurrent(index, incarnation)) return;
    const failures = [this.note(index, cause)];
    if (this.policies[index] === 'halt') {
      this.crash ??= cause;
      return;
    }
    const cluster = this.clusters[index];
    const record = this.records[index];
    this.outages++;
    this.suspects.delete(index);
    this.late.forget(cluster.plan.cores);
    this.announce(index, -incarnation);
    try {
      for (;;) {
        if (!(await cluster.terminate())) {
          record.state = 'hung';
          return;
        }
        if (this.ending) return;
        cluster.reset();
        if (this.policies[index] === 'stop') {
          record.state = 'stopped';
          return;
        }
        const notReady = await this.boot(cluster, ++incarnation);
        if (this.ending) return;
        if (notReady === undefined) break;
        failures.push(this.note(index, notReady));
      }
      record.restarts++;
      for (const failure of failures) this.noteEnd(failure);
      // Its cores are late for no tick that they have not heard of.
      const { words, ticksTaken } = this.orders;
      for (const core of cluster.plan.cores)
        Atomics.store(ticksTaken, core, Atomics.load(words, OrderWord.Ticks));
      this.announce(index, incarnation);
    } finally {
      this.outages--;
    }
  }

  /** Returns why the cluster is not up, if it is not. */
  private async boot(cluster: RunningCluster, incarnation: number): Promise<Error | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Error>((resolve) => {
      timer = setTimeout(resolve, BOOT_MILLISECONDS, new CoreError('it was not ready in time'));
    });
    const booted = cluster.boot(incarnation, this.bundles!).then(
      () => undefined,
      (error: Error) => error,
    );
    const notReady = await Promise.race([booted, late]);
    clearTimeout(timer);
    return notReady;
  }

  /** Changes a cluster's state, and has the monitors of the others look. */
  private announce(index: number, state: number): void {
    Atomics.store(this.states, index, state);
    this.clusters.forEach(({ plan }, other) => {
      if (Atomics.load(this.states, other) > 0) this.interrupts.ring(plan.cores[0], HEARTBEAT_LINE);
    });
  }
}
