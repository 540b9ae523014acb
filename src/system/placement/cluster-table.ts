/** The table that goes with the descriptions of an export: what is between the clusters. */
import type { SystemDescription } from '../description/index.js';
import { planLinks, type Ring } from './links.js';
import { crossingsOf } from './plan.js';

/** What is between the clusters. Addresses and sizes are hexadecimal text: they may have more than 53 bits. */
export interface ClusterTable {
  readonly format: 'atoll clusters';
  readonly version: 1;
  readonly system: string;
  readonly machine: string;
  readonly clusters: readonly {
    readonly cluster: number;
    readonly file: string;
    /** By the machine's numbers, as `cpu` has them; the first is rung by others. */
    readonly cores: readonly number[];
    readonly domains: readonly string[];
  }[];
  readonly regions: readonly {
    readonly name: string;
    readonly physAddr: string;
    readonly size: string;
    readonly clusters: readonly number[];
  }[];
  readonly signals: readonly (Crossed & { readonly bell: Ring })[];
  readonly calls: readonly (Crossed & { readonly request: Ring; readonly reply: Ring })[];
  readonly parents: readonly { readonly parent: End; readonly child: End }[];
}

interface Crossed {
  readonly from: End;
  readonly to: End;
}

/** `id`: of the channel in that domain, or of the child in its parent. `setvar`: the variable that has it as its value. */
interface End {
  readonly cluster: number;
  readonly domain: string;
  readonly id?: number;
  readonly setvar?: string;
}

/**
 * What is between clusters, with the interrupt lines that `atoll run` would use too (links.ts). `ids`: the clusters', to
 * which `firstCores` belong; `lines`: of a cluster, that others may ring; `cores`: of the machine.
 */
export function crossed(
  system: SystemDescription,
  clusterOf: readonly number[],
  ids: readonly number[],
  firstCores: readonly number[],
  lines: number,
  cores: number,
): Pick<ClusterTable, 'signals' | 'calls' | 'parents'> {
  const crossings = crossingsOf(system, (handle) => ({
    cluster: ids.indexOf(clusterOf[handle]),
    core: system.protectionDomains[handle].cpu,
    handle,
    priority: system.protectionDomains[handle].priority,
    passive: system.protectionDomains[handle].passive,
  }));
  const { rings } = planLinks(crossings, firstCores, lines, cores);
  const setvars = system.protectionDomains.map(
    ({ setvars }) =>
      new Map(
        setvars.flatMap(({ kind, symbol, at }) =>
          kind === 'id' ? [[`${at.line}:${at.column}`, symbol]] : [],
        ),
      ),
  );
  const symbols = new Map(
    system.channels.flatMap(({ ends }) =>
      ends.map(({ pd, id, at }) => [`${pd} ${id}`, setvars[pd].get(`${at.line}:${at.column}`)] as const),
    ),
  );
  const end = (domain: number, id: number): End => {
    const setvar = symbols.get(`${domain} ${id}`);
    return {
      cluster: clusterOf[domain],
      domain: system.protectionDomains[domain].name,
      id,
      ...(setvar === undefined ? {} : { setvar }),
    };
  };
  const signals: ClusterTable['signals'][number][] = [];
  const calls: ClusterTable['calls'][number][] = [];
  const parents: ClusterTable['parents'][number][] = [];
  crossings.forEach((crossing, index) => {
    if (crossing.kind === 'child') {
      const { parent, child, childId } = crossing;
      const { at } = system.protectionDomains[child.handle];
      const setvar = setvars[parent.handle].get(`${at.line}:${at.column}`);
      const { name } = system.protectionDomains[parent.handle];
      parents.push({
        parent: {
          cluster: clusterOf[parent.handle],
          domain: name,
          id: childId,
          ...(setvar === undefined ? {} : { setvar }),
        },
        child: { cluster: clusterOf[child.handle], domain: system.protectionDomains[child.handle].name },
      });
      return;
    }
    const { from, fromId, to, toId } = crossing;
    const ends = { from: end(from.handle, fromId), to: end(to.handle, toId) };
    const [first, second] = rings[index];
    if (crossing.kind === 'signal') signals.push({ ...ends, bell: first });
    else calls.push({ ...ends, request: first, reply: second });
  });
  return { signals, calls, parents };
}

/** The same for people, in Markdown. */
export function readable(table: ClusterTable): string {
  const row = (cells: readonly (string | number)[]): string =>
    `| ${cells.map((cell) => String(cell).replace(/[|\\]/g, '\\$&').replace(/\s+/g, ' ')).join(' | ')} |\n`;
  const section = (
    title: string,
    words: string,
    head: readonly string[],
    rows: (string | number)[][],
  ): string =>
    rows.length === 0
      ? ''
      : `\n## ${title}\n\n${words}\n\n${row(head)}${row(head.map(() => '---'))}${rows.map(row).join('')}`;
  const end = ({ cluster, domain, id, setvar }: End): string =>
    `${domain}${id === undefined ? '' : ` ${id}`} (cluster ${cluster}${setvar === undefined ? '' : `, variable ${setvar}`})`;
  const ring = ({ core, line, flag }: Ring): string =>
    `${line} of core ${core}${flag === undefined ? '' : `, flag ${flag}`}`;
  return (
    `# ${table.system.replace(/\s+/g, ' ')} on clusters\n\nMachine: ${table.machine}.\n` +
    section(
      'Clusters',
      'Each is a kernel image of its own, and a Microkit system. `cpu` has the numbers of the whole machine. The paths of\nprogram images are as written: `atoll check FILE --search-path FOLDER` checks one with the programs of that folder.',
      ['cluster', 'file', 'cores', 'domains'],
      table.clusters.map(({ cluster, file, cores, domains }) => [
        cluster,
        file,
        cores.join(' '),
        domains.join(' '),
      ]),
    ) +
    section(
      'Shared regions',
      'One physical address each. No kernel may have this memory as its own: leave it out of what each image is given.',
      ['region', 'phys_addr', 'size', 'clusters'],
      table.regions.map(({ name, physAddr, size, clusters }) => [name, physAddr, size, clusters.join(' ')]),
    ) +
    section(
      'Signals',
      'The sender rings this interrupt line. Where there is a flag, the line is shared, and the flag says which channel.',
      ['from', 'to', 'interrupt line'],
      table.signals.map(({ from, to, bell }) => [end(from), end(to), ring(bell)]),
    ) +
    section(
      'Calls',
      'No image can make these by itself: a proxy beside the server takes the request and sends the reply.',
      ['from', 'to', 'request', 'reply'],
      table.calls.map(({ from, to, request, reply }) => [end(from), end(to), ring(request), ring(reply)]),
    ) +
    section(
      'Parents',
      'Faults of the child are to be passed on to the parent. In its own description the child has none.',
      ['parent', 'child'],
      table.parents.map(({ parent, child }) => [end(parent), end(child)]),
    )
  );
}
