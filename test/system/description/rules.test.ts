/**
 * Every rule that a description can break, each with a description that breaks it and no other. The mark ▶ stands
 * before the element that the diagnostic must point at, and is taken out before the description is parsed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Arch, DescriptionError, parseSystem } from '../../../src/system/description/index.js';

const directory = mkdtempSync(join(tmpdir(), 'atoll-rules-'));
writeFileSync(join(directory, 'empty.bin'), '');
writeFileSync(join(directory, 'page.bin'), 'x'.repeat(4097));
after(() => rmSync(directory, { recursive: true }));

/** What is wrong, on which element, in which description, on which architecture unless aarch64. */
type Case = readonly [problem: string, element: string, description: string, arch?: Arch];

const image = '<program_image path="a.elf"/>';
/** A domain with these attributes and this content, marked where the content does not hold the mark itself. */
const pd = (attributes: string, content = '') =>
  `<protection_domain ${attributes}>${image}${content}</protection_domain>`;
const a = pd('name="a"');
/** A domain with this content, after a memory region `mr` of one page and one, `big`, of one large page. */
const within = (content: string) =>
  `<memory_region name="mr" size="0x1000"/>
   <memory_region name="big" size="0x200000" page_size="0x200000"/>
   ${pd('name="a"', content)}`;
/** Two domains, `low` below `high`, and a channel with these ends. */
const joined = (ends: string, mark = '') =>
  `${pd('name="low" priority="1"')}${pd('name="high" priority="2"')}
   ${mark}<channel>${ends}</channel>`;
const domains = (content: string, attributes = 'domain="d"') =>
  `<domains>${content}</domains>${pd(`name="a" ${attributes}`)}`;
const schedule = '<domain_schedule><schedule_entry domain="d" duration="1 us"/></domain_schedule>';
const space = (attributes: string, content = '') =>
  `<memory_region name="mr" size="0x2000"/>${a}
   ▶<io_address_space ${attributes}>${content}</io_address_space>`;
const iomap = (content: string) =>
  `<memory_region name="mr" size="0x2000"/>
   <memory_region name="big" size="0x200000" page_size="0x200000"/>${a}
   <io_address_space name="s" peripheral_id="0:1.0" domain_id="0">${content}</io_address_space>`;

const memoryRegions: Case[] = [
  ["Missing required attribute 'name'", 'memory_region', '▶<memory_region size="0x1000"/>'],
  ["invalid attribute 'sized'", 'memory_region', '▶<memory_region name="m" sized="0x1000"/>'],
  ['size must be specified if memory region is not prefilled', 'memory_region', '▶<memory_region name="m"/>'],
  ['size is not a multiple of the page size', 'memory_region', '▶<memory_region name="m" size="0x1001"/>'],
  ['size must be > 0', 'memory_region', '▶<memory_region name="m" size="0"/>'],
  ['size must be >= 0', 'memory_region', '▶<memory_region name="m" size="-0x1000"/>'],
  [
    'page size 0x200001 not supported',
    'memory_region',
    '▶<memory_region name="m" size="0x1000" page_size="0x200_001"/>',
  ],
  [
    'phys_addr is not aligned to the page size',
    'memory_region',
    '▶<memory_region name="m" size="0x200000" page_size="0x200000" phys_addr="0x9001000"/>',
  ],
  [
    'physical address range overflows',
    'memory_region',
    '▶<memory_region name="m" size="0x2000" phys_addr="0xfffffffffffff000"/>',
  ],
  [
    "failed to parse integer '4k' of size (invalid digit)",
    'memory_region',
    '▶<memory_region name="m" size="4k"/>',
  ],
  [
    "failed to parse integer '0x1_0000_0000_0000_0000' of size (it does not fit in 64 bits)",
    'memory_region',
    '▶<memory_region name="m" size="0x1_0000_0000_0000_0000"/>',
  ],
  ["failed to parse integer '' of size (it is empty)", 'memory_region', '▶<memory_region name="m" size=""/>'],
  [
    `unable to find prefill file: 'none.bin' (searched ${directory})`,
    'memory_region',
    '▶<memory_region name="m" prefill_path="none.bin"/>',
  ],
  [
    "prefill file 'empty.bin' is empty",
    'memory_region',
    '▶<memory_region name="m" prefill_path="empty.bin"/>',
  ],
  [
    'size of prefill file exceeds memory region size: 0x1001 > 0x1000',
    'memory_region',
    '▶<memory_region name="m" size="0x1000" prefill_path="page.bin"/>',
  ],
  [
    'prefill_path and prefill_bootinfo cannot be both specified',
    'memory_region',
    '▶<memory_region name="m" prefill_path="page.bin" prefill_bootinfo="fdt"/>',
  ],
  [
    "boot information type 'acpi' is not supported",
    'memory_region',
    '▶<memory_region name="m" prefill_bootinfo="acpi"/>',
  ],
  [
    "duplicate memory region name 'm'",
    'memory_region',
    `<memory_region name="m" size="0x1000"/>
     ▶<memory_region name="m" size="0x1000"/>${a}`,
  ],
  [
    "physical address range of memory region 'n' [0x1000..0x3000) overlaps with memory region 'm' [0x2000..0x4000)",
    'memory_region',
    `<memory_region name="m" size="0x2000" phys_addr="0x2000"/>
     <memory_region name="o" size="0x1000" phys_addr="0x4000"/>
     ▶<memory_region name="n" size="0x2000" phys_addr="0x1000"/>${a}`,
  ],
];

