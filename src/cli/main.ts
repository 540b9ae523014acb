#!/usr/bin/env node
/** The command line: `atoll`, with sub-commands. Exit code 0; 1 when a fault reached the monitor or a cluster was lost; 2 for wrong input. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ProgramError } from '../core/engine/typescript/program-error.js';
import type { Injection } from '../machine/host/injection.js';
import { LATENCIES, isLatency, type Latencies } from '../machine/simulated/model.js';
import { PRESETS } from '../machine/simulated/presets.js';
import { TopologyError } from '../machine/topology/index.js';
import {
  type Arch,
  ARCHITECTURES,
  checkPrograms,
  DescriptionError,
  hex,
  loadSystem,
  ON_FAILURE,
  type OnFailure,
  withGrants,
} from '../system/description/index.js';
import { SHARED_BASE } from '../system/placement/cut.js';
import { FileError, assertWritable } from '../system/placement/file-error.js';
import { MOST_LINES } from '../system/placement/links.js';
import { profileOf, writeProfile } from '../system/placement/profile.js';
import { CoreError, RunError, runSystem } from '../system/run.js';
import type { Design } from '../system/simulate/design.js';
import type { ExploreSystemOptions } from './explore-system.js';
import type { ExploreFoundingOptions } from './explore.js';
import type { PlanCommandOptions } from './plan.js';
import { machineToRun } from './machine.js';
import { describeRun } from './report.js';
import { topologyCommand } from './topology.js';

const WRONG_INPUT = 2;
const FAILURE = 1;

interface DescriptionOptions {
  readonly arch: Arch;
  readonly searchPath?: readonly string[];
}

interface RunOptions extends DescriptionOptions {
  readonly machine: string;
  readonly clusters: string;
  readonly lines?: number;
  readonly grant?: readonly string[];
  readonly spare?: number;
  readonly place: 'written' | 'plan';
  readonly profile?: string;
  readonly profileOut?: string;
  readonly trace?: string;
  readonly for?: number;
  readonly json?: boolean;
  readonly timestamps?: boolean;
  readonly checkInvariants?: boolean;
  readonly simulate?: boolean;
  readonly elideLock?: boolean;
  readonly onFailure?: OnFailure;
  readonly inject?: Injection;
}

/** What `explore SYSTEM` compares unless said otherwise. */
const SYSTEM_DESIGNS: readonly Design[] = ['clustered', 'per-core', 'single', 'single-elided'];

const arch = (): Option =>
  new Option('--arch <arch>', 'the architecture that the description is for')
    .choices(ARCHITECTURES)
    .default('aarch64');
const searchPath = (): Option =>
  new Option(
    '--search-path <dir>',
    "where program images and prefill files are looked for, in order; the description's own folder unless given",
  ).argParser((dir: string, dirs: readonly string[] | undefined) => [...(dirs ?? []), dir]);
const machine = (): Option =>
  new Option(
    '--machine <machine>',
    `host, a simulated machine (${PRESETS.join(', ')}), or an hwloc XML file (lstopo --of xml)`,
  ).default('host');
const benchMachine = (): Option =>
  new Option(
    '--machine <machine>',
    `host, a simulated machine (${PRESETS.join(', ')}), or a file that describes one`,
  ).default('host');
const simulatedMachines = (): Option =>
  new Option(
    '--machine <machine>',
    `a simulated machine (${PRESETS.join(', ')}), a machine file (.json) or an hwloc XML file; may be given again; all presets unless given`,
  ).argParser((name: string, names: readonly string[] | undefined) => [...(names ?? []), name]);
const latency = (): Option =>
  new Option('--latency <name=cycles>', 'replaces a latency of the machines').argParser(parseLatency);
const clusters = (): Option =>
  new Option('--clusters <how>', 'auto, one, per-core, or cores as in "0,1;2,3"').default('auto');
const lines = (): Option =>
  new Option(
    '--lines <n>',
    `interrupt lines of a cluster that others may ring, 1 to ${MOST_LINES}, by default all`,
  ).argParser(parseLines);
const profile = (): Option =>
  new Option('--profile <file>', 'what a run measured, to plan by: run --profile-out wrote it');

// A reader that goes away, as `| head` does, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const program = new Command('atoll')
  .description('A clustered multikernel: runs Microkit system descriptions on the cores of this computer.')
  .version(version())
  .exitOverride()
  // What stands behind a command is for that: `explore` and `explore founding` have options of the same names.
  .enablePositionalOptions()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')) });

