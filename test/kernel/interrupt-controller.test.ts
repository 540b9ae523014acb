/** The doorbell controller's two sides agree: what kernels ring and mask, cores take (src/machine/interrupts.ts). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Awaited, MORE, coreInterrupts, type CoreInterrupts } from '../../src/machine/host/controller.js';
import {
  CONTROLLER_BYTES,
  DOORBELL_DATA,
  DOORBELL_RINGS,
  FIRST_DOORBELL,
  InterruptController,
  LAST_DOORBELL,
  MAILBOX_WORD,
  Outbox,
} from '../../src/machine/interrupts.js';

const CORES = 3;
const BASE = 4096;
const ROUTES = BASE + CORES * CONTROLLER_BYTES;
const WAKE = 1 << 30;
const PARKED = 14;
const PAUSE = 6;
/** A line that shares a word with others. */
const LINE = 20;

/** The line that a core takes that looks once, or -1. */
function take(core: CoreInterrupts): number {
  const taken = core.take(1);
  return taken < 0 ? taken : taken & ~MORE;
}

/** Three cores; each is a cluster of its own, or they are cut into `clusters`. */
function machine(clusters: readonly (readonly number[])[] = [[0], [1], [2]]) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const controller = new InterruptController(memory.buffer, BASE, CORES);
  const cores = Array.from({ length: CORES }, (_, core) => {
    const cluster = clusters.find((each) => each.includes(core))!;
    return coreInterrupts(memory, controller, core, cluster, ROUTES + 64 * cluster[0]);
  });
  const enable = (core: number, ...lines: number[]) =>
    lines.forEach((line) => controller.mask(core, line, false));
  const words = new Int32Array(memory.buffer, BASE, (CORES * CONTROLLER_BYTES) / 4);
  return { controller, cores, enable, words };
}

