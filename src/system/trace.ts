/**
 * Traces in Chrome's trace-event format (Trace Event Format, Google, 2016), which Perfetto opens: a process for each
 * cluster, a track for each of its cores with slices for kernel entries and handlers, flows for calls and interrupts from
 * core to core, and for a kernel of several cores a counter of those that wait for its lock.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import {
  ENTRIES,
  HANDLERS,
  Recorded,
  traceOf,
  traceMemory,
  type TraceRecord,
} from '../core/trace/recorder.js';
import { cannotWrite } from './placement/file-error.js';
import { isForFaults, rootHandle } from './placement/links.js';
import type { ClusterPlan, SystemPlan } from './placement/plan.js';

/** Of each core; more are left out. */
const MOST_RECORDS = 1 << 17;
const CHUNK_CHARACTERS = 1 << 20;

/** By core of the machine: memory in which its thread records what it does. */
export function traceMemories({ cores, clusters }: SystemPlan): (SharedArrayBuffer | undefined)[] {
  const used = new Set(clusters.flatMap((cluster) => cluster.cores));
  return Array.from({ length: cores }, (_, core) => (used.has(core) ? traceMemory(MOST_RECORDS) : undefined));
}

/** How much has been recorded, and how much had no room. */
export interface TraceCounts {
  readonly events: number;
  readonly dropped: number;
}

interface Track {
  readonly cluster: ClusterPlan;
  readonly core: number;
  readonly memory: SharedArrayBuffer;
}

/** The end of a flow: at this record of this track. */
interface FlowEnd {
  readonly id: number;
  readonly start: boolean;
  readonly time: number;
}

/**
 * @param names of the domains, in the order of the description.
 * @throws FileError where the file cannot be written.
 */
