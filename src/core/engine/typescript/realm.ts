/**
 * The realm: the JavaScript intrinsics that all compartments of one core's worker thread share.
 *
 * Lockdown makes them immutable and takes the powers from them. Physical memory needs more. A typed array over a
 * region is a view of the machine's one SharedArrayBuffer, and in JavaScript a view leads to its buffer by two ways
 * only: the `buffer` accessors of typed arrays and of DataView, and `subarray`, which hands the buffer to the
 * constructor that the array's species names. (`slice`, `map` and `filter` hand a length to theirs; a typed array
 * made from another copies it.) Both are closed here for shared memory, and stay as they were for a program's own
 * memory. `byteOffset` stays: an address is no authority.
 */
import { createRequire } from 'node:module';
import { makePrototypesFast, restoreFreeze } from './freeze.js';

// Loaded by `require`, `ses` is one file; imported it is a hundred modules, which would cost each core 80 ms at boot.
createRequire(import.meta.url)('ses');

/**
 * Hardens this thread's realm, for good. Call it once, when all code of the thread's own that still changes an
 * intrinsic has been loaded, and before the first program is evaluated.
 *
 * What changes for the host's code in this thread: the intrinsics are frozen; `buffer` and `subarray` throw on views
 * of shared memory; `error.stack` is empty (`stackOf` has it); `Array.fromAsync` is gone. Atomics, WebAssembly,
 * messages and clocks are as before.
 */
export function hardenRealm(): void {
  restoreFreeze();
  closeSharedMemory();
  // A promise that no asynchronous function made.
  Reflect.deleteProperty(Array, 'fromAsync');
  lockdown({
    // A stack names the functions and files of whoever called: other domains, and the host.
    errorTaming: 'safe',
    stackFiltering: 'verbose',
    errorTrapping: 'none',
    unhandledRejectionTrapping: 'none',
    consoleTaming: 'unsafe',
    reporting: 'none',
  });
  makePrototypesFast();
}

/**
 * The frames of an error made in this thread, one to a line, each after two blanks and `at`. Reads `error.stack`,
 * so the caller makes sure that this is a native error's own.
 */
export function stackOf(error: Error): string {
  const { getStackString } = globalThis as unknown as { getStackString?: (error: Error) => string };
  return getStackString?.(error).replace(/^\n/, '') ?? '';
}

function closeSharedMemory(): void {
  const TypedArray = Object.getPrototypeOf(Uint8Array) as { readonly prototype: object };
  const privateBuffer = closeBuffer(TypedArray.prototype);
  closeBuffer(DataView.prototype);
  const subarray = Reflect.get(TypedArray.prototype, 'subarray') as (...bounds: unknown[]) => unknown;
  const closed = {
    subarray(this: unknown, ...bounds: unknown[]): unknown {
      Reflect.apply(privateBuffer, this, []);
      return Reflect.apply(subarray, this, bounds);
    },
  };
  Object.defineProperty(TypedArray.prototype, 'subarray', { value: closed.subarray });
}

/**
 * Replaces the accessor `buffer` of `prototype` by one that yields ordinary buffers alone, and returns that.
 * It must fail closed: a program can call it with next to no stack left, so that any call in it throws.
 */
function closeBuffer(prototype: object): () => ArrayBuffer {
  const { getPrototypeOf, getOwnPropertyDescriptor } = Object;
  const { apply } = Reflect;
  const ordinary = ArrayBuffer.prototype;
  const buffer = getOwnPropertyDescriptor(prototype, 'buffer')!.get!;
  const closed = {
    get buffer(): ArrayBuffer {
      const found = apply(buffer, this, []) as ArrayBuffer;
      if (getPrototypeOf(found) !== ordinary) throw new TypeError('a region does not lead to its memory');
      return found;
    },
  };
  const get = getOwnPropertyDescriptor(closed, 'buffer')!.get as () => ArrayBuffer;
  Object.defineProperty(prototype, 'buffer', { get });
  return get;
}
