/**
 * Bundles: what the main thread makes of a program's file and its imports, and what a core evaluates.
 *
 * Nothing here runs a program. What must hold of a bundle's code, because the compartments rely on it: esbuild
 * printed all of it from its syntax tree, with no native asynchronous function and no `import()` in it. A program
 * therefore has no way to come by a promise, and its code runs only while one of its handlers is entered.
 */
import { SourceMap, type SourceMapPayload } from 'node:module';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop, type BuildFailure, type Message, type Plugin } from 'esbuild';
import { position, sourceUrl } from './positions.js';
import { ProgramError } from './program-error.js';

/** One program, ready to be evaluated. Plain data: it is posted to a core's worker thread. */
export interface Bundle {
  /** The program's file, as the caller named it. Stack frames of the program name it too, without blanks. */
  readonly file: string;
  /** An expression whose value is the module's default export. */
  readonly code: string;
  /** The source map of what esbuild printed, as JSON; see `positions.ts`. */
  readonly map: string;
}

/** Calls of {@link bundlePrograms} that are not done. */
let building = 0;

/**
 * Bundles each distinct file of `files` once, with one run of esbuild for all.
 * @returns the bundles by file, as `files` spelt it.
 * @throws ProgramError with one line, `file:line:column: …`, for each thing that is wrong (at most ten).
 */
export async function bundlePrograms(files: Iterable<string>): Promise<Map<string, Bundle>> {
  const programs = [...new Set(files)];
  if (programs.length === 0) return new Map();
  building++;
  try {
    const { outputFiles } = await build({
      entryPoints: programs.map((_, index) => ({ in: `program:${index}`, out: `${index}` })),
      outdir: process.cwd(),
      bundle: true,
      write: false,
      format: 'iife',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      target: 'es2022',
      // Lowered into helpers that `refuseAsynchrony` finds.
      supported: {
        'async-await': false,
        'async-generator': false,
        'for-await': false,
        'dynamic-import': false,
      },
      define: { 'process.env.NODE_ENV': '"production"' },
      minifyWhitespace: true,
      legalComments: 'none',
      sourcemap: 'external',
      sourcesContent: false,
      logLevel: 'silent',
      logOverride: { 'import-is-undefined': 'error' },
      plugins: [packageAtoll, entries(programs)],
    });
    const outputs = new Map(outputFiles.map(({ path, text }) => [relative(process.cwd(), path), text]));
    return new Map(
      programs.map((file, index) => {
        const output = outputs.get(`${index}.js`)!;
        const map = outputs.get(`${index}.js.map`)!;
        if (COMMON_JS.test(output)) throw new ProgramError(`${relative('', file)}: ${NO_DEFAULT}`);
        refuseAsynchrony(output, map);
        return [file, { file, code: expression(file, output), map }];
      }),
    );
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    throw new ProgramError(error.errors.slice(0, 10).map(explain).join('\n'));
  } finally {
    // It would stop under others that build at the same time.
    if (--building === 0) await stop();
  }
}

/** The package `atoll` is this one, wherever the program is; what a program does not use of it is left out. */
const packageAtoll: Plugin = {
  name: 'package atoll',
  setup(esbuild) {
    const path = fileURLToPath(new URL('../../../index.js', import.meta.url));
    esbuild.onResolve({ filter: /^atoll$/ }, () => ({ path, sideEffects: false }));
  },
};

/** The entry points: `program:3` hands over the default export of the fourth program. */
function entries(programs: readonly string[]): Plugin {
  return {
    name: 'entries',
    setup(esbuild) {
      esbuild.onResolve({ filter: /^program:\d+$/ }, ({ path }) => ({ path, namespace: 'entry' }));
      esbuild.onLoad({ filter: /.*/, namespace: 'entry' }, ({ path }) => {
        const file = resolve(programs[Number(path.slice('program:'.length))]);
        return {
          contents: `import program from ${JSON.stringify(file)}; returnProgram(program);`,
          resolveDir: process.cwd(),
        };
      });
      esbuild.onResolve({ filter: /.*/ }, ({ kind }) =>
        kind === 'dynamic-import' ? { errors: [{ text: LOADS_LATE }] } : undefined,
      );
    },
  };
}

const PROLOGUE = '(()=>{let program;const returnProgram=(value)=>{program=value};';

function expression(file: string, output: string): string {
  return `${PROLOGUE}\n${escapeRejected(output)}return program})()\n//# sourceURL=${sourceUrl(file)}`;
}

/**
 * SES refuses source text that seems to hold a dynamic import or an HTML-like comment, wherever it stands. As
 * neither can be left in the code itself, what is left stands in strings, templates and regular expressions, where
 * an escape means the same. Should it stand elsewhere, the escape is a syntax error.
 */
function escapeRejected(output: string): string {
  return output
    .replace(/\bimport(?=\s*(?:\(|\/[/*]))/g, '\\u0069mport')
    .replace(/<(?=!--)/g, '\\u003c')
    .replace(/-->/g, '--\\u003e');
}

const LOADS_LATE = 'a program cannot load code while it runs: use an import declaration';
const ASYNCHRONOUS =
  'a protection domain has no promises, so its program cannot use async or await: each handler runs to completion';

/** Calls of the helpers into which esbuild lowers what a program must not do. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/\b__(?:async|asyncGenerator|forAwait)\(/, ASYNCHRONOUS],
  [/(?<!function )\b__require\(/, LOADS_LATE],
];

function refuseAsynchrony(output: string, map: string): void {
  for (const [call, text] of REFUSED) {
    const at = output.search(call);
    if (at < 0) continue;
    const before = output.slice(0, at);
    const line = before.split('\n').length - 1;
    const place = position(
      new SourceMap(JSON.parse(map) as SourceMapPayload),
      line,
      at - (before.lastIndexOf('\n') + 1),
    );
    throw new ProgramError(place === undefined ? text : `${place}: ${text}`);
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error;
}

/** What esbuild makes of an entry's import where the program has neither import nor export. */
const COMMON_JS = /\breturnProgram\(import_\w+\.default\)/;
const NO_DEFAULT = 'no default export: write `export default protectionDomain((pd) => ({ init() {} }))`';

function explain({ text, location, notes }: Message): string {
  if (location?.file.startsWith('entry:')) {
    const file = /^No matching export in "(.*)" for import "default"$/.exec(text)?.[1];
    return file === undefined ? text : `${file}: ${NO_DEFAULT}`;
  }
  const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : '';
  const builtIn = notes.some((note) => note.text.includes('built into node'));
  return `${place}${text}${builtIn ? ': a protection domain has none of the modules of Node' : ''}`;
}
