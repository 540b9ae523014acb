import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clustersOf } from '../../../src/machine/topology/index.js';
import { parseSystem, type SystemDescription } from '../../../src/system/description/index.js';
import { parseXml } from '../../../src/system/description/xml.js';
import type { ClusterTable } from '../../../src/system/placement/cluster-table.js';
import { SHARED_BASE } from '../../../src/system/placement/cut.js';
import { exportPlan } from '../../../src/system/placement/export.js';
import { place } from '../../../src/system/placement/placement.js';
import { channel, domain } from '../../run/system.js';
import { machineOf } from './problems.js';

interface Exported {
  readonly table: ClusterTable;
  readonly readable: string;
  /** By cluster. */
  readonly systems: readonly SystemDescription[];
  readonly texts: readonly string[];
}

/** Plans on a machine of clusters of one core, and reads back what is exported. */
function exported(content: string, options: { sharedBase?: bigint; lines?: number } = {}): Exported {
  const xml = `<system>${content}</system>`;
  const system = parseSystem(xml, { file: 'test.system', arch: 'aarch64' });
  const topology = machineOf(3, 1);
  const placement = place(system, topology, clustersOf(topology, 'auto'));
  const files = exportPlan({
    system,
    elements: parseXml(xml, 'test.system'),
    topology,
    placement,
    sharedBase: SHARED_BASE,
    lines: 15,
    searchPath: [],
    ...options,
  });
  const table = JSON.parse(files.get('clusters.json')!) as ClusterTable;
  const texts = table.clusters.map(({ file }) => files.get(file)!);
  return {
    table,
    readable: files.get('clusters.md')!,
    texts,
    systems: texts.map((text) => parseSystem(text, { file: 'exported', arch: 'aarch64' })),
  };
}

const namesOf = (items: readonly { readonly name: string }[]): string[] => items.map(({ name }) => name);

const map = (name: string): string => `<map mr="${name}" vaddr="0x1000000" setvar_vaddr="${name}"/>`;