export function writeTrace(
  file: string,
  { clusters }: SystemPlan,
  memories: readonly (SharedArrayBuffer | undefined)[],
  names: readonly string[],
  elided: boolean,
): TraceCounts {
  const tracks = clusters.flatMap((cluster) =>
    cluster.cores.map((core): Track => ({ cluster, core, memory: memories[core]! })),
  );
  const dropped = tracks.reduce((sum, { memory }) => sum + traceOf(memory).dropped, 0);
  const origin = Math.min(...tracks.map(({ memory }) => firstTime(memory)));
  const flows = flowsOf(tracks);
  let events = 0;
  let chunk = `{"displayTimeUnit":"ns","otherData":{"dropped":${dropped}},"traceEvents":[\n`;
  let separator = '';
  try {
    const fd = openSync(file, 'w');
    try {
      const emit = (event: object): void => {
        chunk += `${separator}${JSON.stringify(event)}`;
        separator = ',\n';
        events++;
        if (chunk.length < CHUNK_CHARACTERS) return;
        writeSync(fd, chunk);
        chunk = '';
      };
      const microseconds = (time: number): number => Math.round(time - origin) / 1000;
      for (const cluster of clusters)
        emit({ ph: 'M', name: 'process_name', pid: cluster.id, args: { name: `cluster ${cluster.id}` } });
      for (const track of tracks) writeTrack(track, flows.get(track)!, names, microseconds, emit);
      for (const cluster of clusters) {
        const own = tracks.filter((track) => track.cluster === cluster);
        if (own.length > 1 && !elided) writeLockWaiting(cluster, own, microseconds, emit);
      }
      writeSync(fd, `${chunk}\n]}\n`);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw cannotWrite('trace', file, error);
  }
  return { events, dropped };
}

function firstTime(memory: SharedArrayBuffer): number {
  for (const { time } of traceOf(memory).records) return time;
  return Infinity;
}

type Emit = (event: object) => void;
type Microseconds = (time: number) => number;

function writeTrack(
  { cluster, core, memory }: Track,
  flows: ReadonlyMap<number, readonly FlowEnd[]>,
  names: readonly string[],
  microseconds: Microseconds,
  emit: Emit,
): void {
  const where = { pid: cluster.id, tid: core };
  emit({ ph: 'M', name: 'thread_name', ...where, args: { name: `core ${core}` } });
  let open = 0;
  let last = 0;
  let index = 0;
  const close = (): void => {
    for (; open > 0; open--) emit({ ph: 'E', ...where, ts: microseconds(last) });
  };
  for (const record of traceOf(memory).records) {
    const { kind, time } = record;
    if (kind === Recorded.Start) close();
    last = time;
    if (kind === Recorded.End && open > 0) {
      open--;
      emit({ ph: 'E', ...where, ts: microseconds(time) });
    }
    const name = nameOf(record, cluster, names);
    if (name !== undefined) {
      open++;
      emit({ ph: 'B', ...name, ...where, ts: microseconds(time) });
    }
    for (const { id, start, time } of flows.get(index) ?? []) {
      const kind = { name: 'message', cat: 'message', id, ...where, ts: microseconds(time) };
      emit(start ? { ph: 's', ...kind } : { ph: 'f', bp: 'e', ...kind });
    }
    index++;
  }
  close();
}

/** What a slice is called, where the record begins one. */
function nameOf(
  { kind, a, b }: TraceRecord,
  cluster: ClusterPlan,
  names: readonly string[],
): { readonly name: string; readonly cat: string } | undefined {
  if (kind === Recorded.Kernel) return { name: `kernel: ${ENTRIES[a]}`, cat: 'kernel' };
  if (kind === Recorded.Handler) {
    const handler = HANDLERS[b >>> 6];
    const id = handler === 'init' ? '' : ` ${b & 63}`;
    return { name: `${names[a]}: ${handler}${id}`, cat: 'handler' };
  }
  if (kind !== Recorded.Thread) return undefined;
  if (a === rootHandle(cluster)) return { name: 'monitor', cat: 'infrastructure' };
  const proxy = cluster.links.proxies[a - rootHandle(cluster) - 1];
  const server = names[cluster.domains[proxy.to - 1].index];
  return { name: `proxy: ${isForFaults(proxy) ? 'fault to' : 'call of'} ${server}`, cat: 'infrastructure' };
}

interface Sent {
  readonly track: Track;
  readonly index: number;
  readonly time: number;
}

/**
 * The ends of all flows, by track and number of the record. What was sent and not received, or was recorded on one side
 * only, is no flow. Interrupts merge: all that were sent lead to where the next is taken.
 */
function flowsOf(tracks: readonly Track[]): Map<Track, Map<number, FlowEnd[]>> {
  const sent = new Map<string, Sent[]>();
  for (const track of tracks) {
    let index = 0;
    for (const { kind, time, a, b } of traceOf(track.memory).records) {
      if (kind === Recorded.MessageSent || kind === Recorded.Interrupted) {
        const key = `${kind === Recorded.MessageSent ? 'm' : 'i'} ${a} ${b}`;
        const those = sent.get(key);
        if (those === undefined) sent.set(key, [{ track, index, time }]);
        else those.push({ track, index, time });
      }
      index++;
    }
  }
  for (const those of sent.values()) those.sort((x, y) => x.time - y.time);
  const flows = new Map(tracks.map((track) => [track, new Map<number, FlowEnd[]>()]));
  const note = (track: Track, index: number, end: FlowEnd): void => {
    const ends = flows.get(track)!;
    const there = ends.get(index);
    if (there === undefined) ends.set(index, [end]);
    else there.push(end);
  };
  const taken = new Map<string, number>();
  let id = 0;
  for (const track of tracks) {
    let index = 0;
    for (const { kind, time, a, b } of traceOf(track.memory).records) {
      if (kind === Recorded.MessageReceived || kind === Recorded.InterruptTaken) {
        const key = `${kind === Recorded.MessageReceived ? 'm' : 'i'} ${a} ${b}`;
        const those = sent.get(key) ?? [];
        let at = taken.get(key) ?? 0;
        for (; at < those.length && those[at].time <= time; at++) {
          const { track: from, index: place, time: start } = those[at];
          if (from === track) continue;
          id++;
          note(from, place, { id, start: true, time: start });
          note(track, index, { id, start: false, time });
        }
        taken.set(key, at);
      }
      index++;
    }
  }
  return flows;
}

/** Each kernel entry takes the lock: of those that are open at once, all but one wait. */
function writeLockWaiting(
  { id }: ClusterPlan,
  tracks: readonly Track[],
  microseconds: Microseconds,
  emit: Emit,
): void {
  const changes: { time: number; by: number }[] = [];
  for (const { memory } of tracks) {
    const kernel: boolean[] = [];
    for (const { kind, time } of traceOf(memory).records) {
      if (kind === Recorded.Start) kernel.length = 0;
      else if (kind === Recorded.End) {
        if (kernel.pop() === true) changes.push({ time, by: -1 });
      } else if (kind === Recorded.Kernel || kind === Recorded.Handler || kind === Recorded.Thread) {
        kernel.push(kind === Recorded.Kernel);
        if (kind === Recorded.Kernel) changes.push({ time, by: 1 });
      }
    }
  }
  changes.sort((x, y) => x.time - y.time || x.by - y.by);
  let inside = 0;
  let shown = -1;
  for (const { time, by } of changes) {
    inside += by;
    const waiting = Math.max(0, inside - 1);
    if (waiting === shown) continue;
    shown = waiting;
    emit({
      ph: 'C',
      name: 'waiting for the lock',
      pid: id,
      ts: microseconds(time),
      args: { cores: waiting },
    });
  }
}
