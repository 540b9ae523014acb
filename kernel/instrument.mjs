/**
 * Derives the simulator's image from a shipped one: the same kernel, with each load, store and atomic operation reported
 * before it is done, and the instructions of each basic block counted. (`instrument-memory`, a pass of Binaryen's, sees
 * no read-modify-writes and counts no instructions.)
 *
 * The image then imports, besides what it did, from `simulation`:
 *   recent       where in memory it finds which accesses need not be reported (src/machine/simulated/recent.ts): loads of lines
 *       that were loaded, stores to lines that may be written. What was executed before them is reported with the next
 *   read(address, size, ready, executed), write(…)
 *       `ready`: when the loads were done from which the address follows, 0 if from none. `executed`: what was executed
 *       since the last report, in instructions of a processor. A read yields when it is done itself
 *   range(address, size, isWrite)   a bulk operation
 *   execute(executed)               before an operation that is reported otherwise, and at the end of an entry
 *   lockLoad(address, ready), lockStore(address, ready), lockExchange(address, ready)
 *       the operations of the big lock, whose atomics are all that the image has; they yield when they are done, but where
 *       the operation is elided, the latter two -1: then it is not done, and an exchange yields the value that it was to
 *       store.
 *
 * When the operands are ready is followed through expressions and locals (readiness.mjs). What a function is given or
 * yields counts as ready when the last load before was done.
 */
import { LOAD, STORE, waitingLocals } from './readiness.mjs';
import { constant, rewrite } from './rewrite.mjs';

/** @param {Uint8Array} image */
export function instrument(image) {
  return rewrite(image, instrumentFunction, IMPORTS, HELPERS);
}

const IMPORTS = `
 (import "simulation" "recent" (global $recent i32))
 (import "simulation" "read" (func $reportRead (param i32 i32 f64 i32) (result f64)))
 (import "simulation" "write" (func $reportWrite (param i32 i32 f64 i32)))
 (import "simulation" "range" (func $range (param i32 i32 i32)))
 (import "simulation" "execute" (func $execute (param i32)))
 (import "simulation" "lockLoad" (func $lockLoad (param i32 f64) (result f64)))
 (import "simulation" "lockStore" (func $lockStore (param i32 f64) (result f64)))
 (import "simulation" "lockExchange" (func $lockExchange (param i32 f64) (result f64)))`;

/** Where a line's place is, and what stands there when it was loaded and may be written: see recent.ts. */
const PLACE = `(i32.add (global.get $recent)
    (i32.shl
     (i32.and (i32.xor (i32.shr_u (local.get $at) (i32.const 6)) (i32.shr_u (local.get $at) (i32.const 11))) (i32.const 31))
     (i32.const 4)))`;
const ALL = '(i32.or (i32.shr_u (local.get $at) (i32.const 4)) (i32.const 3))';
/** Whether all of an access is in one line. */
const IN_ONE =
  '(i32.le_u (i32.add (i32.and (local.get $at) (i32.const 63)) (local.get $size)) (i32.const 64))';

/** `$latest`: when the last load was done. `$executed`: since the last report. */
const HELPERS = `
 (global $latest (mut f64) (f64.const 0))
 (global $executed (mut i32) (i32.const 0))
 (func $read (param $at i32) (param $size i32) (param $ready f64) (result f64)
  (local $place i32)
  (if
   (i32.and
    (i32.eq (i32.or (i32.load (local.tee $place ${PLACE})) (i32.const 1)) ${ALL})
    ${IN_ONE})
   (then (return (f64.max (local.get $ready) (f64.load offset=8 (local.get $place))))))
  (local.set $ready (call $reportRead (local.get $at) (local.get $size) (local.get $ready) (global.get $executed)))
  (global.set $executed (i32.const 0))
  (local.get $ready))
 (func $write (param $at i32) (param $size i32) (param $ready f64)
  (if
   (i32.and
    (i32.eq (i32.or (i32.load ${PLACE}) (i32.const 2)) ${ALL})
    (i32.and
     ${IN_ONE}
     (i32.eqz (i32.load offset=512 (global.get $recent)))))
   (then (return)))
  (call $reportWrite (local.get $at) (local.get $size) (local.get $ready) (global.get $executed))
  (global.set $executed (i32.const 0)))
 (func $flush
  (call $execute (global.get $executed))
  (global.set $executed (i32.const 0)))
 (func $memory.copy (param $to i32) (param $from i32) (param $size i32)
  (call $flush)
  (call $range (local.get $from) (local.get $size) (i32.const 0))
  (call $range (local.get $to) (local.get $size) (i32.const 1))
  (memory.copy (local.get $to) (local.get $from) (local.get $size)))
 (func $memory.fill (param $to i32) (param $value i32) (param $size i32)
  (call $flush)
  (call $range (local.get $to) (local.get $size) (i32.const 1))
  (memory.fill (local.get $to) (local.get $value) (local.get $size)))
 (func $i32.atomic.load (param $at i32) (param $ready f64) (result i32)
  (call $flush)
  (global.set $latest (call $lockLoad (local.get $at) (local.get $ready)))
  (i32.atomic.load (local.get $at)))
 (func $i32.atomic.store (param $at i32) (param $value i32) (param $ready f64)
  (call $flush)
  (if (f64.ge (call $lockStore (local.get $at) (local.get $ready)) (f64.const 0))
   (then (i32.atomic.store (local.get $at) (local.get $value)))))
 (func $i32.atomic.rmw.xchg (param $at i32) (param $value i32) (param $ready f64) (result i32)
  (local $done f64)
  (call $flush)
  (if (result i32) (f64.ge (local.tee $done (call $lockExchange (local.get $at) (local.get $ready))) (f64.const 0))
   (then
    (global.set $latest (local.get $done))
    (i32.atomic.rmw.xchg (local.get $at) (local.get $value)))
   (else (local.get $value))))`;

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

