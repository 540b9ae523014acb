import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bundlePrograms, type Bundle } from '../../src/core/engine/typescript/bundle.js';
import { originalPositions } from '../../src/core/engine/typescript/positions.js';
import { ProgramError } from '../../src/core/engine/typescript/program-error.js';

const folder = mkdtempSync(join(tmpdir(), 'atoll-bundle-'));
after(() => rmSync(folder, { recursive: true }));

function program(name: string, source: string): string {
  const file = join(folder, name);
  writeFileSync(file, source);
  return file;
}

async function bundle(name: string, source: string): Promise<Bundle> {
  const file = program(name, source);
  return (await bundlePrograms([file])).get(file)!;
}

/** As a compartment does, without one. */
function evaluate({ code }: Bundle): (pd: unknown) => Record<string, () => unknown> {
  return (0, eval)(code) as ReturnType<typeof evaluate>;
}

async function refused(name: string, source: string, message: RegExp): Promise<void> {
  await assert.rejects(bundle(name, source), (error) => {
    assert.ok(error instanceof ProgramError);
    assert.match(error.message, message);
    return true;
  });
}

test('a program and what it imports become one expression', async () => {
  program('half.ts', 'export const half: number = 21;');
  const bundled = await bundle(
    'whole.ts',
    `import { protectionDomain, type Channel } from 'atoll';
     import { half } from './half.js';
     export default protectionDomain((pd) => ({ init() {}, notified(channel: Channel) { return half * 2; } }));`,
  );
  assert.equal(evaluate(bundled)({})['notified'](), 42);
});

test('programs that share a file share a bundle', async () => {
  const file = program('shared.ts', 'export default () => ({ init() {} });');
  const other = program('other.ts', 'export default () => ({ init() {} });');
  const bundles = await bundlePrograms([file, other, file]);
  assert.deepEqual([...bundles.keys()], [file, other]);
});

test('text that SES would refuse in source stays what it was', async () => {
  const bundled = await bundle(
    'text.ts',
    `let x = 3; while (x-->0);
     export default () => ({ init: () => [
       'import (x) <!-- -->', \`import(\${x}) <!--\`, /^import (a)-->$/.test('import a-->') ] });`,
  );
  assert.doesNotMatch(bundled.code, /import\s*\(|<!--|-->/);
  assert.deepEqual(evaluate(bundled)({})['init'](), ['import (x) <!-- -->', 'import(-1) <!--', true]);
});

test('a place in a bundle leads back to the source', async () => {
  const bundled = await bundle(
    'throws.ts',
    "const text = '<!--';\n\nexport default () => ({\n  init() {\n    throw new Error(text);\n  },\n});\n",
  );
  let stack = '';
  try {
    evaluate(bundled)({})['init']();
  } catch (error) {
    stack = (error as Error).stack!;
  }
  assert.match(originalPositions(bundled, stack), /init \(.*throws\.ts:5:11\)/);
});

test('a syntax error names its place', () =>
  refused('syntax.ts', 'export default () => ({\n  init( {}\n});', /syntax\.ts:3:1: Expected/));

test('a program needs a default export', async () => {
  await refused('named.ts', 'export const init = 1;', /named\.ts: no default export: write/);
  await refused('empty.ts', '', /empty\.ts: no default export/);
});

test('a missing file is an error', async () => {
  await assert.rejects(bundlePrograms([join(folder, 'none.ts')]), /ProgramError: .*none\.ts/);
});

test('modules of Node and unknown packages are refused at their import', async () => {
  await refused(
    'node.ts',
    "import { readFileSync } from 'node:fs';\nexport default () => readFileSync;",
    /node\.ts:1:30: .*node:fs.*none of the modules of Node/,
  );
  await refused(
    'package.ts',
    "\nimport x from 'no-such-package';\nexport default x;",
    /package\.ts:2:15: .*no-such-package/,
  );
});

test('code cannot be loaded while the program runs', async () => {
  await refused(
    'literal.ts',
    "export default () =>\n  import('./half.js');",
    /literal\.ts:2:10: .*import declaration/,
  );
  await refused(
    'computed.ts',
    "const n = 'x';\nexport default () =>\n  import(n + 'y');",
    /computed\.ts:3:3: .*import declaration/,
  );
  await refused(
    'require.ts',
    'export default (n) =>\n  require(n);',
    /require\.ts:2:3: .*import declaration/,
  );
});

test('asynchronous code is refused where it stands', async () => {
  await refused(
    'async.ts',
    'export default () => ({\n  async init() {} });',
    /async\.ts:2:\d+: .*runs to completion/,
  );
  await refused(
    'generator.ts',
    'async function* f() {}\nexport default () => ({ init: f });',
    /generator\.ts:1:\d+: .*runs to completion/,
  );
  await refused('await.ts', 'await 1;\nexport default 1;', /await\.ts:1:1: /);
});
