/** How much the domains of a system have to do with each other: a graph, from a profile or from what is assumed. */
import { UndirectedGraph } from 'graphology';
import type { SystemDescription } from '../description/index.js';
import type { Profile } from './profile.js';

/** What is assumed of a system that has no profile yet. */
export const ASSUMED = {
  /** Each second, on a channel's end that may call, and on one that may notify. */
  calls: 100_000,
  notifications: 10_000,
  /** Of a domain: the part of one core's time; less where the machine's cores would be busy for more than half of it. */
  load: 0.2,
  busy: 0.5,
} as const;

/** Lines of a shared region that move with each event between two domains that share one. */
export const LINES_PER_EVENT = 8;
/** And each second anyway, between whoever maps a region and the first that may write to it. */
export const REGION_LINES = 1000;
/** Supervision is rare, but where nothing else decides a child is near its parent: events a second. */
const SUPERVISION = 1;

export interface DomainLoad {
  /** The part of one core's time, 0 to 1. */
  load: number;
}

/** Between two domains, in both directions together, each second. */
export interface Traffic {
  calls: number;
  notifications: number;
  /** Cache lines of regions that they share. */
  lines: number;
  /** Whether one may call the other: then one waits while the other runs, and they do not compete for a core. */
  callers: boolean;
  /** Whether one has capabilities of the other's objects, so that both need one kernel. */
  oneKernel: boolean;
}

export type TrafficGraph = UndirectedGraph<DomainLoad, Traffic>;

/** Nodes are the domains' indices. `cores`: how many there are for them. */
export function trafficOf(system: SystemDescription, cores: number, profile?: Profile): TrafficGraph {
  const graph: TrafficGraph = new UndirectedGraph();
  const loads = profile && new Map(profile.domains.map(({ name, load }) => [name, load]));
  const assumed = Math.min(ASSUMED.load, (ASSUMED.busy * cores) / system.protectionDomains.length);
  system.protectionDomains.forEach(({ name }, index) => {
    graph.addNode(index, { load: loads === undefined ? assumed : (loads.get(name) ?? 0) });
  });
  const add = (a: number, b: number, more: Partial<Traffic>): void => {
    if (a === b) return;
    graph.updateEdge(a, b, (old) => ({
      calls: (old.calls ?? 0) + (more.calls ?? 0),
      notifications: (old.notifications ?? 0) + (more.notifications ?? 0),
      lines: (old.lines ?? 0) + (more.lines ?? 0),
      callers: (old.callers ?? false) || (more.callers ?? false),
      oneKernel: (old.oneKernel ?? false) || (more.oneKernel ?? false),
    }));
  };

  const measured =
    profile && new Map(profile.channels.map((channel) => [`${channel.from} ${channel.fromId}`, channel]));
  for (const { ends } of system.channels) {
    for (const [from, to] of [ends, ends.toReversed()]) {
      const channel = measured?.get(`${system.protectionDomains[from.pd].name} ${from.id}`);
      const calls = measured === undefined ? ASSUMED.calls : (channel?.callsPerSecond ?? 0);
      const notifications =
        measured === undefined ? ASSUMED.notifications : (channel?.notificationsPerSecond ?? 0);
      add(from.pd, to.pd, {
        calls: from.pp ? calls : 0,
        // A channel for calls may notify too, but without a profile nothing says that it does.
        notifications:
          from.notify && (measured !== undefined || !ends.some(({ pp }) => pp)) ? notifications : 0,
        callers: from.pp,
      });
    }
  }
  system.protectionDomains.forEach(({ parent, capMaps }, index) => {
    if (parent !== undefined) add(parent, index, { notifications: SUPERVISION });
    for (const { pd } of capMaps) if (pd !== undefined) add(pd, index, { oneKernel: true });
  });
  addRegions(system, graph, add);
  return graph;
}

/** Each that maps a region has to do with the first that may write it: as many edges as maps, not as pairs of maps. */
function addRegions(
  system: SystemDescription,
  graph: TrafficGraph,
  add: (a: number, b: number, more: Partial<Traffic>) => void,
): void {
  const maps = system.memoryRegions.map(() => [] as { domain: number; writes: boolean }[]);
  system.protectionDomains.forEach((pd, domain) => {
    for (const { region, perms } of pd.maps) maps[region].push({ domain, writes: perms.w });
  });
  const sharing = new Set<string>();
  for (const sharers of maps) {
    const writer = sharers.find(({ writes }) => writes)?.domain;
    if (writer === undefined) continue;
    for (const { domain } of sharers) {
      add(writer, domain, { lines: REGION_LINES });
      if (domain !== writer) sharing.add(graph.edge(writer, domain)!);
    }
  }
  for (const edge of sharing) {
    const { calls, notifications } = graph.getEdgeAttributes(edge);
    graph.updateEdgeAttribute(
      edge,
      'lines',
      (lines = 0) => lines + LINES_PER_EVENT * (calls + notifications),
    );
  }
}
