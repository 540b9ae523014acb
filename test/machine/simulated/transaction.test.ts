/** Hardware transactions: undone without a trace, in each other's way where they use the same lines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { preset } from '../../../src/machine/simulated/presets.js';
import { SimulatedMachine } from '../../../src/machine/simulated/machine.js';
import { Transactions } from '../../../src/machine/simulated/transaction.js';
import { bootPairs, call, partitionSize } from '../../../src/system/simulate/pairs.js';

const WORDS_PER_LINE = 16;
const LINE_BYTES = 64;

describe('a transaction', () => {
  const { transactions: costs } = preset('intel-server');
  const memory = new Int32Array(64 * 1024);

  interface Use {
    readonly line: number;
    readonly write: boolean;
  }

  /** Each core's transaction has used these lines, and ends at a time; the last has not ended. */
  function world(uses: readonly Use[][], ends = uses.map(() => 100)) {
    const all = new Transactions(memory, uses.length, costs);
    uses.forEach((accesses, core) => {
      all.begin(core);
      for (const { line, write } of accesses) all.note(core, line, write);
      if (core < uses.length - 1) all.end(core, ends[core]);
    });
    return all;
  }

  const cores = (all: Transactions, core: number, { line, write }: Use, at: number): [number, number][] =>
    all.conflicts(core, line, write, at).map((conflict) => [conflict.core, conflict.at]);

  it('leaves memory as it was when it is rolled back, but for what others have written beside it', () => {
    const all = world([[]]);
    memory.fill(7, 0, 200);
    for (const [address, size] of [
      [0, 64],
      [3 * LINE_BYTES, 16],
      [0, 8],
      [2 * LINE_BYTES + 6, 4],
    ]) {
      assert.ok(all.keep(0, address, size));
      memory.fill(9, address >> 2, (address + size + 3) >> 2);
    }
    memory[1 + 2 * WORDS_PER_LINE + 2] = 8;
    all.rollBack(0);
    assert.deepEqual([...new Set(memory.subarray(0, 200))], [7, 8]);
  });

  it('is in the way of one that writes what it reads or writes, until its end', () => {
    const reader = [{ line: 1, write: false }];
    const writer = [{ line: 1, write: true }];
    const conflicts = (first: Use[], [use]: Use[], at = 10): [number, number][] =>
      cores(world([first, []]), 1, use, at);
    assert.deepEqual(conflicts(reader, reader), []);
    assert.deepEqual(conflicts(reader, writer), [[0, 10]]);
    assert.deepEqual(conflicts(writer, reader), [[0, 10]]);
    assert.deepEqual(conflicts(writer, writer), [[0, 10]]);
    assert.deepEqual(conflicts(writer, [{ line: 2, write: true }]), []);
    assert.deepEqual(conflicts(writer, writer, 100), []);
  });

  it('takes with it, last first, those that have used since what it had written', () => {
    const all = world(
      [
        [
          { line: 1, write: true },
          { line: 2, write: true },
        ],
        [{ line: 2, write: true }],
        [{ line: 3, write: true }],
        [],
      ],
      [100, 200, 200],
    );
    assert.deepEqual(cores(all, 3, { line: 1, write: false }, 90), [
      [1, 90],
      [0, 90],
    ]);
  });

  it('knows what it has come to, and whether to write', () => {
    const all = world([[{ line: 1, write: false }]]);
    assert.deepEqual([all.has(1, false), all.has(1, true), all.has(2, false)], [true, false, false]);
    all.note(0, 1, true);
    assert.ok(all.has(1, true));
    all.begin(0);
    assert.ok(!all.has(1, false));
  });

  it('has room for so many lines', () => {
    const all = world([[]]);
    for (let line = 0; line < costs.writeLines; line++) {
      assert.ok(all.note(0, line, true));
      assert.ok(all.keep(0, line * LINE_BYTES, LINE_BYTES));
    }
    assert.ok(!all.note(0, costs.writeLines, true));
    for (let line = 0; line < costs.readLines; line++) assert.ok(all.note(0, line, false));
    assert.ok(!all.note(0, costs.readLines, false));
  });
});

describe('a kernel entry that elides its lock', () => {
  const model = preset('cortex-a72');
  const { abort } = model.transactions;

  /** Two cores that are about to make a call to servers of their own. */
  function booted(transactions: Partial<typeof model.transactions>) {
    const changed = { ...model, transactions: { ...model.transactions, ...transactions } };
    const size = partitionSize(2);
    const machine = new SimulatedMachine(changed, 2 * size, undefined, undefined, true);
    const pairs = bootPairs(machine, { image: 'smp', base: size, size, cores: 2, packed: 2 });
    /** Physical memory: behind it the machine has its own. */
    const memory = (): Buffer => Buffer.from(machine.words.slice(0, (2 * size) / 4).buffer);
    const enter = (core: number): boolean => machine.enterKernelElided(core, () => call(pairs[core]));
    return { machine, memory, enter };
  }

  it('is undone where it has no room, and then takes the lock', () => {
    const { machine, memory, enter } = booted({ writeLines: 2 });
    const before = memory();
    assert.equal(enter(0), false);
    assert.ok(memory().equals(before));
    assert.ok(machine.clocks[0] > abort);
    assert.deepEqual([machine.stands(0), machine.aborts, machine.entries], [false, 1, 0]);
    assert.equal(enter(0), true);
    assert.ok(!memory().equals(before));
    assert.deepEqual([machine.stands(0), machine.aborts, machine.entries], [true, 1, 1]);
    // The other's transaction waits until the lock is free.
    enter(1);
    assert.ok(machine.lockWaitingOf[1] > 0);
  });

  it('is aborted by one that uses the same lines before it has committed, and is made again', () => {
    const { machine, memory, enter } = booted({});
    const aborted: number[] = [];
    machine.aborted = (core) => aborted.push(core);
    assert.ok(enter(0));
    assert.ok(machine.stands(0));
    // Their endpoints share a line.
    assert.ok(enter(1));
    assert.deepEqual([aborted, machine.stands(0), machine.stands(1)], [[0], false, true]);
    machine.clocks[0] = machine.clocks[1];
    assert.ok(enter(0));
    assert.deepEqual([machine.stands(0), machine.aborts, machine.entries], [true, 1, 2]);

    const other = booted({});
    assert.ok(other.enter(1));
    other.machine.clocks[0] = other.machine.clocks[1];
    assert.ok(other.enter(0));
    assert.equal(other.machine.aborts, 0);
    assert.ok(memory().equals(other.memory()));
  });
});
