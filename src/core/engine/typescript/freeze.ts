/**
 * How `ses` freezes the prototypes of arrays. To be imported before `ses`, which takes `Object.freeze` as it finds it.
 *
 * V8 marks the elements of an object frozen by `Object.freeze`, and treats each store to an element of whatever
 * inherits from such an object as one that might meet a read-only element: 50 ns in place of 1 ns for
 * `typedArray[i] = x`, in programs and engine alike (`bench/` shows it: take this file's import away). An object that
 * is made non-extensible, with all properties read-only and fixed, is as frozen by every rule of the language, and
 * V8 does not mark it.
 */
const freeze = Object.freeze;
const { preventExtensions, defineProperty, getOwnPropertyDescriptor } = Object;
const { ownKeys } = Reflect;

const TypedArray = Object.getPrototypeOf(Uint8Array) as { readonly prototype: object };
const prototypes = new Set<unknown>([Object.prototype, Array.prototype, TypedArray.prototype]);
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const { value } = getOwnPropertyDescriptor(globalThis, name) as { value?: unknown };
  if (typeof value === 'function' && Object.getPrototypeOf(value) === TypedArray)
    prototypes.add(value.prototype);
}

function freezeWithoutMark<T extends object>(object: T): T {
  preventExtensions(object);
  for (const key of ownKeys(object)) {
    const isValue = 'value' in getOwnPropertyDescriptor(object, key)!;
    defineProperty(object, key, isValue ? { configurable: false, writable: false } : { configurable: false });
  }
  return object;
}

Object.freeze = (object: unknown) =>
  prototypes.has(object) ? freezeWithoutMark(object as object) : freeze(object);

/**
 * Makes frozen prototypes quick to look things up in. To redefine a property turns its object into a dictionary, and
 * then what arrays inherit is looked up anew at each use: `typedArray.length` took 15 ns, `array.push` 30 ns. V8 lays a
 * dictionary out anew when it becomes the prototype of another object.
 */
export function makePrototypesFast(): void {
  for (const prototype of prototypes) Object.create(prototype as object);
}

/** Gives `Object.freeze` back, once `ses` has been loaded. */
export function restoreFreeze(): void {
  Object.freeze = freeze;
}
