/** Rings under all interleavings of producer and consumer (explorer.ts), on the code itself. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RingConsumer, RingProducer } from '../../src/core/ring.js';
import { Explorer, Violation, type Explored, type Options, type Thread } from './explorer.js';

const LINE = 16;
const CONTROL = 4;

interface Sending {
  readonly length: number;
  readonly more: boolean;
}

interface Case {
  readonly lines: number;
  readonly messages: readonly Sending[];
  readonly options?: Options;
  /** What is broken before it is explored. */
  readonly sabotage?: (producer: RingProducer, consumer: RingConsumer, words: Int32Array) => void;
  readonly dies?: 'producer' | 'consumer';
}

/** Message n has words that begin with n + 1. */
function explore({ lines, messages, options = {}, sabotage, dies }: Case): Explored {
  const length = LINE * (CONTROL + lines);
  const explorer = new Explorer(length);
  const { words } = explorer;
  return explorer.explore((): readonly Thread[] => {
    const producer = new RingProducer(words, 0, length);
    const consumer = new RingConsumer(words, 0, length);
    sabotage?.(producer, consumer, words);
    const sending = { next: 0, deaths: 0 };
    const receiving = { next: 0, deaths: 0, unsure: dies === 'producer' ? 1 : 0 };
    const into = new Int32Array(consumer.longest);
    const send: Thread = {
      objects: [producer, sending],
      step: () => {
        if (sending.next === messages.length) {
          producer.flush();
          return true;
        }
        const { length, more } = messages[sending.next];
        const message = Int32Array.from({ length }, (_, word) => sending.next + 1 + word);
        if (producer.send(message, length, more)) sending.next++;
        return false;
      },
      rebirth:
        dies !== 'producer'
          ? undefined
          : () => {
              if (sending.deaths === 1 || sending.next >= messages.length - 1) return false;
              sending.deaths++;
              // Nobody knows whether it was sent.
              sending.next++;
              Object.assign(producer, new RingProducer(words, 0, length));
              return true;
            },
    };
    const receive: Thread = {
      objects: [consumer, receiving],
      step: () => {
        const length = consumer.receive(into);
        if (length >= 0) {
          // Of the message that was being sent, or received, when an end died, nobody knows.
          while (into[0] !== receiving.next + 1 && receiving.unsure > 0) {
            receiving.unsure--;
            receiving.next++;
          }
          assert.equal(length, messages[receiving.next]?.length, `message ${receiving.next} is another`);
          for (let word = 0; word < length; word++)
            assert.equal(into[word], receiving.next + 1 + word, 'garbled');
          receiving.next++;
        }
        return receiving.next === messages.length;
      },
      rebirth:
        dies !== 'consumer'
          ? undefined
          : () => {
              if (receiving.deaths === 1 || receiving.next >= messages.length - 1) return false;
              receiving.deaths++;
              receiving.unsure++;
              Object.assign(consumer, new RingConsumer(words, 0, length));
              return true;
            },
    };
    return [send, receive];
  }, options);
}

const line = (more: boolean): Sending => ({ length: 1, more });
const long = (more: boolean): Sending => ({ length: 31, more });

describe('a ring, in all interleavings', () => {
  for (const [what, lines, messages] of [
    ['of messages one by one', 2, Array<Sending>(7).fill(line(false))],
    ['of batches', 8, Array<Sending>(10).fill(line(true))],
    ['of batches and single messages', 8, Array.from({ length: 9 }, (_, n) => line(n % 3 !== 0))],
    ['of long messages', 4, [long(false), line(false), long(false), long(false), line(false)]],
    [
      'of long messages in batches',
      4,
      [line(true), long(true), line(true), long(true), line(true), line(true)],
    ],
    ['of a ring of one line', 1, Array<Sending>(4).fill(line(true))],
  ] as const) {
    it(`${what}: loses, doubles, reorders and garbles nothing, and has no data race`, (t) => {
      const { states, finals } = explore({ lines, messages });
      assert(states > 40 && finals > 0, `${states} states, ${finals} ends`);
      t.diagnostic(`${states} states`);
    });
  }
});

describe('a ring whose one end dies at any access, and comes back, in all interleavings', () => {
  for (const dies of ['producer', 'consumer'] as const) {
    for (const [what, messages] of [
      ['single messages', Array<Sending>(4).fill(line(false))],
      ['long messages', [{ length: 16, more: false }, line(false), { length: 16, more: false }]],
      ...(dies === 'consumer' ? ([['batches', Array<Sending>(4).fill(line(true))]] as const) : []),
    ] as const) {
      it(`the ${dies}, with ${what}: at most the message that it was at is lost, and none doubled`, (t) => {
        const { states } = explore({ lines: 4, messages, dies, options: { everyAccess: true } });
        assert(states > 1000, `${states} states`);
        t.diagnostic(`${states} states`);
      });
    }
  }
});

describe('the explorer finds', () => {
  const messages = Array<Sending>(4).fill(line(true));
  const find = (lines: number, sabotage: Case['sabotage'], message: RegExp) =>
    assert.throws(
      () => explore({ lines, messages, sabotage: sabotage! }),
      (error) => {
        assert(error instanceof Violation);
        assert.match(error.message, message);
        return true;
      },
    );

  it('a header that is published before its message is written', () => {
    find(
      4,
      (producer, _, words) => {
        const send = producer.send.bind(producer);
        producer.send = (message, length, more) => {
          const place = (producer as unknown as { place(count: number): number; written: number }).place(
            (producer as unknown as { written: number }).written,
          );
          Atomics.store(words, place + 15, (1 << 14) | 1);
          return send(message, length, more);
        };
      },
      /data race|garbled/,
    );
  });

  it('a header that is stored like any other word', () => {
    find(
      4,
      (producer) => {
        producer.flush = function (
          this: Record<string, number> & { words: Int32Array; place(n: number): number },
        ) {
          const lines = this.written - this.published;
          if (lines === 0) return;
          this.words[this.place(this.published) + 15] = (lines << 14) | this.firstLength;
          this.published = this.written;
        };
      },
      /data race/,
    );
  });

  it('lines that are written again before they were given back', () => {
    find(
      2,
      (producer) => ((producer as unknown as { room(): number }).room = () => 1),
      /data race|RingError|corrupt|another|garbled/,
    );
  });

  it('a batch that is never published', () => {
    find(4, (producer) => (producer.flush = () => undefined), /can never end/);
  });

  it('lines that are never given back', () => {
    find(
      2,
      (_, consumer) => {
        const fields = consumer as unknown as { giveBack(): void; givenBack: number; taken: number };
        fields.giveBack = () => {
          fields.givenBack = fields.taken;
        };
      },
      /can never end/,
    );
  });
});
