/** What a kernel image may contain, and that it keeps to its own partition wherever it is loaded. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import binaryen from 'binaryen';
import { InitialSlot, Invocation, ObjectType, Rights } from '../../kernel/api/constants.js';
import type { Kernel, KernelImage } from '../../src/core/kernel.js';
import { IMAGES, Machine, type MachineOptions } from './machine.js';

const EP = 5;
const REPLY = 4;
const N = 6;

const { Atomics, BulkMemory, BulkMemoryOpt, MutableGlobals, SIMD128, SignExt, NontrappingFPToInt } =
  binaryen.Features;
const FEATURES =
  Atomics | BulkMemory | BulkMemoryOpt | MutableGlobals | SIMD128 | SignExt | NontrappingFPToInt;

const bytesOf = (image: KernelImage): Uint8Array =>
  readFileSync(new URL(`../../kernel/${image}.wasm`, import.meta.url));

function read(image: KernelImage): binaryen.Module {
  const module = binaryen.readBinary(bytesOf(image));
  module.setFeatures(FEATURES);
  return module;
}

function workload(options: MachineOptions): string[] {
  return workloadOn(new Machine(options));
}

/** Something of everything: objects made and destroyed, long messages, transfers, signals, faults. */
function workloadOn(m: Machine): string[] {
  const log: string[] = [];
  for (let round = 0; round < 3; round++) {
    const ep = m.create(ObjectType.Endpoint);
    const ntfn = m.create(ObjectType.Notification);
    const server = m.thread({ priority: 200 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
    const client = m.thread({ priority: 100 }).give(EP, ep, Rights.All, 3n).give(N, ntfn);
    server.give(12, server.cspace);
    server.receiveInto(20, 12);
    m.invoke(server.cptr, Invocation.TCBBindNotification, [], [ntfn]);
    m.sleep();
    server.recv(EP, REPLY);
    client.call(EP, [1, 2]);
    server.replyRecv(EP, REPLY, [3]);
    client.call(
      EP,
      Array.from({ length: 120 }, (_, index) => index),
      7,
      [N],
    );
    log.push(
      JSON.stringify(server.message, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
    );
    server.replyRecv(EP, REPLY, [3, 4, 5, 6, 7]);
    client.signal(N);
    log.push(`${server.badge} ${client.message.words.join()} ${m.current()?.program}`);
    server.recv(EP, REPLY);
    client.fault(1, 2);
    log.push(`${m.current()?.program}`);
    m.wake();
    for (const slot of [server.cptr, client.cptr, ep, ntfn, server.cspace, client.cspace]) {
      m.revoke(slot);
      m.delete(slot);
    }
  }
  return log;
}

for (const image of IMAGES) {
  describe(`the ${image} image`, () => {
    it('has no data, no mutable global and no memory of its own, and is small', () => {
      const module = read(image);
      const text = module.emitText();
      assert.doesNotMatch(text, /\(data /);
      assert.doesNotMatch(text, /\(global [^\n]*\(mut /);
      assert.equal(text.match(/\(memory /g)?.length, 1);
      assert.match(text, /\(import "env" "memory" \(memory /);
      assert.doesNotMatch(text, /memory\.grow/);
      assert.ok(bytesOf(image).length < 48 * 1024, `${bytesOf(image).length} bytes`);
    });

    it('runs at any base, with the same results', () => {
      const expected = workload({ image, base: 1 << 20 });
      assert.ok(expected.length > 0);
      assert.deepEqual(workload({ image, base: 5 << 20 }), expected);
    });

    it('loads and stores in its own partition alone', () => {
      const size = 4 << 20;
      const bases = [1 << 20, 6 << 20];
      const pages = (bases[1] + size + (1 << 20)) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const device = { base: bases[1] + size, size: 1 << 20 };
      for (const base of bases) {
        const owned = [{ base, size }];
        const { instantiate, accesses } = watched(image, memory, owned);
        workload({ image, base, size, memory, device, instantiate });
        assert.ok(accesses() > 1000, `${accesses()} accesses were seen`);
      }
    });

    it('touches memory that was issued to it, and not once it is given up', () => {
      const size = 4 << 20;
      const chunk = { base: 12 << 20, size: 1 << 18 };
      const pages = (13 << 20) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const bytes = new Uint8Array(memory.buffer);
      const partitions = [1 << 20, 6 << 20].map((base) => ({ base, size, owned: [{ base, size }] }));
      const machines = partitions.map(({ base, size, owned }) => {
        const { instantiate } = watched(image, memory, owned);
        return new Machine({ image, base, size, memory, instantiate });
      });
      for (let round = 0; round < 6; round++) {
        const m = machines[round % 2];
        const { owned } = partitions[round % 2];
        owned.push(chunk);
        const untyped = m.slot();
        m.invoke(InitialSlot.UntypedControl, Invocation.UntypedIssue, [chunk.base, 18, untyped, 64], [2]);
        const objects = (type: ObjectType, bits: number, count: number): number => {
          const first = m.slot();
          for (let one = 1; one < count; one++) m.slot();
          m.invoke(untyped, Invocation.UntypedRetype, [type, bits, 0, 0, first, count], [2]);
          return first;
        };
        const tcb = objects(ObjectType.TCB, 0, 3);
        const cnode = objects(ObjectType.CapTable, 6, 1);
        const frame = objects(ObjectType.SmallPage, 0, 2);
        const rest = bytes.subarray(m.objectAt(frame), chunk.base + chunk.size);
        assert.equal(
          rest.findIndex((byte) => byte !== 0),
          -1,
          'what the other left is gone',
        );
        rest.fill(0xaa);
        m.invoke(tcb, Invocation.TCBSetIPCBuffer, [m.objectAt(frame), 0], [frame]);
        m.mint(cnode, 3, tcb);
        m.revoke(untyped);
        m.delete(untyped);
        assert.ok(m.isEmpty(tcb) && m.isEmpty(cnode) && m.isEmpty(frame));
        bytes.fill(0xaa, chunk.base, chunk.base + chunk.size);
        owned.pop();
        // Whatever is left of it would be found now.
        workloadOn(m);
      }
    });
  });
}

interface Range {
  readonly base: number;
  readonly size: number;
}

/** How to instantiate an image so that each of its loads and stores is checked against the ranges that it may touch. */
function watched(image: KernelImage, memory: WebAssembly.Memory, owned: readonly Range[]) {
  const module = new WebAssembly.Module(instrument(image));
  let accesses = 0;
  const check = (address: number, length: number): void => {
    accesses++;
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
