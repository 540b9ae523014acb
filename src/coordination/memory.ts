/**
 * A monitor's memory that can move between clusters: what hand-over.ts decides, done. Chunks lie outside of all
 * partitions; a cluster's kernel has an untyped capability for each that the cluster owns, in a slot of the root task's
 * CNode that is the chunk's own. Messages go over a ring for each ordered pair of clusters, and ring the other's doorbell.
 */
import { InitialSlot, Invocation } from '../../kernel/api/constants.js';
import type { Core } from '../core/core.js';
import type { Invoker } from '../core/invocation.js';
import type { RingConsumer, RingProducer } from '../core/ring.js';
import { type Flag, LINE_WORDS, Outbox } from '../machine/interrupts.js';
import { HandOver, type HandOverActions, type HandOverMessage } from './hand-over.js';
import { Ledger, ledgerWords, type MemoryCounts } from './ledger.js';

/** Size of a chunk, in bits. */
export const CHUNK_BITS = 18;
export const CHUNK_BYTES = 2 ** CHUNK_BITS;

/**
 * Asks of one peer that may be open at a time. A ring then never holds more than three times as many: asks, answers,
 * and decisions on offers; and once more what a peer has left unread that died.
 */
export const MOST_ASKS = 8;
const RING_WORDS = (4 + 64) * LINE_WORDS;

/** Where memory that can move lies. Part of the plan. */
export interface MemoryPlan {
  /** Index, in the interrupt controller's words, of the ledger, which the rings follow. */
  readonly words: number;
  /** Physical address of the first chunk. */
  readonly base: number;
  readonly chunks: number;
  readonly clusters: number;
}

/** How another cluster's monitor is told that there are messages. `bell`: a slot with the right to ring it. */
export interface MemoryLink {
  readonly peer: number;
  readonly bell: number;
  readonly flags: readonly Flag[];
}

/** What the initialiser leaves for it: the slot of the first chunk, which the others follow, and the links by peer. */
export interface MemoryCapabilities {
  readonly chunks: number;
  readonly links: readonly MemoryLink[];
}

/** Words of the ledger and the rings. */
export function memoryWords(chunks: number, clusters: number): number {
  return ledgerWords(chunks, clusters) + clusters * clusters * RING_WORDS;
}

export function ledgerOf(words: Int32Array, plan: MemoryPlan): Ledger {
  return new Ledger(words, plan.words, plan.chunks, plan.clusters);
}

interface Link {
  readonly bell: number;
  readonly outbox: Outbox;
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
}

export class MovingMemory implements HandOverActions {
  readonly chunks: number;
  readonly ledger: Ledger;
  private readonly links: (Link | undefined)[] = [];
  private readonly handOver: HandOver;
  private readonly message = new Int32Array(3);
  private readonly asked: number[];

  /**
   * @param own the cluster's index, and `up` which clusters are up, by index.
   * @param onAnswer a peer has answered an ask, in the order of asks: whether it has given a chunk.
   * @param actionsOf what is done in place of the actions given.
   */
  constructor(
    private readonly own: number,
    up: readonly boolean[],
    private readonly core: Core,
    private readonly invoker: Invoker,
    private readonly plan: MemoryPlan,
    private readonly capabilities: MemoryCapabilities,
    private readonly onAnswer: (peer: number, given: boolean) => void,
    actionsOf = (actions: HandOverActions): HandOverActions => actions,
  ) {
    const { words } = core.interrupts;
    this.chunks = plan.chunks;
    this.ledger = ledgerOf(words, plan);
    const rings = plan.words + ledgerWords(plan.chunks, plan.clusters);
    const ring = (from: number, to: number): number => rings + (from * plan.clusters + to) * RING_WORDS;
    for (const { peer, bell, flags } of capabilities.links) {
      this.links[peer] = {
        bell,
        outbox: new Outbox(core.interrupts, core.id, flags),
        producer: core.access.producer(words, ring(own, peer), RING_WORDS),
        consumer: core.access.consumer(words, ring(peer, own), RING_WORDS),
      };
    }
    this.asked = up.map(() => 0);
    this.handOver = new HandOver(own, actionsOf(this), { up: [...up], asked: this.asked });
    this.handOver.recover();
  }

  /** Asks a peer for a chunk: `onAnswer` tells what came of it. False if nothing will, as when the peer is down. */
  ask(peer: number): boolean {
    return this.links[peer] !== undefined && this.asked[peer] < MOST_ASKS && this.handOver.ask(peer);
  }

  /** A peer's doorbell has rung: takes its messages. */
  receive(peer: number): void {
    const { consumer } = this.links[peer]!;
    while (consumer.receive(this.message) >= 0) {
      const [message, chunk, entry] = this.message;
      this.handOver.receive(peer, message, chunk, entry);
    }
  }

  peerChanged(peer: number, up: boolean): void {
    this.handOver.peerChanged(peer, up);
  }

  entry(chunk: number): number {
    return this.ledger.entry(chunk);
  }

  replace(chunk: number, before: number, after: number): boolean {
    return this.ledger.replace(chunk, before, after);
  }

  take(chunk: number): void {
    const address = this.plan.base + chunk * CHUNK_BYTES;
    const slot = this.capabilities.chunks + chunk;
    const words = [address, CHUNK_BITS, slot, 64];
    this.invoker.call(InitialSlot.UntypedControl, Invocation.UntypedIssue, words, [InitialSlot.CNode]);
  }

  giveUp(chunk: number): void {
    const slot = this.capabilities.chunks + chunk;
    this.invoker.call(InitialSlot.CNode, Invocation.CNodeRevoke, [slot, 64]);
    this.invoker.call(InitialSlot.CNode, Invocation.CNodeDelete, [slot, 64]);
  }

  send(peer: number, message: HandOverMessage, chunk: number, entry: number): void {
    const { producer, outbox, bell } = this.links[peer]!;
    if (!producer.send(Int32Array.of(message, chunk, entry)))
      throw new Error(`cluster ${peer} of the plan reads no messages about memory`);
    outbox.fill();
    this.core.kernel.signal(bell);
  }

  answered(peer: number, chunk: number): void {
    if (chunk >= 0) this.count('taken');
    this.onAnswer(peer, chunk >= 0);
  }

  given(): void {
    this.count('given');
  }

  private count(what: keyof MemoryCounts): void {
    this.ledger.count(this.own, what);
  }
}
