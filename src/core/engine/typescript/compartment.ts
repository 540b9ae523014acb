/**
 * Compartments: each instance of a program is evaluated in one of its own, in a realm that `hardenRealm` hardened.
 *
 * A compartment's global object holds the hardened intrinsics that have no power, and nothing of the host. It is
 * frozen before the program sees it, for two reasons: nothing that the program does later changes what a name means,
 * and SES binds immutable globals as constants, so that a free name such as `Math` costs nothing in a hot loop (it
 * would cost some 100 ns as a lookup through `with`).
 */
import { isNativeError, isProxy } from 'node:util/types';
import type { Program, ProgramFactory } from '../../../program.js';
import type { Bundle } from './bundle.js';
import { ProgramError } from './program-error.js';
import { stackOf } from './realm.js';

/**
 * Intrinsics that SES gives and a program does not get: evaluators and compartments, by which source would come in
 * that no bundler saw; promises, whose jobs would run outside of any handler; and Node's own encoders, which lead to
 * objects of Node.
 */
const WITHHELD = ['eval', 'Function', 'Compartment', 'lockdown', 'Promise', 'TextEncoder', 'TextDecoder'];

/**
 * The operations of Atomics that end at once and concern nobody else. `wait` would stop the core; `notify` could wake
 * only the host's own waiters.
 */
const ATOMIC = [
  'add',
  'and',
  'compareExchange',
  'exchange',
  'isLockFree',
  'load',
  'or',
  'store',
  'sub',
  'xor',
];

/**
 * Evaluates a program's module in a new compartment.
 * @returns its default export, and so a program's instance: evaluate again for a fresh one.
 * @throws ProgramError when the module throws, or its default export is no function.
 */
export function evaluateProgram(bundle: Bundle): ProgramFactory {
  const compartment = new Compartment();
  const globals = compartment.globalThis;
  for (const name of WITHHELD) Reflect.deleteProperty(globals, name);
  Object.freeze(Object.assign(globals, endowments()));
  let factory: unknown;
  try {
    // Names that look like calls of eval are all right: there is none.
    factory = compartment.evaluate(bundle.code, { __rejectSomeDirectEvalExpressions__: false });
  } catch (thrown) {
    throw new ProgramError(`loading the program failed: ${describeThrown(thrown)}`);
  }
  if (typeof factory !== 'function') {
    throw new ProgramError('missing entry point: the default export is not a function');
  }
  return factory as ProgramFactory;
}

/** What a program may have besides, made once a thread. Floats are safe, SES leaves them out for what a NaN can hide. */
const endowments = once(() =>
  harden({
    Atomics: Object.fromEntries(ATOMIC.map((name) => [name, Reflect.get(Atomics, name) as unknown])),
    Float32Array,
    Float64Array,
  }),
);

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** A program's entry points, read once and bound to the object that held them. */
export interface EntryPoints {
  readonly init: Program['init'];
  readonly notified: Program['notified'] | undefined;
  readonly protected: Program['protected'] | undefined;
  readonly fault: Program['fault'] | undefined;
}

/**
 * Reads the entry points of what a program's factory returned. Runs code of the program where that is made of
 * getters or proxies, so call it as a handler is called; afterwards nothing of it is read again.
 * @throws ProgramError where `init` is missing or one of the four is no function.
 */
export function checkProgram(entries: unknown): EntryPoints {
  if (typeof entries !== 'object' || entries === null) {
    throw new ProgramError("missing entry point 'init': the program made no object");
  }
  const read = (name: keyof Program): unknown => {
    let entry: unknown;
    try {
      entry = Reflect.get(entries, name);
      if (typeof entry === 'function') return Reflect.apply(Function.prototype.bind, entry, [entries]);
    } catch (thrown) {
      throw new ProgramError(`entry point '${name}' cannot be read: ${describeThrown(thrown)}`);
    }
    if (entry !== undefined) throw new ProgramError(`entry point '${name}' is not a function`);
    if (name === 'init') throw new ProgramError("missing entry point 'init'");
    return undefined;
  };
  return Object.freeze({
    init: read('init'),
    notified: read('notified'),
    protected: read('protected'),
    fault: read('fault'),
  }) as EntryPoints;
}

/** The most characters that `describeThrown` returns. */
const LONGEST_DESCRIPTION = 1000;

/** The most stack frames of a program that `describeThrown` names. */
const MOST_FRAMES = 5;

/**
 * What a program threw, in words: an error's name, its message, and the program's frames above the handler, each on a
 * line of its own as `at function (file:line:column)`, with line and column in the bundle's code
 * (`originalPositions` translates them). At most 1,000 characters. Never throws, and runs no code of the program:
 * no getter, no proxy, no `toString`.
 */
export function describeThrown(thrown: unknown): string {
  try {
    return describe(thrown).slice(0, LONGEST_DESCRIPTION);
  } catch {
    return 'a value that cannot be shown';
  }
}

function describe(thrown: unknown): string {
  if (typeof thrown === 'function') return 'a function';
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  if (isProxy(thrown)) return 'a proxy';
  if (!isNativeError(thrown)) return 'an object that is not an Error';
  const message = ownString(thrown, 'message');
  const title = message
    ? `${errorName(thrown)}: ${message.slice(0, LONGEST_DESCRIPTION)}`
    : errorName(thrown);
  return [title, ...frames(thrown)].join('\n');
}

const intrinsicErrors: ReadonlyMap<object, string> = new Map(
  [Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(
    ({ prototype, name }) => [prototype as object, name],
  ),
);

function errorName(error: Error): string {
  for (let at: object | null = error; at && !isProxy(at); at = Object.getPrototypeOf(at) as object | null) {
    const name = intrinsicErrors.get(at) ?? ownString(at, 'name');
    if (name !== undefined) return name.slice(0, LONGEST_DESCRIPTION);
  }
  return 'Error';
}

function ownString(object: object, key: string): string | undefined {
  const value: unknown = Object.getOwnPropertyDescriptor(object, key)?.value;
  return typeof value === 'string' ? value : undefined;
}

/** The accessor of `stack` where the engine makes it one; undefined where it is a data property. */
const nativeStack = Object.getOwnPropertyDescriptor(new Error(), 'stack')?.get;

/** The frames of the program that threw: those below are its caller's, which are no business of its user's. */
function frames(error: Error): string[] {
  const stack = Object.getOwnPropertyDescriptor(error, 'stack');
  if (stack === undefined || stack.get !== nativeStack) return [];
  const lines = stackOf(error).split('\n');
  const isHost = (line: string) => /\b(?:file|node):/.test(line);
  const start = lines.findIndex((line) => line !== '' && !isHost(line));
  if (start < 0) return [];
  const end = lines.findIndex((line, index) => index > start && isHost(line));
  return lines.slice(start, end < 0 ? undefined : end).slice(0, MOST_FRAMES);
}
