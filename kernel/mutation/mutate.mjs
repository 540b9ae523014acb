/**
 * Mutation testing of the kernel: are its tests able to fail? Each mutant (mutants.mjs) is compiled and put before the
 * tests that `npm run test:kernel` runs; one that they pass has survived.
 *
 *   npm run mutate [-- --sample 300 --seed 1 --only kernel/object/reply.ts --jobs 1 --resume | --survivors]
 *
 * What compiles to the image that was there before is no mutant, and another is taken. Outcomes are kept, in
 * build/mutation/outcomes.jsonl, as they come: `--resume` takes those over that are there, and `--survivors` all but the
 * survivors, so that they are tried again. explained.json has mutants that nobody can tell from the kernel, with the
 * reason: they are reported apart, and count as survivors without being tried.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { QUICK, compile } from '../compile.mjs';
import { expose } from '../expose.mjs';
import { mutantsOf, shuffled, sources } from './mutants.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const build = join(root, 'build');
const folder = join(build, 'mutation');
const outcomesFile = join(folder, 'outcomes.jsonl');

const { values: options } = parseArgs({
  options: {
    sample: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '1' },
    resume: { type: 'boolean', default: false },
    survivors: { type: 'boolean', default: false },
  },
});
const sample = Number(options.sample);

/** A test that takes so long has caught the mutant: milliseconds. None takes a tenth of it on a machine that is at rest. */
const TIME_LIMIT = 60_000;
const DEVICE = 'kernel/device/';
const CONTROLLER = 'interrupt-controller';
/** What a mutant is compiled to, one image after the other until the tests catch it. */
const KERNEL = ['unicore', 'smp'];
/** These take a second or more each, so they come last, those first that catch most. */
const SLOW = [
  'refinement.test.js',
  'boundaries.test.js',
  'fastpath.test.js',
  'random.test.js',
  'image.test.js',
  'isolation.test.js',
  'interleavings.test.js',
];
/** Of those, these are for each image, even where both have been changed: their fastpaths differ. */
const SLOW_FOR_EACH = ['fastpath.test.js'];
/** Tests of several cores, which have nothing to do with `unicore`. */
const SEVERAL_CORES = ['smp.test.js', 'interleavings.test.js'];

const sourceOf = (image) =>
  join(root, image === CONTROLLER ? `${DEVICE}${CONTROLLER}.ts` : 'kernel/index.ts');
const imagesOf = (mutant) => (mutant.file.startsWith(DEVICE) ? [CONTROLLER] : KERNEL);
const compiled = (image, how) => compile(sourceOf(image), { smp: image === 'smp', ...how });

/** The tests of an image, in the order in which they are tried; `slow`: those too that do the same with both images. */
function testsOf(place, image, slow) {
  return ['test/kernel', 'test/spec']
    .flatMap((path) =>
      readdirSync(join(place, path)).map((name) => ({ path: join(place, path, name), name })),
    )
    .filter(({ name }) => name.endsWith('.test.js'))
    .filter(({ name }) => (image === CONTROLLER) === name.startsWith(CONTROLLER))
    .filter(({ name }) => image !== 'unicore' || !SEVERAL_CORES.includes(name))
    .filter(({ name }) => slow || !SLOW.includes(name) || SLOW_FOR_EACH.includes(name))
    .toSorted((a, b) => SLOW.indexOf(a.name) - SLOW.indexOf(b.name))
    .map(({ path }) => path);
}

/** The first test that fails on what stands in a folder, or nothing. */
async function caughtBy(place, image, slow = true) {
  const files = testsOf(place, image, slow);
  const reporter = pathToFileURL(join(here, 'first-failure.mjs')).href;
  const args = ['--test-reporter', reporter, join(here, 'run-tests.mjs'), ...files];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ATOLL_IMAGES: image },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), TIME_LIMIT);
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
    limit.refresh();
  });
  const [code, signal] = await once(child, 'close');
  clearTimeout(limit);
  if (code === 0) return undefined;
  return signal === 'SIGKILL' ? 'the time limit' : said.split('\n').at(-1) || 'a crash';
}

/** The forms of an image that tests use, compiled in little time. */
async function formsOf(image, changed) {
  const how = { optimisation: QUICK, changed };
  const { image: whole, wrong } = await compiled(image, how);
  if (wrong !== undefined || image === CONTROLLER) return { whole, wrong };
  const { image: slow } = await compiled(image, { ...how, fastpath: false });
  return { whole, slow };
}

function install(place, image, { whole: bytes, slow }) {
  writeFileSync(join(place, `kernel/${image}.wasm`), bytes);
  if (slow) writeFileSync(join(place, `slowpath/${image}.wasm`), slow);
  if (image !== 'unicore') writeFileSync(join(place, `exposed/${image}.wasm`), expose(bytes));
}