const protectionDomains: Case[] = [
  ["Missing required attribute 'name'", 'protection_domain', `▶${pd('priority="1"')}`],
  ["invalid attribute 'colour'", 'protection_domain', `▶${pd('name="a" colour="1"')}`],
  ["invalid attribute 'id'", 'protection_domain', `▶${pd('name="a" id="1"')}`],
  ["invalid XML element 'irqs'", 'irqs', within('▶<irqs/>')],
  [
    "missing 'program_image' element on protection_domain: 'a'",
    'protection_domain',
    '▶<protection_domain name="a"/>',
  ],
  ['program_image must only be specified once', 'program_image', within(`▶${image}`)],
  [
    "Missing required attribute 'path'",
    'program_image',
    '<protection_domain name="a">▶<program_image/></protection_domain>',
  ],
  ['priority must be between 0 and 254', 'protection_domain', `▶${pd('name="a" priority="255"')}`],
  [
    'budget (1001) must be less than, or equal to, period (1000)',
    'protection_domain',
    `▶${pd('name="a" budget="1_001" period="1000"')}`,
  ],
  [
    'budget (18446744073709551615) is too large',
    'protection_domain',
    `▶${pd('name="a" budget="0xffff_ffff_ffff_ffff"')}`,
  ],
  ["passive must be 'true' or 'false'", 'protection_domain', `▶${pd('name="a" passive="yes"')}`],
  ["fpu must be 'true' or 'false'", 'protection_domain', `▶${pd('name="a" fpu="1"')}`],
  ["smc must be 'true' or 'false'", 'protection_domain', `▶${pd('name="a" smc=""')}`],
  [
    'ARM SMC forwarding support is not available for this architecture',
    'protection_domain',
    `▶${pd('name="a" smc="true"')}`,
    'riscv64',
  ],
  [
    'stack size must be between 0x1000 bytes and 0x1000000 bytes',
    'protection_domain',
    `▶${pd('name="a" stack_size="0x1001000"')}`,
  ],
  [
    'stack size must be aligned to the smallest page size, 4096 bytes',
    'protection_domain',
    `▶${pd('name="a" stack_size="0x1001"')}`,
  ],
  ['cpu core must be less than 4, got 4', 'protection_domain', `▶${pd('name="a" cpu="4"')}`],
  [
    "the PD name 'monitor' is reserved for the Microkit monitor",
    'protection_domain',
    `▶${pd('name="monitor"')}`,
  ],
  ["duplicate protection domain name 'a'", 'protection_domain', `${a}\n▶${a}`],
  ["Missing required attribute 'id'", 'protection_domain', within(`▶${pd('name="b"')}`)],
  ['id must be < 63', 'protection_domain', within(`▶${pd('name="b" id="63"')}`)],
  [
    "duplicate id: 1 in protection domain: 'a'",
    'protection_domain',
    within(`${pd('name="b" id="1"')}\n ▶${pd('name="c" id="1"')}`),
  ],
  [
    "duplicate id: 1 clashes with virtual machine vcpu id in protection domain: 'a'",
    'protection_domain',
    within(`<virtual_machine name="vm"><vcpu id="1"/></virtual_machine>▶${pd('name="b" id="1"')}`),
  ],
];