function instrumentFunction(field, module) {
  return new FunctionBody(field, module).instrumented();
}

const isInstruction = (part) => Array.isArray(part) && !DECLARATIONS.has(part[0]);
const NOTHING = new Set();
const union = (sets) => new Set(sets.flatMap((set) => [...set]));

class FunctionBody {
  #locals = new Map();
  /** By label: what values that are branched there with wait for. */
  #branches = new Map();
  #loads = 0;

  constructor(field, module) {
    this.field = field;
    this.module = module;
    this.waiting = waitingLocals(field);
  }

  instrumented() {
    const { field, module } = this;
    const start = field.findIndex((part, index) => index > 0 && isInstruction(part));
    if (start < 0) return field;
    const body = this.#sequence(field.slice(start), false).nodes;
    const whole = module.some(([kind, , what]) => kind === 'export' && what[1] === field[1])
      ? this.#entry(body)
      : [...this.#given(), ...body];
    const locals = [...this.#locals].map(([name, type]) => ['local', name, type]);
    return [...field.slice(0, start), ...locals, ...whole];
  }

  /**
   * The body of what programs and the machine call, who have what they give: it reports what it executed. Nothing is left
   * of an entry before that was cut short.
   */
  #entry(body) {
    const result = this.field.find(([kind]) => kind === 'result');
    const leave = (node) => {
      if (!Array.isArray(node)) return node;
      return node[0] === 'return' ? ['br', '$entry', ...node.slice(1).map(leave)] : node.map(leave);
    };
    const block = ['block', '$entry', ...(result ? [result] : []), ...body.map(leave)];
    const begin = ['global.set', '$executed', constant(0)];
    if (!result) return [begin, block, ['call', '$flush']];
    const value = this.#local('$result', result[1]);
    return [begin, ['local.set', value, block], ['call', '$flush'], ['local.get', value]];
  }

  /** What another function of the kernel calls with may just have been loaded. */
  #given() {
    return this.field
      .filter(([kind, name]) => kind === 'param' && this.waiting.has(name))
      .map(([, name]) => ['local.set', this.#readyOf(name), ['global.get', '$latest']]);
  }

  #local(name, type) {
    this.#locals.set(name, type);
    return name;
  }

  /** When what a local holds is ready. */
  #readyOf(local) {
    return this.#local(`${local}.ready`, 'f64');
  }