program
  .command('run')
  .argument('<system>', 'a Microkit system description')
  .description('run a system until it is idle for good, for a given time, or until Ctrl-C')
  .addOption(arch())
  .addOption(machine())
  .addOption(clusters())
  .addOption(lines())
  .addOption(
    new Option(
      '--place <how>',
      "written: on the cores of the description; plan: where 'atoll plan' puts what has no cpu there",
    )
      .choices(['written', 'plan'])
      .default('written'),
  )
  .addOption(
    new Option(
      '--spare <size>',
      'memory that each cluster has at first to give to others, as in 512K or 4M; 1M where a domain is granted memory, else none',
    ).argParser(parseBytes),
  )
  .addOption(
    new Option(
      '--grant <resource:pd,...>',
      'lets protection domains read the machine, or move memory between clusters: topology:PD[,PD...] or memory:PD[,PD...] (repeatable)',
    ).argParser((grant: string, grants: readonly string[] | undefined) => [...(grants ?? []), grant]),
  )
  .addOption(profile())
  .option('--profile-out <file>', 'write what each channel and domain did to a file, for --profile')
  .option('--trace <file>', 'write what each core did, and when, in the trace-event format: for Perfetto')
  .addOption(searchPath())
  .addOption(new Option('--for <time>', 'stop after this time, as in 2s or 500ms').argParser(parseSeconds))
  .addOption(
    new Option(
      '--on-failure <policy>',
      'when a cluster dies or does not answer, whatever the description says: boot it afresh, leave it down, or end the run',
    ).choices(ON_FAILURE),
  )
  .option('--simulate', 'simulate the machine of an hwloc file also where it is this computer')
  .option(
    '--elide-lock',
    'on a simulated machine, kernels of several cores elide their lock in hardware transactions',
  )
  .option('--check-invariants', "check each kernel's memory after each of its entries (slow)")
  .addOption(
    new Option(
      '--inject <failures>',
      'drop or double interrupts between clusters, and let monitors die in the middle of handing memory over: as in drop=0.01,double=0.01,die=0.001,seed=1',
    ).argParser(parseInjection),
  )
  .option('--timestamps', 'show when each line of debug output was said, in seconds')
  .option('--json', "one JSON object on standard output, and the domains' output on standard error")
  .action(run);

program
  .command('check')
  .argument('<system>', 'a Microkit system description')
  .description('check a description without running it')
  .addOption(arch())
  .addOption(new Option('--cores <n>', 'cores of the machine that it is for').argParser(parseCount))
  .addOption(searchPath())
  .action((file: string, options: DescriptionOptions & { cores?: number }) => {
    const { arch, cores, searchPath = [dirname(file)] } = options;
    const system = loadSystem(file, { arch, searchPath, ...(cores === undefined ? {} : { cores }) });
    checkPrograms(system, [...searchPath]);
    const { protectionDomains: pds, channels, memoryRegions } = system;
    console.log(
      `${file}: ${pds.length} protection domains, ${channels.length} channels, ${memoryRegions.length} memory regions: no errors`,
    );
  });

program
  .command('plan')
  .argument('<system>', 'a Microkit system description')
  .description('decide which domain runs on which core of which cluster, and say what that costs')
  .addOption(arch())
  .addOption(machine())
  .addOption(clusters())
  .addOption(profile())
  .addOption(searchPath())
  .option('--json', 'one JSON object')
  .option(
    '--export <dir>',
    'write a Microkit description for each cluster, and a table of what is between them',
  )
  .option('--force', 'export into a folder that is not empty')
  .addOption(
    new Option('--shared-base <address>', 'physical address for what clusters share, in an export')
      .argParser(parseAddress)
      .default(SHARED_BASE, hex(SHARED_BASE)),
  )
  .addOption(lines())
  .action(async (file: string, options: PlanCommandOptions) =>
    (await import('./plan.js')).planCommand(file, options),
  );

program
  .command('topology')
  .description('show packages, NUMA nodes, caches, cores, clusters, and the cost of a line between cores')
  .addOption(machine())
  .addOption(clusters())
  .option('--json', 'as JSON')
  .action((options: { machine: string; clusters: string; json?: boolean }) =>
    topologyCommand({ ...options, json: options.json === true, out: process.stdout }),
  );

const bench = program.command('bench').description('measure this computer, or a simulated machine');
bench
  .command('ipc')
  .description('what calls and notifications cost, beside what they are made of')
  .addOption(benchMachine())
  .option('--json', 'one JSON object, in nanoseconds; in cycles on a simulated machine')
  .action(async ({ json = false, machine }: { json?: boolean; machine: string }) =>
    (await import('./bench.js')).benchIpc({ json, machine }),
  );
bench
  .command('coordination')
  .description('what messages between cores and clusters cost, beside the same in C and C++')
  .addOption(benchMachine())
  .option('--json', 'one JSON object, in nanoseconds; in cycles on a simulated machine')
  .action(async ({ json = false, machine }: { json?: boolean; machine: string }) =>
    (await import('./bench.js')).benchCoordination({ json, machine }),
  );
