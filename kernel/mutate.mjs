/**
 * Mutation testing of the kernel: are its tests able to fail? Each mutant differs from the kernel in one operator,
 * constant or statement. Its images are built aside and put before the kernel's tests and the refinement at its quick
 * setting; a mutant that they pass has survived.
 *
 *   npm run mutate [-- --sample 300 --seed 1 --only kernel/object/reply.ts]
 *
 * Prints one line for each mutant, then the share that was caught and the survivors. Where a mutant does not compile, or
 * compiles to what was there before, another is taken: it is none.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile } from './compile.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});

/** Calls of the refinement for each mutant, and the time after which a test that hangs has caught it: milliseconds. */
const REFINEMENT_CALLS = '6000';
const TIMEOUT = 120_000;
/** The tests, quickest first; those that only measure or need several threads at work say little about a mutant. */
const TESTS = ['kernel/ipc', 'kernel/capability', 'kernel/scheduling', 'kernel/notification', 'kernel/budget', 'kernel/preemption', 'kernel/smp', 'spec/refinement', 'kernel/random'];

/** Each rule: what is looked for in a line of code, and what takes its place. */
const RULES = [
  [/ == /g, ' != '],
  [/ != /g, ' == '],
  [/ < /g, ' <= '],
  [/ <= /g, ' < '],
  [/ > /g, ' >= '],
  [/ >= /g, ' > '],
  [/ && /g, ' || '],
  [/ \|\| /g, ' && '],
  [/ \+ /g, ' - '],
  [/ - /g, ' + '],
  [/ & /g, ' | '],
  [/ \| /g, ' & '],
  [/\|= /g, '&= '],
  [/&= /g, '|= '],
  [/\+= /g, '-= '],
  [/-= /g, '+= '],
  [/ << /g, ' >> '],
  [/ >> /g, ' << '],
  [/\btrue\b/g, 'false'],
  [/\bfalse\b/g, 'true'],
  [/\bif \(!/g, 'if ('],
  [/(?<=[ (])0(?=[;,) ])/g, '1'],
  [/(?<=[ (])1(?=[;,) ])/g, '2'],
  [/enqueueHead\(/g, 'enqueueTail('],
  // A statement of its own line.
  [/^(\s+)(?:[\w.]+(?:\([^;]*\))?(?:\.[\w]+)* [|&+-]?= [^;]+|[\w.]+\([^;]*\));$/g, '$1;'],
];

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'device' ? [] : sources(path);
    return entry.name.endsWith('.ts') && entry.name !== 'constants.ts' ? [path] : [];
  });
}

/** All mutants there could be: file, line, and the line's new text. */
function allMutants() {
  const mutants = [];
  for (const file of sources(join(root, 'kernel'))) {
    const name = relative(root, file);
    if (!name.includes(values.only)) continue;
    let comment = false;
    readFileSync(file, 'utf8')
      .split('\n')
      .forEach((line, index) => {
        const code = line.trim();
        if (code.startsWith('/*')) comment = !code.includes('*/');
        else if (comment) comment = !code.includes('*/');
        else if (!/^(\/\/|import|export (const )?enum|declare|@|\} from)/.test(code) && code !== '') {
          for (const [pattern, replacement] of RULES) {
            for (const match of line.matchAll(pattern)) {
              const text = match[0].replace(new RegExp(pattern.source), replacement);
              const mutated = line.slice(0, match.index) + text + line.slice(match.index + match[0].length);
              mutants.push({ name, line: index, was: line.trim(), is: mutated.trim(), mutated });
            }
          }
        }
      });
  }
  return mutants;
}

/** The same order for the same seed, on every machine. */
function shuffled(mutants, seed) {
  const key = (mutant) =>
    createHash('sha256').update(`${seed} ${mutant.name} ${mutant.was} ${mutant.is} ${mutant.line}`).digest('hex');
  return mutants.map((mutant) => [key(mutant), mutant]).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, mutant]) => mutant);
}

const work = mkdtempSync(join(tmpdir(), 'atoll-mutants-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
for (const folder of ['build', 'kernel']) cpSync(join(root, folder), join(work, folder), { recursive: true });
cpSync(join(root, 'package.json'), join(work, 'package.json'));
symlinkSync(join(root, 'node_modules'), join(work, 'node_modules'));

async function images() {
  for (const [image, smp] of [['unicore', 0], ['smp', 1]]) {
    const output = join(work, `build/kernel/${image}.wasm`);
    // What is optimised little compiles in a third of the time.
    if ((await compile(join(work, 'kernel/index.ts'), output, smp, ['-O1'])) !== undefined) return undefined;
  }
  const hash = (image) => createHash('sha256').update(readFileSync(join(work, `build/kernel/${image}.wasm`))).digest('hex');
  return hash('unicore') + hash('smp');
}

/** The first test that fails, or nothing. */
function caughtBy() {
  return TESTS.find((test) => {
    const file = join(work, `build/test/${test}.test.js`);
    if (!existsSync(file)) throw new Error(`there is no test ${test}: run npm run build`);
    const { status } = spawnSync(process.execPath, ['--test', '--test-timeout', String(TIMEOUT), file], {
      cwd: work,
      timeout: TIMEOUT,
      killSignal: 'SIGKILL',
      env: { ...process.env, ATOLL_REFINEMENT: REFINEMENT_CALLS, ATOLL_RANDOM_RUNS: '20' },
      stdio: 'ignore',
    });
    return status !== 0;
  });
}

const original = await images();
const wrong = caughtBy();
if (wrong !== undefined) {
  console.error(`Error: ${wrong} fails without any mutant: make it pass first`);
  process.exit(2);
}
const wanted = Number(values.sample);
const survivors = [];
let tried = 0;
let same = 0;
for (const mutant of shuffled(allMutants(), values.seed)) {
  if (tried === wanted) break;
  const file = join(work, mutant.name);
  const source = readFileSync(file, 'utf8');
  writeFileSync(file, source.split('\n').with(mutant.line, mutant.mutated).join('\n'));
  const built = await images();
  if (built === undefined || built === original) {
    same++;
  } else {
    tried++;
    const test = caughtBy();
    const place = `${mutant.name}:${mutant.line + 1}`;
    if (test === undefined) survivors.push(`${place}\n    was ${mutant.was}\n    is  ${mutant.is}`);
    console.log(`${tried}/${wanted} ${test === undefined ? 'SURVIVED' : `caught by ${test}`} ${place}: ${mutant.is}`);
  }
  writeFileSync(file, source);
}
const caught = tried - survivors.length;
console.log(`\n${caught} of ${tried} mutants caught (${((100 * caught) / tried).toFixed(1)}%); ${same} were none.`);
if (survivors.length > 0) console.log(`Survivors:\n${survivors.join('\n')}`);
process.exitCode = tried > 0 && caught / tried >= 0.9 ? 0 : 1;
