import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bundle } from '../../src/core/engine/typescript/bundle.js';
import {
  checkProgram,
  describeThrown,
  evaluateProgram,
} from '../../src/core/engine/typescript/compartment.js';
import { ProgramError } from '../../src/core/engine/typescript/program-error.js';
import { hardenRealm } from '../../src/core/engine/typescript/realm.js';

// For this whole file's process, as in a core's worker thread.
hardenRealm();

const bundle = (expression: string): Bundle => ({
  file: 'program.ts',
  code: `(()=>{return ${expression}})()\n//# sourceURL=program.ts`,
  map: '{}',
});
const evaluate = (expression: string) =>
  evaluateProgram(bundle(expression)) as unknown as (pd: unknown) => unknown;

/** What a program throws. */
function thrownBy(statements: string): unknown {
  try {
    evaluate(`(pd) => { ${statements} }`)({});
  } catch (thrown) {
    return thrown;
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' });
}

test('each evaluation is an instance of its own', () => {
  const counter = 'let count = 0; return () => ++count';
  const code = { file: 'counter.ts', code: `(()=>{${counter}})()`, map: '{}' };
  const [first, second] = [evaluateProgram(code), evaluateProgram(code)] as unknown as (() => number)[];
  assert.equal(first(), 1);
  assert.equal(first(), 2);
  assert.equal(second(), 1);
});

test('a program has the intrinsics, atomics and floats, and nothing of the host', () => {
  const types = evaluate(
    '() => [typeof Map, typeof Atomics.add, typeof Float64Array, typeof process, typeof Promise]',
  );
  assert.deepEqual(types({}), ['function', 'function', 'function', 'undefined', 'undefined']);
});

test('a module that throws, and a default export that is no function, are named', () => {
  assert.throws(() => evaluate('(() => { throw new RangeError("too big") })()'), {
    name: 'ProgramError',
    message: /^loading the program failed: RangeError: too big\n/,
  });
  assert.throws(() => evaluate('({ init() {} })'), { name: 'ProgramError', message: /missing entry point/ });
});

test('entry points are read once and keep their object', () => {
  let reads = 0;
  const entries = checkProgram({
    value: 5,
    get init() {
      reads++;
      return function (this: { value: number }) {
        return this.value;
      };
    },
  });
  assert.equal(entries.init(), 5);
  assert.equal(entries.init(), 5);
  assert.equal(reads, 1);
  assert.equal(entries.notified, undefined);
});

test('a program without init, or with an entry point that is no function, is refused', () => {
  assert.throws(() => checkProgram({}), { name: 'ProgramError', message: "missing entry point 'init'" });
  assert.throws(() => checkProgram(undefined), {
    name: 'ProgramError',
    message: /^missing entry point 'init'/,
  });
  assert.throws(() => checkProgram({ init() {}, notified: 3 }), {
    name: 'ProgramError',
    message: "entry point 'notified' is not a function",
  });
});

test('hostile entry points end in a ProgramError', () => {
  for (const hostile of [
    '({ get init() { throw new Proxy({}, { get() { throw 1 } }) } })',
    '(new Proxy({}, { get() { throw new Error("no") } }))',
    '({ init: new Proxy(() => {}, { get() { throw 1 }, getOwnPropertyDescriptor() { throw 2 } }) })',
  ]) {
    assert.throws(() => checkProgram(evaluate(`() => ${hostile}`)({})), ProgramError, hostile);
  }
});

test('an error is told with its name, message and place in the program, and none of the host', () => {
  const text = describeThrown(thrownBy('const inner = () => null.x; inner();'));
  assert.match(
    text,
    /^TypeError: Cannot read properties of null \(reading 'x'\)\n +at inner \(program\.ts:1:\d+\)/,
  );
  assert.doesNotMatch(text, /file:|node:/);
  assert.match(
    describeThrown(thrownBy('class Mine extends Error { name = "Mine" } throw new Mine("x")')),
    /^Mine: x\n/,
  );
});

test('an error of the host is placed where the program called', () => {
  const factory = evaluate('(pd) => pd.fails()');
  const fails = harden(() => {
    throw new RangeError('no such channel');
  });
  try {
    factory({ fails });
    assert.fail();
  } catch (thrown) {
    assert.match(describeThrown(thrown), /^RangeError: no such channel\n +at .*program\.ts:1:\d+/);
  }
});

test('what is no error is told too', () => {
  const told: Record<string, string> = {
    'throw "text"': 'text',
    'throw undefined': 'undefined',
    'throw 3n': '3',
    'throw Symbol("s")': 'Symbol(s)',
    'throw { message: "m" }': 'an object that is not an Error',
    'throw () => {}': 'a function',
    'throw new Proxy(new Error("m"), {})': 'a proxy',
  };
  for (const [statement, text] of Object.entries(told))
    assert.equal(describeThrown(thrownBy(statement)), text);
});

test('telling what was thrown runs no code of the program and never takes more than 1,000 characters', () => {
  const trap = 'new Proxy({}, new Proxy({}, { get() { pd.ran.push("trap"); } }))';
  const ran: string[] = [];
  for (const hostile of [
    'const e = new Error("m"); Object.defineProperty(e, "message", { get() { pd.ran.push("message"); } }); throw e',
    'const e = new Error("m"); Object.defineProperty(e, "name", { get() { pd.ran.push("name"); } }); throw e',
    'const e = new Error("m"); Object.defineProperty(e, "stack", { get() { pd.ran.push("stack"); } }); throw e',
    'const e = new Error("m"); delete e.stack; Object.setPrototypeOf(e, { get stack() { pd.ran.push("stack"); } }); throw e',
    'const e = new Error("m"); e.toString = () => pd.ran.push("toString"); throw e',
    'throw { toString() { pd.ran.push("toString"); }, [Symbol.toPrimitive]() { pd.ran.push("toPrimitive"); } }',
    `throw ${trap}`,
    `throw Object.setPrototypeOf(new Error("m"), ${trap})`,
    `const e = new Error("m"); e.message = ${trap}; e.name = ${trap}; throw e`,
    'throw new Error("m".repeat(1e6))',
    'throw "m".repeat(1e6)',
    'const f = () => f(); f()',
  ]) {
    let thrown: unknown;
    try {
      evaluate(`(pd) => { ${hostile} }`)({ ran });
    } catch (value) {
      thrown = value;
    }
    const text = describeThrown(thrown);
    assert.equal(typeof text, 'string', hostile);
    assert.ok(text.length > 0 && text.length <= 1000, hostile);
  }
  assert.deepEqual(ran, []);
});