const maps: Case[] = [
  ["Missing required attribute 'mr'", 'map', within('▶<map vaddr="0x1000"/>')],
  ["Missing required attribute 'vaddr'", 'map', within('▶<map mr="mr"/>')],
  ["invalid attribute 'address'", 'map', within('▶<map mr="mr" address="0"/>')],
  ["invalid memory region name 'rm'", 'map', within('▶<map mr="rm" vaddr="0x1000"/>')],
  ['invalid vaddr alignment', 'map', within('▶<map mr="mr" vaddr="0x1001"/>')],
  ['invalid vaddr alignment', 'map', within('▶<map mr="big" vaddr="0x1000"/>')],
  [
    'vaddr (0x10000000000) must be less than 0xffffffe000',
    'map',
    within('▶<map mr="mr" vaddr="0x10000000000"/>'),
  ],
  [
    'vaddr (0x3fffffe000) must be less than 0x3fffffd000',
    'map',
    within('▶<map mr="mr" vaddr="0x3fffffe000"/>'),
    'riscv64',
  ],
  [
    'vaddr (0x7fffffffe000) must be less than 0x7fffffffd000',
    'map',
    within('▶<map mr="mr" vaddr="0x7fffffffe000"/>'),
    'x86_64',
  ],
  [
    "map for 'big' has virtual address range [0xffffe00000..0x10000000000) which exceeds valid address space " +
      '[0x0..0xffffffe000)',
    'map',
    within('▶<map mr="big" vaddr="0xffffe00000"/>'),
  ],
  [
    "perms must only be a combination of 'r', 'w', and 'x'",
    'map',
    within('▶<map mr="mr" vaddr="0x1000" perms="read"/>'),
  ],
  [
    "perms must not be 'w', write-only mappings are not allowed",
    'map',
    within('▶<map mr="mr" vaddr="0x1000" perms="w"/>'),
  ],
  ["cached must be 'true' or 'false'", 'map', within('▶<map mr="mr" vaddr="0x1000" cached="no"/>')],
  [
    "map for 'mr' [0x201000..0x202000) has virtual address range which overlaps with map for 'big' " +
      "[0x200000..0x400000) in protection domain 'a'",
    'map',
    within(`<map mr="big" vaddr="0x200000"/><map mr="mr" vaddr="0x1000"/>
      ▶<map mr="mr" vaddr="0x201000"/>`),
  ],
  [
    "map for 'mr' [0x1000..0x2000) has virtual address range which overlaps with map for 'mr' " +
      "[0x1000..0x2000) in virtual machine 'vm'",
    'map',
    within(`<virtual_machine name="vm"><vcpu id="0"/><map mr="mr" vaddr="0x1000"/>
      ▶<map mr="mr" vaddr="0x1000"/></virtual_machine>`),
  ],
  [
    "setvar_prefill_size used for memory region 'mr' without a prefill_path",
    'map',
    within('▶<map mr="mr" vaddr="0x1000" setvar_prefill_size="size"/>'),
  ],
];

const setvars: Case[] = [
  ["Missing required attribute 'symbol'", 'setvar', within('▶<setvar region_paddr="mr"/>')],
  ["Missing required attribute 'region_paddr'", 'setvar', within('▶<setvar symbol="s"/>')],
  ["invalid attribute 'value'", 'setvar', within('▶<setvar symbol="s" value="1"/>')],
  ["invalid memory region name 'rm'", 'setvar', within('▶<setvar symbol="s" region_paddr="rm"/>')],
  [
    "setvar with region_paddr for memory region 'mr' without a specified phys_addr is unsupported on x86-64",
    'setvar',
    within('▶<setvar symbol="s" region_paddr="mr"/>'),
    'x86_64',
  ],
  [
    "setvar on symbol 's' already exists",
    'map',
    within('▶<map mr="mr" vaddr="0x1000" setvar_vaddr="s" setvar_size="s"/>'),
  ],
  [
    "setvar on symbol 's' already exists",
    'irq',
    within('<setvar symbol="s" region_paddr="mr"/>\n▶<irq irq="1" id="1" setvar_id="s"/>'),
  ],
  [
    "setvar on symbol 's' already exists",
    'protection_domain',
    within(`<setvar symbol="s" region_paddr="mr"/>\n▶${pd('name="b" id="1" setvar_id="s"')}`),
  ],
  [
    "setvar on symbol 's' already exists",
    'vcpu',
    within(`<virtual_machine name="vm"><vcpu id="0" setvar_id="s"/>
      ▶<vcpu id="1" setvar_id="s"/></virtual_machine>`),
  ],
  [
    "setvar on symbol 's' already exists",
    'end',
    joined(`<end pd="low" id="0" setvar_id="s"/><end pd="high" id="0"/></channel>
     <channel>▶<end pd="low" id="1" setvar_id="s"/><end pd="high" id="1"/>`),
  ],
];