describe('an export', () => {
  it('has for each cluster its domains, on their cores, their regions and the channels among them', () => {
    const { systems, table } = exported(
      `<memory_region name="own" size="0x1000"/><memory_region name="both" size="0x2000" page_size="0x1000"/>` +
        domain('a', 'priority="1" cpu="0" stack_size="0x4000"', map('own')) +
        domain('b', 'priority="2" cpu="0"', map('both')) +
        domain('c', 'priority="3" cpu="2"', map('both')) +
        channel('a 0 pp="true"', 'b 0') +
        channel('b 1', 'c 1'),
    );
    const [first, second] = systems;
    assert.deepEqual(namesOf(first.protectionDomains), ['a', 'b']);
    assert.equal(first.protectionDomains[0].stackSize, 0x4000);
    assert.deepEqual(namesOf(first.memoryRegions), ['own', 'both']);
    assert.equal(first.channels.length, 1);
    assert.deepEqual(
      second.protectionDomains.map(({ name, cpu }) => [name, cpu]),
      [['c', 2]],
    );
    assert.deepEqual(namesOf(second.memoryRegions), ['both']);
    assert.deepEqual(second.channels, []);
    assert.deepEqual(
      [first.memoryRegions[0].physAddr, first.memoryRegions[1].physAddr, second.memoryRegions[0].physAddr],
      [undefined, SHARED_BASE, SHARED_BASE],
    );
    assert.deepEqual(table.regions, [
      { name: 'both', physAddr: '0x70000000', size: '0x2000', clusters: [0, 2] },
    ]);
  });

  it('tells what crosses, with channel ends and interrupt lines', () => {
    const { table, readable } = exported(
      domain('client', 'priority="1" cpu="0"') +
        domain('server', 'priority="2" cpu="1"') +
        `<channel><end pd="client" id="3" pp="true" setvar_id="to_server"/><end pd="server" id="4" notify="false"/></channel>`,
    );
    const client = { cluster: 0, domain: 'client', id: 3, setvar: 'to_server' };
    const server = { cluster: 1, domain: 'server', id: 4 };
    // Calls come first: a line for the request on the server's core, one for the reply on the client's.
    assert.deepEqual(table.calls, [
      { from: client, to: server, request: { core: 1, line: 2 }, reply: { core: 0, line: 2 } },
    ]);
    assert.deepEqual(table.signals, [{ from: client, to: server, bell: { core: 1, line: 3 } }]);
    assert.match(
      readable,
      /\| client 3 \(cluster 0, variable to_server\) \| server 4 \(cluster 1\) \| 3 of core 1 \|/,
    );
  });

  it('has signals share a line where there is but one, told apart by flags', () => {
    const { table } = exported(
      domain('a', 'priority="1" cpu="0"') +
        domain('b', 'priority="2" cpu="1"') +
        channel('a 0', 'b 0') +
        channel('a 1', 'b 1 notify="false"'),
      { lines: 1 },
    );
    assert.deepEqual(
      table.signals.map(({ bell }) => bell),
      [
        { core: 1, line: 1, flag: 0 },
        { core: 0, line: 1, flag: 0 },
        { core: 1, line: 1, flag: 1 },
      ],
    );
  });

  it('tells the answers of a server from those about a child whose identifier is that of the channel', () => {
    const { table } = exported(
      domain('client', 'priority="1" cpu="0"', domain('child', 'priority="1" id="1" cpu="1"')) +
        domain('server', 'priority="2" cpu="1"') +
        channel('client 1 pp="true" notify="false"', 'server 1 notify="false"'),
    );
    assert.deepEqual(table.calls[0].reply, { core: 0, line: 2 });
  });

  it('puts a child at the top where its parent is elsewhere, and leaves it where the parent is here', () => {
    const child = (name: string, id: number, cpu: number, content = ''): string =>
      domain(name, `priority="1" id="${id}" setvar_id="${name}" cpu="${cpu}"`, content);
    const { systems, table } = exported(
      domain('parent', 'priority="5" cpu="0"', child('near', 1, 0) + child('far', 2, 1, child('back', 3, 0))),
    );
    const [first, second] = systems;
    assert.deepEqual(
      first.protectionDomains.map(({ name, parent }) => [name, parent]),
      [
        ['parent', undefined],
        ['near', 0],
        ['back', undefined],
      ],
    );
    assert.deepEqual(
      second.protectionDomains.map(({ name, parent }) => [name, parent]),
      [['far', undefined]],
    );
    assert.deepEqual(table.parents, [
      {
        parent: { cluster: 0, domain: 'parent', id: 2, setvar: 'far' },
        child: { cluster: 1, domain: 'far' },
      },
      { parent: { cluster: 1, domain: 'far', id: 3, setvar: 'back' }, child: { cluster: 0, domain: 'back' } },
    ]);
  });

  it('keeps what a board has and Atoll has not, and odd names', () => {
    const { systems, texts } = exported(
      `<memory_region name="a &amp; &quot;b&quot; &lt;" size="0x1000" phys_addr="0x9000000"/>` +
        domain(
          'a',
          'priority="1" cpu="1"',
          `<map mr='a &amp; "b" &lt;' vaddr="0x1000000" perms="rw" cached="false"/><irq irq="33" id="5"/>`,
        ),
    );
    const [{ memoryRegions, protectionDomains }] = systems;
    assert.equal(memoryRegions[0].name, 'a & "b" <');
    assert.equal(memoryRegions[0].physAddr, 0x9000000n);
    assert.equal(protectionDomains[0].maps[0].cached, false);
    assert.equal(protectionDomains[0].irqs.length, 1);
    assert.doesNotMatch(texts[0], /<channel/);
  });

  it('refuses to share memory where the description has something else', () => {
    const content =
      `<memory_region name="uart" size="0x1000" phys_addr="0x70001000"/><memory_region name="both" size="0x2000"/>` +
      domain('a', 'priority="1" cpu="0"', map('both')) +
      domain('b', 'priority="1" cpu="1"', map('both'));
    assert.throws(() => exported(content), {
      name: 'FileError',
      message:
        "the shared regions, from 0x70000000 to 0x70002000, would overlap the region 'uart' at 0x70001000: choose another --shared-base",
    });
    assert.equal(exported(content, { sharedBase: 0x7000_2000n }).table.regions[0].physAddr, '0x70002000');
    assert.throws(() => exported(content, { sharedBase: 2n ** 64n - 0x1000n }), /do not fit/);
  });

  it('refuses a capability of a domain on another cluster', () => {
    assert.throws(
      () =>
        exported(
          domain('a', 'priority="1" cpu="0"', '<cspace><cap_tcb slot="1" pd="b"/></cspace>') +
            domain('b', 'priority="1" cpu="1"'),
        ),
      /'a' has a capability of 'b', and they are on clusters 0 and 1/,
    );
  });
});