bench
  .command('boot')
  .description('how long systems of many domains take to boot')
  .option('--json', 'one JSON object')
  .addOption(new Option('--quick', 'one round').hideHelp())
  .action(async ({ json = false, quick = false }: { json?: boolean; quick?: boolean }) =>
    (await import('./bench.js')).benchBoot({ json, quick }),
  );
bench
  .command('scaling')
  .description(
    'one kernel image for all cores beside one for each cluster: calls a second by number of cores',
  )
  .addOption(benchMachine())
  .option('--json', 'one JSON object')
  .addOption(new Option('--quick', 'one short round').hideHelp())
  .action(
    async ({ json = false, quick = false, machine }: { json?: boolean; quick?: boolean; machine: string }) =>
      (await import('./bench.js')).benchScaling({ json, quick, machine }),
  );

bench
  .command('kernel')
  .description('what the kernel touches and executes, which does not depend on the computer')
  .option('--json', 'one JSON object')
  .action(async ({ json = false }: { json?: boolean }) => (await import('./bench.js')).benchKernel({ json }));
const explore = program
  .command('explore')
  .enablePositionalOptions()
  .argument('<system>', 'a Microkit system description')
  .description(
    'find the best cut and placement of a system on simulated machines; or compare kernels by themselves',
  )
  .addOption(simulatedMachines())
  .addOption(latency())
  .addOption(
    new Option('--designs <names>', `what to compare: ${SYSTEM_DESIGNS.join(', ')}, with commas between them`)
      .argParser(parseDesigns)
      .default(SYSTEM_DESIGNS, 'all'),
  )
  .addOption(
    new Option(
      '--clusters <how>',
      'a further cut: cores as in "0,1;2,3", or size:N for clusters of N cores; may be given again',
    ).argParser((cut: string, cuts: readonly string[] | undefined) => [...(cuts ?? []), cut]),
  )
  .addOption(
    new Option('--place <how>', 'written, plan (where the planner puts domains), or both with a comma')
      .argParser(parsePlaces)
      .default(['written', 'plan'], 'both'),
  )
  .addOption(profile())
  .addOption(arch())
  .addOption(searchPath())
  .addOption(
    new Option('--for <time>', 'virtual time after which a run ends, if it has not before')
      .argParser(parseSeconds)
      .default(0.01, '10ms'),
  )
  .option('--results <file>', 'what was run before is taken from this file, and what is run added to it')
  .option('--json', 'one JSON object')
  .option('--report <file>', 'write an HTML page with plots, which needs no network')
  .action(async (file: string, options: ExploreSystemOptions) =>
    (await import('./explore-system.js')).exploreSystemCommand(file, options),
  );
explore
  .command('founding')
  .description('what an IPC costs by distance, and how calls scale, for each machine and design')
  .addOption(simulatedMachines())
  .addOption(latency())
  .addOption(
    new Option('--work <cycles>', 'what client and server compute for each call')
      .argParser(parseNatural)
      .default(2000),
  )
  .addOption(
    new Option('--calls <n>', 'calls of each pair that are measured').argParser(parseCount).default(8),
  )
  .addOption(new Option('--seed <n>', 'when pairs start').argParser(parseNatural).default(1))
  .option('--json', 'one JSON array of rows')
  .option('--report <file>', 'write an HTML page with plots, which needs no network')
  .action(async (options: ExploreFoundingOptions) =>
    (await import('./explore.js')).exploreFoundingCommand(options),
  );

