/**
 * The machine as Linux shows it in sysfs (Documentation/ABI/stable/sysfs-devices-system-cpu and
 * sysfs-devices-node). Every part may be missing: virtual machines hide caches, small kernels have no nodes.
 */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseNumberList } from './number-list.js';
import {
  DEFAULT_LINE_BYTES,
  TopologyError,
  layOut,
  type CacheKind,
  type MachineFacts,
  type Topology,
} from './topology.js';

/** Where to read. Tests lay out trees of their own. */
export interface SysfsRoots {
  /** Default `/sys/devices/system`. */
  readonly system?: string;
  /** Default `/proc/self/status`: says which CPUs this process may use. */
  readonly status?: string;
}

/**
 * The online CPUs that this process may use, with all that sysfs shows of them.
 * @throws TopologyError when there is no such tree (the system is not Linux, or sysfs is not mounted).
 */
export function topologyFromSysfs(roots: SysfsRoots = {}): Topology {
  const system = roots.system ?? '/sys/devices/system';
  const cpuRoot = join(system, 'cpu');
  const cpus = usableCpus(cpuRoot, allowedCpus(roots.status ?? '/proc/self/status'));
  if (cpus.length === 0) {
    throw new TopologyError(
      `${cpuRoot} shows no CPU that this process may use; describe the machine in an hwloc XML file (lstopo --of xml) and name it with --machine`,
    );
  }
  return layOut({
    source: 'this computer, from sysfs',
    cpus: cpus.map((cpu) => {
      const topology = join(cpuRoot, `cpu${cpu}`, 'topology');
      const siblings =
        readList(join(topology, 'core_cpus_list')) ?? readList(join(topology, 'thread_siblings_list'));
      return {
        cpu,
        package: Math.max(0, readNumber(join(topology, 'physical_package_id')) ?? 0),
        physical: siblings && siblings.length > 0 ? Math.min(...siblings) : cpu,
      };
    }),
    nodes: readNodes(join(system, 'node')),
    caches: readCaches(cpuRoot, cpus),
  });
}

/** The CPUs on which the scheduler may put this process's threads; undefined where the system does not say. */
function allowedCpus(statusFile: string): Set<number> | undefined {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(read(statusFile) ?? '')?.[1];
  return list === undefined ? undefined : new Set(parseNumberList(list));
}

function usableCpus(cpuRoot: string, allowed: Set<number> | undefined): number[] {
  const online = readList(join(cpuRoot, 'online')) ?? numbered(cpuRoot, 'cpu');
  return allowed ? online.filter((cpu) => allowed.has(cpu)) : online;
}

function readNodes(nodeRoot: string): MachineFacts['nodes'] {
  return numbered(nodeRoot, 'node').map((id) => {
    const directory = join(nodeRoot, `node${id}`);
    const kibibytes = /MemTotal:\s*(\d+) kB/.exec(read(join(directory, 'meminfo')) ?? '')?.[1];
    const distances = read(join(directory, 'distance'))?.split(/\s+/).map(Number);
    return {
      id,
      cpus: readList(join(directory, 'cpulist')) ?? [],
      ...(kibibytes !== undefined && { memoryBytes: Number(kibibytes) * 1024 }),
      ...(distances && { distances }),
    };
  });
}

const CACHE_KINDS: Readonly<Record<string, CacheKind>> = {
  Data: 'data',
  Instruction: 'instruction',
  Unified: 'unified',
};

function readCaches(cpuRoot: string, cpus: readonly number[]): MachineFacts['caches'] {
  // Each CPU shows all caches that it uses, so a shared one appears once for each of its CPUs.
  const caches = new Map<string, MachineFacts['caches'][number]>();
  for (const cpu of cpus) {
    const cacheRoot = join(cpuRoot, `cpu${cpu}`, 'cache');
    for (const index of numbered(cacheRoot, 'index')) {
      const directory = join(cacheRoot, `index${index}`);
      const level = readNumber(join(directory, 'level'));
      const kind = CACHE_KINDS[read(join(directory, 'type')) ?? ''];
      if (!level || !kind) continue;
      const shared = readList(join(directory, 'shared_cpu_list')) ?? [cpu];
      const key = `${level} ${kind} ${shared.join()}`;
      if (caches.has(key)) continue;
      const sizeBytes = parseSize(read(join(directory, 'size')));
      caches.set(key, {
        level,
        kind,
        ...(sizeBytes !== undefined && { sizeBytes }),
        lineBytes: readNumber(join(directory, 'coherency_line_size')) || DEFAULT_LINE_BYTES,
        cpus: shared,
      });
    }
  }
  return [...caches.values()];
}

/** @param text such as `32K`; the kernel writes kibibytes, other tools' trees larger units too. */
function parseSize(text: string | undefined): number | undefined {
  const match = /^(\d+)([KMG]?)$/.exec(text ?? '');
  if (!match || match[1] === '0') return undefined;
  return Number(match[1]) * { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2] as '' | 'K' | 'M' | 'G'];
}

/** A file's text without its end of line; undefined where it cannot be read, as sysfs does for what is unknown. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function readNumber(file: string): number | undefined {
  const text = read(file);
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

function readList(file: string): number[] | undefined {
  const text = read(file);
  return text === undefined ? undefined : parseNumberList(text);
}

/** The numbers of the entries of `directory` that are `prefix` and a number, ascending. */
function numbered(directory: string, prefix: string): number[] {
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.startsWith(prefix) && /^\d+$/.test(entry.slice(prefix.length)))
    .map((entry) => Number(entry.slice(prefix.length)))
    .sort((a, b) => a - b);
}
