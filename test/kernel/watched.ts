/** An image each of whose loads and stores is reported. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import binaryen from 'binaryen';
import type { Kernel, KernelImage } from '../../src/core/kernel.js';

const { Atomics, BulkMemory, BulkMemoryOpt, MutableGlobals, SIMD128, SignExt, NontrappingFPToInt } =
  binaryen.Features;
const FEATURES =
  Atomics | BulkMemory | BulkMemoryOpt | MutableGlobals | SIMD128 | SignExt | NontrappingFPToInt;

export const bytesOf = (image: KernelImage): Uint8Array =>
  readFileSync(new URL(`../../kernel/${image}.wasm`, import.meta.url));

export function read(image: KernelImage): binaryen.Module {
  const module = binaryen.readBinary(bytesOf(image));
  module.setFeatures(FEATURES);
  return module;
}

const instrumented = new Map<KernelImage, WebAssembly.Module>();

interface Range {
  readonly base: number;
  readonly size: number;
}

/**
 * How to instantiate an image so that each of its loads and stores is checked against the ranges that it may touch, the
 * first of which is its partition; `seen` is told of each.
 */
export function watched(
  image: KernelImage,
  memory: WebAssembly.Memory,
  owned: readonly Range[],
  seen?: (address: number, length: number) => void,
) {
  const module = instrumented.get(image) ?? new WebAssembly.Module(instrument(image));
  instrumented.set(image, module);
  let accesses = 0;
  const check = (address: number, length: number): void => {
    accesses++;
    seen?.(address >>> 0, length >>> 0);
    const from = address >>> 0;
    const to = from + (length >>> 0);
    if (!owned.some(({ base, size }) => from >= base && to <= base + size))
      throw new Error(`access to ${length} bytes at ${from}, partition ${owned[0].base}`);
  };
  const instantiate = (core: number, machine: object): Kernel =>
    new WebAssembly.Instance(module, {
      env: { memory, abort: () => {}, ...watch(check) },
      machine: { base: owned[0].base, core, ...machine },
      watch: { range: check },
    }).exports as Kernel;
  return { instantiate, accesses: () => accesses };
}

type Watcher = (id: number, ...rest: never[]) => unknown;

/** The imports of Binaryen's `instrument-memory`: (id, bytes, offset, address) before, and the value after. */
function watch(check: (address: number, length: number) => void): Record<string, Watcher> {
  const before = (_id: number, bytes: number, offset: number, address: number): number => {
    check((address >>> 0) + (offset >>> 0), bytes);
    return address;
  };
  const value = (_id: number, loaded: unknown): unknown => loaded;
  const imports: Record<string, Watcher> = { load_ptr: before, store_ptr: before };
  for (const type of ['i32', 'i64', 'f32', 'f64'])
    for (const kind of [
      'load_val',
      'store_val',
      'struct_get_val',
      'struct_set_val',
      'array_get_val',
      'array_set_val',
    ])
      imports[`${kind}_${type}`] = value;
  for (const name of ['array_get_index', 'array_set_index', 'memory_grow_pre', 'memory_grow_post'])
    imports[name] = value;
  return imports;
}

/**
 * `instrument-memory` sees loads and stores, atomic ones too, but neither bulk operations nor read-modify-writes:
 * those are led through functions that check their ranges first. The lock's exchange is the only one of the latter.
 */
function instrument(image: KernelImage): Uint8Array {
  const module = read(image);
  module.runPasses(['instrument-memory']);
  const text = module.emitText();
  const unseen = new Set(
    text.match(/\b(?:memory\.(?!copy|fill|grow)\w+|i(?:32|64)\.atomic\.(?:rmw|wait)\S*|memory\.atomic\S*)/g),
  );
  unseen.delete('memory.size');
  assert.deepEqual([...unseen], image === 'smp' ? ['i32.atomic.rmw.xchg'] : []);
  assert.doesNotMatch(text, /atomic\.rmw\.xchg offset/);
  const guarded = text
    .replaceAll('(memory.copy', '(call $watched_copy')
    .replaceAll('(memory.fill', '(call $watched_fill')
    .replaceAll('(i32.atomic.rmw.xchg', '(call $watched_exchange')
    .replace(
      '(import "env" "memory"',
      '(import "watch" "range" (func $watched_range (param i32 i32)))\n (import "env" "memory"',
    )
    .replace(/\)\s*$/, `${WATCHED})`);
  const result = binaryen.parseText(guarded);
  result.setFeatures(FEATURES);
  assert.ok(result.validate());
  return result.emitBinary();
}

const WATCHED = `
 (func $watched_copy (param $to i32) (param $from i32) (param $size i32)
  (call $watched_range (local.get $to) (local.get $size))
  (call $watched_range (local.get $from) (local.get $size))
  (memory.copy (local.get $to) (local.get $from) (local.get $size)))
 (func $watched_fill (param $to i32) (param $value i32) (param $size i32)
  (call $watched_range (local.get $to) (local.get $size))
  (memory.fill (local.get $to) (local.get $value) (local.get $size)))
 (func $watched_exchange (param $at i32) (param $value i32) (result i32)
  (call $watched_range (local.get $at) (i32.const 4))
  (i32.atomic.rmw.xchg (local.get $at) (local.get $value)))
`;