async function run(file: string, options: RunOptions): Promise<void> {
  const { arch, searchPath = [dirname(file)], json = false } = options;
  const described = withGrants(loadSystem(file, { arch, searchPath }), options.grant ?? []);
  if (options.profileOut !== undefined) assertWritable('profile', options.profileOut);
  if (options.trace !== undefined) assertWritable('trace', options.trace);
  const planning = options.place === 'plan';
  if (!planning && options.profile !== undefined)
    throw new FileError(`--profile '${options.profile}' is to plan by: say --place plan with it`);
  const measure =
    planning || described.grants.length > 0
      ? 'always'
      : options.clusters === 'auto'
        ? 'where-caches-are-hidden'
        : 'never';
  const { topology, simulated } = await machineToRun(options.machine, measure, options.simulate === true);
  const { placement, system } = planning
    ? (await import('./plan.js')).planned(described, topology, options)
    : { placement: undefined, system: described };
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  process.once('SIGINT', onInterrupt).once('SIGTERM', onInterrupt);
  const report = await runSystem(system, {
    topology,
    ...(simulated === undefined ? {} : { simulated }),
    clusters: options.clusters,
    searchPath,
    console: json ? 2 : 1,
    timestamps: options.timestamps ?? false,
    checkInvariants: options.checkInvariants ?? false,
    elideLock: options.elideLock ?? false,
    signal: interrupt.signal,
    ...(options.trace === undefined ? {} : { trace: options.trace }),
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
    ...(options.inject === undefined ? {} : { inject: options.inject }),
    ...(options.for === undefined ? {} : { seconds: options.for }),
    ...(options.lines === undefined ? {} : { lines: options.lines }),
    ...(options.spare === undefined ? {} : { spare: options.spare }),
  });
  process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt);
  if (options.profileOut !== undefined) writeProfile(options.profileOut, profileOf(file, report));
  process.stdout.write(
    json
      ? `${JSON.stringify(placement === undefined ? report : { ...report, placement })}\n`
      : describeRun(report, placement),
  );
  const lost = report.clusters.some(({ state }) => state !== 'up');
  if (report.unhandledFaults > 0 || lost) process.exitCode = FAILURE;
}

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function parseSeconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError('a time is a number with s, ms or m, as in 2s');
  return Number(match[1]) * { ms: 0.001, s: 1, m: 60 }[match[2] ?? 's']!;
}

function parseNatural(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('a whole number, from 0');
  return value;
}

function parseLatency(text: string, others: Partial<Latencies> = {}): Partial<Latencies> {
  const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(text) ?? [];
  if (!isLatency(name))
    throw new InvalidArgumentError(`one of ${LATENCIES.join(', ')}, as in ${LATENCIES[0]}=12`);
  if (!/^\d+(?:\.\d+)?$/.test(value)) throw new InvalidArgumentError('a number of cycles, from 0');
  return { ...others, [name]: Number(value) };
}

function parseDesigns(text: string): Design[] {
  const designs = text.split(',');
  if (!designs.every((design): design is Design => SYSTEM_DESIGNS.some((known) => known === design)))
    throw new InvalidArgumentError(`some of ${SYSTEM_DESIGNS.join(', ')}, with commas between them`);
  return designs;
}

function parsePlaces(text: string): string[] {
  const places = text.split(',');
  if (places.some((place) => place !== 'written' && place !== 'plan'))
    throw new InvalidArgumentError('written, plan, or both with a comma between them');
  return places;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('a number of cores, from 1');
  return count;
}

function parseAddress(text: string): bigint {
  const digits = text.replaceAll('_', '');
  if (!/^(0x[\da-f]{1,16}|\d{1,19})$/i.test(digits))
    throw new InvalidArgumentError('an address is a number as in 0x7000_0000');
  return BigInt(digits);
}

function parseLines(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1 || count > MOST_LINES)
    throw new InvalidArgumentError(`a number of lines, 1 to ${MOST_LINES}`);
  return count;
}

function parseBytes(text: string): number {
  const match = /^(\d+)([KMG]?)$/.exec(text);
  const bytes =
    match === null ? NaN : Number(match[1]) * { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2]]!;
  if (!Number.isSafeInteger(bytes))
    throw new InvalidArgumentError('a size is a number with K, M or G, as in 512K');
  return bytes;
}

function parseInjection(text: string): Injection {
  const injection = { drop: 0, double: 0, die: 0, seed: 1 };
  for (const part of text.split(',')) {
    const [, name, value] = /^(drop|double|die|seed)=(\d+(?:\.\d+)?)$/.exec(part) ?? [];
    if (name === undefined)
      throw new InvalidArgumentError(
        'failures are drop=P, double=P, die=P and seed=N, with commas between them',
      );
    injection[name as keyof Injection] = Number(value);
  }
  const { drop, double, die, seed } = injection;
  if (drop + double > 1 || die > 1)
    throw new InvalidArgumentError(
      'drop, double and die are probabilities, at most 1, the first two together',
    );
  if (!Number.isInteger(seed) || seed >= 2 ** 32)
    throw new InvalidArgumentError('a seed is an integer, 0 to 4294967295');
  return injection;
}

function isWrongInput(error: unknown): error is Error {
  return (
    error instanceof DescriptionError ||
    error instanceof TopologyError ||
    error instanceof ProgramError ||
    error instanceof FileError ||
    error instanceof RunError
  );
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_INPUT;
  } else if (isWrongInput(error)) {
    process.stderr.write(`${error.message.startsWith('Error: ') ? '' : 'Error: '}${error.message}\n`);
    process.exitCode = WRONG_INPUT;
  } else if (error instanceof CoreError) {
    process.stderr.write(`Error: ${error.message}\n`);
    process.exitCode = FAILURE;
  } else {
    throw error;
  }
}
