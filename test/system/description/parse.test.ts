/** What a description means once it is parsed. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Arch, parseSystem, type SystemDescription } from '../../../src/system/description/index.js';

const directory = mkdtempSync(join(tmpdir(), 'atoll-description-'));
after(() => rmSync(directory, { recursive: true }));

function parse(text: string, arch: Arch = 'aarch64'): SystemDescription {
  return parseSystem(text, { file: 'test.system', arch, searchPath: [directory] });
}

test('a domain that says nothing has the defaults of the manual', () => {
  const { protectionDomains, channels, memoryRegions } = parse(
    '<system><protection_domain name="hello"><program_image path="hello.elf"/></protection_domain></system>',
  );
  assert.deepEqual(protectionDomains, [
    {
      name: 'hello',
      priority: 0,
      budget: 1000,
      period: 1000,
      passive: false,
      stackSize: 0x2000,
      smc: false,
      cpu: 0,
      cpuPinned: false,
      fpu: true,
      programImage: { path: 'hello.elf', at: { line: 1, column: 41 } },
      maps: [],
      irqs: [],
      ioports: [],
      setvars: [],
      capMaps: [],
      at: { line: 1, column: 9 },
    },
  ]);
  assert.deepEqual([channels, memoryRegions], [[], []]);
});

test('every attribute of a domain is read', () => {
  const [pd] = parse(`<system>
    <protection_domain name="a" priority="254" budget="0x10" period="1_000" passive="true" stack_size="0x10_000"
        cpu="3" smc="true" fpu="false">
      <program_image path="a.elf" path_for_symbols="a.symbols.elf"/>
    </protection_domain></system>`).protectionDomains;
  assert.deepEqual(
    { ...pd, at: undefined, programImage: undefined, maps: 0, irqs: 0, ioports: 0, setvars: 0, capMaps: 0 },
    {
      name: 'a',
      priority: 254,
      budget: 16,
      period: 1000,
      passive: true,
      stackSize: 65536,
      cpu: 3,
      cpuPinned: true,
      smc: true,
      fpu: false,
      at: undefined,
      programImage: undefined,
      maps: 0,
      irqs: 0,
      ioports: 0,
      setvars: 0,
      capMaps: 0,
    },
  );
  assert.equal(pd.programImage.pathForSymbols, 'a.symbols.elf');
});

test('children follow their parents, in document order', () => {
  const { protectionDomains } = parse(`<system>
    <protection_domain name="a"><program_image path="a"/>
      <protection_domain name="b" id="4" setvar_id="child_b"><program_image path="b"/>
        <protection_domain name="d" id="0"><program_image path="d"/></protection_domain>
      </protection_domain>
      <protection_domain name="c" id="62"><program_image path="c"/></protection_domain>
    </protection_domain>
    <protection_domain name="e"><program_image path="e"/></protection_domain>
  </system>`);
  assert.deepEqual(
    protectionDomains.map(({ name, parent, childId }) => [name, parent, childId]),
    [
      ['a', undefined, undefined],
      ['b', 0, 4],
      ['d', 1, 0],
      ['c', 0, 62],
      ['e', undefined, undefined],
    ],
  );
  assert.deepEqual(
    protectionDomains[0].setvars.map(({ symbol, value }) => [symbol, value]),
    [['child_b', 4n]],
  );
});

test('maps, permissions and the variables that a description sets', () => {
  const { memoryRegions, protectionDomains } = parse(`<system>
    <memory_region name="uart" size="0x1_000" phys_addr="0x900_0000"/>
    <memory_region name="big" size="0x40_0000" page_size="0x20_0000"/>
    <protection_domain name="a"><program_image path="a"/>
      <map mr="uart" vaddr="0x2000000" perms="rwx" cached="false" setvar_vaddr="base" setvar_size="length"/>
      <map mr="big" vaddr="0x4000000" perms="r"/>
      <map mr="big" vaddr="0x8000000"/>
      <irq irq="33" id="62" trigger="edge" setvar_id="irq"/>
      <setvar symbol="uart_paddr" region_paddr="uart"/>
      <setvar symbol="big_paddr" region_paddr="big"/>
    </protection_domain>
    <protection_domain name="b"><program_image path="b"/></protection_domain>
    <channel><end pd="b" id="7" setvar_id="to_a"/><end pd="a" id="0" setvar_id="to_b"/></channel>
  </system>`);
  assert.deepEqual(
    memoryRegions.map(({ at: _, ...rest }) => rest),
    [
      { name: 'uart', size: 0x1000n, pageSize: 0x1000n, pageSizeSpecified: false, physAddr: 0x900_0000n },
      { name: 'big', size: 0x40_0000n, pageSize: 0x20_0000n, pageSizeSpecified: true },
    ],
  );
  const [a, b] = protectionDomains;
  assert.deepEqual(
    a.maps.map(({ region, vaddr, perms, cached }) => [region, vaddr, perms, cached]),
    [
      [0, 0x200_0000n, { r: true, w: true, x: true }, false],
      [1, 0x400_0000n, { r: true, w: false, x: false }, true],
      [1, 0x800_0000n, { r: true, w: true, x: false }, true],
    ],
  );
  assert.equal(a.maps[0].setvarVaddr, 'base');
  assert.deepEqual(
    a.setvars.map(({ symbol, kind, value, region }) => [symbol, kind, value, region]),
    [
      ['base', 'vaddr', 0x200_0000n, 0],
      ['length', 'size', 0x1000n, 0],
      ['irq', 'id', 62n, undefined],
      ['uart_paddr', 'region_paddr', 0x900_0000n, 0],
      ['big_paddr', 'region_paddr', undefined, 1],
      ['to_b', 'id', 0n, undefined],
    ],
  );
  assert.deepEqual(
    b.setvars.map(({ symbol, value }) => [symbol, value]),
    [['to_a', 7n]],
  );
  assert.deepEqual(a.irqs, [
    { kind: 'conventional', id: 62, irq: 33, trigger: 'edge', at: { line: 8, column: 7 } },
  ]);
});

test('channels name their ends, and what each may do', () => {
  const { channels } = parse(`<system>
    <protection_domain name="server" priority="2"><program_image path="a"/></protection_domain>
    <protection_domain name="client" priority="1"><program_image path="b"/></protection_domain>
    <channel><end pd="client" id="62" pp="true" notify="false"/><end pd="server" id="1"/></channel>
  </system>`);
  assert.deepEqual(
    channels.map(({ ends }) => ends.map(({ pd, id, notify, pp }) => ({ pd, id, notify, pp }))),
    [
      [
        { pd: 1, id: 62, notify: false, pp: true },
        { pd: 0, id: 1, notify: true, pp: false },
      ],
    ],
  );
});

test('a prefilled region takes its size from the file, rounded up to pages', () => {
  writeFileSync(join(directory, 'fill.bin'), 'x'.repeat(4097));
  const { memoryRegions, protectionDomains } = parse(`<system>
    <memory_region name="filled" prefill_path="fill.bin"/>
    <memory_region name="clock" prefill_bootinfo="x86_tsc_freq"/>
    <protection_domain name="a"><program_image path="a"/>
      <map mr="filled" vaddr="0x2000000" setvar_vaddr="start" setvar_prefill_size="bytes"/>
    </protection_domain></system>`);
  assert.deepEqual(
    memoryRegions.map(({ size, prefill, prefillBootinfo }) => [size, prefill, prefillBootinfo]),
    [
      [0x2000n, { path: 'fill.bin', file: join(directory, 'fill.bin'), size: 4097 }, undefined],
      [0x1000n, undefined, 'x86_tsc_freq'],
    ],
  );
  assert.equal(protectionDomains[0].setvars[1].value, 4097n);
});

test('x86 has I/O ports, I/O APIC pins, message-signalled interrupts and an IOMMU', () => {
  const { protectionDomains, ioAddressSpaces } = parse(
    `<system>
    <memory_region name="dma" size="0x1000"/>
    <protection_domain name="a"><program_image path="a"/>
      <irq id="0" pin="11" vector="107" ioapic="1" polarity="low"/>
      <irq id="1" pcidev="ff:1f.7" handle="0" vector="0"/>
      <ioport id="0" addr="0x3f8" size="8" setvar_id="port" setvar_addr="port_addr"/>
    </protection_domain>
    <io_address_space name="disk" peripheral_id="0:4.0" domain_id="1">
      <iomap mr="dma" iovaddr="0x10_0000" perms="w"/>
    </io_address_space></system>`,
    'x86_64',
  );
  const [{ irqs, ioports, setvars }] = protectionDomains as [SystemDescription['protectionDomains'][0]];
  assert.deepEqual(
    irqs.map(({ at: _, ...irq }) => irq),
    [
      { kind: 'ioapic', id: 0, ioapic: 1, pin: 11, trigger: 'level', polarity: 'low', vector: 107 },
      { kind: 'msi', id: 1, pciDevice: { bus: 255, device: 31, function: 7 }, handle: 0, vector: 0 },
    ],
  );
  assert.deepEqual(
    ioports.map(({ at: _, ...port }) => port),
    [{ id: 0, addr: 0x3f8, size: 8 }],
  );
  assert.deepEqual(
    setvars.map(({ symbol, value }) => [symbol, value]),
    [
      ['port', 0n],
      ['port_addr', 0x3f8n],
    ],
  );
  assert.deepEqual(
    ioAddressSpaces.map(({ domainId, device, maps }) => [domainId, device, maps[0].perms]),
    [[1n, { bus: 0, device: 4, function: 0 }, { r: false, w: true }]],
  );
});

test('a virtual machine, its virtual CPUs and its own scheduling parameters', () => {
  const [vmm] = parse(`<system>
    <memory_region name="ram" size="0x20_0000"/>
    <protection_domain name="vmm" priority="3"><program_image path="vmm.elf"/>
      <virtual_machine name="linux" priority="2" budget="5" period="10">
        <vcpu id="0" setvar_id="boot_vcpu"/><vcpu id="1" cpu="2"/>
        <map mr="ram" vaddr="0x40000000" perms="rwx"/>
      </virtual_machine>
    </protection_domain></system>`).protectionDomains;
  const vm = vmm.virtualMachine!;
  assert.deepEqual(vm.scheduling, { priority: 2, budget: 5, period: 10 });
  assert.deepEqual(
    vm.vcpus.map(({ id, cpu }) => [id, cpu]),
    [
      [0, undefined],
      [1, 2],
    ],
  );
  assert.equal(vm.maps[0].vaddr, 0x4000_0000n);
  assert.equal(vmm.setvars[0].symbol, 'boot_vcpu');
});

test('capabilities of any domain, later ones included, go into slots', () => {
  const [a] = parse(`<system>
    <protection_domain name="a"><program_image path="a"/>
      <cspace><cap_tcb slot="1" pd="b"/><cap_sc slot="2" pd="a"/><cap_vspace slot="127" pd="b"/>
        <cap_smc slot="3" function_id="0x84000000"/><cap_smc slot="4" function_id="0"/></cspace>
    </protection_domain>
    <protection_domain name="b"><program_image path="b"/></protection_domain></system>`).protectionDomains;
  assert.deepEqual(
    a.capMaps.map(({ at: _, ...cap }) => cap),
    [
      { type: 'tcb', slot: 1, pd: 1 },
      { type: 'sc', slot: 2, pd: 0 },
      { type: 'vspace', slot: 127, pd: 1 },
      { type: 'smc', slot: 3, functionId: 0x8400_0000n },
      { type: 'smc', slot: 4 },
    ],
  );
});

test('a domain schedule; domains without an id take the lowest that is free', () => {
  const { domainSchedule, protectionDomains } = parse(`<system>
    <domains>
      <domain name="monitor" id="0"/><domain name="emitter" id="1"/><domain name="collector"/>
      <domain_schedule start_index="1" index_shift="4">
        <schedule_entry domain="monitor" duration="6_000 us"/>
        <schedule_entry domain="collector" duration="20 ticks"/>
        <schedule_end_marker/>
      </domain_schedule>
    </domains>
    <protection_domain name="a" domain="collector"><program_image path="a"/></protection_domain></system>`);
  assert.deepEqual(domainSchedule, {
    domains: { monitor: 0, emitter: 1, collector: 2 },
    entries: [
      { domain: 0, duration: 6000n, unit: 'us' },
      { domain: 2, duration: 20n, unit: 'ticks' },
      'end_marker',
    ],
    startIndex: 1,
    indexShift: 4,
    at: { line: 2, column: 5 },
  });
  assert.equal(protectionDomains[0].domain, 2);
});

test('there is no limit on the number of domains: Atoll boots a thousand', () => {
  const domains = Array.from(
    { length: 1000 },
    (_, index) => `<protection_domain name="pd${index}"><program_image path="a"/></protection_domain>`,
  );
  assert.equal(parse(`<system>${domains.join('')}</system>`).protectionDomains.length, 1000);
});

test('comments, processing instructions, a byte order mark and any line ending are no obstacle', () => {
  const text =
    '\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- 𝄞 -->\r<system>\n<?x y?>\r\n<!-- 𝄞 --> ' +
    '<protection_domain name="é"><program_image path="a"/></protection_domain></system>';
  const [pd] = parse(text).protectionDomains;
  assert.equal(pd.name, 'é');
  assert.deepEqual(pd.at, { line: 5, column: 12 });
  const plain = parse(
    '\ufeff<system><protection_domain name="a"><program_image path="a"/></protection_domain></system>',
  );
  assert.deepEqual(plain.protectionDomains[0].at, { line: 1, column: 9 });
});