  /** Instructions in a row: each basic block is counted where it begins. `wanted`: what their value waits for matters. */
  #sequence(instructions, wanted) {
    const nodes = [];
    let waits = NOTHING;
    let block = { weight: 0, control: false };
    let begin = 0;
    const end = () => {
      if (block.weight > 0) nodes.splice(begin, 0, executed(block.weight));
      block = { weight: 0, control: false };
      begin = nodes.length;
    };
    for (const [index, instruction] of instructions.entries()) {
      const last = index === instructions.length - 1;
      const made = this.#expression(instruction, block, wanted && last);
      nodes.push(made.node);
      waits = made.waits;
      if (block.control) end();
    }
    end();
    return { nodes, waits };
  }

  #expression(node, block, wanted) {
    if (!isInstruction(node)) return { node, waits: NOTHING };
    const [operator, name] = node;
    block.weight += weightOf(operator);
    if (CONTROL.has(operator)) block.control = true;
    if (SEQUENCES.has(operator)) return this.#nested(node, wanted);
    if (operator === 'local.get') return { node, waits: this.#waitsOf(name) };
    if (operator === 'local.set' || operator === 'local.tee') return this.#assignment(node, block, wanted);
    if (LOAD.test(operator) || STORE.test(operator)) return this.#access(node, block, wanted);
    if (/\.(?:load|store)|atomic/.test(operator)) throw new Error(`${operator} is not instrumented`);
    const parts = node.map((part) => this.#expression(part, block, wanted && operator !== 'call'));
    const changed = parts.map((part) => part.node);
    if (operator === 'call') return this.#call(changed, wanted);
    if (/^memory\.(?!size)/.test(operator))
      return { node: ['call', `$${operator}`, ...changed.slice(1)], waits: NOTHING };
    const waits = union(parts.map((part) => part.waits));
    if (operator.startsWith('br'))
      this.#branches.set(name, union([this.#branches.get(name) ?? NOTHING, waits]));
    // Branches are taken for foreseen: an `if` yields its value when that is ready.
    return {
      node: changed,
      waits: operator === 'if' ? union(parts.slice(2).map((part) => part.waits)) : waits,
    };
  }

  #nested(node, wanted) {
    const start = node.findIndex(isInstruction);
    if (start < 0) return { node, waits: NOTHING };
    const { nodes, waits } = this.#sequence(node.slice(start), wanted);
    return {
      node: [...node.slice(0, start), ...nodes],
      waits: union([waits, this.#branches.get(node[1]) ?? NOTHING]),
    };
  }

  #waitsOf(local) {
    return this.waiting.has(local) ? new Set([this.#readyOf(local)]) : NOTHING;
  }

  #assignment([operator, local, value], block, wanted) {
    const isWaiting = this.waiting.has(local);
    const { node, waits } = this.#expression(value, block, wanted || isWaiting);
    if (!isWaiting) return { node: [operator, local, node], waits };
    const ready = this.#readyOf(local);
    const assigned = ['local.set', ready, latest(waits)];
    if (operator === 'local.set')
      return { node: ['block', ['local.set', local, node], assigned], waits: NOTHING };
    return {
      node: [
        'block',
        ['result', this.#typeOf(local)],
        ['local.set', local, node],
        assigned,
        ['local.get', local],
      ],
      waits: new Set([ready]),
    };
  }

  #typeOf(local) {
    return this.field.find(([kind, name]) => (kind === 'param' || kind === 'local') && name === local)[2];
  }

  #access(node, block, wanted) {
    const [operator] = node;
    const isLoad = LOAD.test(operator);
    const at = node.findIndex(isInstruction);
    const address = this.#expression(node[at], block, true);
    const values = node.slice(at + 1).map((value) => this.#expression(value, block, false).node);
    const offset = node.find((part) => typeof part === 'string' && part.startsWith('offset='))?.slice(7);
    const place = (base) => (offset === undefined ? base : ['i32.add', base, constant(offset)]);
    const ready = latest(address.waits);
    if (operator.includes('atomic')) {
      const call = ['call', `$${operator}`, place(address.node), ...values, ready];
      return isLoad && wanted ? this.#yielded(call, 'i32') : { node: call, waits: NOTHING };
    }
    const [, bits] = (isLoad ? LOAD : STORE).exec(operator);
    const size = constant(bits === undefined ? SIZES[operator.split('.')[0]] : Number(bits) / 8);
    const base = this.#local('$at', 'i32');
    const operands = [place(['local.get', base]), size, ready];
    const reported = ['call', isLoad ? '$read' : '$write', ...operands];
    const done = wanted ? this.#local(`$load${this.#loads++}`, 'f64') : undefined;
    const noted = isLoad
      ? ['global.set', '$latest', done ? ['local.tee', done, reported] : reported]
      : reported;
    const first = [
      ...['block', ['result', 'i32'], ['local.set', base, address.node]],
      ...[noted, ['local.get', base]],
    ];
    return {
      node: [...node.slice(0, at), first, ...values],
      waits: isLoad && done ? new Set([done]) : NOTHING,
    };
  }

  #call(node, wanted) {
    if (!wanted) return { node, waits: NOTHING };
    const called = this.module.find(([kind, name]) => kind === 'func' && name === node[1]);
    const result = called?.find(([kind]) => kind === 'result');
    return result === undefined ? { node, waits: NOTHING } : this.#yielded(node, result[1]);
  }

  /** A value that waits for the last load before it is there. */
  #yielded(node, type) {
    const number = this.#loads++;
    const value = this.#local(`$value${number}`, type);
    const ready = this.#local(`$load${number}`, 'f64');
    return {
      node: [
        ...['block', ['result', type], ['local.set', value, node]],
        ...[
          ['local.set', ready, ['global.get', '$latest']],
          ['local.get', value],
        ],
      ],
      waits: new Set([ready]),
    };
  }
}

function executed(weight) {
  return ['global.set', '$executed', ['i32.add', ['global.get', '$executed'], constant(weight)]];
}

/** When all of these are done. */
function latest(waits) {
  const times = [...waits].map((local) => ['local.get', local]);
  return times.length === 0 ? ['f64.const', '0'] : times.reduce((a, b) => ['f64.max', a, b]);
}