/** What becomes of a mutant: `by` says which test caught it. */
async function outcomeOf(mutant, place) {
  if (explained.has(mutant.key)) return { outcome: 'survived' };
  const changed = new Map(kernel).set(join(root, mutant.file), mutant.source);
  let differs = false;
  for (const image of imagesOf(mutant)) {
    const mutated = await formsOf(image, changed);
    if (mutated.wrong !== undefined) return { outcome: 'does not compile' };
    if (originals.get(image).whole.equals(mutated.whole)) continue;
    install(place, image, mutated);
    const by = await caughtBy(place, image, !differs);
    differs = true;
    install(place, image, originals.get(image));
    if (by !== undefined) return { outcome: 'caught', by: `${image}: ${by}` };
  }
  if (!differs) return { outcome: 'same image' };
  for (const image of imagesOf(mutant)) {
    const { image: mutated } = await compiled(image, { changed });
    if (!readFileSync(join(build, `kernel/${image}.wasm`)).equals(mutated)) return { outcome: 'survived' };
  }
  return { outcome: 'same image' };
}

/** Tries mutants in a folder of its own, until there are enough. */
async function job(number) {
  const place = join(folder, `${number}`);
  rmSync(place, { recursive: true, force: true });
  for (const path of ['kernel', 'exposed', 'slowpath', 'src', 'test', 'spec', 'bench'])
    cpSync(join(build, path), join(place, path), { recursive: true });
  for (const [image, bytes] of originals) install(place, image, bytes);
  if (number === 0) await mustPass(place);
  for (let mutant = next(); mutant !== undefined; mutant = next()) {
    const { key, file, line } = mutant;
    const outcome = { key, ...(await outcomeOf(mutant, place)) };
    outcomes.set(key, outcome);
    appendFileSync(outcomesFile, `${JSON.stringify(outcome)}\n`);
    if (isMutant(outcome))
      console.log(
        `${counted()}/${sample} ${outcome.outcome} ${file}:${line}: ${mutant.is} (${outcome.by ?? ''})`,
      );
  }
}

/** Otherwise, all mutants would be caught. */
async function mustPass(place) {
  for (const image of originals.keys()) {
    const wrong = await caughtBy(place, image);
    if (wrong === undefined) continue;
    console.error(`Error: ${image}: ${wrong} fails without any mutant: make it pass first`);
    process.exit(2);
  }
}

const isMutant = (outcome) => outcome?.outcome === 'caught' || outcome?.outcome === 'survived';
const counted = () => mutants.filter(({ key }) => isMutant(outcomes.get(key))).length;

/** The next to be tried. One at work counts as tried: at most, one more is tried for each job than was asked for. */
function next() {
  if (counted() >= sample) return undefined;
  const mutant = mutants.find(({ key }) => !outcomes.has(key));
  if (mutant) outcomes.set(mutant.key, undefined);
  return mutant;
}

const files = sources(root);
/** The sources as they are now: they may be worked on while mutants are tried. */
const kernel = new Map(files.map((file) => [join(root, file), readFileSync(join(root, file), 'utf8')]));
const mutants = shuffled(
  files.filter((file) => file.includes(options.only)).flatMap((file) => mutantsOf(root, file)),
  options.seed,
);
const explained = new Map(
  JSON.parse(readFileSync(join(here, 'explained.json'), 'utf8')).map(({ mutant, why }) => [mutant, why]),
);
const outcomes = new Map();
mkdirSync(folder, { recursive: true });
if (!options.resume && !options.survivors) rmSync(outcomesFile, { force: true });
if (existsSync(outcomesFile)) {
  for (const line of readFileSync(outcomesFile, 'utf8').trim().split('\n')) {
    const outcome = JSON.parse(line);
    if (options.survivors && outcome.outcome === 'survived') outcomes.delete(outcome.key);
    else outcomes.set(outcome.key, outcome);
  }
}

const originals = new Map();
for (const image of [...KERNEL, CONTROLLER]) {
  const { whole, slow } = await formsOf(image, kernel);
  originals.set(image, { whole: Buffer.from(whole), slow });
}
await Promise.all(Array.from({ length: Number(options.jobs) }, (_, number) => job(number)));
report();

function report() {
  const tried = mutants.filter(({ key }) => isMutant(outcomes.get(key))).slice(0, sample);
  const survivors = tried.filter(({ key }) => outcomes.get(key).outcome === 'survived');
  const known = survivors.filter(({ key }) => explained.has(key));
  const open = survivors.filter(({ key }) => !explained.has(key));
  const none = [...outcomes.values()].filter((outcome) => !isMutant(outcome)).length;
  const caught = tried.length - survivors.length;
  const show = ({ file, line, within, was, is }) =>
    `${file}:${line} ${within}\n    was ${was}\n    is  ${is}`;
  for (const mutant of known) console.log(`explained ${show(mutant)}\n    ${explained.get(mutant.key)}`);
  for (const mutant of open) console.log(`SURVIVED ${show(mutant)}`);
  const share = (100 * caught) / tried.length;
  console.log(
    `${caught} of ${tried.length} mutants caught (${share.toFixed(1)}%), ${survivors.length} survived ` +
      `(${known.length} explained, ${open.length} not); ${none} others were none.`,
  );
  process.exitCode = share >= 90 && open.length === 0 ? 0 : 1;
}
