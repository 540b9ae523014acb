/**
 * A call of another cluster, as the caller's library makes it: it writes the message into shared memory, rings the other
 * cluster's doorbell, and waits at a notification for the answer. The kernel of neither cluster knows of it.
 *
 * What must hold: the next call of the same pair is written only when the last has been answered. A caller that was
 * stopped or restarted in the middle, its whole cluster perhaps, leaves a call without a listener; its next call first
 * waits until that one is answered. Serial numbers tell: they stand in the messages, and survive.
 *
 * Where the other cluster fails, the call throws: the reset controller has changed the cluster's state, and the caller's
 * monitor signals the notification. When that cluster is up again it has given up all calls to its earlier self.
 * Where a server is restarted in the middle of a call, its cluster's monitor answers that it was given up
 * (coordination/recheck.ts), and the call throws as well.
 */
import { Register } from '../../../../kernel/api/constants.js';
import { Awaited } from '../../../machine/host/controller.js';
import { type Flag, Outbox } from '../../../machine/interrupts.js';
import { type CallAccess, type CallPair, looking, nextSerial } from '../../call-lines.js';
import type { Core } from '../../core.js';
import { Exception, throwException } from './exception.js';
import { Slot } from './slots.js';

/** What a domain needs to know of a call to another cluster. Plain data. */
export interface RemoteCallConfiguration extends CallPair {
  /** The channel, or a child's identifier where its monitor is called. */
  readonly id: number;
  readonly isControl: boolean;
  /** To raise before the doorbell. */
  readonly flags: readonly Flag[];
  /** Whether the answer comes by a doorbell of its own, which must be acknowledged. */
  readonly hasDoorbell: boolean;
  /** Index of the cluster that is called. */
  readonly cluster: number;
}

/** The caller, as its engine has it. */
export interface Caller {
  readonly handle: number;
  /** Index of its register file in the words, and of its IPC buffer. */
  readonly registers: number;
  readonly buffer: number;
  /** Rings by the capability in `slot`. */
  ring(slot: number): void;
  /** Waits at the notification in `slot`. */
  wait(slot: number): void;
  /** Lets others run, if `next` is not the caller, until it is current again. */
  goOn(next: number): void;
  /** Acknowledges the interrupt whose handler is in `slot`. */
  acknowledge(slot: number): void;
}

const TAG_WORD = Register.MsgInfo / 4;

function peerFailed(): never {
  throwException(Exception.PeerFailed, 'the cluster of the server has failed');
}

export class RemoteCall {
  /** Of the call that is being made, or was made last; and as it stands in the request, which is not read: that would fetch its line. */
  private serial = 0;
  private number = 0;
  /** Whether that call was made and not ended: those before this thread began as well, for all that it knows. */
  private isOpen = true;
  /** Whether the ring for a request brings its number. */
  private readonly carried: boolean;
  private readonly ringSlot: number;
  private readonly handlerSlot: number;
  private readonly outbox: Outbox;
  private readonly words: Uint32Array;
  private readonly calls: CallAccess;

  constructor(
    private readonly core: Core,
    /** By cluster: n where its n-th incarnation is up, -n where it is down (coordination/liveness.ts). */
    private readonly states: Int32Array,
    private readonly configuration: RemoteCallConfiguration,
  ) {
    const { id, isControl, hasDoorbell, flags } = configuration;
    const { words, calls, interrupts } = core;
    this.words = words;
    this.calls = calls;
    this.carried = flags.length === 0;
    this.ringSlot = (isControl ? Slot.FirstTCB : Slot.FirstEndpoint) + id;
    this.handlerSlot = hasDoorbell ? Slot.FirstReplyIrq + id : 0;
    this.outbox = new Outbox(interrupts, core.id, flags);
  }

  /** Sends the message in the caller's registers, and returns when the answer is there. @throws Error where there will be none. */
  make(caller: Caller): void {
    const { calls, configuration } = this;
    const { request, reply, cluster } = configuration;
    const { registers, buffer } = caller;
    const state = Atomics.load(this.states, cluster);
    if (state <= 0) peerFailed();
    if (this.isOpen) this.end(caller, state);
    this.isOpen = true;
    const before = this.number;
    this.serial = nextSerial(this.serial);
    this.number = looking(this.serial, this.core.looks);
    calls.writeMessage(request, registers, buffer, this.number, this.carried);
    this.ring(caller, this.number - before);
    this.awaitAnswer(caller, state);
    if (calls.isGivenUp(configuration)) this.givenUp(state);
    calls.readMessage(reply, registers, buffer);
    this.isOpen = false;
  }

  /** Waits for the answer to a call before, which the caller, or its cluster's earlier self, did not get. */
  private end(caller: Caller, state: number): void {
    const { words, calls, configuration } = this;
    const { request, reply } = configuration;
    const { registers } = caller;
    this.serial = calls.serialOf(request);
    this.number = this.serial;
    calls.setSerial(request, this.serial);
    if (calls.serialOf(reply) === this.serial) return;
    const low = words[registers + TAG_WORD];
    const high = words[registers + TAG_WORD + 1];
    // The caller may have been stopped before it rang.
    this.ring(caller, 0);
    this.awaitAnswer(caller, state);
    words[registers + TAG_WORD] = low;
    words[registers + TAG_WORD + 1] = high;
  }

  private givenUp(state: number): never {
    if (Atomics.load(this.states, this.configuration.cluster) !== state) peerFailed();
    throwException(Exception.GivenUp, 'the server has given up the call: it was restarted');
  }

  /** `data`: what the ring adds to the request's number, if it brings that. */
  private ring(caller: Caller, data: number): void {
    this.outbox.fill(data);
    caller.ring(this.ringSlot);
  }

  private awaitAnswer(caller: Caller, state: number): void {
    const { calls, configuration, handlerSlot } = this;
    if (this.core.looks) {
      if (this.answerComesSoon(caller)) return;
      this.number = this.serial;
      calls.setSerial(configuration.request, this.serial);
      if (calls.serialOf(configuration.reply) === this.serial) return;
    }
    for (;;) {
      // The answer to a call before may have left the line masked.
      if (handlerSlot !== 0) caller.acknowledge(handlerSlot);
      caller.wait(Slot.Replies);
      // Else it was the answer to something else, such as a call that was given up.
      if (calls.serialOf(configuration.reply) === this.serial) return;
      if (Atomics.load(this.states, configuration.cluster) !== state) peerFailed();
    }
  }

  /** Looks for the answer itself, for a while, and lets what is more urgent run meanwhile. */
  private answerComesSoon(caller: Caller): boolean {
    const { core } = this;
    const word = this.calls.serialWord(this.configuration.reply);
    for (;;) {
      const came = core.awaitWord(word, this.serial);
      if (came !== Awaited.Interrupt) return came === Awaited.Word;
      caller.goOn(core.takeInterrupts(caller.handle));
    }
  }
}
