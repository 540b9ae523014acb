/** Hardware transactions: undone without a trace, in each other's way where they use the same lines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { preset } from '../../../src/machine/simulated/presets.js';
import { Transactions } from '../../../src/machine/simulated/transaction.js';

describe('a transaction', () => {
  const { transactions: costs } = preset('intel-server');
  const memory = new Int32Array(64 * 1024);

  function world(uses: readonly { line: number; write: boolean; at: number }[][]) {
    const all = new Transactions(uses.length, memory.length / 16, costs);
    uses.forEach((accesses, core) => {
      all.of[core].begin();
      for (const { line, write, at } of accesses) all.of[core].note(line, write, at, memory);
      all.of[core].end = 100;
      if (core < uses.length - 1) all.add(core);
    });
    return all;
  }

  it('leaves memory as it was when it is rolled back', () => {
    const all = world([[]]);
    memory.fill(7, 0, 200);
    for (const line of [0, 3, 0]) all.of[0].note(line, true, 1, memory);
    memory.fill(9, 0, 16).fill(9, 48, 64);
    all.of[0].rollBack(memory);
    assert.deepEqual([...new Set(memory.subarray(0, 200))], [7]);
  });

  it('is in the way of one that writes what it reads or writes, from the first access to its end', () => {
    const reader = [{ line: 1, write: false, at: 10 }];
    const writer = [{ line: 1, write: true, at: 10 }];
    const conflicts = (first: typeof reader, [{ line, write, at }]: typeof reader): [number, number][] =>
      world([first, []])
        .conflicts(1, line, write, at)
        .map((conflict) => [conflict.core, conflict.at]);
    assert.deepEqual(conflicts(reader, reader), []);
    assert.deepEqual(conflicts(reader, writer), [[0, 10]]);
    assert.deepEqual(conflicts(writer, reader), [[0, 10]]);
    assert.deepEqual(conflicts(writer, writer), [[0, 10]]);
    assert.deepEqual(conflicts(writer, [{ line: 2, write: true, at: 10 }]), []);
    assert.deepEqual(conflicts(writer, [{ line: 1, write: true, at: 100 }]), []);
  });

  it('takes with it, last first, those that have used since what it had written', () => {
    const all = world([
      [
        { line: 1, write: true, at: 10 },
        { line: 2, write: true, at: 20 },
      ],
      [{ line: 2, write: true, at: 110 }],
      [{ line: 3, write: true, at: 110 }],
      [],
    ]);
    all.of[1].end = 200;
    all.of[2].end = 200;
    assert.deepEqual(all.conflicts(3, 1, false, 90), [
      { core: 1, at: 90 },
      { core: 0, at: 90 },
    ]);
  });

  it('undoes and notes more lines than fit where a kernel entry has room', () => {
    const all = world([[]]);
    memory.fill(7);
    for (let line = 0; line < 300; line++) all.of[0].note(line, true, line, memory);
    for (let line = 0; line < 300; line++) all.of[0].note(line, true, 1000, memory);
    assert.equal(all.of[0].writes.size, 300);
    assert.ok(all.of[0].writes.has(7) && all.of[0].writes.has(299) && !all.of[0].writes.has(300));
    assert.equal(all.of[0].writes.time(299), 299);
    memory.fill(9, 0, 300 * 16);
    all.of[0].rollBack(memory);
    assert.ok(memory.every((word) => word === 7));
  });

  it('has room for so many lines', () => {
    const all = world([[]]);
    for (let line = 0; line < costs.writeLines; line++) all.of[0].note(line, true, 1, memory);
    assert.ok(!all.of[0].overflowed);
    all.of[0].note(costs.writeLines, true, 1, memory);
    assert.ok(all.of[0].overflowed);
  });
});
