/** The thread of one core: boots the cluster's kernel or joins it, builds or awaits the system, and runs it. */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { Register } from '../../../kernel/api/constants.js';
import {
  Core,
  type CoreParts,
  HEARTBEAT_LINE,
  Halted,
  ORDERS_LINE,
  Stop,
  plainAccess,
} from '../../core/core.js';
import type { Bundle } from '../../core/engine/typescript/bundle.js';
import { Console, writeAll } from '../../core/engine/typescript/console.js';
import { typescriptEngine } from '../../core/engine/typescript/domain.js';
import { ProgramError } from '../../core/engine/typescript/program-error.js';
import { hardenRealm } from '../../core/engine/typescript/realm.js';
import { Invoker, readBootInfo } from '../../core/invocation.js';
import { instantiateKernel } from '../../core/kernel.js';
import { observers } from '../../core/observer.js';
import { COUNTS } from '../../core/statistics.js';
import type { EngineThread } from '../../core/thread.js';
import { Liveness } from '../../coordination/liveness.js';
import { MemoryRequests } from '../../coordination/memory-requests.js';
import { MovingMemory } from '../../coordination/memory.js';
import { mortal } from '../../coordination/mortal.js';
import { Monitor } from '../../coordination/monitor.js';
import { Proxy } from '../../coordination/proxy.js';
import { SignalFlags } from '../../coordination/signals.js';
import { coreInterrupts } from '../../machine/host/controller.js';
import { choicesOf, deadlyStep, faultyDoorbells } from '../../machine/host/injection.js';
import { threadName } from '../../machine/host/thread-time.js';
import { InterruptController, Outbox } from '../../machine/interrupts.js';
import { buildCluster, type BuiltCluster } from '../initialiser/initialiser.js';
import { isForFaults, proxyHandle, rootHandle } from '../placement/links.js';
import type { CoreMessage, CoreOrders } from './order.js';

const orders = workerData as CoreOrders;
const { plan, tables, memory } = orders;
const cluster = plan.clusters[orders.cluster];
const id = cluster.cores[orders.clusterCore];
const firstCore = cluster.cores[0];
const tell = (message: CoreMessage): void => parentPort!.postMessage(message);

/** The root task: it has built the cluster, and is its monitor from then on. */
class RootTask implements EngineThread {
  readonly handle = rootHandle(cluster);
  readonly priority = 255;
  readonly schedulingDomain = 0;
  onStack = false;
  held = false;

  constructor(
    readonly tcb: number,
    private readonly monitor: Monitor,
  ) {}

  run(): number {
    try {
      for (;;) {
        const next = core.takeInterrupts(this.monitor.handle());
        if (next !== this.handle) return next;
      }
    } catch (thrown) {
      // Below on the stack there may be a program, which could catch it and go on.
      throw core.panicked(thrown) ? new Halted() : thrown;
    }
  }
}

const programs = once(parentPort!, 'message') as Promise<[readonly Bundle[]]>;
const simulated =
  orders.simulation === undefined
    ? undefined
    : new (await import('../simulate/simulation.js')).CoreSimulation(
        id,
        orders.simulation,
        orders,
        tell,
        () => core.checkOrders(),
      );
const interrupts = simulated?.interrupts ?? new InterruptController(memory.buffer, 0, plan.cores);
const time =
  simulated === undefined ? () => Number(process.hrtime.bigint()) : () => simulated.clock.nanoseconds;
const traced = orders.trace?.[id];
const trace =
  traced === undefined
    ? undefined
    : new (await import('../../core/trace/observe.js')).CoreTrace(traced, id, cluster.cores, time);
const lines = coreInterrupts(memory, interrupts, id, cluster.cores, cluster.routes);
const charged = simulated?.interrupts.deviceOf(lines, cluster.cores) ?? lines;
const device = trace?.interrupts(charged) ?? charged;
const { injection } = orders;
const choices = injection === undefined ? undefined : choicesOf(injection.how, id, orders.incarnation);
const machine =
  injection === undefined
    ? device
    : faultyDoorbells(device, interrupts, id, injection.how, choices!, injection.counters);