const irqs: Case[] = [
  ["Missing required attribute 'id'", 'irq', within('▶<irq irq="1"/>')],
  ["Missing required attribute 'irq'", 'irq', within('▶<irq id="1"/>')],
  ["Missing required attribute 'pin' or 'pcidev'", 'irq', within('▶<irq id="1"/>'), 'x86_64'],
  ["invalid attribute 'vector'", 'irq', within('▶<irq irq="1" id="1" vector="1"/>')],
  ['id must be < 63', 'irq', within('▶<irq irq="1" id="63"/>')],
  ['id must be >= 0', 'irq', within('▶<irq irq="1" id="-1"/>')],
  ["trigger must be either 'level' or 'edge'", 'irq', within('▶<irq irq="1" id="1" trigger="rising"/>')],
  ['ARM and RISC-V IRQs are not supported on x86', 'irq', within('▶<irq irq="1" id="1"/>'), 'x86_64'],
  [
    'x86 I/O APIC IRQs are not supported on ARM and RISC-V',
    'irq',
    within('▶<irq pin="1" vector="1" id="1"/>'),
  ],
  [
    'x86 MSI IRQs are not supported on ARM and RISC-V',
    'irq',
    within('▶<irq pcidev="0:0.0" handle="0" vector="1" id="1"/>'),
    'riscv64',
  ],
  [
    "polarity must be either 'low' or 'high'",
    'irq',
    within('▶<irq pin="1" vector="1" id="1" polarity="up"/>'),
    'x86_64',
  ],
  ['vector must be within [0..107]', 'irq', within('▶<irq pin="1" vector="108" id="1"/>'), 'x86_64'],
  ['pin must be >= 0', 'irq', within('▶<irq pin="-1" vector="1" id="1"/>'), 'x86_64'],
  [
    'expected PCI address in bus:device.function form',
    'irq',
    within('▶<irq pcidev="0.1:2" handle="0" vector="1" id="1"/>'),
    'x86_64',
  ],
  [
    'failed to parse PCI device',
    'irq',
    within('▶<irq pcidev="0:x.0" handle="0" vector="1" id="1"/>'),
    'x86_64',
  ],
  [
    'PCI bus must be within [0..255]',
    'irq',
    within('▶<irq pcidev="100:0.0" handle="0" vector="1" id="1"/>'),
    'x86_64',
  ],
  [
    'PCI device must be within [0..31]',
    'irq',
    within('▶<irq pcidev="0:-1.0" handle="0" vector="1" id="1"/>'),
    'x86_64',
  ],
  [
    'PCI function must be within [0..7]',
    'irq',
    within('▶<irq pcidev="0:0.8" handle="0" vector="1" id="1"/>'),
    'x86_64',
  ],
  [
    "duplicate irq: 112 in protection domain: 'b'",
    'irq',
    `${pd('name="a"', '<irq irq="112" id="0"/>')}${pd('name="b"', '▶<irq irq="112" id="0"/>')}`,
  ],
  [
    "duplicate irq: 5 in protection domain: 'a'",
    'irq',
    within('<irq pin="1" vector="5" id="1"/>▶<irq pcidev="0:0.0" handle="0" vector="5" id="2"/>'),
    'x86_64',
  ],
  [
    "duplicate irq: pin 1 of I/O APIC 0 in protection domain: 'a'",
    'irq',
    within('<irq pin="1" vector="5" id="1"/>▶<irq pin="1" vector="6" id="2"/>'),
    'x86_64',
  ],
  [
    "duplicate channel id: 3 in protection domain: 'a'",
    'irq',
    within('<irq irq="1" id="3"/>▶<irq irq="2" id="3"/>'),
  ],
];

const channels: Case[] = [
  ['exactly two end elements must be specified', 'channel', joined('<end pd="low" id="0"/>', '▶')],
  [
    'exactly two end elements must be specified',
    'channel',
    joined('<end pd="low" id="0"/><end pd="low" id="1"/><end pd="low" id="2"/>', '▶'),
  ],
  ["invalid XML element 'ende'", 'ende', joined('▶<ende pd="low" id="0"/>')],
  ["invalid attribute 'a'", 'channel', `${a}▶<channel a=""/>`],
  ["invalid attribute 'ppc'", 'end', joined('▶<end pd="low" id="0" ppc="true"/>')],
  ["Missing required attribute 'pd'", 'end', joined('▶<end id="0"/>')],
  ["Missing required attribute 'id'", 'end', joined('▶<end pd="low"/>')],
  ["invalid PD name 'middle'", 'end', joined('▶<end pd="middle" id="0"/>')],
  ['id must be < 63', 'end', joined('▶<end pd="low" id="63"/>')],
  ['id must be >= 0', 'end', joined('▶<end pd="low" id="-1"/>')],
  ["failed to parse integer 'a' of id (invalid digit)", 'end', joined('▶<end pd="low" id="a"/>')],
  ["pp must be 'true' or 'false'", 'end', joined('▶<end pd="low" id="0" pp="no"/>')],
  ["notify must be 'true' or 'false'", 'end', joined('▶<end pd="low" id="0" notify="no"/>')],
  [
    'cannot ppc bidirectionally',
    'channel',
    joined('<end pd="low" id="0" pp="true"/><end pd="high" id="0" pp="true"/>', '▶'),
  ],
  [
    'PPCs must be to protection domains of strictly higher priorities; channel with PPC exists from pd high ' +
      '(priority: 2) to pd low (priority: 1)',
    'end',
    joined('<end pd="low" id="0"/>▶<end pd="high" id="0" pp="true"/>'),
  ],
  [
    'PPCs must be to protection domains of strictly higher priorities; channel with PPC exists from pd low ' +
      '(priority: 1) to pd low (priority: 1)',
    'end',
    joined('<end pd="low" id="0"/>▶<end pd="low" id="1" pp="true"/>'),
  ],
  [
    "duplicate channel id: 0 in protection domain: 'low'",
    'end',
    joined('<end pd="low" id="0"/>▶<end pd="low" id="0"/>'),
  ],
  [
    "duplicate channel id: 5 in protection domain: 'high'",
    'end',
    joined(`<end pd="low" id="0"/><end pd="high" id="5"/></channel>
     <channel><end pd="low" id="1"/>▶<end pd="high" id="5"/>`),
  ],
  [
    "duplicate channel id: 3 in protection domain: 'a'",
    'end',
    `${pd('name="a"', '<irq irq="1" id="3"/>')}${pd('name="b"')}
     <channel>▶<end pd="a" id="3"/><end pd="b" id="3"/></channel>`,
  ],
];

