/** Rings, as a program gets them: functions over its end of the ring, which is kept out of its reach. */
import type { Ring } from '../../../program.js';
import type { SharedAccess } from '../../core.js';
import type { Words } from '../../ring.js';
import { typedArrayAccessor } from '../../typed-array.js';

/** Which end of a ring a domain has. */
export type RingSide = 'producer' | 'consumer';

/** The kind of a typed array; undefined for whatever else a program may have made. */
const kindOf = typedArrayAccessor<string | undefined>(Symbol.toStringTag);

/**
 * A program can stop and start again over the same end: the ring goes on where it stood.
 * @param name what errors call it: domain and symbol. @param length bytes.
 */
export function programRing(
  name: string,
  memory: SharedArrayBuffer,
  address: number,
  length: number,
  side: RingSide,
  access: SharedAccess,
): Ring {
  const words = new Int32Array(memory, address, length / 4);
  if (side === 'producer') {
    const producer = access.producer(words, 0, words.length);
    return harden({
      longest: producer.longest,
      send: (message: Words, count?: number, more?: boolean) => {
        checkWords(message);
        return producer.send(message, count, more === true);
      },
      flush: () => producer.flush(),
      receive: wrongSide(name, 'producer: it sends'),
    });
  }
  const consumer = access.consumer(words, 0, words.length);
  const send = wrongSide(name, 'consumer: it receives');
  return harden({
    longest: consumer.longest,
    send,
    flush: send,
    receive: (into: Words) => {
      checkWords(into);
      return consumer.receive(into);
    },
  });
}

function checkWords(array: unknown): void {
  const kind = kindOf(array);
  if (kind !== 'Int32Array' && kind !== 'Uint32Array') {
    throw new TypeError('a message is an Int32Array or a Uint32Array');
  }
}

function wrongSide(name: string, role: string): () => never {
  return () => {
    throw new TypeError(`${name} is the ring's ${role}`);
  };
}