const shipped = instantiateKernel(
  orders.kernel,
  memory,
  cluster.base,
  orders.clusterCore,
  simulated?.deviceOf(machine) ?? machine,
  simulated && { simulation: simulated.clock.machine.instrumentation },
);
const unchecked = simulated?.kernelOf(shipped) ?? shipped;
const silent = orders.checkInvariants
  ? (await import('../../core/inspect/checked-kernel.js')).checkedKernel(
      unchecked,
      memory.buffer,
      cluster.base,
      cluster.size,
    )
  : unchecked;
const kernel = trace?.kernel(silent) ?? silent;
const access = simulated?.access ?? plainAccess(memory.buffer, interrupts.words);
const first = orders.clusterCore === 0;
const hasDoorbells = first && cluster.links.incoming.some(({ line }) => line !== undefined);
const parts: CoreParts = {
  ...{ id, kernel, memory: memory.buffer, interrupts, device: machine, orders: orders.orders },
  ...{ stopped: tables.stopped, hasDoorbells, first },
  schedulingDomains: cluster.schedule?.domains ?? 1,
  reportPanic: (reason) => tell({ kind: 'panic', reason }),
  access: trace?.access(access, memory.buffer) ?? access,
  observer: observers([simulated?.observer, trace]),
};
const core = simulated?.coreOf(parts) ?? new Core(parts);
const TypeScriptDomain = typescriptEngine(core, new Float64Array(orders.statistics), orders.states);
interrupts.mask(id, 0, false);
interrupts.mask(id, ORDERS_LINE, false);
if (!first) interrupts.mask(id, HEARTBEAT_LINE, false);

/** Boots the kernel and builds the cluster. */
function bootCluster(): { invoker: Invoker; built: BuiltCluster; tcb: number } {
  const bootInfo = kernel.boot(
    cluster.size,
    cluster.cores.length,
    plan.sharedBase,
    plan.sharedSize,
    cluster.rootBits,
    cluster.schedule?.domains,
  );
  const info = readBootInfo(memory.buffer, bootInfo);
  core.words[(info.initialTCB + Register.Program) / 4] = rootHandle(cluster);
  const invoker = new Invoker(kernel, memory.buffer, info.initialTCB);
  const built = buildCluster(plan, cluster, invoker, info, memory.buffer, orders.incarnation === 1);
  if (orders.incarnation > 1) giveUpOldCalls();
  tables.tcbs.set(built.tcbs, 1);
  tables.tcbs.set(built.proxyTcbs, proxyHandle(cluster, 0));
  for (const [region, address] of built.regions) tables.regions[region] = address;
  Atomics.store(tables.built, 0, 1);
  Atomics.notify(tables.built, 0);
  return { invoker, built, tcb: info.initialTCB };
}

/** Calls of this cluster's earlier self, of which it knows nothing. */
function giveUpOldCalls(): void {
  const { proxies, children } = cluster.links;
  const calls = [
    ...proxies.filter((proxy) => !isForFaults(proxy)),
    ...children.map(({ control }) => control),
  ];
  for (const call of calls) core.calls.giveUp(call);
}

/** Makes the domains that run on this core. @throws ProgramError */
function makeDomains(bundles: readonly Bundle[]): void {
  for (const domain of cluster.domains) {
    if (domain.clusterCore !== orders.clusterCore) continue;
    const { handle } = domain.configuration;
    const vars = domain.regionAddressVars.map(
      ({ symbol, region }) => [symbol, BigInt(tables.regions[region])] as const,
    );
    const engine = new TypeScriptDomain(
      { ...domain.configuration, vars: [...domain.configuration.vars, ...vars] },
      bundles[domain.bundle],
      tables.tcbs[handle],
      domain.maps.map(({ region, symbol, writable, ring }) => ({
        symbol,
        ring,
        address: tables.regions[region],
        length: plan.regions[region].size,
        writable,
      })),
      domain.index * COUNTS,
      new Console(orders.console, orders.timestamps ? time : undefined),
    );
    engine.prepare();
    core.threads[handle] = engine;
  }
}

