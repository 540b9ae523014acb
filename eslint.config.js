import eslint from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** From the top down. A layer imports itself, the layers below it and the public interface (`src/program.ts`). */
const LAYERS = ['cli', 'system', 'coordination', 'core', 'machine'];

/** @param {string} layer @param {number} index */
function importsPointDown(layer, index) {
  const above = LAYERS.slice(0, index);
  const patterns = [
    {
      regex: '^(?:\\.\\./)+kernel/(?!api/constants\\.js$)',
      message: 'Of the kernel, kernel/api/constants.ts alone is read by TypeScript.',
    },
    { regex: '^(?:\\.\\./)+test/', message: 'Nothing that is shipped imports a test.' },
  ];
  if (above.length > 0) {
    patterns.push({
      regex: `^(?:\\.\\./)+(?:src/)?(?:${above.join('|')})/`,
      message: `Imports point down only: ${[...LAYERS, 'kernel'].join(' → ')}.`,
    });
  }
  return {
    files: [`src/${layer}/**/*.ts`],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
  };
}

export default defineConfig(
  // The kernel is AssemblyScript: its own compiler checks it.
  globalIgnores(['build/', 'kernel/**/*.ts', '!kernel/api/constants.ts', 'test/**/fixtures/']),
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Sizes, limits and offsets may coincide, and are compared with numbers.
      '@typescript-eslint/no-duplicate-enum-values': 'off',
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true, argsIgnorePattern: '^_' }],
      // Node's runner awaits its tests itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite'] },
          ],
        },
      ],
    },
  },
  {
    // A realm is hardened by means of intrinsics that were taken off their objects.
    files: ['src/core/engine/typescript/*.ts'],
    rules: { '@typescript-eslint/unbound-method': 'off' },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        Buffer: 'readonly',
        clearTimeout: 'readonly',
        console: 'readonly',
        process: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
  LAYERS.map(importsPointDown),
);