describe('the interrupt controller', () => {
  it('interrupts the core that is named, on the line that is named, once', () => {
    const { controller, cores, enable } = machine();
    const [sender, receiver, other] = cores;
    const lines = [
      1,
      ...Array.from({ length: LAST_DOORBELL }, (_, index) => index + FIRST_DOORBELL),
      LINE,
      29,
    ];
    for (const line of lines) {
      enable(1, line);
      enable(2, line);
      sender.sendSGI(1, line);
      sender.sendSGI(1, line);
      assert.equal(take(other), -1);
      assert(controller.isReady(1));
      assert.equal(take(receiver), line);
      assert(!controller.isReady(1), 'it may sleep');
      assert.equal(take(receiver), -1, 'rings that nobody has taken merge into one');
    }
  });

  it('has shared lines taken before doorbells, the lowest first', () => {
    const { cores, enable } = machine();
    enable(1, 1, 2, 7, LAST_DOORBELL, 16, LINE);
    for (const line of [LINE, 7, 16, LAST_DOORBELL, 1, 2]) cores[0].sendSGI(1, line);
    assert.deepEqual(
      Array.from({ length: 7 }, () => take(cores[1])),
      [1, 16, LINE, 2, 7, LAST_DOORBELL, -1],
    );
  });

  it('keeps what comes while a line is masked', () => {
    for (const line of [LINE, FIRST_DOORBELL, LAST_DOORBELL]) {
      const { cores } = machine();
      cores[0].sendSGI(1, line);
      assert.equal(take(cores[1]), -1);
      cores[1].maskInterrupt(line + 1, 0);
      assert.equal(take(cores[1]), -1);
      cores[1].maskInterrupt(line, 0);
      cores[1].maskInterrupt(line + 1, 1);
      assert.equal(take(cores[1]), line);
      cores[0].sendSGI(1, line);
      cores[1].maskInterrupt(line, 1);
      assert.equal(take(cores[1]), -1);
    }
  });

  it('has the first core of a cluster take the interrupts of all', () => {
    const { controller, cores, words } = machine([[0], [1, 2]]);
    words[controller.pendingIndex(1) + PARKED] = 1;
    cores[2].maskInterrupt(LINE, 0);
    assert.equal(words[controller.pendingIndex(1)], WAKE, 'it looks again if it sleeps');
    cores[0].sendSGI(1, LINE);
    assert.equal(take(cores[2]), -1);
    assert.equal(take(cores[1]), LINE);
    cores[2].maskInterrupt(LINE, 1);
    cores[0].sendSGI(1, LINE);
    assert.equal(take(cores[1]), -1);
  });

  it('wakes a core that sleeps', async () => {
    const { controller, cores, words } = machine();
    const pending = controller.pendingIndex(1);
    words[pending + PARKED] = 1;
    for (const line of [LINE, FIRST_DOORBELL]) {
      const sleep = Atomics.waitAsync(words, pending, words[pending], 1000);
      cores[0].sendSGI(1, line);
      assert.equal(await sleep.value, 'ok');
    }
  });

  it('has a core of the cluster reschedule', () => {
    const { controller, cores, words, enable } = machine([[0], [1, 2]]);
    for (const core of [1, 2]) enable(core, 0);
    cores[1].sendIPI(1);
    assert.deepEqual([take(cores[1]), take(cores[2])], [-1, 0]);
    cores[2].sendIPI(0);
    assert.deepEqual([take(cores[1]), take(cores[2])], [0, -1]);
    const pending = controller.pendingIndex(2);
    words[pending + PARKED] = 1;
    cores[1].sendIPI(1);
    assert.equal(words[pending] & WAKE, WAKE, 'and wakes it');
  });

  it('sends what is in the outbox along, once', () => {
    const { controller, cores, words } = machine();
    const mailbox = { word: controller.pendingIndex(1) + MAILBOX_WORD, mask: 1 << 31 };
    const next = { word: mailbox.word + 1, mask: 6 };
    const elsewhere = { word: controller.doorbellIndex(2, 3) + DOORBELL_DATA, mask: 5 };
    for (const flags of [[mailbox], [next], [elsewhere], [next, elsewhere], [elsewhere, next], []]) {
      words.fill(0);
      new Outbox(controller, 0, flags).fill();
      cores[0].sendSGI(1, LINE);
      assert.equal(words[controller.outboxIndex(0)], 0);
      cores[0].sendSGI(2, LINE);
      for (const { word, mask } of [mailbox, next, elsewhere])
        assert.equal(words[word], flags.some((flag) => flag.word === word) ? mask : 0);
      controller.mask(1, LINE, false);
      assert.equal(take(cores[1]), LINE);
    }
  });

  it('changes nothing else: a ring, its sender’s outbox and the flags in it are all', () => {
    const { controller, cores, words } = machine();
    const changed = (action: () => void) => {
      const before = words.slice();
      action();
      return [...words.keys()].filter((index) => words[index] !== before[index]);
    };
    for (let line = FIRST_DOORBELL; line <= LAST_DOORBELL; line++)
      assert.deepEqual(
        changed(() => cores[0].sendSGI(1, line)),
        [controller.doorbellIndex(1, line) + DOORBELL_RINGS],
      );
    assert.deepEqual(
      changed(() => cores[0].sendSGI(2, LINE)),
      [controller.pendingIndex(2)],
    );
    assert.deepEqual(
      changed(() => cores[2].maskInterrupt(LINE, 0)),
      [controller.enabledIndex(2)],
    );
    assert.deepEqual(
      changed(() => cores[1].take(3)),
      [controller.enabledIndex(1) - 5 + PAUSE],
    );
  });

  it('looks for a word as well, until that or an interrupt has come', () => {
    const { controller, cores, enable, words } = machine();
    const word = controller.doorbellIndex(1, FIRST_DOORBELL) + DOORBELL_DATA;
    const look = () => cores[1].awaitWord(controller.base + 4 * word, 7, 3);
    assert.equal(look(), Awaited.Neither);
    cores[0].sendSGI(1, FIRST_DOORBELL);
    assert.equal(look(), Awaited.Neither, 'masked');
    enable(1, FIRST_DOORBELL);
    assert.equal(look(), Awaited.Interrupt);
    assert.equal(take(cores[1]), FIRST_DOORBELL);
    const pauses = controller.enabledIndex(1) - 5 + PAUSE;
    const before = words[pauses];
    assert.equal(look(), Awaited.Neither);
    assert.equal(words[pauses], before + 3, 'between two looks there is a pause');
    enable(1, LINE);
    cores[0].sendSGI(1, LINE);
    assert.equal(look(), Awaited.Interrupt);
    assert.equal(take(cores[1]), LINE);
    words[word] = 7;
    assert.equal(look(), Awaited.Word);
    for (const [times, came] of [
      [0, Awaited.Neither],
      [1, Awaited.Word],
    ])
      assert.equal(cores[1].awaitWord(controller.base + 4 * word, 7, times), came);
  });

  it('has no interrupt come but on a line that rang', () => {
    const { controller, cores, enable, words } = machine();
    enable(1, ...Array.from({ length: 30 }, (_, line) => line));
    for (const core of [0, 2]) new Outbox(controller, core, [{ word: 1, mask: 1 }]).fill();
    for (let line = FIRST_DOORBELL; line <= LAST_DOORBELL; line++) {
      cores[1].sendSGI(2, line);
      words[controller.doorbellIndex(1, line) + DOORBELL_DATA] = 1;
    }
    assert.equal(cores[1].take(2), -1);
  });

  it('wakes a core that sleeps, whatever has come, and no other', () => {
    const { controller, cores, words, enable } = machine();
    const pending = controller.pendingIndex(1);
    for (const line of [LINE, 5]) {
      cores[0].sendSGI(1, line);
      assert.equal(words[pending] & WAKE, 0);
      words[pending + PARKED] = 1;
      cores[0].sendSGI(1, line);
      assert.equal(words[pending] & WAKE, WAKE);
      assert.ok(controller.isReady(1));
      words[pending + PARKED] = 0;
      assert.equal(take(cores[1]), -1, 'masked: there is nothing to take');
      assert.equal(words[pending] & WAKE, 0);
      enable(1, line);
      assert.equal(take(cores[1]), line);
    }
    words[pending] |= WAKE;
    cores[0].sendSGI(1, LINE);
    assert.equal(take(cores[1]), LINE, 'a wake-up hides no line');
    assert.equal(words[pending], 0);
  });

  it('takes what has come at the first look, and looks no more often than it was told', () => {
    const { controller, cores, enable, words } = machine();
    const pauses = () => words[controller.enabledIndex(1) - 5 + PAUSE];
    assert.equal(cores[1].take(1), -1);
    assert.equal(pauses(), 0, 'after the last look there is no pause');
    assert.equal(cores[1].take(7), -1);
    assert.equal(pauses(), 6);
    for (const line of [1, LINE, FIRST_DOORBELL, LAST_DOORBELL]) {
      cores[0].sendSGI(1, line);
      assert.equal(cores[1].take(2), -1, 'masked');
      enable(1, line);
      const before = pauses();
      assert.equal(cores[1].take(2) & ~MORE, line);
      assert.equal(pauses(), before);
      assert.equal(cores[1].take(2), -1);
    }
  });

  it('says whether there may be more to take', () => {
    const { cores, enable } = machine();
    enable(1, 2, 7, LINE);
    for (const line of [7, LINE, 2]) cores[0].sendSGI(1, line);
    cores[0].sendSGI(1, 5);
    assert.deepEqual(
      Array.from({ length: 4 }, () => cores[1].take(1)),
      [LINE | MORE, 2 | MORE, 7, -1],
    );
  });

  it('has a doorbell’s ring add what is in the outbox to its first word, once', () => {
    const { controller, cores, words, enable } = machine();
    enable(1, 3);
    const doorbell = controller.doorbellIndex(1, 3);
    words[doorbell + DOORBELL_DATA] = -2;
    for (const [data, first, rings] of [
      [3, 1, 2],
      [0, 1, 3],
      [0x7fffffff, -0x80000000, 4],
    ]) {
      new Outbox(controller, 0, []).fill(data);
      cores[0].sendSGI(1, 3);
      // What is carried over the end of the first word is a ring that comes twice.
      assert.deepEqual([...words.subarray(doorbell, doorbell + 3)], [first, rings, 0]);
      assert.equal(take(cores[1]), 3);
    }
    cores[0].sendSGI(1, 3);
    assert.equal(words[doorbell + DOORBELL_DATA], -0x80000000);
  });
});
