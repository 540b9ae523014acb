/**
 * `atoll topology`: the shape of a machine, the clusters that follow from it, and what a cache line costs between
 * cores.
 */

import {
  NEAR_LINE_COST_NS,
  autoRule,
  clustersOf,
  formatNumberList,
  groupBy,
  type Cache,
  type Cluster,
  type Topology,
} from '../machine/topology/index.js';
import { machineShape } from './machine.js';

/** Beyond, a matrix does not fit a terminal, nor a reader's eye. */
const MAX_CORES_IN_FULL = 16;
/** Of caches that are alike: how many sets of cores are listed. */
const MAX_SHARERS = 8;

/**
 * Writes the table for people, or with `json` one object: the {@link Topology} and its `clusters`.
 * @throws TopologyError when the machine's description or the clusters are not as they must be.
 */
export async function topologyCommand(options: {
  /** As {@link machineShape}. */
  machine: string;
  /** As {@link clustersOf}. */
  clusters: string;
  json: boolean;
  out: NodeJS.WritableStream;
}): Promise<void> {
  const topology = await machineShape(options.machine);
  const clusters = clustersOf(topology, options.clusters);
  options.out.write(
    options.json
      ? `${JSON.stringify({ ...topology, clusters }, null, 2)}\n`
      : `${table(topology, clusters, options.clusters).join('\n')}\n`,
  );
}

function table(topology: Topology, clusters: Cluster[], spec: string): string[] {
  const { cores, packages, nodes, lineCost } = topology;
  const threads = new Set(cores.map((core) => core.physical)).size;
  const siblings = threads === cores.length ? '' : `, hardware threads of ${threads} physical cores`;
  const lines = [
    `Machine    ${topology.source}`,
    `Cores      ${cores.length} (${formatNumberList(cores.map(({ id }) => id))})${siblings}`,
    ...entries(
      'Packages',
      packages.map(({ id, cores }) => `${id}: ${nameCores(cores)}`),
    ),
    ...entries('Nodes', summarise(nodes.map(describeNode))),
    ...entries('Caches', topology.caches.length ? describeCaches(topology.caches) : ['none are shown']),
    ...entries('Clusters', [
      `${clusters.length}, ${spec === 'auto' ? autoReason(topology) : `as --clusters ${spec} says`}`,
      ...summarise(clusters.map(({ id, cores }) => `${id}: ${nameCores(cores)}`)),
    ]),
  ];
  if (cores.length <= MAX_CORES_IN_FULL) lines.push('', ...coreTable(topology, clusters));
  lines.push(
    '',
    ...(lineCost
      ? describeLineCosts(topology, lineCost, clusters)
      : ['Line costs are measured on Linux, and on this computer only.']),
  );
  return lines;
}

/** The first entry beside the title, the others below it. */
function entries(title: string, texts: string[]): string[] {
  return texts.map((text, i) => `${(i === 0 ? title : '').padEnd(11)}${text}`);
}

/** At most as many entries as a screen holds. */
function summarise(texts: string[]): string[] {
  if (texts.length <= MAX_CORES_IN_FULL) return texts;
  return [...texts.slice(0, MAX_CORES_IN_FULL - 1), `... and ${texts.length - MAX_CORES_IN_FULL + 1} more`];
}

function nameCores(cores: readonly number[]): string {
  if (cores.length === 0) return 'no cores';
  return `${cores.length === 1 ? 'core' : 'cores'} ${formatNumberList(cores)}`;
}

function describeNode({ id, cores, memoryBytes, distances }: Topology['nodes'][number]): string {
  const memory = memoryBytes === undefined ? '' : `, ${formatBytes(memoryBytes)}`;
  // A node alone is at no distance from anything.
  const far = distances && distances.length > 1 ? `, distances ${distances.join(' ')}` : '';
  return `${id}: ${nameCores(cores)}${memory}${far}`;
}

/** One line for each kind and size of cache, with how many there are and who shares them. */
function describeCaches(caches: readonly Cache[]): string[] {
  const alike = groupBy(caches, ({ level, kind, sizeBytes, lineBytes }) => {
    const size = sizeBytes === undefined ? 'of unknown size' : formatBytes(sizeBytes);
    return `L${level} ${kind}, ${size}, lines of ${lineBytes} bytes`;
  });
  return [...alike].map(([description, group]) => {
    const sharers = group.slice(0, MAX_SHARERS).map(({ cores }) => formatNumberList(cores));
    if (group.length > MAX_SHARERS) sharers.push('...');
    return `${group.length} x ${description}: ${sharers.join(' | ')}`;
  });
}

function autoReason(topology: Topology): string {
  switch (autoRule(topology)) {
    case 'shared-l2':
      return 'one for each set of cores that share an L2';
    case 'line-cost':
      return `one for each set of cores within ${NEAR_LINE_COST_NS} ns of each other, since the system hides its caches`;
    case 'unknown':
      return 'one for each physical core, since nothing is known of caches';
  }
}

function coreTable({ cores }: Topology, clusters: Cluster[]): string[] {
  const clusterOf = new Map(clusters.flatMap(({ id, cores }) => cores.map((core) => [core, id])));
  return align([
    ['Core', 'CPU', 'Package', 'Node', 'Physical', 'Cluster'],
    ...cores.map(({ id, cpu, package: pkg, node, physical }) =>
      [id, cpu, pkg, node, physical, clusterOf.get(id) ?? 'unused'].map(String),
    ),
  ]);
}

function describeLineCosts(
  { lineCostSource }: Topology,
  cost: NonNullable<Topology['lineCost']>,
  clusters: Cluster[],
): string[] {
  const source = lineCostSource === 'model' ? 'as the model has it' : 'measured';
  const title = `Cost of a cache line between two cores, in ns one way, ${source}`;
  if (cost.length < 2) return [`${title}: there is one core only.`];
  const ids = cost.map((_, id) => String(id));
  if (cost.length <= MAX_CORES_IN_FULL) {
    const rows = cost.map((row, i) => [ids[i], ...row.map((ns, j) => (i === j ? '-' : formatNs(ns)))]);
    return [title, '', ...align([['', ...ids], ...rows])];
  }
  const clusterOf = new Map(clusters.flatMap(({ id, cores }) => cores.map((core) => [core, id])));
  const within: number[] = [];
  const between: number[] = [];
  cost.forEach((row, i) =>
    row.slice(0, i).forEach((ns, j) => {
      const together = clusterOf.has(i) && clusterOf.get(i) === clusterOf.get(j);
      if (!Number.isNaN(ns)) (together ? within : between).push(ns);
    }),
  );
  return [
    title,
    `  within a cluster   ${formatSpread(within)}`,
    `  between clusters   ${formatSpread(between)}`,
  ];
}

function formatNs(ns: number): string {
  return Number.isNaN(ns) ? '?' : ns.toFixed(0);
}

function formatSpread(values: number[]): string {
  if (values.length === 0) return 'no pair measured';
  const sorted = values.toSorted((a, b) => a - b);
  const [least, middle, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) => formatNs(sorted[i]));
  return `${least} to ${most}, median ${middle}, of ${values.length} pairs`;
}

/** Columns to the right, two spaces apart. */
function align(rows: string[][]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column])).join('  '));
}

function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${Number(bytes.toFixed(1))} ${units[unit]}`;
}
