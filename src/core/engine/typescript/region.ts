/**
 * Views of memory regions, as a program gets them.
 *
 * A region lies in the machine's one physical memory, so what is handed out here must never lead to that memory's
 * buffer. For typed arrays the realm sees to it (`realm.ts`). A read-only view is no typed array at all: it is a
 * proxy whose frozen target holds the few functions that the view offers, and the typed array behind it is never
 * handed to anybody. What it costs: an index makes V8 turn the number into a string, some 100 ns a read; iteration
 * costs some 4 ns an element, so a program in a hurry iterates, or reads from a `slice()`.
 */
import type { RegionArray, RegionArrayConstructor } from '../../../program.js';

/** A program names the constructor, and only these may be given the memory. */
const constructors: ReadonlySet<unknown> = new Set([
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]);

/**
 * The `length` bytes at `offset` of `memory`, as elements of `constructor`.
 * With `writable` the typed array itself. Else a view that can be indexed, iterated, and copied with `slice()`, has
 * `length`, `byteLength` and `at`, and throws a TypeError on any write.
 * @throws TypeError unless `constructor` is one of the ten constructors of {@link RegionArray}.
 * @throws RangeError where offset or length is not a multiple of the element's size, or the memory ends before.
 */
export function regionView<T extends RegionArray>(
  memory: SharedArrayBuffer,
  offset: number,
  length: number,
  constructor: RegionArrayConstructor<T>,
  writable: boolean,
): T {
  if (!constructors.has(constructor)) throw new TypeError('a region is seen through a typed array only');
  const { BYTES_PER_ELEMENT: size, name } = constructor;
  if (offset % size !== 0 || length % size !== 0) {
    throw new RangeError(`${name} needs a region whose address and size are multiples of ${size}`);
  }
  const make = constructor as unknown as new (memory: SharedArrayBuffer, offset: number, count: number) => T;
  const array = new make(memory, offset, length / size);
  return writable ? array : (new Proxy(surface(array), new ReadOnly(array)) as unknown as T);
}

/** All that a read-only view shows besides its elements. */
function surface(array: RegionArray): object {
  const values = () => array.values();
  const functions = {
    values,
    [Symbol.iterator]: values,
    at: (index: number) => array.at(index),
    slice: (start?: number, end?: number) => array.slice(start, end),
  };
  for (const key of Reflect.ownKeys(functions)) Object.freeze(functions[key as keyof typeof functions]);
  const { length, byteLength, BYTES_PER_ELEMENT } = array;
  return Object.freeze({ __proto__: null, length, byteLength, BYTES_PER_ELEMENT, ...functions });
}

const refuse = (): never => {
  throw new TypeError('the region is mapped without write permission');
};

/** No other key may reach the array, whose prototype it would find. */
function isIndex(key: string | symbol): boolean {
  return typeof key === 'string' && Number(key) >= 0 && String(Number(key)) === key;
}

/** Elements are read from the array; all other reads fall to the target, and every write is refused. */
class ReadOnly implements ProxyHandler<object> {
  readonly #array: RegionArray;

  constructor(array: RegionArray) {
    this.#array = array;
  }

  get(target: object, key: string | symbol): unknown {
    return isIndex(key) ? this.#array[Number(key)] : Reflect.get(target, key);
  }

  has(target: object, key: string | symbol): boolean {
    return isIndex(key) ? Number(key) in this.#array : Reflect.has(target, key);
  }

  set = refuse;
  defineProperty = refuse;
  deleteProperty = refuse;
  setPrototypeOf = refuse;
}
