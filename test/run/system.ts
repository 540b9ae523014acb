/** Systems that tests write, and run as a user would: the command line in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { DomainReport, RunReport } from '../../src/system/run.js';

/** Tests of systems on two cores are skipped where there is but one; to be given to `describe` or `it`. */
export const twoCores = availableParallelism() >= 2 ? {} : { skip: 'this machine has one core' };

const COMMAND = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export interface Ended {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `atoll` with these arguments. */
export function start(args: readonly string[], nodeOptions: readonly string[] = []): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a process says, once it and all that inherited its output have ended. */
export async function untilEnd(process: ChildProcess): Promise<Ended> {
  const closed = new Promise<number | null>((resolve) => process.once('close', resolve));
  const [stdout, stderr] = await Promise.all([text(process.stdout!), text(process.stderr!)]);
  return { code: await closed, stdout, stderr };
}

export function atoll(...args: string[]): Promise<Ended> {
  return untilEnd(start(args));
}

/** Writes files into a new folder, and hands the folder to `use`; it is removed afterwards. */
export async function withFiles<T>(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'atoll-test-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface System {
  /** What stands between `<system>` and `</system>`. */
  readonly description: string;
  /** By domain: what stands between the braces of `protectionDomain((pd) => { … })`. */
  readonly programs: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly nodeOptions?: readonly string[];
}

/** The files of a system, its description `test.system` among them. */
export function filesOf({ description, programs, files = {} }: System): Record<string, string> {
  const sources = Object.entries(programs).map(([name, body]) => [`${name}.ts`, program(body)] as const);
  return { 'test.system': `<system>${description}</system>`, ...Object.fromEntries(sources), ...files };
}

export function program(body: string): string {
  return `import { protectionDomain } from 'atoll';\nexport default protectionDomain((pd) => {\n${body}\n});\n`;
}

export interface Ran extends Ended {
  readonly report: RunReport;
  /** What the domains wrote to the debug console, by line. */
  readonly said: readonly string[];
  domain(name: string): DomainReport;
}

/** One cluster unless the arguments say otherwise: to find out costs more than most of these tests. */
export function withClusters(args: readonly string[]): readonly string[] {
  return args.includes('--clusters') ? args : ['--clusters', 'one', ...args];
}

/** Runs a system to its end. @throws Error with all that was said, when there is no report. */
export function run(system: System): Promise<Ran> {
  return withFiles(filesOf(system), (folder) => runFile(join(folder, 'test.system'), system));
}

export async function runFile(
  file: string,
  { args = [], nodeOptions = [] }: Pick<System, 'args' | 'nodeOptions'> = {},
): Promise<Ran> {
  const ended = await untilEnd(start(['run', file, '--json', ...withClusters(args)], nodeOptions));
  if (!ended.stdout.startsWith('{')) throw new Error(`no report:\n${ended.stdout}${ended.stderr}`);
  const report = JSON.parse(ended.stdout) as RunReport;
  return {
    ...ended,
    report,
    said: ended.stderr.split('\n').slice(0, -1),
    domain: (name) => {
      const domain = report.domains.find((each) => each.name === name);
      if (domain === undefined) throw new Error(`no domain ${name}`);
      return domain;
    },
  };
}

/** A protection domain that runs the program of its own name, or `image`. */
export function domain(name: string, attributes: string, content = '', image = name): string {
  return `<protection_domain name="${name}" ${attributes}><program_image path="${image}.elf"/>${content}</protection_domain>\n`;
}

/** A channel; each end is a domain, its identifier and perhaps further attributes, as in `client 0 pp="true"`. */
export function channel(...ends: readonly [string, string]): string {
  const elements = ends.map((end) => {
    const [, pd, id, rest] = /^(\S+) (\d+)(.*)$/.exec(end)!;
    return `<end pd="${pd}" id="${id}"${rest}/>`;
  });
  return `<channel>${elements.join('')}</channel>\n`;
}
