/** Whatever the file holds, the answer is one line that says what is wrong, soon and in bounded memory. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { DescriptionError, loadSystem, parseSystem } from '../../../src/system/description/index.js';

const directory = mkdtempSync(join(tmpdir(), 'atoll-hostile-'));
after(() => rmSync(directory, { recursive: true }));

const refused = (text: string, message: string | RegExp) =>
  assert.throws(() => parseSystem(text, { file: 'x.system', arch: 'aarch64' }), {
    name: 'DescriptionError',
    message,
  });

const hello = '<protection_domain name="a"><program_image path="a.elf"/></protection_domain>';

test('broken XML names the place', () => {
  refused('', 'Error: Could not parse the XML: document must contain a root element: x.system:1:1');
  refused('hello', /^Error: Could not parse the XML: .*: x\.system:1:\d+$/);
  refused(
    '<system>\n  <memory_region>\n</system>',
    "Error: Could not parse the XML: unexpected close tag in element 'memory_region' of line 2: x.system:3:10",
  );
  refused(
    '<system>',
    "Error: Could not parse the XML: unclosed tag: system in element 'system' of line 1: x.system:1:9",
  );
  refused('<system/><system/>', /^Error: Could not parse the XML: .*: x\.system:1:\d+$/);
  refused('<system a=1/>', /^Error: Could not parse the XML: .*: x\.system:1:\d+$/);
  refused(
    '<system>&nbsp;</system>',
    /^Error: Could not parse the XML: undefined entity in element 'system' of line 1: x\.system:1:15$/,
  );
  refused('<system>\0</system>', /^Error: Could not parse the XML: .*: x\.system:1:\d+$/);
  refused(
    '<?xml version="1.0"?>\n <!-- -- --><system/>',
    /^Error: Could not parse the XML: .*: x\.system:2:\d+$/,
  );
});

test('another root element, and text where none belongs', () => {
  refused('\n  <systems/>', "Error: the root element must be 'system' on element 'systems': x.system:2:3");
  refused(
    `<system>\n hello ${hello}</system>`,
    "Error: unexpected text found in element 'system': x.system:1:1",
  );
  refused(
    `<system>${hello}\n<channel><![CDATA[x]]></channel></system>`,
    "Error: unexpected text found in element 'channel': x.system:2:1",
  );
});

test('an attribute given twice, even if first empty', () => {
  for (const name of ['', 'a']) {
    refused(
      `<system>\n<memory_region name="${name}" name="b"/></system>`,
      "Error: duplicate attribute 'name' on element 'memory_region': x.system:2:1",
    );
  }
});

test('an entity bomb is refused unexpanded', () => {
  const bomb = Array.from({ length: 30 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`).join(
    '\n',
  );
  refused(
    `<?xml version="1.0"?>\n<!DOCTYPE system [<!ENTITY e0 "lol">\n${bomb}]>\n<system>&e30;</system>`,
    'Error: document type declarations are not allowed: x.system:2:1',
  );
  refused(
    '<!-- <!DOCTYPE a> --><!DOCTYPE system SYSTEM "file:///etc/passwd"><system/>',
    'Error: document type declarations are not allowed: x.system:1:22',
  );
});

test('a million elements are refused at the hundred-thousand-and-first', () => {
  refused(
    `<system>\n${'<channel/>'.repeat(1_000_000)}</system>`,
    "Error: more than 100000 elements on element 'channel': x.system:2:999991",
  );
});

test('elements nested a million deep, a million attributes, a name of a million characters', () => {
  refused('<a>'.repeat(1_000_000), "Error: elements nested deeper than 256 on element 'a': x.system:1:769");
  const attributes = Array.from({ length: 1_000_000 }, (_, i) => ` a${i}=""`).join('');
  refused(`<system${attributes}/>`, "Error: more than 64 attributes on element 'system': x.system:1:1");
  refused(
    `<${'a'.repeat(1_000_000)}/>`,
    /^Error: the root element must be 'system' on element 'a{64}…': x\.system:1:1$/,
  );
  refused(
    `<system><memory_region name="m" size="${'9'.repeat(1_000_000)}"/></system>`,
    /^Error: failed to parse integer '9{500,}… on element 'memory_region': x\.system:1:9$/,
  );
});

test('a text beyond 16 MiB', () => {
  refused(
    ' '.repeat(16 * 1024 * 1024 + 1),
    'Error: the description is longer than 16777216 characters: x.system',
  );
});

test('a name cannot forge a second line or steer the terminal', () => {
  refused(
    `<system><protection_domain name="a&#10;Error: b&#x9b;&#x202e;"/></system>`,
    "Error: missing 'program_image' element on protection_domain: 'a\\u{a}Error: b\\u{9b}\\u{202e}' " +
      "on element 'protection_domain': x.system:1:9",
  );
});

test('names that JavaScript objects have by nature are names like any other', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    refused(
      `<system><${name}/></system>`,
      `Error: invalid XML element '${name}' on element '${name}': x.system:1:9`,
    );
    const { protectionDomains } = parseSystem(
      `<system><memory_region name="${name}" size="0x1000"/><protection_domain name="${name}">
       <program_image path="${name}"/><map mr="${name}" vaddr="0x1000" setvar_vaddr="${name}"/>
       </protection_domain></system>`,
      { file: 'x.system', arch: 'aarch64' },
    );
    assert.deepEqual([protectionDomains[0].name, protectionDomains[0].setvars[0].symbol], [name, name]);
  }
});

test('files that are none, or not text', () => {
  const file = (name: string) => join(directory, name);
  const loading = (name: string, problem: string) =>
    assert.throws(() => loadSystem(file(name), { arch: 'aarch64' }), {
      name: 'DescriptionError',
      message: `Error: ${problem}: ${file(name)}`,
    });
  loading('none.system', 'cannot read the description: no such file');
  mkdirSync(file('directory.system'));
  loading('directory.system', 'cannot read the description: not a file but a directory');
  writeFileSync(file('latin1.system'), Buffer.from('<system><a name="\xe9"/></system>', 'latin1'));
  loading('latin1.system', 'the description is not valid UTF-8');
  writeFileSync(file('large.system'), '');
  truncateSync(file('large.system'), 2 ** 33);
  loading('large.system', 'the description is larger than 16777216 bytes');
  if (process.getuid?.() !== 0) {
    writeFileSync(file('secret.system'), '');
    chmodSync(file('secret.system'), 0);
    loading('secret.system', 'cannot read the description: permission denied');
  }
  assert.throws(() => loadSystem('a\0b', { arch: 'aarch64' }), DescriptionError);
  assert.throws(() => loadSystem('/dev/zero', { arch: 'aarch64' }), {
    message: 'Error: cannot read the description: not a regular file: /dev/zero',
  });
  writeFileSync(file('hello.system'), `<system>${hello}</system>`);
  assert.equal(loadSystem(file('hello.system'), { arch: 'aarch64' }).file, file('hello.system'));
});

const rich = `<?xml version="1.0" encoding="UTF-8"?>
<system>
  <!-- everything once -->
  <memory_region name="uart" size="0x1_000" phys_addr="0x900_0000"/>
  <memory_region name="ram" size="0x40_0000" page_size="0x20_0000"/>
  <domains><domain name="d"/><domain_schedule><schedule_entry domain="d" duration="1 us"/></domain_schedule></domains>
  <protection_domain name="server" priority="200" passive="true" budget="1" period="2" domain="d">
    <program_image path="server.elf"/>
    <map mr="uart" vaddr="0x2000000" perms="rw" cached="false" setvar_vaddr="base" setvar_size="size"/>
    <irq irq="33" id="0" trigger="edge"/>
    <irq pin="1" id="1" vector="1" polarity="low"/>
    <irq pcidev="0:1.0" id="2" handle="0" vector="2"/>
    <ioport id="0" addr="0x3f8" size="8"/>
    <setvar symbol="paddr" region_paddr="uart"/>
    <cspace><cap_tcb slot="1" pd="client"/></cspace>
    <virtual_machine name="vm"><vcpu id="3"/><map mr="ram" vaddr="0x0"/></virtual_machine>
    <protection_domain name="child" id="0" domain="d"><program_image path="child.elf"/></protection_domain>
  </protection_domain>
  <protection_domain name="client" domain="d"><program_image path="client.elf"/></protection_domain>
  <io_address_space name="s" peripheral_id="0:1.0" domain_id="1"><iomap mr="uart" iovaddr="0"/></io_address_space>
  <channel><end pd="client" id="1" pp="true"/><end pd="server" id="5" setvar_id="ch"/></channel>
</system>`;

test('no mutation of a description gets anything but a description or a DescriptionError', () => {
  const pieces = [...new Set(rich.match(/<\/?\w+|\w+="|[^\s<>="]+|./gs))];
  const edit = fc.record({
    at: fc.nat(rich.length),
    length: fc.oneof(fc.constant(0), fc.nat(40)),
    insert: fc.oneof(
      fc.constant(''),
      fc.constantFrom(...pieces, '18446744073709551616', '-1', '\0', '&lt;', '<![CDATA[', '<!DOCTYPE a>'),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
  });
  const description = fc.array(edit, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(description, fc.constantFrom('aarch64', 'riscv64', 'x86_64'), (edits, arch) => {
      let text = rich;
      for (const { at, length, insert } of edits) text = text.slice(0, at) + insert + text.slice(at + length);
      try {
        parseSystem(text, { file: 'x.system', arch, cores: 2 });
      } catch (error) {
        assert.ok(error instanceof DescriptionError, String(error));
        assert.match(error.message, /^Error: .+: x\.system:\d+:\d+$/);
      }
    }),
    { numRuns: 3000 },
  );
});

test('no text whatever gets anything but a DescriptionError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (text) => {
      assert.throws(() => parseSystem(text, { file: 'x.system', arch: 'aarch64' }), DescriptionError);
    }),
    { numRuns: 1000 },
  );
});

test('a description at the limit of what is accepted is checked without quadratic cost', () => {
  const domains = Array.from(
    { length: 24_000 },
    (_, i) =>
      `<memory_region name="m${i}" size="0x1000" phys_addr="${i * 4096}"/>` +
      `<protection_domain name="p${i}"><program_image path="a"/><map mr="m${i}" vaddr="0x1000"/></protection_domain>`,
  );
  const system = parseSystem(`<system>${domains.join('')}</system>`, { file: 'x.system', arch: 'aarch64' });
  assert.equal(system.protectionDomains.length, 24_000);
});
