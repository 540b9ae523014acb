import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { regionView } from '../../src/core/engine/typescript/region.js';

let memory: SharedArrayBuffer;

beforeEach(() => {
  memory = new SharedArrayBuffer(65536);
  new Uint8Array(memory, 4096, 8).set([1, 2, 3, 4, 5, 6, 7, 8]);
});

const readOnly = () => regionView(memory, 4096, 4096, Uint8Array, false);

test('a writable region is a typed array over its bytes and no others', () => {
  const view = regionView(memory, 4096, 4096, Int32Array, true);
  assert.equal(view.length, 1024);
  Atomics.store(view, 0, -1);
  assert.deepEqual([...new Uint8Array(memory, 4096, 5)], [255, 255, 255, 255, 5]);
});

test('a read-only region can be indexed, iterated and copied', () => {
  const view = readOnly();
  assert.equal(view.length, 4096);
  assert.equal(view.byteLength, 4096);
  assert.equal(view[2], 3);
  assert.equal(view[4096], undefined);
  assert.equal(view.at(-1), 0);
  assert.ok(7 in view && !(4096 in view));
  let sum = 0;
  for (const byte of view) sum += byte;
  assert.equal(sum, 36);
  assert.deepEqual(Array.from(view).slice(0, 3), [1, 2, 3]);
  assert.deepEqual(view.slice(1, 3), new Uint8Array([2, 3]));
  assert.equal(regionView(memory, 4096, 8, BigUint64Array, false)[0], 0x0807060504030201n);
});

test('a read-only region shows what others write', () => {
  const view = readOnly();
  const copy = view.slice();
  regionView(memory, 4096, 4096, Uint8Array, true)[0] = 99;
  assert.equal(view[0], 99);
  assert.equal(copy[0], 1);
});

test('every write to a read-only region is a TypeError and changes nothing', () => {
  const view = readOnly();
  const writes: Record<string, () => unknown> = {
    index: () => (view[0] = 9),
    'a new property': () => ((view as unknown as Record<string, number>)['mark'] = 9),
    'Reflect.set': () => Reflect.set(view, '0', 9),
    'Reflect.set through another': () => Reflect.set({}, '0', 9, view),
    defineProperty: () => Object.defineProperty(view, '0', { value: 9 }),
    delete: () => Reflect.deleteProperty(view, '0'),
    setPrototypeOf: () => void Object.setPrototypeOf(view, Uint8Array.prototype),
    set: () => Uint8Array.prototype.set.call(view, [9]),
    fill: () => Uint8Array.prototype.fill.call(view, 9),
    sort: () => void Array.prototype.sort.call(view),
    push: () => Array.prototype.push.call(view, 9),
    copyWithin: () => void Array.prototype.copyWithin.call(view, 0, 4),
    'Atomics.store': () => Atomics.store(view, 0, 9),
    'Atomics.add': () => Atomics.add(view, 0, 9),
    'a replaced function': () => Object.assign(view, { slice: 9 }),
    'a property of a function': () => Object.assign(Reflect.get(view, 'slice') as object, { mark: 9 }),
  };
  for (const [name, write] of Object.entries(writes)) assert.throws(write, TypeError, name);
  assert.deepEqual([...new Uint8Array(memory, 4096, 8)], [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a copy is private memory', () => {
  readOnly().slice().fill(9);
  assert.equal(new Uint8Array(memory)[4096], 1);
});

test('a region must fit its elements and the memory', () => {
  for (const writable of [true, false]) {
    assert.throws(() => regionView(memory, 4096, 6, Int32Array, writable), RangeError);
    assert.throws(() => regionView(memory, 4098, 8, Int32Array, writable), RangeError);
    assert.throws(() => regionView(memory, 61440, 8192, Int32Array, writable), RangeError);
    assert.throws(() => regionView(memory, -8, 8, Int32Array, writable), RangeError);
  }
});

test('no constructor but those of typed arrays is given the memory', () => {
  let given: unknown;
  class Spy extends Uint8Array {
    constructor(buffer: number) {
      super(8);
      given = buffer;
    }
  }
  assert.throws(() => regionView(memory, 4096, 8, Spy, true), TypeError);
  assert.equal(given, undefined);
});
