/** The invariant checker finds what is broken: each test breaks one word of a sound kernel's memory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InitialSlot, Invocation, ObjectType, Rights } from '../../kernel/api/constants.js';
import { InvariantViolation, checkInvariants } from '../../src/core/inspect/invariants.js';
import { checkedKernel } from '../../src/core/inspect/checked-kernel.js';
import { compileKernel, instantiateKernel } from '../../src/core/kernel.js';
import { IMAGES, Machine, type MachineOptions } from './machine.js';

const N = 6;
const EP = 5;
const REPLY = 4;

for (const image of IMAGES) {
  describe(`the invariant checker (${image})`, () => {
    /** A client that waits for its server's reply, another that waits to send, one that is ready, one that waits for time. */
    const world = () => {
      const m = new Machine({ image });
      const ep = m.create(ObjectType.Endpoint);
      const ntfn = m.create(ObjectType.Notification);
      const reply = m.create(ObjectType.Reply);
      const server = m.thread({ priority: 90 }).give(EP, ep).give(REPLY, reply);
      const client = m.thread({ priority: 80 }).give(EP, ep);
      const second = m.thread({ priority: 70 }).give(EP, ep);
      const limited = m.thread({ priority: 60 }).give(N, ntfn);
      const ready = m.thread({ priority: 50 });
      const running = m.thread({ priority: 50 });
      m.derive(ep, Rights.All, 5n);
      m.invoke(
        InitialSlot.FirstSchedControl,
        Invocation.SchedControlConfigureFlags,
        [20, 100, 0, 0, 0],
        [limited.schedContext],
      );
      m.sleep();
      server.recv(EP, REPLY);
      m.invoke(server.schedContext, Invocation.SchedContextUnbind);
      client.call(EP);
      m.invoke(server.cptr, Invocation.TCBSuspend);
      second.call(EP);
      m.time += 30;
      limited.wait(N);
      const core = m.kernels[0].currentAddress();
      const at = (slot: number) => m.objectAt(slot);
      return {
        m,
        core,
        client,
        second,
        limited,
        running: m.current() === running ? running : ready,
        at,
        ep,
        ntfn,
        reply,
      };
    };

    it('stops a kernel whose memory is broken, when that has been entered', () => {
      const [base, size] = [1 << 20, 4 << 20];
      const pages = (base + size) >> 16;
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const instantiate: MachineOptions['instantiate'] = (core, machine) =>
        checkedKernel(
          instantiateKernel(compileKernel(image), memory, base, core, machine),
          memory.buffer,
          base,
          size,
        );
      const m = new Machine({ base, size, memory, instantiate });
      m.schedContext();
      m.setU32(m.kernels[0].currentAddress() + 16, 1);
      assert.throws(() => m.kernels[0].interrupt(5), /^RuntimeError: invariant violated: core 0, priority 0/);
    });

    it('is content with a sound kernel', () => {
      checkInvariants(world().m.image());
    });

    const breaks: Record<string, (w: ReturnType<typeof world>) => readonly [address: number, word: number]> =
      {
        'a ready bit without a thread': ({ core }) => [core + 16, 1],
        'a ready queue without its bit': ({ core }) => [core + 20, 0],
        'a running thread that is queued': ({ m, running }) => [
          running.tcb + 120,
          m.u32(running.tcb + 120) | (1 << 16),
        ],
        'no thread that runs': ({ core, client }) => [core, client.tcb],
        'an undecided core': ({ core }) => [core + 4, 1],
        'a capability space that spans more': ({ m, client }) => [
          client.tcb + 64 + 28,
          m.u32(client.tcb + 64 + 28) + 1,
        ],
        'a neighbour in no queue': ({ running, client }) => [running.tcb + 112, client.tcb],
        'a lost sender': ({ at, ep }) => [at(ep), 0],
        'a queue that lost its tail': ({ at, ep }) => [at(ep) + 4, 0],
        'an active notification for which a thread waits': ({ m }) => [m.u32(m.root.tcb + 108) + 8, 1],
        'a waiting thread in another state': ({ m, second }) => [
          second.tcb + 96,
          (m.u32(second.tcb + 96) & ~0xff) | 4,
        ],
        'a reply that nobody has': ({ at, reply }) => [at(reply) + 12, 0],
        'a caller without a reply': ({ client }) => [client.tcb + 100, 0],
        'a stolen context': ({ second }) => [second.tcb + 104, 0],
        'time without a context': ({ m, client }) => [client.tcb + 96, m.u32(client.tcb + 96) ^ (1 << 16)],
        'refills that do not sum up': ({ m, limited }) => [m.objectAt(limited.schedContext) + 64 + 8, 1],
        'a release queue that lost its thread': ({ core }) => [core + 64, 0],
        'an untimed core with a waiting thread': ({ core }) => [core + 12, 0],
        'an idle notification with a badge': ({ at, ntfn }) => [at(ntfn) + 16, 1],
        'a notification bound to a stranger': ({ at, ntfn, client }) => [at(ntfn) + 12, client.tcb],
        'a broken derivation list': ({ m, ep }) => [m.slotAddress(ep) + 16, 0],
        'a watermark that is too low': ({ m }) => [m.slotAddress(m.largestUntyped) + 8, 64],
        'an object that overlaps': ({ m, ntfn, at, ep }) => [m.slotAddress(ntfn) + 4, at(ep)],
        'an interrupt that was never issued': ({ m }) => [m.base + 2048 + 64 * 32, 1],
        'a buffer without a frame': ({ m, running }) => [running.tcb + 192, m.u32(running.tcb + 192) & ~0xff],
      };
    for (const [what, breakIt] of Object.entries(breaks)) {
      it(`finds ${what}`, () => {
        const w = world();
        const [address, word] = breakIt(w);
        assert.notEqual(w.m.u32(address), word, 'this breaks something');
        w.m.setU32(address, word);
        assert.throws(() => checkInvariants(w.m.image()), InvariantViolation);
      });
    }
  });
}