const ioPorts: Case[] = [
  ['I/O Ports are only available on x86', 'ioport', within('▶<ioport id="0" addr="0x3f8" size="8"/>')],
  ["Missing required attribute 'size'", 'ioport', within('▶<ioport id="0" addr="0x3f8"/>'), 'x86_64'],
  ['size must be > 0', 'ioport', within('▶<ioport id="0" addr="0x3f8" size="0"/>'), 'x86_64'],
  ['id must be < 63', 'ioport', within('▶<ioport id="63" addr="0x3f8" size="8"/>'), 'x86_64'],
  [
    "duplicate I/O port id: 0 in protection domain: 'a'",
    'ioport',
    within('<ioport id="0" addr="0" size="8"/>▶<ioport id="0" addr="8" size="8"/>'),
    'x86_64',
  ],
  [
    "I/O port id: 1 of protection domain 'a' [0x7..0xf) overlaps with I/O port id: 0 of protection domain 'a' " +
      '[0x0..0x8)',
    'ioport',
    within('<ioport id="0" addr="0" size="8"/>▶<ioport id="1" addr="7" size="8"/>'),
    'x86_64',
  ],
];

const virtualMachines: Case[] = [
  [
    'virtual machine must be a child of a protection domain',
    'virtual_machine',
    `${a}▶<virtual_machine name="vm"/>`,
  ],
  ["Missing required attribute 'name'", 'virtual_machine', within('▶<virtual_machine/>')],
  [
    "missing 'vcpu' element on virtual_machine: 'vm'",
    'virtual_machine',
    within('▶<virtual_machine name="vm"/>'),
  ],
  ["invalid XML element 'cpu'", 'cpu', within('<virtual_machine name="vm">▶<cpu/></virtual_machine>')],
  [
    'virtual_machine must only be specified once',
    'virtual_machine',
    within('<virtual_machine name="v"><vcpu id="0"/></virtual_machine>▶<virtual_machine name="w"/>'),
  ],
  [
    'virtual machines are disabled: seL4 is not a hypervisor on this architecture',
    'virtual_machine',
    within('▶<virtual_machine name="vm"><vcpu id="0"/></virtual_machine>'),
    'riscv64',
  ],
  [
    "invalid attribute 'priority'",
    'virtual_machine',
    within('▶<virtual_machine name="vm" priority="1"><vcpu id="0"/></virtual_machine>'),
    'x86_64',
  ],
  [
    'priority must be between 0 and 254',
    'virtual_machine',
    within('▶<virtual_machine name="vm" priority="255"><vcpu id="0"/></virtual_machine>'),
  ],
  [
    "Missing required attribute 'id'",
    'vcpu',
    within('<virtual_machine name="vm">▶<vcpu/></virtual_machine>'),
  ],
  ['id must be < 63', 'vcpu', within('<virtual_machine name="vm">▶<vcpu id="63"/></virtual_machine>')],
  [
    'cpu core must be less than 4, got 9',
    'vcpu',
    within('<virtual_machine name="vm">▶<vcpu id="0" cpu="9"/></virtual_machine>'),
  ],
  [
    "duplicate vcpu id 0 in virtual machine 'vm'",
    'vcpu',
    within('<virtual_machine name="vm"><vcpu id="0"/>▶<vcpu id="0"/></virtual_machine>'),
  ],
  [
    "invalid attribute 'setvar_vaddr'",
    'map',
    within('<virtual_machine name="vm">▶<map mr="mr" vaddr="0" setvar_vaddr="s"/></virtual_machine>'),
  ],
  [
    "duplicate virtual machine name 'vm'",
    'virtual_machine',
    `${pd('name="a"', '<virtual_machine name="vm"><vcpu id="0"/></virtual_machine>')}
     ${pd('name="b"', '▶<virtual_machine name="vm"><vcpu id="0"/></virtual_machine>')}`,
  ],
  [
    "PD 'a' with a virtual machine cannot have children on x86_64",
    'protection_domain',
    `▶${pd('name="a"', `<virtual_machine name="vm"><vcpu id="0"/></virtual_machine>${pd('name="b" id="1"')}`)}`,
    'x86_64',
  ],
  [
    "PPC from PD 'a' to PD 'b' with a virtual machine is not possible on x86_64",
    'end',
    `${a}${pd('name="b" priority="1"', '<virtual_machine name="vm"><vcpu id="0"/></virtual_machine>')}
     <channel>▶<end pd="a" id="0" pp="true"/><end pd="b" id="0"/></channel>`,
    'x86_64',
  ],
];

