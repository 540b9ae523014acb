import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ESLint } from 'eslint';

const RULE = '@typescript-eslint/no-restricted-imports';

/** Types take too long for this, and the rule needs none. */
const eslint = new ESLint({
  ruleFilter: ({ ruleId }) => ruleId === RULE,
  overrideConfig: [
    {
      files: ['**/*.ts'],
      languageOptions: { parserOptions: { projectService: false, project: false } },
    },
  ],
});

/** What the linter says of `file`, were that import its text. */
async function complaints(file: string, specifier: string): Promise<string[]> {
  const statements = [
    `import { x } from '${specifier}'; export default x;\n`,
    `import type { X } from '${specifier}'; export type Y = X;\n`,
    `export * from '${specifier}';\n`,
  ];
  const messages: string[] = [];
  for (const text of statements) {
    const [result] = await eslint.lintText(text, { filePath: file });
    messages.push(...(result?.messages ?? []).map(({ message }) => message));
  }
  return messages;
}

describe('the layers', () => {
  const upward = [
    ['src/system/initialiser/probe.ts', '../../cli/topology.js'],
    ['src/coordination/probe.ts', '../system/description/index.js'],
    ['src/core/probe.ts', '../system/description/index.js'],
    ['src/core/engine/typescript/probe.ts', '../../../coordination/ring.js'],
    ['src/machine/host/probe.ts', '../../core/kernel.js'],
    ['src/machine/probe.ts', '../../src/cli/topology.js'],
  ] as const;
  for (const [file, specifier] of upward) {
    it(`refuse that ${file} imports ${specifier}`, async () => {
      const messages = await complaints(file, specifier);
      assert.equal(messages.length, 3);
      for (const message of messages) {
        assert.match(message, /cli → system → coordination → core → machine → kernel/);
      }
    });
  }

  it('refuse the inside of the kernel, and tests', async () => {
    assert.equal((await complaints('src/core/probe.ts', '../../kernel/model/cap.js')).length, 3);
    assert.equal((await complaints('src/cli/probe.ts', '../../test/machine/fixtures.js')).length, 3);
  });

  const downward = [
    ['src/cli/probe.ts', '../system/description/index.js'],
    ['src/system/probe.ts', '../core/kernel.js'],
    ['src/core/probe.ts', '../../kernel/api/constants.js'],
    ['src/core/engine/typescript/probe.ts', '../../../program.js'],
    ['src/machine/host/probe.ts', '../topology/index.js'],
    ['test/core/probe.test.ts', '../../src/cli/topology.js'],
  ] as const;
  for (const [file, specifier] of downward) {
    it(`allow that ${file} imports ${specifier}`, async () => {
      assert.deepEqual(await complaints(file, specifier), []);
    });
  }
});
