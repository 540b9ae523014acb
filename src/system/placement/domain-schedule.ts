/** The domain schedule of a description, as its cluster's kernel is given it, and what of one cannot run. */
import type { Position, SystemDescription } from '../description/index.js';

export interface SchedulePlan {
  /** Scheduling domains of the kernel: one more than the highest number in use. */
  readonly domains: number;
  /** By index in the kernel's schedule; where there is none, a schedule ends. Durations are in nanoseconds. */
  readonly entries: readonly {
    readonly index: number;
    readonly domain: number;
    readonly duration: bigint;
  }[];
  readonly start: number;
  /** The domain of the entry that runs first: that of the monitor, too. */
  readonly first: number;
}

const NANOSECONDS = { us: 1000n, ticks: 1n };
const LONGEST = 2n ** 56n - 1n;

/** Undefined where there is no schedule. `refuse` throws for what cannot run. */
export function planSchedule(
  system: SystemDescription,
  refuse: (message: string, at: Position) => never,
): SchedulePlan | undefined {
  const { domainSchedule, protectionDomains } = system;
  if (domainSchedule === undefined) return undefined;
  const { startIndex, indexShift = 0, at } = domainSchedule;
  const entries = domainSchedule.entries.flatMap((entry, place) => {
    if (entry === 'end_marker') return [];
    const duration = entry.duration * NANOSECONDS[entry.unit];
    if (duration > LONGEST)
      refuse(`a duration in the domain schedule cannot be more than ${LONGEST / 1000n} us`, at);
    return [{ index: indexShift + place, domain: entry.domain, duration }];
  });
  const start = indexShift + startIndex;
  const first = entries.find(({ index }) => index === start);
  if (first === undefined)
    return refuse(`start_index (${startIndex}) is the end of a schedule, so that no domain would run`, at);
  refuseBuried(system, refuse);
  const used = [...entries, ...protectionDomains].map(({ domain = 0 }) => domain);
  return { domains: Math.max(...used) + 1, entries, start, first: first.domain };
}

/**
 * All handlers of a core are on one stack. One that waits for an answer is buried when the next turn begins, under handlers
 * of another scheduling domain: it can go on only when those have ended, and until then none of its own domain starts that
 * is no more urgent. So none of those above may wait for it, or for one that it keeps back.
 */
function refuseBuried(
  { channels, protectionDomains, memoryGrants }: SystemDescription,
  refuse: (message: string, at: Position) => never,
): void {
  const servers = protectionDomains.map((): number[] => []);
  for (const { ends } of channels)
    for (const [from, to] of [ends, ends.toReversed()]) if (from.pp) servers[from.pd].push(to.pd);
  const waiting = protectionDomains.filter(
    (_, index) => servers[index].length > 0 || memoryGrants.some(({ pd }) => pd === index),
  );
  protectionDomains.forEach(({ name, domain, at }, client) => {
    const reached = new Set<number>();
    const open = [client];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const index of servers[next]) {
        if (reached.has(index)) continue;
        reached.add(index);
        open.push(index);
        const server = protectionDomains[index];
        if (server.domain === domain) continue;
        const buried = waiting.find(
          (each) => each.domain === server.domain && each.priority >= server.priority,
        );
        if (buried === undefined) continue;
        refuse(
          `protected calls of '${name}' lead to '${server.name}' of another scheduling domain, where '${buried.name}' makes protected calls itself and is no less urgent: its handler could wait under that of '${name}', and that for it`,
          at,
        );
      }
    }
  });
}
