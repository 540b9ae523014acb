import { protectionDomain, readTopology, type MachineTopology } from 'atoll';

export default protectionDomain((pd) => ({
  init() {
    const machine = readTopology(pd.region('topology'));
    const here = Number(pd.vars['topology_cpu']);
    const { packages, nodes, caches, cores, clusters, memory } = machine;
    pd.dbgPuts(
      `${packages.length} packages, ${nodes.length} nodes, ${caches.length} caches, ${cores.length} cores, ${clusters.length} clusters\n`,
    );
    for (const { id, cores, kernel } of clusters) {
      const range = memory.find(({ cluster, size }) => cluster === id && size > 0);
      const place = range === undefined ? '' : ` at 0x${range.base.toString(16)}, ${range.size / 1024} KiB`;
      pd.dbgPuts(`cluster ${id}: cores ${cores.join(' ')}, ${kernel ?? 'no'} kernel${place}\n`);
    }
    pd.dbgPuts(`I am on core ${here}; ${nearestCluster(machine, here)}\n`);
  },
}));

/** The cluster, other than the core's own, that a line reaches soonest from it. */
function nearestCluster({ cores, clusters, lineRoundTrip }: MachineTopology, here: number): string {
  const others = clusters
    .filter(({ id }) => id !== cores[here].cluster)
    .map(({ id, cores }) => ({ id, ns: Math.min(...cores.map((core) => lineRoundTrip(here, core))) }));
  if (others.length === 0) return 'there is no other cluster';
  const measured = others.filter(({ ns }) => !Number.isNaN(ns)).sort((a, b) => a.ns - b.ns);
  if (measured.length === 0) return 'how far other clusters are was not measured';
  return `the nearest other cluster is ${measured[0].id}, ${Math.round(measured[0].ns)} ns there and back`;
}
