/**
 * Calls to another cluster under all interleavings (explorer.ts): caller and proxy are the code itself. What their kernels
 * do is repeated here: to ring, to wait for a ring, and to call the server, which answers with the number after.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProgramCounter, Register } from '../../kernel/api/constants.js';
import { Proxy as CallProxy, ProxySlot } from '../../src/coordination/proxy.js';
import { CallAccess, type CallLines, type CallPair } from '../../src/core/call-lines.js';
import type { Core } from '../../src/core/core.js';
import { RemoteCall } from '../../src/core/engine/typescript/remote-call.js';
import { Awaited } from '../../src/machine/host/controller.js';
import {
  DOORBELL_DATA,
  DOORBELL_RINGS,
  type InterruptController,
  LINE_WORDS,
  Outbox,
} from '../../src/machine/interrupts.js';
import { Explorer, Violation, type Explored, type Thread } from './explorer.js';

/** Lines: of the messages, of each side's register file and outbox, and one that has the state of the server's cluster. */
const [REQUEST, REPLY, CALLER, SERVER, CALLER_OUTBOX, SERVER_OUTBOX, STATES, LINES] = [
  0, 1, 2, 3, 4, 5, 6, 7,
];
const PAIR: CallPair = {
  request: { line: REQUEST * LINE_WORDS, more: 0 },
  reply: { line: REPLY * LINE_WORDS, more: 0 },
};
const HANDLE = 1;
const MR0 = Register.MR0 / 4;

interface Case {
  readonly calls: number;
  /** How often the caller looks for an answer before it waits for the ring. */
  readonly looks: number;
  /** The caller says that it no longer looks, and waits, without another look. */
  readonly careless?: boolean;
}

/** Who no longer looks does not look once more, either. */
class Careless extends CallAccess {
  override setSerial(lines: CallLines, serial: number): void {
    super.setSerial(lines, serial);
    this.blind = lines === PAIR.request;
  }
  override serialOf(lines: CallLines): number {
    const isSeen = lines !== PAIR.reply || !this.blind;
    this.blind = false;
    return isSeen ? super.serialOf(lines) : -1;
  }
  private blind = false;
}

function explore({ calls, looks, careless = false }: Case): Explored & { readonly unrung: boolean } {
  const explorer = new Explorer(LINES * LINE_WORDS);
  const { words } = explorer;
  let unrung = false;
  const explored = explorer.explore((): readonly Thread[] => {
    /** Rings that a side has heard, of the doorbell in `line`. */
    const bell = (line: number, outbox: number) => {
      const heard = { rings: 0 };
      return {
        heard,
        ring: () => {
          const data = words[outbox];
          words[outbox] = 0;
          if (data !== 0) Atomics.add(words, line + DOORBELL_DATA, data);
          Atomics.add(words, line + DOORBELL_RINGS, 1);
          Atomics.notify(words, line + DOORBELL_RINGS);
        },
        /** Whether one has come since. */
        hear: () => {
          const rings = Atomics.load(words, line + DOORBELL_RINGS);
          if (rings === heard.rings) return false;
          heard.rings = rings;
          return true;
        },
        sleep: () => void Atomics.wait(words, line + DOORBELL_RINGS, heard.rings),
      };
    };
    const memory = words as unknown as Uint32Array;
    const access = careless ? new Careless(memory) : new CallAccess(memory);
    const coreOf = (outbox: number, rest: object): Core =>
      ({
        id: 0,
        words,
        calls: access,
        interrupts: { words, outboxIndex: () => outbox } as unknown as InterruptController,
        ...rest,
      }) as unknown as Core;

    words[STATES * LINE_WORDS] = 1;
    const toServer = bell(PAIR.request.line, CALLER_OUTBOX * LINE_WORDS);
    const toCaller = bell(PAIR.reply.line, SERVER_OUTBOX * LINE_WORDS);

    // At first each touches what both will: a wait in the middle of a step is left only where that is known.
    const begin = (thread: { hasBegun: boolean }): boolean => {
      for (const line of [PAIR.request.line, PAIR.reply.line])
        for (const word of [DOORBELL_DATA, DOORBELL_RINGS]) Atomics.load(words, line + word);
      return (thread.hasBegun = true);
    };
    const calling = { hasBegun: false, made: 0 };
    const callerCore = coreOf(CALLER_OUTBOX * LINE_WORDS, {
      looks: looks > 0,
      awaitWord: (word: number, value: number) => {
        for (let look = 0; look < looks; look++) if (Atomics.load(words, word) === value) return Awaited.Word;
        return Awaited.Neither;
      },
    });
    const configuration = {
      ...PAIR,
      ...{ id: 0, isControl: false, flags: [], hasDoorbell: true, cluster: STATES * LINE_WORDS },
    };
    const call = new RemoteCall(callerCore, words, configuration);
    const registers = CALLER * LINE_WORDS;
    const caller: Thread = {
      objects: [calling, call, toCaller.heard],
      step: () => {
        if (!calling.hasBegun) return !begin(calling);
        words[registers + Register.MsgInfo / 4] = 1;
        words[registers + MR0] = 10 * calling.made;
        call.make({
          ...{ handle: HANDLE, registers, buffer: 0, goOn: () => undefined, acknowledge: () => undefined },
          ring: toServer.ring,
          wait: () => {
            while (!toCaller.hear()) toCaller.sleep();
          },
        });
        assert.equal(words[registers + MR0], 10 * calling.made + 1);
        return ++calling.made === calls;
      },
    };
    const kernel = {
      call: (slot: number) => {
        assert.equal(slot, ProxySlot.Server);
        words[SERVER * LINE_WORDS + MR0]++;
        return HANDLE;
      },
      signal: () => {
        toCaller.ring();
        return HANDLE;
      },
      nbSendRecv: () => 0,
    };
    const serverCore = coreOf(SERVER_OUTBOX * LINE_WORDS, { kernel, takeInterrupts: (next: number) => next });
    words[SERVER * LINE_WORDS + Register.PC / 4] = ProgramCounter.Running;
    const outbox = new Outbox(serverCore.interrupts, 0, []);
    const proxy = new CallProxy(HANDLE, 4 * SERVER * LINE_WORDS, 100, serverCore, PAIR, outbox, true);
    const served = { hasBegun: false };
    const server: Thread = {
      objects: [proxy, toServer.heard, served],
      step: () => {
        if (!served.hasBegun) return !begin(served);
        // It sleeps until it is rung, and is done with the last call.
        if (toServer.hear()) proxy.run();
        else toServer.sleep();
        const last = access.serialOf(PAIR.reply) === 2 * calls;
        if (last) unrung ||= Atomics.load(words, PAIR.reply.line + DOORBELL_RINGS) < calls;
        return last;
      },
    };
    return [caller, server];
  });
  return { ...explored, unrung };
}

describe('calls to another cluster, in all interleavings', () => {
  for (const [calls, looks] of [
    [2, 0],
    [2, 1],
    [1, 3],
  ]) {
    it(`${calls}, of a caller that looks ${looks} times for the answer: each is answered, once, and no access races`, (t) => {
      const { states, finals, unrung } = explore({ calls, looks });
      assert(finals > 0);
      assert.equal(unrung, looks > 0, 'for an answer that the caller looks for no bell is rung');
      t.diagnostic(`${states} states`);
    });
  }

  it('the explorer finds that who waits without another look may wait for ever', () => {
    assert.throws(
      () => explore({ calls: 1, looks: 1, careless: true }),
      (error) => error instanceof Violation && /can never end/.test(error.message),
    );
  });
});