/** Makes the proxies whose servers run on this core. */
function makeProxies(): void {
  cluster.links.proxies.forEach(({ to, priority, bell, request, reply, hasDoorbell }, index) => {
    if (cluster.domains[to - 1].clusterCore !== orders.clusterCore) return;
    const handle = proxyHandle(cluster, index);
    const outbox = new Outbox(interrupts, id, bell.flags);
    const tcb = tables.tcbs[handle];
    const proxy = new Proxy(handle, tcb, priority, core, { request, reply }, outbox, hasDoorbell);
    core.threads[handle] = trace?.thread(proxy) ?? proxy;
  });
}

/** Returns what starts the domains and then waits as the monitor. */
function rootTask({ invoker, built, tcb }: ReturnType<typeof bootCluster>): () => number {
  const raised = [interrupts.words, firstCore, cluster.links.farFlags, cluster.links.flags] as const;
  const flags = simulated?.flagsOf(...raised) ?? new SignalFlags(...raised);
  const reportFault = (handle: number): void => {
    const { index, configuration } = cluster.domains[handle - 1];
    core.markStopped(handle, Stop.Fault);
    writeAll(
      2,
      `Fault: protection domain '${configuration.name}' has no parent to handle its fault: it is stopped\n`,
    );
    tell({ kind: 'fault', domain: index });
  };
  const { states } = orders;
  const watched: ConstructorParameters<typeof Liveness> = [
    ...([orders.cluster, cluster.cores, states, orders.orders, interrupts.words, plan.heartbeats] as const),
    {
      silent: (peer, incarnation, missed) => tell({ kind: 'silent', cluster: peer, incarnation, missed }),
      heard: (peer) => tell({ kind: 'heard', cluster: peer }),
      peerChanged: (peer, up) => monitor.peerChanged(peer, up),
    },
  ];
  const liveness = simulated?.livenessOf(...watched) ?? new Liveness(...watched);
  const monitor = new Monitor(core, tcb, built.monitor, flags, invoker, reportFault, () => liveness.tick());
  const capabilities = built.monitor.memory;
  if (plan.moving !== undefined && capabilities !== undefined) {
    const deadly =
      injection === undefined ? undefined : deadlyStep(injection.how, choices!, injection.counters);
    // After `liveness` has looked: what changes in between it will tell.
    const up = Array.from(states, (_, index) => Atomics.load(states, index) > 0);
    const moving = new MovingMemory(
      ...([orders.cluster, up, core, invoker, plan.moving, capabilities] as const),
      (peer, given) => requests.answered(peer, given),
      deadly === undefined
        ? undefined
        : (actions) =>
            mortal(actions, () => {
              // Before the machine runs, nobody would bring the cluster up again.
              if (Atomics.load(orders.go, 0) !== 0) deadly();
            }),
    );
    const ids = plan.clusters.map((each) => each.id);
    const requests = new MemoryRequests(core, tcb, moving, orders.cluster, ids, (reply) =>
      monitor.release(reply),
    );
    monitor.useMemory(moving, requests);
  }
  const root = new RootTask(tcb, monitor);
  core.threads[root.handle] = trace?.thread(root) ?? root;
  return () => monitor.start();
}

function awaitWord(word: Int32Array): void {
  while (Atomics.load(word, 0) === 0) {
    Atomics.wait(word, 0, 0, 100);
    core.checkOrders();
  }
}

async function main(): Promise<void> {
  hardenRealm();
  if (simulated !== undefined) {
    await programs;
    simulated.awaitBoot();
  }
  const booted = first ? bootCluster() : undefined;
  awaitWord(tables.built);
  const [bundles] = await programs;
  makeDomains(bundles);
  makeProxies();
  const start = booted === undefined ? () => 0 : rootTask(booted);
  tell({ kind: 'ready', thread: threadName() });
  simulated?.booted();
  awaitWord(orders.go);
  simulated?.start();
  trace?.start();
  core.loop(start());
}

try {
  await main();
} catch (error) {
  if (error instanceof ProgramError) tell({ kind: 'program-error', message: error.message });
  else if (!(error instanceof Halted) && !core.panicked(error)) throw error;
}
for (const thread of core.threads) if (thread instanceof TypeScriptDomain) thread.flush();
simulated?.end();
tell({ kind: 'stopped' });
