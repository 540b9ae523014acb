/** What a run measured of a system, for the planner: written by `atoll run --profile-out`, read by `--profile`. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { SystemDescription } from '../description/index.js';
import type { RunReport } from '../run-report.js';
import { FileError, cannotWrite, reasonOf } from './file-error.js';

const FORMAT = 'atoll profile';
const VERSION = 1;
/** Bytes: the channels of a thousand domains take less. */
const MOST_BYTES = 64 * 2 ** 20;
/** Events a second of one channel, beyond which no core can go. */
const MOST_RATE = 1e10;

/** One direction of a channel: `from` calls and notifies on its channel `fromId`. */
export interface ChannelProfile {
  readonly from: string;
  readonly fromId: number;
  readonly to: string;
  readonly callsPerSecond: number;
  readonly notificationsPerSecond: number;
}

export interface DomainProfile {
  readonly name: string;
  readonly entriesPerSecond: number;
  /** The part of one core's time that the domain takes, 0 to 1. */
  readonly load: number;
}

export interface Profile {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** The description that ran, and for how long. */
  readonly system: string;
  readonly seconds: number;
  readonly channels: readonly ChannelProfile[];
  readonly domains: readonly DomainProfile[];
}

/**
 * A core's busy time is divided among its domains by how often they were entered: to read the clock at each entry would
 * cost as much as the entry.
 */
export function profileOf(system: string, report: RunReport): Profile {
  const seconds = Math.max(report.seconds, Number.EPSILON);
  const entries = report.domains.map(
    ({ entries: each }) => each.init + each.notified + each.protected + each.fault,
  );
  const ofCore = new Map<number, number>();
  report.domains.forEach(({ core }, index) => ofCore.set(core, (ofCore.get(core) ?? 0) + entries[index]));
  const busy = new Map(
    report.clusters.flatMap(({ cores, busySeconds }) =>
      cores.map((core, at) => [core, busySeconds[at]] as const),
    ),
  );
  return {
    format: FORMAT,
    version: VERSION,
    system,
    seconds: report.seconds,
    channels: report.channels.map(({ from, fromId, to, calls, notifications }) => ({
      from,
      fromId,
      to,
      callsPerSecond: calls / seconds,
      notificationsPerSecond: notifications / seconds,
    })),
    domains: report.domains.map(({ name, core }, index) => ({
      name,
      entriesPerSecond: entries[index] / seconds,
      load: Math.min(
        1,
        ((busy.get(core) ?? 0) / seconds) * (entries[index] / Math.max(1, ofCore.get(core)!)),
      ),
    })),
  };
}

/** @throws FileError where the file cannot be written. */
export function writeProfile(file: string, profile: Profile): void {
  try {
    writeFileSync(file, `${JSON.stringify(profile, null, 2)}\n`);
  } catch (error) {
    throw cannotWrite('profile', file, error);
  }
}

/**
 * Reads a profile of `system`. The file is input like any other: nothing in it is trusted.
 * @throws FileError where it cannot be read, is no profile, or is one of another system.
 */
export function readProfile(file: string, system: SystemDescription): Profile {
  const refuse = (what: string): never => {
    throw new FileError(`cannot use the profile '${file}': ${what}`);
  };
  const value = parse(file, refuse);
  if (!isObject(value) || value.format !== FORMAT)
    return refuse("it is no profile; 'atoll run SYSTEM --profile-out FILE' writes one");
  if (value.version !== VERSION) {
    return refuse(
      `it has version ${JSON.stringify(value.version)}, and this is Atoll for version ${VERSION}: write it anew`,
    );
  }
  const { channels, domains } = value;
  if (!Array.isArray(channels) || !Array.isArray(domains))
    return refuse('it needs lists of channels and domains');

  const indexOf = new Map(system.protectionDomains.map(({ name }, index) => [name, index]));
  const known = (name: unknown, where: string): number => {
    const index = typeof name === 'string' ? indexOf.get(name) : undefined;
    return (
      index ?? refuse(`${where} names the protection domain ${quote(name)}, which ${system.file} has not`)
    );
  };
  const rate = (number: unknown, where: string, most = MOST_RATE): void => {
    if (typeof number !== 'number' || !(number >= 0 && number <= most))
      refuse(`${where} is ${quote(number)}, and must be a number from 0 to ${most}`);
  };
  const destinations = new Map(
    system.channels.flatMap(({ ends: [a, b] }) => [
      [`${a.pd} ${a.id}`, b.pd],
      [`${b.pd} ${b.id}`, a.pd],
    ]),
  );
  const seen = new Set<string>();
  const once = (key: string, where: string): void => {
    if (seen.has(key)) refuse(`${where} stands there twice`);
    seen.add(key);
  };
  channels.forEach((each: unknown, index) => {
    const where = `channels[${index}]`;
    if (!isObject(each)) return refuse(`${where} is no object`);
    const key = `${known(each.from, where)} ${String(each.fromId)}`;
    if (typeof each.fromId !== 'number' || destinations.get(key) !== known(each.to, where)) {
      refuse(
        `${where} is a channel ${quote(each.fromId)} from ${quote(each.from)} to ${quote(each.to)}, which ${system.file} has not`,
      );
    }
    once(key, where);
    rate(each.callsPerSecond, `${where}.callsPerSecond`);
    rate(each.notificationsPerSecond, `${where}.notificationsPerSecond`);
  });
  domains.forEach((each: unknown, index) => {
    const where = `domains[${index}]`;
    if (!isObject(each)) return refuse(`${where} is no object`);
    once(`${known(each.name, where)}`, where);
    rate(each.load, `${where}.load`, 1);
  });
  return value as unknown as Profile;
}

function parse(file: string, refuse: (what: string) => never): unknown {
  let text: string;
  try {
    const status = statSync(file);
    if (!status.isFile()) return refuse('it is no file');
    if (status.size > MOST_BYTES) return refuse(`it is larger than ${MOST_BYTES / 2 ** 20} MiB`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof FileError) throw error;
    return refuse(reasonOf(error));
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return refuse('it is no JSON');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value of the file, short enough for a message, and nothing that steers a terminal. */
function quote(value: unknown): string {
  const text = (JSON.stringify(value) ?? 'nothing').replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
  return text.length <= 64 ? text : `${text.slice(0, 64)}…`;
}
