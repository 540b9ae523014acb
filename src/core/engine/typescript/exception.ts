/** Why a domain faulted: the `number` of its user exception, whose `code` is 0. */
export enum Exception {
  /** A handler threw; what it threw has been written to the console. */
  Thrown = 1,
  /** The same, where it was that the cluster of a server has failed. */
  PeerFailed = 2,
  /** The same, where it was that a server on another cluster was restarted in the middle of a call. */
  GivenUp = 3,
}

/** Errors that say so: with the engine, as an error of a class of ours would lead programs to that class. */
const exceptions = new WeakMap<Error, Exception>();

/** Throws what a program may catch, and what is a fault with that number where it does not. */
export function throwException(exception: Exception, message: string): never {
  const error = new Error(message);
  exceptions.set(error, exception);
  throw error;
}

export function exceptionOf(thrown: unknown): Exception {
  return (thrown instanceof Error ? exceptions.get(thrown) : undefined) ?? Exception.Thrown;
}
