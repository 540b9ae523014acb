/** Which file runs for a program image. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkPrograms, findProgram, parseSystem } from '../../../src/system/description/index.js';

const root = mkdtempSync(join(tmpdir(), 'atoll-program-'));
after(() => rmSync(root, { recursive: true }));
const [first, second] = [join(root, 'first'), join(root, 'second')];
const searchPath = [first, second];
const elf = '\x7fELF\x02\x01\x01';
const files = {
  [first]: { 'x.ts': '', 'both.ts': '', 'empty.elf': '', 'empty.js': '', 'order.mjs': '', 'a.b.ts': '' },
  [second]: { 'x.ts': '', 'both.elf': elf, 'late.mts': '', 'order.ts': '', 'order.js': '', 'plain.js': '' },
};
for (const [directory, contents] of Object.entries(files)) {
  mkdirSync(join(directory, 'folder.elf'), { recursive: true });
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(directory, name), content);
}

test('x.ts stands in for x.elf, from the first directory that has one', () => {
  assert.deepEqual(findProgram('x.elf', searchPath), { kind: 'typescript', file: join(first, 'x.ts') });
  assert.deepEqual(findProgram('late.elf', searchPath), {
    kind: 'typescript',
    file: join(second, 'late.mts'),
  });
  assert.deepEqual(findProgram('order.elf', searchPath), {
    kind: 'typescript',
    file: join(first, 'order.mjs'),
  });
  assert.deepEqual(findProgram('order.elf', [second]), {
    kind: 'typescript',
    file: join(second, 'order.ts'),
  });
});

test('a loadable image anywhere on the search path comes before programs', () => {
  assert.deepEqual(findProgram('both.elf', searchPath), { kind: 'elf', file: join(second, 'both.elf') });
});

test('a file that is no ELF image is not loadable', () => {
  assert.deepEqual(findProgram('empty.elf', searchPath), {
    kind: 'typescript',
    file: join(first, 'empty.js'),
  });
  assert.equal(findProgram('folder.elf', searchPath), undefined);
});

test('a path may name the program itself, or have no extension, or another', () => {
  assert.deepEqual(findProgram('plain.js', searchPath), {
    kind: 'typescript',
    file: join(second, 'plain.js'),
  });
  assert.deepEqual(findProgram('x', searchPath), { kind: 'typescript', file: join(first, 'x.ts') });
  assert.deepEqual(findProgram('a.b', searchPath), { kind: 'typescript', file: join(first, 'a.b.ts') });
  assert.deepEqual(findProgram(join(second, 'x.elf'), [first]), {
    kind: 'typescript',
    file: join(second, 'x.ts'),
  });
  assert.deepEqual(findProgram('../second/x.elf', [first]), {
    kind: 'typescript',
    file: join(second, 'x.ts'),
  });
});

test('paths that name nothing', () => {
  for (const path of ['none.elf', '', '.', '..', '/', 'x.elf\0', 'x.ts\0', 'a'.repeat(100_000)]) {
    assert.equal(findProgram(path, searchPath), undefined, JSON.stringify(path.slice(0, 20)));
  }
});

test('a missing program is an error that says where it was looked for', () => {
  const parse = (path: string) =>
    parseSystem(
      `<system>
  <protection_domain name="a"><program_image path="x.elf"/></protection_domain>
  <protection_domain name="b">
    <program_image path="${path}"/>
  </protection_domain>
</system>`,
      { file: 'x.system', arch: 'aarch64' },
    );
  assert.deepEqual(
    checkPrograms(parse('late.elf'), searchPath).map(({ file }) => file),
    [join(first, 'x.ts'), join(second, 'late.mts')],
  );
  assert.throws(() => checkPrograms(parse('none.elf'), searchPath), {
    name: 'DescriptionError',
    message: `Error: unable to find program image: 'none.elf' (searched ${first}, ${second}) on element 'program_image': x.system:4:5`,
  });
});
