/** `atoll run --trace`: what a reader of trace-event files, as Perfetto, relies on. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { atoll, channel, domain, filesOf, twoCores, withFiles, type System } from './system.js';

interface TraceEvent {
  readonly ph: 'M' | 'B' | 'E' | 's' | 'f' | 'C';
  readonly pid: number;
  readonly tid: number;
  readonly name?: string;
  readonly ts: number;
  readonly id: number;
  readonly args?: { readonly cores: number };
}

const CALLS = 50;

/** A client that calls a server on another core, and is notified by it; the server's first handler fails. */
const system: System = {
  description:
    domain('client', 'priority="100"') +
    domain('server', 'priority="200" cpu="1"') +
    domain('parent', 'priority="50"', domain('child', 'id="1" priority="20" cpu="1"')) +
    channel('client 0 pp="true"', 'server 0'),
  programs: {
    client: `return {
      init() { for (let i = 0; i < ${CALLS}; i++) pd.ppcall(0, 0); },
      notified() {},
    };`,
    server: `let calls = 0;
    return { init() {}, protected() {
      if (++calls === ${CALLS}) pd.notify(0);
      return 0;
    } };`,
    parent: `return { init() {}, fault() {} };`,
    child: `return { init() { throw new Error('on purpose'); } };`,
  },
};

async function trace(...args: string[]): Promise<{ events: TraceEvent[]; dropped: number }> {
  return withFiles(filesOf(system), async (folder) => {
    const out = join(folder, 'trace.json');
    const { code, stderr } = await atoll(
      ...['run', join(folder, 'test.system'), '--trace', out, '--json', ...args],
    );
    assert.equal(code, 0, stderr);
    const { traceEvents, otherData } = JSON.parse(readFileSync(out, 'utf8')) as {
      traceEvents: TraceEvent[];
      otherData: { dropped: number };
    };
    return { events: traceEvents, dropped: otherData.dropped };
  });
}

/** Each track by itself: times do not go back, slices nest. Returns the names of slices, with those that they are in. */
function slicesOf(events: readonly TraceEvent[]): string[] {
  const slices: string[] = [];
  const tracks = new Map<string, { open: string[]; last: number }>();
  for (const { ph, pid, tid, name, ts } of events) {
    if (ph === 'M' || ph === 'C') continue;
    const key = `${pid} ${tid}`;
    const track = tracks.get(key) ?? { open: [], last: 0 };
    tracks.set(key, track);
    assert(ts >= track.last, `${key}: ${ts} after ${track.last}`);
    track.last = ts;
    if (ph === 'B') slices.push([...track.open, name!].join(' > '));
    if (ph === 'B') track.open.push(name!);
    else if (ph === 'E') assert.notEqual(track.open.pop(), undefined);
    // A flow begins and ends in a slice.
    else assert(track.open.length > 0);
  }
  for (const { open } of tracks.values()) assert.deepEqual(open, []);
  assert.equal(tracks.size, 2);
  return slices;
}

function flowsOf(events: readonly TraceEvent[]): { from: number; to: number }[] {
  const ends = (ph: 's' | 'f'): Map<number, TraceEvent> => {
    const those = events.filter((event) => event.ph === ph);
    const map = new Map(those.map((event) => [event.id, event]));
    assert.equal(map.size, those.length);
    return map;
  };
  const [starts, finishes] = [ends('s'), ends('f')];
  assert.deepEqual([...starts.keys()].sort(), [...finishes.keys()].sort());
  return [...starts].map(([id, start]) => {
    const finish = finishes.get(id)!;
    assert(finish.ts >= start.ts);
    return { from: start.tid, to: finish.tid };
  });
}

function count(slices: readonly string[], pattern: RegExp): number {
  return slices.filter((slice) => pattern.test(slice)).length;
}

for (const [machine, options] of [
  ['host', twoCores],
  ['cortex-a53', {}],
] as const) {
  describe(`a trace of ${machine}`, options, () => {
    it('shows handlers and kernel entries of two clusters, and the calls between them', async () => {
      const { events, dropped } = await trace('--machine', machine, '--clusters', 'per-core');
      assert.equal(dropped, 0);
      const slices = slicesOf(events);
      assert.equal(count(slices, /(^|> )client: init$/), 1);
      assert.equal(count(slices, /(^|> )client: notified 0$/), 1);
      assert.equal(count(slices, /(^|> )server: protected 0$/), CALLS);
      assert.equal(count(slices, /(^|> )parent: fault 1$/), 1);
      assert(count(slices, /> kernel: /) > 4 * CALLS);
      assert(count(slices, /(^|> )proxy: call of server$/) >= CALLS);
      const flows = flowsOf(events);
      // A call and its answer, each a message and an interrupt.
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ])
        assert(flows.filter((flow) => flow.from === from && flow.to === to).length >= CALLS);
      assert.deepEqual(
        events
          .filter(({ ph, name }) => ph === 'M' && name === 'thread_name')
          .map(({ pid, tid }) => [pid, tid]),
        [
          [0, 0],
          [1, 1],
        ],
      );
      assert(!events.some(({ ph }) => ph === 'C'));
    });

    it('counts who waits for the lock of a kernel of two cores', async () => {
      const { events } = await trace('--machine', machine, '--clusters', 'one');
      assert.equal(count(slicesOf(events), /(^|> )server: protected 0$/), CALLS);
      flowsOf(events);
      const counters = events.filter(({ ph }) => ph === 'C');
      assert(counters.length > 0);
      for (const { args } of counters) assert(args!.cores === 0 || args!.cores === 1);
      assert(counters.every(({ ts }, index) => index === 0 || ts >= counters[index - 1].ts));
    });
  });
}

describe('a trace', () => {
  it('that cannot be written is refused before anything runs', () =>
    withFiles(filesOf(system), async (folder) => {
      for (const file of [folder, join(folder, 'nowhere', 'trace.json')]) {
        const args = ['--machine', 'cortex-a53', '--trace', file];
        const { code, stdout, stderr } = await atoll('run', join(folder, 'test.system'), ...args);
        assert.match(stderr, /^Error: cannot write the trace '/);
        assert.deepEqual([code, stdout], [2, '']);
      }
    }));
});
