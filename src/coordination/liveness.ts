/**
 * Liveness: the monitors of a machine's clusters watch one another.
 *
 * The machine's timer rings all cores at once, and each notes the tick. A monitor sends every other a heartbeat at each
 * tick, provided that all cores of its own cluster have taken a tick since its last: so a core that hangs silences its
 * cluster, be it the monitor's own or another. A peer of which nothing has come for `MOST_MISSED` ticks is reported to
 * the machine's reset controller, and again at each further tick.
 *
 * What must hold, or a cluster is taken for dead that is not:
 * - a monitor counts ticks that *it* took, not time: where the whole computer stands still, so does the count;
 * - it takes in what has come before it counts;
 * - only the reset controller changes a cluster's state, once for each incarnation. A report names the incarnation
 *   that it is about, and one that comes late is void.
 */
import { OrderWord, type Orders } from '../core/core.js';
import { PAIR_WORDS } from '../machine/interrupts.js';

/** Ticks without a heartbeat after which a cluster is reported: few, as whether it hangs the reset controller finds out. */
export const MOST_MISSED = 3;

/**
 * The state of each cluster of the plan, in shared memory outside of all partitions, written by the reset controller
 * alone: n where the n-th incarnation is up, -n where it is down and no later one is up yet.
 */
export type ClusterStates = Int32Array;

/** Words that the heartbeats among `clusters` clusters need: a line for each ordered pair. */
export function heartbeatWords(clusters: number): number {
  return clusters > 1 ? clusters * clusters * PAIR_WORDS : 0;
}

/** What a monitor's watching leads to. */
export interface LivenessEvents {
  /** For `missed` ticks nothing has come from incarnation `incarnation` of `cluster`. */
  silent(cluster: number, incarnation: number, missed: number): void;
  /** It was reported as silent, and has been heard again. */
  heard(cluster: number): void;
  /** The reset controller has taken a cluster down, or brought it up again. */
  peerChanged(cluster: number, up: boolean): void;
}

interface Peer {
  readonly cluster: number;
  state: number;
  /** The last heartbeat that came. */
  beat: number;
  missed: number;
}

/** One monitor's part in it. Clusters are named by their index in the plan. */
export class Liveness {
  private readonly peers: readonly Peer[];
  private readonly lastTaken: Int32Array;
  private lastTick = 0;

  /**
   * @param cores the cores of the own cluster, by their numbers in the machine.
   * @param words the machine's words, in which the heartbeats begin at index `heartbeats`.
   */
  constructor(
    private readonly own: number,
    private readonly cores: readonly number[],
    private readonly states: ClusterStates,
    private readonly orders: Orders,
    protected readonly words: Int32Array,
    private readonly heartbeats: number,
    private readonly events: LivenessEvents,
  ) {
    this.lastTaken = new Int32Array(cores.length);
    this.peers = [...states.keys()]
      .filter((cluster) => cluster !== own)
      .map((cluster) => ({
        cluster,
        state: Atomics.load(states, cluster),
        beat: Atomics.load(words, this.line(cluster, own)),
        missed: 0,
      }));
  }

  /** To be called at each interrupt of the heartbeat line. */
  tick(): void {
    for (const peer of this.peers) this.followState(peer);
    const tick = Atomics.load(this.orders.words, OrderWord.Ticks);
    if (tick === this.lastTick) return;
    this.lastTick = tick;
    for (const peer of this.peers) if (peer.state > 0) this.listen(peer);
    if (this.allTook()) this.send();
  }

  private followState(peer: Peer): void {
    const state = Atomics.load(this.states, peer.cluster);
    if (state === peer.state) return;
    const wasUp = peer.state > 0;
    peer.state = state;
    peer.missed = 0;
    if (wasUp) this.events.peerChanged(peer.cluster, false);
    if (state > 0) this.events.peerChanged(peer.cluster, true);
  }

  private listen(peer: Peer): void {
    const beat = this.beat(this.line(peer.cluster, this.own));
    if (beat === peer.beat) {
      if (++peer.missed >= MOST_MISSED) this.events.silent(peer.cluster, peer.state, peer.missed);
      return;
    }
    peer.beat = beat;
    if (peer.missed >= MOST_MISSED) this.events.heard(peer.cluster);
    peer.missed = 0;
  }

  /** Whether all cores of the own cluster have taken a tick since the last heartbeat; if so, this is noted. */
  private allTook(): boolean {
    const { ticksTaken } = this.orders;
    for (let at = 0; at < this.cores.length; at++) {
      if (Atomics.load(ticksTaken, this.cores[at]) === this.lastTaken[at]) return false;
    }
    for (let at = 0; at < this.cores.length; at++) {
      this.lastTaken[at] = Atomics.load(ticksTaken, this.cores[at]);
    }
    return true;
  }

  private send(): void {
    for (const { cluster } of this.peers) this.countBeat(this.line(this.own, cluster));
  }

  protected beat(at: number): number {
    return Atomics.load(this.words, at);
  }

  protected countBeat(at: number): void {
    Atomics.add(this.words, at, 1);
  }

  private line(from: number, to: number): number {
    return this.heartbeats + (from * this.states.length + to) * PAIR_WORDS;
  }
}
