/** The recorder of a core's trace, where its room is used up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Recorded, TraceRecorder, traceMemory, traceOf } from '../../src/core/trace/recorder.js';

describe('a recorder of bounded size', () => {
  it('leaves out what has no room, counts it, and still ends what has begun', () => {
    const memory = traceMemory(6);
    let time = 0;
    const recorder = new TraceRecorder(memory, () => time++);
    recorder.begin(Recorded.Kernel, 9, 9);
    recorder.end();
    recorder.start();
    for (let depth = 0; depth < 5; depth++) recorder.begin(Recorded.Kernel, depth, 0);
    recorder.note(Recorded.Interrupted, 0, 1);
    for (let depth = 0; depth < 5; depth++) recorder.end();
    recorder.begin(Recorded.Kernel, 5, 0);
    recorder.end();
    const { records, dropped } = traceOf(memory);
    assert.deepEqual(
      [...records].map(({ kind, a }) => [kind, a]),
      [
        [Recorded.Start, 0],
        [Recorded.Kernel, 0],
        [Recorded.Kernel, 1],
        [Recorded.End, 0],
        [Recorded.End, 0],
      ],
    );
    // Three that began while two were open, the interrupt, and the last.
    assert.equal(dropped, 5);
  });

  it('goes on where an earlier thread of the core ended', () => {
    const memory = traceMemory(10);
    const first = new TraceRecorder(memory, () => 1);
    first.start();
    first.begin(Recorded.Thread, 7, 0);
    const second = new TraceRecorder(memory, () => 2);
    second.start();
    second.note(Recorded.Interrupted, 1, 2);
    assert.deepEqual(
      [...traceOf(memory).records].map(({ kind, time }) => [kind, time]),
      [
        [Recorded.Start, 1],
        [Recorded.Thread, 1],
        [Recorded.Start, 2],
        [Recorded.Interrupted, 2],
      ],
    );
  });
});
