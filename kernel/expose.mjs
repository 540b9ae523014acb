/**
 * Derives from an image one that touches no memory itself: each load, store and atomic operation is asked of an import,
 * so that whoever explores what can happen between cores decides what it yields and when it is done
 * (test/kernel/interleavings.ts). The image then imports from `access`:
 *   load(at, size), store(at, size, value), copy(to, from, size), fill(to, value, size)   plain; wider ones are parted
 *   atomicLoad(at), atomicStore(at, value), exchange|add|and|or(at, value), add64|or64(at, value), notify(at, count)
 */
import { constant, rewrite } from './rewrite.mjs';

/** @param {Uint8Array} image */
export function expose(image) {
  return rewrite(image, exposeNode, IMPORTS, HELPERS);
}

const IMPORTS = `
 (import "access" "load" (func $load (param i32 i32) (result i32)))
 (import "access" "store" (func $store (param i32 i32 i32)))
 (import "access" "copy" (func $memory.copy (param i32 i32 i32)))
 (import "access" "fill" (func $memory.fill (param i32 i32 i32)))
 (import "access" "atomicLoad" (func $i32.atomic.load (param i32) (result i32)))
 (import "access" "atomicStore" (func $i32.atomic.store (param i32 i32)))
 (import "access" "exchange" (func $i32.atomic.rmw.xchg (param i32 i32) (result i32)))
 (import "access" "add" (func $i32.atomic.rmw.add (param i32 i32) (result i32)))
 (import "access" "and" (func $i32.atomic.rmw.and (param i32 i32) (result i32)))
 (import "access" "or" (func $i32.atomic.rmw.or (param i32 i32) (result i32)))
 (import "access" "add64" (func $i64.atomic.rmw.add (param i32 i64) (result i64)))
 (import "access" "or64" (func $i64.atomic.rmw.or (param i32 i64) (result i64)))
 (import "access" "notify" (func $memory.atomic.notify (param i32 i32) (result i32)))`;

const narrowLoad = (name, size, convert) => `
 (func $${name} (param $at i32) (result ${name.slice(0, 3)})
  ${convert ? '(i64.extend_i32_u ' : ''}(call $load (local.get $at) (i32.const ${size}))${convert ? ')' : ''})`;
const narrowStore = (name, size, convert) => `
 (func $${name} (param $at i32) (param $value ${name.slice(0, 3)})
  (call $store (local.get $at) (i32.const ${size}) ${convert ? '(i32.wrap_i64 (local.get $value))' : '(local.get $value)'}))`;

const HELPERS = [
  narrowLoad('i32.load', 4, false),
  narrowLoad('i32.load8_u', 1, false),
  narrowLoad('i32.load16_u', 2, false),
  narrowLoad('i64.load8_u', 1, true),
  narrowLoad('i64.load16_u', 2, true),
  narrowLoad('i64.load32_u', 4, true),
  narrowStore('i32.store', 4, false),
  narrowStore('i32.store8', 1, false),
  narrowStore('i32.store16', 2, false),
  narrowStore('i64.store8', 1, true),
  narrowStore('i64.store16', 2, true),
  narrowStore('i64.store32', 4, true),
  `
 (func $i64.load (param $at i32) (result i64)
  (i64.or (call $i64.load32_u (local.get $at))
   (i64.shl (call $i64.load32_u (i32.add (local.get $at) (i32.const 4))) (i64.const 32))))
 (func $i64.store (param $at i32) (param $value i64)
  (call $i64.store32 (local.get $at) (local.get $value))
  (call $i64.store32 (i32.add (local.get $at) (i32.const 4)) (i64.shr_u (local.get $value) (i64.const 32))))
 (func $v128.load (param $at i32) (result v128)
  (i64x2.replace_lane 1 (i64x2.splat (call $i64.load (local.get $at)))
   (call $i64.load (i32.add (local.get $at) (i32.const 8)))))
 (func $v128.store (param $at i32) (param $value v128)
  (call $i64.store (local.get $at) (i64x2.extract_lane 0 (local.get $value)))
  (call $i64.store (i32.add (local.get $at) (i32.const 8)) (i64x2.extract_lane 1 (local.get $value))))`,
].join('');

/** All that is asked of an import, or of a function above that does. */
const EXPOSED = new Set(
  [...`${IMPORTS}${HELPERS}`.matchAll(/\(func \$([\w.]+\.\w+)/g)].map(([, operator]) => operator),
);

function exposeNode(node) {
  if (!Array.isArray(node)) return node;
  const [operator] = node;
  const parts = node.map(exposeNode);
  if (!EXPOSED.has(operator)) {
    if (/\.(?:load|store)|\.atomic\.|^memory\.(?!size)/.test(operator))
      throw new Error(`${operator} is not exposed`);
    return parts;
  }
  const offset = parts.find((part) => typeof part === 'string' && part.startsWith('offset='))?.slice(7);
  const [address, ...values] = parts.slice(1).filter(Array.isArray);
  return [
    'call',
    `$${operator}`,
    offset === undefined ? address : ['i32.add', address, constant(offset)],
    ...values,
  ];
}
