/** One image over several cores: its instances share all state and one lock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  ClusterOffset,
  InitialSlot,
  Invocation,
  ObjectType,
  Rights,
  SeL4Error,
} from '../../kernel/api/constants.js';
import { compileKernel } from '../../src/core/kernel.js';
import { checkInvariants } from '../../src/core/inspect/invariants.js';
import { Machine } from './machine.js';

const N = 6;
const EP = 5;
const REPLY = 4;
const PEER = 7;

describe('two cores, one image', () => {
  const RESCHEDULE = 0;
  const world = () => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const ep = m.create(ObjectType.Endpoint);
    const near = m.thread({ priority: 100 }).give(N, ntfn, Rights.All, 1n).give(EP, ep);
    const far = m
      .thread({ priority: 100, core: 1 })
      .give(N, ntfn)
      .give(EP, ep)
      .give(REPLY, m.create(ObjectType.Reply));
    m.sleep();
    /** The other core takes the interrupt that it was sent. */
    const takeIPI = () => {
      assert.equal(m.ipis.pop(), 1, 'core 1 was asked to reschedule');
      m.kernels[1].interrupt(RESCHEDULE);
    };
    takeIPI();
    assert.equal(m.current(0), near);
    assert.equal(m.current(1), far);
    m.ipis.length = 0;
    return { m, near, far, ntfn, ep, takeIPI };
  };

  it('a signal wakes a thread of the other core by an interrupt', () => {
    const { m, near, far, takeIPI } = world();
    assert.equal(far.wait(N), undefined);
    assert.equal(near.signal(N), near);
    takeIPI();
    assert.equal(m.current(1), far);
    assert.equal(far.badge, 1n);
  });

  it('a call crosses, and so does its reply', () => {
    const { m, near, far, takeIPI } = world();
    far.recv(EP, REPLY);
    assert.equal(near.call(EP, [5]), undefined);
    takeIPI();
    assert.equal(m.current(1), far);
    assert.deepEqual(far.message.words, [5n]);
    assert.equal(far.replyRecv(EP, REPLY, [6]), undefined);
    assert.equal(m.ipis.pop(), 0);
    m.kernels[0].interrupt(RESCHEDULE);
    assert.equal(m.current(0), near);
    assert.deepEqual(near.message.words, [6n]);
  });

  it('a call gives way to who is more urgent than the server, before the interrupt that tells of it is taken', () => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const ntfn = m.create(ObjectType.Notification);
    const ep = m.create(ObjectType.Endpoint);
    const urgent = m.thread({ priority: 150 }).give(N, ntfn);
    const server = m.thread({ priority: 120 }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
    const client = m.thread({ priority: 100 }).give(EP, ep);
    const far = m.thread({ core: 1 }).give(N, ntfn);
    m.sleep();
    m.kernels[1].interrupt(RESCHEDULE);
    urgent.wait(N);
    server.recv(EP, REPLY);
    assert.equal(m.current(0), client);
    far.signal(N);
    assert.equal(client.call(EP, [7]), urgent);
    assert.equal(urgent.wait(N), server);
    assert.deepEqual(server.message.words, [7n]);
  });

  it('a suspended thread of another core makes its system call again when resumed', () => {
    const { m, far, takeIPI } = world();
    m.invoke(far.cptr, Invocation.TCBSuspend);
    assert.equal(m.ipis.pop(), 1);
    assert.equal(m.kernels[1].wait(N), 0, 'its call is not done');
    assert.equal(far.redo, true);
    far.clearRedo();
    m.invoke(far.cptr, Invocation.TCBResume);
    takeIPI();
    assert.equal(m.current(1), far);
    assert.equal(far.wait(N), undefined, 'and now it is');
  });

  it('meanwhile its core runs whoever else is ready there', () => {
    const { m, far } = world();
    const other = m.thread({ core: 1, priority: 5 });
    m.invoke(far.cptr, Invocation.TCBSuspend);
    assert.equal(m.threadOf(m.kernels[1].wait(N)), other);
  });

  it('but not when its registers were written meanwhile', () => {
    const { m, far } = world();
    m.invoke(far.cptr, Invocation.TCBWriteRegisters, [0, 0]);
    assert.equal(m.ipis.pop(), 1);
    assert.equal(m.kernels[1].wait(N), 0, 'its call is not done');
    assert.equal(far.redo, false);
  });

  it('so does one whose scheduling context was taken', () => {
    const { m, far, takeIPI } = world();
    m.invoke(far.schedContext, Invocation.SchedContextUnbind);
    assert.equal(m.ipis.pop(), 1);
    assert.equal(m.kernels[1].wait(N), 0);
    assert.equal(far.redo, true);
    m.invoke(far.schedContext, Invocation.SchedContextBind, [], [far.cptr]);
    takeIPI();
    assert.equal(m.current(1), far);
  });

  it('a thread that runs on another core is in no queue when its priority changes', () => {
    const { m, far, takeIPI } = world();
    const peer = m.thread({ priority: 50, core: 1 });
    m.invoke(far.cptr, Invocation.TCBSetPriority, [200], [InitialSlot.ThreadTCB]);
    takeIPI();
    assert.equal(far.wait(N), peer, 'blocked, it is not chosen');
    assert.equal(peer.yieldCore(), peer);
  });

  it('a thread whose priority falls below another makes room on its own core', () => {
    const { m, far, takeIPI } = world();
    const peer = m.thread({ priority: 50, core: 1 });
    m.invoke(far.cptr, Invocation.TCBSetPriority, [20], [InitialSlot.ThreadTCB]);
    takeIPI();
    assert.equal(m.current(1), peer);
    assert.equal(peer.wait(7), far);
  });

  it('a context configured for another core takes its thread there', () => {
    const { m, near, far } = world();
    m.invoke(
      InitialSlot.FirstSchedControl,
      Invocation.SchedControlConfigureFlags,
      [9, 9, 0, 0, 0],
      [far.schedContext],
    );
    m.kernels[1].interrupt(RESCHEDULE);
    assert.equal(m.current(1), undefined);
    assert.equal(far.redo, false, 'it was not cut off in a system call');
    m.invoke(near.cptr, Invocation.TCBSuspend);
    assert.equal(m.current(0), far);
  });

  it('to yield to a thread that runs on another core changes nothing there', () => {
    const { m, near, far } = world();
    m.invoke(near.cptr, Invocation.TCBSetMCPriority, [255], [InitialSlot.ThreadTCB]);
    near.give(PEER, far.schedContext);
    assert.equal(near.call(PEER, [], Invocation.SchedContextYieldTo), near);
    assert.equal(near.message.label, SeL4Error.NoError);
    checkInvariants(m.image());
    assert.equal(far.wait(N), undefined, 'once it waits, nobody is left to run');
  });

  it('deletes a thread that runs on another core', () => {
    const { m, far } = world();
    m.delete(far.cptr);
    assert.equal(m.kernels[1].yieldCore(), 0);
  });

  it('a held thread of another core is let go there', () => {
    const { m, near, far, takeIPI } = world();
    assert.equal(far.wait(N), undefined);
    m.kernels[1].hold(far.tcb, 1);
    near.signal(N);
    assert.deepEqual(m.ipis, []);
    assert.equal(m.threadOf(m.kernels[1].hold(far.tcb, 0)), far);
    assert.equal(far.wait(N), undefined);
    near.signal(N);
    takeIPI();
    assert.equal(m.current(1), far, 'and all cores still enter and leave');
  });

  it('a core that waits for the lock of a cluster that is being reset stops', () => {
    const { m } = world();
    m.setU32(m.base + ClusterOffset.Halted, 1);
    m.kernels[0].timer();
    // Core 0's turn, the last of the lock's queue, never ends.
    const turn = m.u32(m.base);
    m.setU32(turn & ~3, turn);
    assert.throws(() => m.kernels[1].timer(), WebAssembly.RuntimeError);
  });

  it('two cores at once lose no call and no signal', async () => {
    const m = new Machine({ image: 'smp', cores: 2 });
    const rounds = 15_000;
    const doors = [0, 1].map(() => m.create(ObjectType.Notification));
    const pairs = [0, 1].map((core) => {
      const ep = m.create(ObjectType.Endpoint);
      const server = m.thread({ priority: 200, core }).give(EP, ep).give(REPLY, m.create(ObjectType.Reply));
      const client = m
        .thread({ priority: 100, core })
        .give(EP, ep)
        .give(N, doors[core], Rights.Read)
        .give(PEER, doors[1 - core], Rights.Write, BigInt(core + 1));
      return { server, client };
    });
    // Core 0 stays with the initial thread until its worker puts it to sleep.
    const start = new SharedArrayBuffer(8);
    const workers: Worker[] = [];
    const outcomes = pairs.map(({ server, client }, core) => {
      const data = {
        module: compileKernel('smp'),
        memory: m.memory,
        base: m.base,
        core,
        start,
        rounds,
        ...{
          server: server.tcb,
          serverProgram: server.program,
          client: client.tcb,
          clientProgram: client.program,
        },
      };
      const worker = new Worker(new URL('./smp-worker.js', import.meta.url), { workerData: data });
      workers.push(worker);
      return new Promise<{ replies: number; sum: bigint; signals: bigint }>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    });
    m.sleep();
    // A core that fails leaves the other waiting for ever.
    const results = await Promise.all(outcomes).finally(() =>
      workers.forEach((worker) => void worker.terminate()),
    );
    const sum = (BigInt(rounds) * BigInt(rounds + 1)) / 2n;
    results.forEach(({ replies, sum: total, signals }, core) => {
      assert.deepEqual([replies, total], [rounds, sum]);
      assert.equal(signals, BigInt(rounds * (2 - core)), 'each signal of the other core came once');
    });
  });
});