const cspaces: Case[] = [
  ['cspace must only be specified once', 'cspace', within('<cspace/>▶<cspace/>')],
  ["invalid attribute 'name'", 'cspace', within('▶<cspace name="c"/>')],
  ["cap type 'page' is not supported", 'cap_page', within('<cspace>▶<cap_page slot="1" pd="a"/></cspace>')],
  ["invalid XML element 'tcb' as child of 'cspace'", 'tcb', within('<cspace>▶<tcb/></cspace>')],
  ["unknown PD name 'b'", 'cap_tcb', within('<cspace>▶<cap_tcb slot="1" pd="b"/></cspace>')],
  ["Missing required attribute 'slot'", 'cap_tcb', within('<cspace>▶<cap_tcb pd="a"/></cspace>')],
  ["invalid attribute 'cnode'", 'cap_sc', within('<cspace>▶<cap_sc slot="1" pd="a" cnode="c"/></cspace>')],
  [
    'destination slot 0 is reserved for the Microkit CNode',
    'cap_sc',
    within('<cspace>▶<cap_sc slot="0" pd="a"/></cspace>'),
  ],
  ['slot must be less than 128', 'cap_sc', within('<cspace>▶<cap_sc slot="128" pd="a"/></cspace>')],
  [
    'overlapping user caps in slot 1, which line 5 maps already',
    'cap_tcb',
    within('<cspace><cap_sc slot="1" pd="a"/>\n▶<cap_tcb slot="1" pd="a"/></cspace>'),
  ],
  [
    'cap_smc is only supported on AArch64',
    'cap_smc',
    within('<cspace>▶<cap_smc slot="1" function_id="1"/></cspace>'),
    'x86_64',
  ],
];

const domainSchedules: Case[] = [
  ["missing 'domain_schedule' element", 'domains', `▶${domains('<domain name="d"/>')}`],
  ['domains must only be specified once', 'domains', `<domains/>▶<domains/>${a}`],
  [
    'domain_schedule must only be specified once',
    'domain_schedule',
    domains(`<domain name="d"/>${schedule}▶${schedule}`),
  ],
  ["invalid XML element 'd' as child of 'domains'", 'd', domains('▶<d/>')],
  ["duplicate domain name 'd'", 'domain', domains(`<domain name="d"/>▶<domain name="d"/>${schedule}`)],
  ['duplicate domain id 1', 'domain', domains(`<domain name="d" id="1"/>▶<domain name="e" id="1"/>`)],
  ['domain id 256 must be less than 256', 'domain', domains('▶<domain name="d" id="256"/>')],
  [
    "domain 'e' does not exist",
    'schedule_entry',
    domains('<domain_schedule>▶<schedule_entry domain="e" duration="1 us"/></domain_schedule>'),
  ],
  ...(
    [
      ['1000', "duration '1000' must contain a value and a unit, as in '1000 us'"],
      ['0 us', "duration '0 us' must be non-zero"],
      ['1 ms', "duration '1 ms' must be in either 'ticks' or 'us'"],
      ['x us', "failed to parse integer 'x' of duration (invalid digit)"],
    ] as const
  ).map(([duration, problem]): Case => [
    problem,
    'schedule_entry',
    domains(
      `<domain name="d"/><domain_schedule>▶<schedule_entry domain="d" duration="${duration}"/></domain_schedule>`,
    ),
  ]),
  [
    'start_index (1) must be less than the length of the schedule (1)',
    'domain_schedule',
    domains(`<domain name="d"/>▶${schedule.replace('>', ' start_index="1">')}`),
  ],
  [
    'index_shift (255) and the length of the schedule (1) together must be less than 256',
    'domain_schedule',
    domains(`<domain name="d"/>▶${schedule.replace('>', ' index_shift="255">')}`),
  ],
  [
    'more than 255 entries in the domain schedule',
    'domain_schedule',
    domains(`▶<domain_schedule>${'<schedule_end_marker/>'.repeat(256)}</domain_schedule>`),
  ],
  [
    "domain 'e' not declared in 'domains'",
    'protection_domain',
    domains(`<domain name="d"/>${schedule}`, 'domain="e"').replace('<prot', '▶<prot'),
  ],
  [
    "domain '__proto__' not declared in 'domains'",
    'protection_domain',
    domains(`<domain name="d"/>${schedule}`, 'domain="__proto__"').replace('<prot', '▶<prot'),
  ],
  [
    "Missing required attribute 'domain'",
    'protection_domain',
    domains(`<domain name="d"/>${schedule}`, '').replace('<prot', '▶<prot'),
  ],
  [
    "specifying a domain 'd' without declaring a domain schedule is not allowed",
    'protection_domain',
    `▶${pd('name="a" domain="d"')}`,
  ],
  [
    'the domain scheduler is not supported in multicore builds of seL4',
    'protection_domain',
    domains(`<domain name="d"/>${schedule}`, 'domain="d" cpu="1"').replace('<prot', '▶<prot'),
  ],
];

