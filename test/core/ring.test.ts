import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RingConsumer, RingError, RingProducer } from '../../src/core/ring.js';

const LINE = 16;
const CONTROL = 4;

/** Shared memory for a ring of so many lines. */
function memory(lines: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * LINE * (CONTROL + lines)));
}

function ring(lines: number, words = memory(lines)) {
  const producer = new RingProducer(words, 0, words.length);
  const consumer = new RingConsumer(words, 0, words.length);
  const into = new Int32Array(consumer.longest);
  return {
    words,
    producer,
    consumer,
    send: (message: readonly number[], more = false) =>
      producer.send(Int32Array.from(message), message.length, more),
    receive: () => {
      const length = consumer.receive(into);
      return length < 0 ? undefined : [...into.subarray(0, length)];
    },
  };
}

/** A message of `length` words that no other number begins. */
function message(number: number, length: number): number[] {
  return Array.from({ length }, (_, word) => number * 1000 + word);
}

describe('a ring', () => {
  it('hands over messages of any length up to its longest, in order, lap after lap', () => {
    const { producer, send, receive } = ring(8);
    assert.equal(producer.longest, 8 * 15);
    const lengths = [0, 1, 14, 15, 16, 30, 31, 60, 8 * 15];
    // Far more laps than a header can count.
    for (let number = 0; number < 2000; number++) {
      const sent = message(number, lengths[number % lengths.length]);
      assert.equal(send(sent), true);
      assert.deepEqual(receive(), sent);
      assert.equal(receive(), undefined);
    }
  });

  it('hands them over from and to any arrays, also the same again, anywhere in memory', () => {
    // In whole pairs of words from where an array's memory begins, and not.
    const arrays = [0, 4].map((offset) => new Int32Array(new ArrayBuffer(256), offset, 45));
    const { producer, consumer } = ring(8);
    let number = 0;
    for (const from of [...arrays, new Uint32Array(45)]) {
      for (const into of [...arrays.map((array) => new Int32Array(array)), ...arrays]) {
        for (const length of [15, 45, 15, 14, 15, 31]) {
          const sent = message(number++, length);
          from.set(sent);
          assert(producer.send(from, length));
          into.fill(-1);
          assert.equal(consumer.receive(into), length);
          assert.deepEqual([...into], [...Int32Array.from(sent), ...into.slice(length).fill(-1)]);
        }
      }
    }
  });

  it('believes nothing that an array says of where it is', () => {
    const { producer, consumer } = ring(8);
    const from = new Int32Array(15);
    const into = new Int32Array(15);
    for (const array of [from, into])
      Object.defineProperties(array, {
        buffer: { value: new ArrayBuffer(128) },
        byteOffset: { value: 64 },
        constructor: { value: BigInt64Array },
      });
    for (let number = 0; number < 4; number++) {
      from.set(message(number, 15));
      assert(producer.send(from));
      assert.equal(consumer.receive(into), 15);
      assert.deepEqual([...into], message(number, 15));
    }
  });

  it('goes on where the counts of lines wrap', () => {
    const words = memory(8);
    for (const at of [0, 2 * LINE, 3 * LINE, 3 * LINE + 1]) words[at] = -11;
    const { send, receive } = ring(8, words);
    for (let number = 0; number < 40; number++) {
      const sent = message(number, 1 + (number % 40));
      assert.equal(send(sent), true);
      assert.deepEqual(receive(), sent);
    }
  });

  it('takes no more than there is room for, and has room again when messages were received', () => {
    const { send, receive } = ring(4);
    for (let number = 0; number < 4; number++) assert.equal(send([number]), true);
    assert.equal(send([4]), false);
    assert.equal(send(message(0, 16)), false);
    assert.deepEqual([receive(), receive()], [[0], [1]]);
    assert.equal(send(message(4, 31)), false);
    assert.equal(send(message(4, 30)), true);
    assert.deepEqual([receive(), receive(), receive(), receive()], [[2], [3], message(4, 30), undefined]);
  });

  it('publishes a message that more are to follow when a batch is full, at the next without more, or at a flush', () => {
    const { producer, send, receive } = ring(64);
    send([0]);
    send([1], true);
    assert.deepEqual([receive(), receive()], [[0], undefined]);
    send([2], true);
    send([3]);
    assert.deepEqual([receive(), receive(), receive()], [[1], [2], [3]]);
    send([4]);
    send([5], true);
    producer.flush();
    assert.deepEqual([receive(), receive()], [[4], [5]]);
    send([6]);
    for (let number = 7; number < 7 + 20; number++) send([number], true);
    const received = Array.from({ length: 21 }, receive);
    assert.deepEqual(
      received.slice(0, 17),
      Array.from({ length: 17 }, (_, n) => [6 + n]),
    );
    assert.deepEqual(received.slice(17), [undefined, undefined, undefined, undefined]);
  });

  it('publishes at once, whatever is to follow, where the consumer waits', () => {
    const { send, receive } = ring(64);
    send([0], true);
    assert.deepEqual([receive(), receive()], [[0], undefined]);
    send([1], true);
    assert.deepEqual(receive(), [1]);
  });

  it('never fills up for good: what was put off is published where there is no room', () => {
    const { send, receive } = ring(4);
    send([0]);
    for (let number = 1; number < 4; number++) assert.equal(send([number], true), true);
    assert.equal(send([4], true), false);
    assert.deepEqual([receive(), receive(), receive(), receive()], [[0], [1], [2], [3]]);
    assert.equal(send([4], true), true);
  });

  it('keeps a message that is longer than what it is to be received into', () => {
    const { consumer, send, receive } = ring(4);
    send([1, 2, 3]);
    assert.throws(() => consumer.receive(new Int32Array(2)), {
      name: 'RangeError',
      message: 'the next message has 3 words, and there is room for 2',
    });
    assert.deepEqual(receive(), [1, 2, 3]);
  });

  it('refuses lengths that no message has', () => {
    const { producer } = ring(2);
    for (const length of [31, -1, 0.5, NaN]) {
      assert.throws(() => producer.send(new Int32Array(64), length), {
        name: 'RangeError',
        message: /^a message of this ring has 0 to 30 words, not /,
      });
    }
    assert.throws(() => producer.send(new Int32Array(1), 2), RangeError);
    assert.throws(() => new RingProducer(memory(0), 0, memory(0).length), /a ring needs at least 80 words/);
  });
});

