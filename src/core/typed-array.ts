/**
 * The accessors of typed arrays themselves, as they are before a realm is hardened: a program's array may have properties of
 * these names that lie. What they return of an array's memory must not get into a program's hands.
 */
const TypedArray = Object.getPrototypeOf(Uint8Array) as { readonly prototype: object };

/** The accessor `key` of all typed arrays, as a function of the array. */
export function typedArrayAccessor<T>(key: string | symbol): (array: unknown) => T {
  const { get } = Object.getOwnPropertyDescriptor(TypedArray.prototype, key) as {
    readonly get: () => unknown;
  };
  return Function.prototype.call.bind(get) as (array: unknown) => T;
}