const ioAddressSpaces: Case[] = [
  [
    'io address space requires an IOMMU, as on x86',
    'io_address_space',
    space('name="s" peripheral_id="0:1.0" domain_id="0"'),
  ],
  [
    "Missing required attribute 'domain_id'",
    'io_address_space',
    space('name="s" peripheral_id="0:1.0"'),
    'x86_64',
  ],
  [
    "failed to parse device peripheral_id '0:32.0': PCI device must be within [0..31]",
    'io_address_space',
    space('name="s" peripheral_id="0:32.0" domain_id="0"'),
    'x86_64',
  ],
  ...(
    [
      ["duplicate name 's'", 'name="s" peripheral_id="0:2.0" domain_id="1"'],
      ['duplicate domain_id 0', 'name="t" peripheral_id="0:2.0" domain_id="0"'],
      [
        "duplicate device peripheral_id 'PCI device 00:01.0'",
        'name="t" peripheral_id="00:01.0" domain_id="1"',
      ],
    ] as const
  ).map(([problem, attributes]): Case => [
    problem,
    'io_address_space',
    `<io_address_space name="s" peripheral_id="0:1.0" domain_id="0"/>${space(attributes)}`,
    'x86_64',
  ]),
  ["invalid XML element 'map'", 'map', iomap('▶<map/>'), 'x86_64'],
  ["invalid memory region name 'rm'", 'iomap', iomap('▶<iomap mr="rm" iovaddr="0"/>'), 'x86_64'],
  ['invalid iovaddr alignment', 'iomap', iomap('▶<iomap mr="mr" iovaddr="1"/>'), 'x86_64'],
  [
    'iovaddr (0x8000000000) must be less than 0x8000000000',
    'iomap',
    iomap('▶<iomap mr="mr" iovaddr="0x8000000000"/>'),
    'x86_64',
  ],
  [
    "iomap for 'mr' has io address range [0x7ffffff000..0x8000001000) which exceeds valid address space " +
      '[0x0..0x8000000000)',
    'iomap',
    iomap('▶<iomap mr="mr" iovaddr="0x7ffffff000"/>'),
    'x86_64',
  ],
  [
    "perms for io mapped memory must only be a combination of 'r' and 'w'",
    'iomap',
    iomap('▶<iomap mr="mr" iovaddr="0" perms="rx"/>'),
    'x86_64',
  ],
  ['large pages are not supported for the IOMMU', 'iomap', iomap('▶<iomap mr="big" iovaddr="0"/>'), 'x86_64'],
  [
    "map for 'mr' [0x1000..0x3000) has io address range which overlaps with map for 'mr' [0x0..0x2000) in PCI " +
      'device 00:01.0',
    'iomap',
    iomap('<iomap mr="mr" iovaddr="0"/>▶<iomap mr="mr" iovaddr="0x1000"/>'),
    'x86_64',
  ],
];

const granted = (attributes: string) => `${a}▶<?atoll grant ${attributes}?>`;
const grants: Case[] = [
  ["Missing required attribute 'pd'", '?atoll grant', granted('resource="topology"')],
  ["invalid attribute 'to'", '?atoll grant', granted('resource="topology" pd="a" to="b"')],
  [
    "there is no resource 'disk' to grant: there is topology, and memory",
    '?atoll grant',
    granted('resource="disk" pd="a"'),
  ],
  ["there is no protection domain 'b'", '?atoll grant', granted('resource="topology" pd="b"')],
  [
    "protection domain 'a' has the topology already",
    '?atoll grant',
    `<?atoll grant resource="topology" pd="a"?>${granted('resource="topology" pd="a" symbol="b"')}`,
  ],
  [
    "the symbol 'shape_cpu' is set already in protection domain 'a'",
    '?atoll grant',
    within('<map mr="mr" vaddr="0x1000" setvar_vaddr="shape_cpu"/>') +
      '▶<?atoll grant resource="topology" pd="a" symbol="shape"?>',
  ],
];

/** A region and three domains: two have these maps of it, and the third has none. */
const ringOf = (instruction: string, first: string, second: string, region = '') =>
  `<memory_region name="r" size="0x1000" ${region}/>${pd('name="b"', first)}${pd('name="c"', second)}${a}${instruction}`;
const ringMap = '<map mr="r" vaddr="0x1000" setvar_vaddr="r"/>';
const marked = '▶<?atoll ring region="r" producer="b"?>';

const rings: Case[] = [
  [
    "unknown instruction 'rang': there is grant, on-failure, ring",
    '?atoll rang',
    `${a}▶<?atoll rang x="&lt;"?>`,
  ],
  ["invalid attribute 'consumer'", '?atoll ring', `${a}▶<?atoll ring consumer="a"?>`],
  ["Missing required attribute 'region'", '?atoll ring', `${a}▶<?atoll ring producer='a' ?>`],
  ["invalid memory region name 'r'", '?atoll ring', `${a}▶<?atoll ring region="r" producer="a"?>`],
  ["Missing required attribute 'producer'", '?atoll ring', ringOf('▶<?atoll ring region="r"?>', '', '')],
  [
    "invalid protection domain name 'd'",
    '?atoll ring',
    ringOf('▶<?atoll ring region="r" producer="d"?>', ringMap, ringMap),
  ],
  ...[
    [ringMap, ''],
    ['', ringMap],
    [ringMap + ringMap.replace('0x1', '0x2').replace('"r"/', '"s"/'), ''],
    [ringMap + ringMap.replace('0x1', '0x2').replace('"r"/', '"s"/'), ringMap],
  ].map(([first, second]): Case => [
    "ring 'r' must be mapped twice: by its producer 'b' and by one other protection domain",
    '?atoll ring',
    ringOf(marked, first, second),
  ]),
  [
    "ring 'r' in protection domain 'c' must be mapped with perms=\"rw\": both ends write to it",
    '?atoll ring',
    ringOf(marked, ringMap, ringMap.replace('/>', ' perms="r"/>')),
  ],
  [
    "ring 'r' in protection domain 'b' must be mapped with setvar_vaddr: by that name the program knows it",
    '?atoll ring',
    ringOf(marked, '<map mr="r" vaddr="0x1000"/>', ringMap),
  ],
  [
    "memory region 'r' cannot be a ring: it is prefilled",
    '?atoll ring',
    ringOf(marked, ringMap, ringMap, 'prefill_path="page.bin"').replace('0x1000', '0x2000'),
  ],
  [
    "memory region 'r' is a ring already",
    '?atoll ring',
    ringOf(`<?atoll ring region="r" producer="c"?>\n${marked}`, ringMap, ringMap),
  ],
];