describe('a ring whose one side died', () => {
  /** Dies after each number of messages; `more` leaves some of them unpublished. */
  for (const [who, more] of [
    ['producer', false],
    ['consumer', false],
    ['consumer', true],
  ] as const) {
    it(`goes on with another ${who}: nothing is lost or doubled${more ? ', in the middle of a batch' : ''}`, () => {
      let all = ring(8);
      const received: number[][] = [];
      const sent: number[][] = [];
      for (let number = 0; number < 200; number++) {
        const next = message(number, 1 + (number % 40));
        for (; !all.send(next, more);) received.push(all.receive()!);
        sent.push(next);
        const old = all;
        all = ring(8, all.words);
        if (who === 'producer') all.receive = old.receive;
        else all.send = old.send;
        if (number % 3 === 0)
          for (let got = all.receive(); got !== undefined; got = all.receive()) received.push(got);
      }
      all.send([-1]);
      for (let got = all.receive(); got !== undefined; got = all.receive()) received.push(got);
      assert.deepEqual(received, [...sent, [-1]]);
    });
  }

  it('loses what its producer had not published', () => {
    const { words, send, receive } = ring(8);
    send([0]);
    send([1], true);
    ring(8, words).send([2]);
    assert.deepEqual([receive(), receive(), receive()], [[0], [2], undefined]);
  });

  it('knows a batch that its producer published in its last moment', () => {
    const { words, send, receive } = ring(8);
    send([0]);
    words[2 * LINE] = 0;
    ring(8, words).send([1]);
    assert.deepEqual([receive(), receive(), receive()], [[0], [1], undefined]);
  });
});

describe('a ring whose other side is hostile', () => {
  const corrupt = (error: unknown) =>
    error instanceof RingError && /^the ring is corrupt: /.test(error.message);

  it('a message that is longer than its batch is no message, however much room there is for it', () => {
    for (const [lines, length] of [
      [1, 31],
      [9, 1],
    ]) {
      const { words, consumer } = ring(8);
      words[CONTROL * LINE + LINE - 1] = (lines << 14) | length;
      for (const room of [100, 15, 0]) assert.throws(() => consumer.receive(new Int32Array(room)), corrupt);
    }
  });

  it('never loops, reads or writes out of bounds: there is a message, none, or a RingError', () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    let errors = 0;
    let messages = 0;
    for (let run = 0; run < 2000; run++) {
      // The ring lies between two pages that must stay as they are.
      const lines = 1 + random(12);
      const length = LINE * (CONTROL + lines);
      const words = new Int32Array(new SharedArrayBuffer(4 * (length + 2 * 1024)));
      const sides = () =>
        [new RingProducer(words, 1024, length), new RingConsumer(words, 1024, length)] as const;
      const into = new Int32Array(1000);
      let [producer, consumer] = sides();
      for (let step = 0; step < 40; step++) {
        const at = random(2) === 0 ? random(length) : [0, 32, 48, 49, 79, 95][random(6)] % length;
        const value = random(3) === 0 ? random(64) : random(2 ** 24) * 256 + random(256);
        words[1024 + at] = random(2) === 0 ? value : (1 + random(3)) << 14;
        try {
          const act = random(8);
          if (act === 0) [producer, consumer] = sides();
          else if (act < 4) producer.send(into, random(consumer.longest + 1), act === 1);
          else if (consumer.receive(into) >= 0) messages++;
        } catch (error) {
          if (error instanceof RingError) errors++;
          else assert(error instanceof RangeError && /the next message has/.test(error.message));
        }
      }
      assert(words.subarray(0, 1024).every((word) => word === 0));
      assert(words.subarray(1024 + length).every((word) => word === 0));
    }
    assert(errors > 0 && messages > 0);
  });

  it('tells a producer that more was given back than it sent', () => {
    const { words, send } = ring(4);
    for (let number = 0; number < 4; number++) send([number]);
    words[0] = 5;
    assert.throws(() => send([4]), corrupt);
  });

  it('tells a consumer of a message beyond its batch, and of a batch beyond the ring', () => {
    for (const header of [(1 << 14) | 16, 5 << 14]) {
      const { words, receive } = ring(4);
      words[CONTROL * LINE + 15] = header;
      assert.throws(receive, corrupt);
      assert.throws(receive, corrupt);
    }
  });
});
