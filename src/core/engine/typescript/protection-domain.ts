/**
 * The object by which a program reaches all that its domain can reach (`ProtectionDomain`): what the program asks for is
 * checked here against what the description gives the domain, and done by the engine.
 */
import { Invocation } from '../../../../kernel/api/constants.js';
import type { ProtectionDomain, RegionArray, RegionArrayConstructor, Ring } from '../../../program.js';
import { CHILD_ORDERS } from '../../child-orders.js';
import type { Core } from '../../core.js';
import type { MappedRegion } from './configuration.js';
import type { Console } from './console.js';
import type { TypeScriptDomain } from './domain.js';
import { Identifiers } from './identifiers.js';
import { countOf, labelOf, msginfoNew } from './message.js';
import { regionView } from './region.js';
import { programRing } from './ring.js';
import { Slot } from './slots.js';

/** Closures, so that nothing but these functions leads to the engine. */
export function makeProtectionDomain(
  core: Core,
  domain: TypeScriptDomain,
  regions: readonly MappedRegion[],
  console: Console,
): ProtectionDomain {
  const { configuration, name } = domain;
  const notifiable = new Identifiers(configuration.notify);
  const irqs = new Identifiers(configuration.irqs);
  const children = new Map(configuration.children.map(({ id, handle }) => [id, handle]));
  const refuse = (what: string, id: unknown): never => {
    throw new RangeError(`${name} has no ${what} ${String(id)}`);
  };
  const defer = (slot: number): void => {
    domain.beginRequest();
    if (domain.deferred !== 0) throw new RangeError('one deferred action at most may be outstanding');
    domain.deferred = slot;
  };
  const order = (child: number, operation: Invocation): void => {
    domain.beginRequest();
    const remote = domain.remoteChildren.get(child);
    if (remote !== undefined) return domain.control(remote, operation);
    const handle = children.get(child) ?? refuse('child', child);
    const { words: args, leaves } = CHILD_ORDERS.get(operation)!;
    args.forEach((word, index) => domain.setWord(index, word));
    core.markStopped(handle, leaves);
    domain.invoke(Slot.FirstTCB + child, operation, args.length);
  };
  const vars = Object.create(null) as Record<string, bigint>;
  for (const [symbol, value] of configuration.vars) vars[symbol] = value;

  const rings = new Map<string, Ring>();

  const pd: ProtectionDomain = {
    name,
    vars,
    region: (symbol: string, as: RegionArrayConstructor<RegionArray> = Uint8Array) => {
      const mapped = regions.find((region) => region.symbol === symbol);
      if (mapped === undefined) throw new RangeError(`${name} has no region '${String(symbol)}'`);
      return regionView(core.memory, mapped.address, mapped.length, as, mapped.writable) as never;
    },
    ring: (symbol) => {
      let ring = rings.get(symbol);
      if (ring === undefined) {
        const mapped = regions.find((region) => region.symbol === symbol && region.ring !== undefined);
        if (mapped === undefined) throw new RangeError(`${name} has no ring '${String(symbol)}'`);
        ring = programRing(name, core.memory, mapped.address, mapped.length, mapped.ring!, core.access);
        rings.set(symbol, ring);
      }
      return ring;
    },
    notify: (channel) => {
      domain.beginRequest();
      if (!notifiable.has(channel)) refuse('channel to notify', channel);
      domain.notify(channel);
    },
    ppcall: (channel, msginfo) => domain.ppcall(channel, msginfo),
    deferredNotify: (channel) => {
      if (!notifiable.has(channel)) refuse('channel to notify', channel);
      defer(Slot.FirstNotification + channel);
    },
    irqAck: (channel) => {
      domain.beginRequest();
      if (!irqs.has(channel)) refuse('interrupt', channel);
      domain.invoke(Slot.FirstIrq + channel, Invocation.IRQAckIRQ, 0);
    },
    deferredIrqAck: (channel) => {
      if (!irqs.has(channel)) refuse('interrupt', channel);
      defer(Slot.FirstIrq + channel);
    },
    msginfoNew,
    msginfoGetLabel: labelOf,
    msginfoGetCount: countOf,
    mrGet: (index) => domain.mrGet(index),
    mrSet: (index, value) => domain.mrSet(index, value),
    mrGetNumber: (index) => domain.mrGetNumber(index),
    mrSetNumber: (index, value) => domain.mrSetNumber(index, value),
    pdRestart: (child) => order(child, Invocation.TCBWriteRegisters),
    pdStop: (child) => order(child, Invocation.TCBSuspend),
    pdResume: (child) => order(child, Invocation.TCBResume),
    compute: (cycles) => {
      domain.beginRequest();
      if (!Number.isFinite(cycles) || cycles < 0)
        throw new RangeError(`${String(cycles)} is no number of cycles, from 0`);
      core.compute?.(cycles, domain.handle, domain.interrupted);
    },
    dbgPuts: (text) => console.write(String(text)),
    dbgPutc: (character) => console.write(String.fromCodePoint(character)),
  };
  return harden(core.observer?.functions(domain.row, pd) ?? pd);
}
