/**
 * How memory goes from one cluster to another: one monitor's part in a two-phase commit (Gray, "Notes on Data Base
 * Operating Systems", 1978), with the ledger as the log of both sides. docs/memory.md has its states.
 *
 *     taker            giver
 *     ask ───────────▶            A chunk is wanted.
 *                      offered    The ledger says so; from here to the decision the chunk is nobody's to use.
 *                                 Then all made of it is revoked, and the kernel gives it up.
 *         ◀─────────── offer      Or: refuse.
 *     commit ────────▶            The taker has made the ledger say that the chunk is its own: the one point of
 *                                 commit, one compare-and-exchange. Its kernel takes the chunk. Or: abort, and the giver,
 *                                 by the same operation, has it back.
 *
 * Where one side dies, the other or its own next incarnation finds in the ledger what is to be done. Before the commit
 * the giver has the chunk back (presumed abort), after it the taker has it. As both decide by one operation on one word,
 * neither has to know whether the other still runs. test/coordination/hand-over.test.ts goes through all interleavings.
 *
 * What must hold: a kernel has a chunk only while the ledger says that its cluster owns it; a giver offers before its
 * kernel gives up, and its kernel has given up before the taker hears of the offer; a taker's kernel takes after commit.
 */
import { type Entry, isOffered, offerOf, ownedBy, ownerOf, takerOf } from './ledger.js';

export enum HandOverMessage {
  /** The sender wants a chunk. */
  Ask = 1,
  /** Here is one: its number, and the entry of the offer. */
  Offer = 2,
  /** There is none to spare. */
  Refuse = 3,
  /** The offered chunk is taken. */
  Commit = 4,
  /** The offered chunk is not wanted: its number, and the entry of the offer. */
  Abort = 5,
}

/** What a monitor does to hand memory over. */
export interface HandOverActions {
  /** Number of chunks, and the ledger's operations. */
  readonly chunks: number;
  entry(chunk: number): Entry;
  replace(chunk: number, before: Entry, after: Entry): boolean;
  /** The kernel issues the chunk's untyped capability. */
  take(chunk: number): void;
  /** The kernel revokes and deletes the chunk's untyped capability. */
  giveUp(chunk: number): void;
  send(peer: number, message: HandOverMessage, chunk: number, entry: Entry): void;
  /** `peer` has answered an ask: with a chunk, or with none (-1), as when it died. Answers come in the order of asks. */
  answered(peer: number, chunk: number): void;
  /** A chunk that was offered has been taken. */
  given(): void;
}

/** All that a monitor remembers of hand-overs. Clusters are named by their index in the plan. */
export interface HandOverState {
  /** By peer: whether it is up. */
  readonly up: boolean[];
  /** By peer: how many asks it has not answered. */
  readonly asked: number[];
}

export class HandOver {
  constructor(
    private readonly own: number,
    private readonly actions: HandOverActions,
    private readonly state: HandOverState,
  ) {}

  /** When a cluster boots, for the first time or afresh: its kernel takes all that it owns, and ends its own offers. */
  recover(): void {
    this.forEachOwned((chunk, entry) => {
      if (!isOffered(entry)) this.actions.take(chunk);
      else this.keep(chunk, entry);
    });
  }

  /** Asks a peer for a chunk; false if it is down. */
  ask(peer: number): boolean {
    if (!this.state.up[peer]) return false;
    this.state.asked[peer]++;
    this.send(peer, HandOverMessage.Ask);
    return true;
  }

  receive(peer: number, message: HandOverMessage, chunk: number, entry: Entry): void {
    switch (message) {
      case HandOverMessage.Ask:
        this.offer(peer);
        break;
      case HandOverMessage.Offer:
        this.decide(peer, chunk, entry);
        break;
      case HandOverMessage.Refuse:
        if (this.expects(peer)) this.actions.answered(peer, -1);
        break;
      case HandOverMessage.Abort:
        this.keep(chunk, entry);
        break;
      case HandOverMessage.Commit:
        this.actions.given();
        break;
    }
  }

  /** A peer has been taken down, or is up again. */
  peerChanged(peer: number, up: boolean): void {
    this.state.up[peer] = up;
    if (up) return;
    this.forEachOwned((chunk, entry) => {
      if (isOffered(entry) && takerOf(entry) === peer) this.keep(chunk, entry);
    });
    while (this.expects(peer)) this.actions.answered(peer, -1);
  }

  /** Phase one, the giver's: a chunk that is nobody's to use until the taker has decided. */
  private offer(peer: number): void {
    const { actions, own } = this;
    for (let chunk = 0; chunk < actions.chunks && this.state.up[peer]; chunk++) {
      const entry = actions.entry(chunk);
      if (ownerOf(entry) !== own || isOffered(entry)) continue;
      const offer = offerOf(entry, peer);
      // Nobody else changes it while it is not offered.
      actions.replace(chunk, entry, offer);
      actions.giveUp(chunk);
      return this.send(peer, HandOverMessage.Offer, chunk, offer);
    }
    this.send(peer, HandOverMessage.Refuse);
  }

  /** Phase two, the taker's. An offer that answers no ask was for an earlier incarnation, or its giver has died since. */
  private decide(peer: number, chunk: number, offer: Entry): void {
    if (!this.expects(peer)) return this.send(peer, HandOverMessage.Abort, chunk, offer);
    const committed = this.actions.replace(chunk, offer, ownedBy(offer, this.own));
    if (committed) {
      this.actions.take(chunk);
      this.send(peer, HandOverMessage.Commit, chunk, offer);
    }
    this.actions.answered(peer, committed ? chunk : -1);
  }

  /** The giver has a chunk back that it has offered, unless that offer has ended. */
  private keep(chunk: number, offer: Entry): void {
    if (this.actions.replace(chunk, offer, ownedBy(offer, this.own))) this.actions.take(chunk);
  }

  private expects(peer: number): boolean {
    if (this.state.asked[peer] === 0) return false;
    this.state.asked[peer]--;
    return true;
  }

  private forEachOwned(use: (chunk: number, entry: Entry) => void): void {
    for (let chunk = 0; chunk < this.actions.chunks; chunk++) {
      const entry = this.actions.entry(chunk);
      if (ownerOf(entry) === this.own) use(chunk, entry);
    }
  }

  /** Also to a peer that is down as far as this monitor has heard: it may be up again, and wait for this. */
  private send(peer: number, message: HandOverMessage, chunk = 0, entry: Entry = 0): void {
    this.actions.send(peer, message, chunk, entry);
  }
}
