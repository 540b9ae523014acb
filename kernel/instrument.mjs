/**
 * Derives the simulator's image from a shipped one: the same kernel, with each load, store and atomic operation reported
 * before it is done, and the instructions of each basic block counted. (`instrument-memory`, a pass of Binaryen's, sees
 * no read-modify-writes and counts no instructions.)
 *
 * The image then imports, besides what it did, from `simulation`:
 *   read(address, offset, size), write(…)  the address, as it was given; the access is at address + offset
 *   range(address, size, isWrite)          a bulk operation
 *   execute(weight)                        what a basic block costs, in instructions of a processor
 *   lockLoad(address), lockStore(address), lockExchange(address)
 *       the operations of the big lock, whose atomics are all that the image has; the latter two return 0 where the
 *       operation is elided: then it is not done, and an exchange yields the value that it was to store.
 */
import { constant, rewrite } from './rewrite.mjs';

/** @param {Uint8Array} image */
export function instrument(image) {
  return rewrite(image, instrumentFunction, IMPORTS, HELPERS);
}

const IMPORTS = `
 (import "simulation" "read" (func $read (param i32 i32 i32) (result i32)))
 (import "simulation" "write" (func $write (param i32 i32 i32) (result i32)))
 (import "simulation" "range" (func $range (param i32 i32 i32)))
 (import "simulation" "execute" (func $execute (param i32)))
 (import "simulation" "lockLoad" (func $lockLoad (param i32)))
 (import "simulation" "lockStore" (func $lockStore (param i32) (result i32)))
 (import "simulation" "lockExchange" (func $lockExchange (param i32) (result i32)))`;

const HELPERS = `
 (func $memory.copy (param $to i32) (param $from i32) (param $size i32)
  (call $range (local.get $from) (local.get $size) (i32.const 0))
  (call $range (local.get $to) (local.get $size) (i32.const 1))
  (memory.copy (local.get $to) (local.get $from) (local.get $size)))
 (func $memory.fill (param $to i32) (param $value i32) (param $size i32)
  (call $range (local.get $to) (local.get $size) (i32.const 1))
  (memory.fill (local.get $to) (local.get $value) (local.get $size)))
 (func $i32.atomic.load (param $at i32) (result i32)
  (call $lockLoad (local.get $at))
  (i32.atomic.load (local.get $at)))
 (func $i32.atomic.store (param $at i32) (param $value i32)
  (if (call $lockStore (local.get $at))
   (then (i32.atomic.store (local.get $at) (local.get $value)))))
 (func $i32.atomic.rmw.xchg (param $at i32) (param $value i32) (result i32)
  (if (result i32) (call $lockExchange (local.get $at))
   (then (i32.atomic.rmw.xchg (local.get $at) (local.get $value)))
   (else (local.get $value))))`;

/** Instructions that are done by the functions above instead. */
const BY_HELPER = new Set([
  'memory.copy',
  'memory.fill',
  'i32.atomic.load',
  'i32.atomic.store',
  'i32.atomic.rmw.xchg',
]);

const ACCESS = /^(?:i32|i64|v128)\.(load|store)(8|16|32)?(?:_[su])?$/;
const SIZES = { i32: 4, i64: 8, v128: 16 };

/** Parts of an instruction or function that are not instructions. */
const DECLARATIONS = new Set(['export', 'import', 'type', 'param', 'result', 'local']);
/** After one of these, the next instruction may not be reached: it begins another basic block. */
const CONTROL = new Set(['block', 'loop', 'if', 'br', 'br_if', 'br_table', 'return', 'unreachable']);
const SEQUENCES = new Set(['block', 'loop', 'then', 'else']);

/**
 * What an instruction costs a processor, in instructions: nothing where a compiler keeps a local in a register or a
 * constant in an instruction; more than one where all common processors take several cycles.
 */
function weightOf(operator) {
  if (
    /^(?:local\.|global\.|i32\.const|i64\.const|v128\.const|block|loop|then|else|drop|nop|return$|unreachable)/.test(
      operator,
    )
  )
    return 0;
  if (/\.wrap_i64$|\.extend_i32_[us]$/.test(operator)) return 0;
  if (/\.(?:div|rem)_[su]$/.test(operator)) return 12;
  if (/\.mul$/.test(operator)) return 3;
  if (operator === 'call' || operator === 'br_table') return 2;
  return 1;
}

function instrumentFunction(field) {
  const start = field.findIndex(
    (part, index) => index > 0 && Array.isArray(part) && !DECLARATIONS.has(part[0]),
  );
  return start < 0 ? field : [...field.slice(0, start), ...sequence(field.slice(start))];
}

/** Instructions in a row: each basic block is counted where it begins. */
function sequence(instructions) {
  const result = [];
  let block = { weight: 0, control: false };
  let begin = 0;
  const end = () => {
    if (block.weight > 0) result.splice(begin, 0, ['call', '$execute', constant(block.weight)]);
    block = { weight: 0, control: false };
    begin = result.length;
  };
  for (const instruction of instructions) {
    result.push(expression(instruction, block));
    if (block.control) end();
  }
  end();
  return result;
}

function expression(node, block) {
  if (!Array.isArray(node) || DECLARATIONS.has(node[0])) return node;
  const [operator] = node;
  block.weight += weightOf(operator);
  if (CONTROL.has(operator)) block.control = true;
  if (SEQUENCES.has(operator)) {
    const start = node.findIndex((part) => Array.isArray(part) && !DECLARATIONS.has(part[0]));
    return start < 0 ? node : [...node.slice(0, start), ...sequence(node.slice(start))];
  }
  const parts = node.map((part) => expression(part, block));
  const offset =
    parts.find((part) => typeof part === 'string' && part.startsWith('offset='))?.slice(7) ?? '0';
  if (BY_HELPER.has(operator)) {
    const [address, ...values] = parts.slice(1).filter(Array.isArray);
    const at = offset === '0' ? address : ['i32.add', address, constant(offset)];
    return ['call', `$${operator}`, at, ...values];
  }
  const access = ACCESS.exec(operator);
  if (access === null) {
    if (/\.(?:load|store)|atomic|^memory\.(?!size)/.test(operator))
      throw new Error(`${operator} is not instrumented`);
    return parts;
  }
  const [, direction, bits] = access;
  const size = bits === undefined ? SIZES[operator.split('.')[0]] : Number(bits) / 8;
  const at = parts.findIndex(Array.isArray);
  const hook = direction === 'load' ? '$read' : '$write';
  parts[at] = ['call', hook, parts[at], constant(offset), constant(size)];
  return parts;
}
