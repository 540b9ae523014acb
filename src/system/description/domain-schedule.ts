import { checkAttributes, number, parseInteger, required } from './attributes.js';
import type { DomainSchedule, DomainScheduleEntry } from './types.js';
import type { Element } from './xml.js';

/** What Microkit's kernels are configured with (KernelNumDomains, KernelNumDomainSchedules). */
const MAX_DOMAINS = 256;
const MAX_SCHEDULES = 256;

/** The `domains` element. */
export function parseDomainSchedule(element: Element): DomainSchedule {
  checkAttributes(element, []);
  const ids = new Map<string, number | undefined>();
  const taken = new Set<number>();
  let schedule: Element | undefined;
  for (const child of element.children) {
    if (child.name === 'domain') {
      checkAttributes(child, ['name', 'id']);
      const name = required(child, 'name');
      if (ids.has(name)) throw child.error(`duplicate domain name '${name}'`);
      const id = number(child, 'id');
      if (id !== undefined) {
        if (id >= MAX_DOMAINS) throw child.error(`domain id ${id} must be less than ${MAX_DOMAINS}`);
        if (taken.has(id)) throw child.error(`duplicate domain id ${id}`);
        taken.add(id);
      }
      ids.set(name, id);
    } else if (child.name === 'domain_schedule') {
      if (schedule !== undefined) throw child.error('domain_schedule must only be specified once');
      schedule = child;
    } else {
      throw child.error(`invalid XML element '${child.name}' as child of 'domains'`);
    }
  }
  if (ids.size > MAX_DOMAINS) throw element.error(`number of domains exceeds ${MAX_DOMAINS}`);
  if (schedule === undefined) throw element.error("missing 'domain_schedule' element");
  return parseSchedule(schedule, element, assignIds(ids, taken));
}

/** Domains without an `id` take the lowest free ones, in the order of their names, as Microkit assigns them. */
function assignIds(ids: Map<string, number | undefined>, taken: Set<number>): Map<string, number> {
  const assigned = new Map<string, number>();
  let next = 0;
  for (const [name, id] of [...ids].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (id === undefined) while (taken.has(next)) next++;
    assigned.set(name, id ?? next++);
  }
  return assigned;
}

function parseSchedule(element: Element, domainsElement: Element, ids: Map<string, number>): DomainSchedule {
  checkAttributes(element, ['index_shift', 'start_index']);
  const startIndex = number(element, 'start_index') ?? 0;
  const indexShift = number(element, 'index_shift');
  const entries = element.children.map((child): DomainScheduleEntry => {
    if (child.name === 'schedule_end_marker') {
      checkAttributes(child, []);
      return 'end_marker';
    }
    if (child.name === 'schedule_entry') return parseEntry(child, ids);
    throw child.error(`invalid XML element '${child.name}' as child of 'domain_schedule'`);
  });
  if (entries.length >= MAX_SCHEDULES) {
    throw element.error(`more than ${MAX_SCHEDULES - 1} entries in the domain schedule`);
  }
  if (startIndex >= entries.length) {
    throw element.error(
      `start_index (${startIndex}) must be less than the length of the schedule (${entries.length})`,
    );
  }
  if (indexShift !== undefined && indexShift + entries.length >= MAX_SCHEDULES) {
    throw element.error(
      `index_shift (${indexShift}) and the length of the schedule (${entries.length}) together must be less ` +
        `than ${MAX_SCHEDULES}`,
    );
  }
  return {
    domains: Object.fromEntries(ids),
    entries,
    startIndex,
    ...(indexShift !== undefined && { indexShift }),
    at: domainsElement.at,
  };
}

function parseEntry(element: Element, ids: Map<string, number>): DomainScheduleEntry {
  checkAttributes(element, ['domain', 'duration']);
  const name = required(element, 'domain');
  const domain = ids.get(name);
  if (domain === undefined) throw element.error(`domain '${name}' does not exist`);
  const text = required(element, 'duration');
  const [, amount, unit] = /^([^ ]*) (.*)$/s.exec(text) ?? [];
  if (amount === undefined) {
    throw element.error(`duration '${text}' must contain a value and a unit, as in '1000 us'`);
  }
  const duration = parseInteger(element, 'duration', amount);
  if (duration === 0n) throw element.error(`duration '${text}' must be non-zero`);
  if (unit !== 'us' && unit !== 'ticks') {
    throw element.error(`duration '${text}' must be in either 'ticks' or 'us'`);
  }
  return { domain, duration, unit };
}