const policy = '<?atoll on-failure policy="stop"?>';

const policies: Case[] = [
  ["Missing required attribute 'policy'", '?atoll on-failure', `${a}▶<?atoll on-failure pd="a"?>`],
  ["invalid attribute 'cluster'", '?atoll on-failure', `${a}▶<?atoll on-failure cluster="1"?>`],
  [
    "there is no policy 'shrug': there is restart, stop, halt",
    '?atoll on-failure',
    `${a}▶<?atoll on-failure policy="shrug"?>`,
  ],
  [
    "invalid protection domain name 'b'",
    '?atoll on-failure',
    `${a}▶<?atoll on-failure policy="stop" pd="b"?>`,
  ],
  ['the system has a policy already', '?atoll on-failure', `${a}${policy}\n▶${policy}`],
  [
    "protection domain 'a' has a policy already",
    '?atoll on-failure',
    `${a}${policy}<?atoll on-failure policy="halt" pd="a"?>▶<?atoll on-failure policy="halt" pd="a"?>`,
  ],
];

const elements: Case[] = [["invalid XML element 'domain'", 'domain', `${a}▶<domain/>`]];

const table = {
  elements,
  'memory regions': memoryRegions,
  'protection domains': protectionDomains,
  maps,
  setvars,
  irqs,
  channels,
  'I/O ports': ioPorts,
  'virtual machines': virtualMachines,
  cspaces,
  'domain schedules': domainSchedules,
  'I/O address spaces': ioAddressSpaces,
  grants,
  rings,
  policies,
};

for (const [name, cases] of Object.entries(table)) {
  for (const [problem, element, description, arch = 'aarch64'] of cases) {
    test(`${name}: ${problem} (${arch})`, () => {
      const marked = `<?xml version="1.0" encoding="UTF-8"?>\n<system>\n  ${description}\n</system>\n`;
      const before = marked.slice(0, marked.indexOf('▶')).split('\n');
      const position = { line: before.length, column: before[before.length - 1].length + 1 };
      assert.throws(
        () =>
          parseSystem(marked.replace('▶', ''), { file: 'x.system', arch, cores: 4, searchPath: [directory] }),
        (error) => {
          assert.ok(error instanceof DescriptionError);
          assert.equal(
            error.message,
            `Error: ${problem} on element '${element}': x.system:${position.line}:${position.column}`,
          );
          assert.deepEqual([error.file, error.position], ['x.system', position]);
          return true;
        },
      );
    });
  }
}

test('a system without protection domains is refused', () => {
  assert.throws(() => parseSystem('\n<system/>', { file: 'x.system', arch: 'aarch64' }), {
    message: 'Error: at least one protection domain must be defined: x.system:2:1',
  });
});

test('an instruction to Atoll has a form and a place', () => {
  const written = 'an instruction to Atoll is written <?atoll NAME key="value" …?>: x.system:1:9';
  const placed = "an instruction to Atoll must stand directly in the element 'system'";
  const refuse = (text: string, message: string) =>
    assert.throws(() => parseSystem(text, { file: 'x.system', arch: 'aarch64' }), {
      message: `Error: ${message}`,
    });
  for (const body of ['', ' ', ' ring region', ' ring region=r', ' a/><b', ' a><b', ' a><?atoll b', ' "a"']) {
    refuse(`<system><?atoll${body}?>${a}</system>`, written);
  }
  refuse(`<?atoll ring?><system>${a}</system>`, `${placed}: x.system:1:1`);
  refuse(`<system>${pd('name="a"', '<?atoll ring?>')}</system>`, `${placed}: x.system:1:66`);
  refuse(`<system>${a}</system>\n<?atoll ring?>`, `${placed}: x.system:2:1`);
  assert.equal(
    parseSystem(`<system><?other <& ?>${a}</system>`, { file: 'x', arch: 'aarch64' }).rings.length,
    0,
  );
});

test('a ring names who sends; who receives is the other domain that maps it', () => {
  const text = ringOf('<?atoll ring region="r" producer="c"?>', ringMap, ringMap);
  const { rings } = parseSystem(`<system>${text}</system>`, { file: 'x', arch: 'aarch64' });
  assert.deepEqual(
    rings.map(({ region, producer, consumer }) => ({ region, producer, consumer })),
    [{ region: 0, producer: 1, consumer: 0 }],
  );
});
