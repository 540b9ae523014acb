import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Placement } from '../../src/system/placement/placement.js';
import type { Profile } from '../../src/system/placement/profile.js';
import type { RunReport } from '../../src/system/run.js';
import { atoll, channel, domain, filesOf, twoCores, withFiles, type Ended } from '../run/system.js';
import { manyCores } from '../machine/fixtures.js';

const CALLS = 500;

/** Two clients that call a server each; only the second's core is said. */
const files = {
  ...filesOf({
    description:
      domain('server', 'priority="20"') +
      domain('client', 'priority="10"') +
      domain('other', 'priority="10" cpu="0"', '', 'idle') +
      channel('client 1 pp="true"', 'server 2') +
      channel('server 3', 'other 4'),
    programs: {
      server: `return { init() { pd.notify(3); }, protected: (channel, message) => message };`,
      client: `return { init() { for (let i = 0; i < ${CALLS}; i++) pd.ppcall(1, 0); } };`,
      idle: `return { init() {}, notified() {} };`,
    },
  }),
  'four.xml': manyCores(4, 1),
};

function assertRefused({ code, stdout, stderr }: Ended, error: RegExp): void {
  assert.match(stderr, /^Error: [^\n]+\n$/);
  assert.match(stderr, error);
  assert.equal(stdout, '');
  assert.equal(code, 2);
}

describe('atoll plan', { concurrency: 2 }, () => {
  it('shows where each domain should be, and what that costs', () =>
    withFiles(files, async (folder) => {
      const machine = join(folder, 'four.xml');
      const { stdout, stderr, code } = await atoll('plan', join(folder, 'test.system'), '--machine', machine);
      assert.equal(stderr, '');
      assert.equal(code, 0);
      assert.match(stdout, /^domain +core +cluster +load +as written$/m);
      assert.match(stdout, /^other +0 +0 +20\.0% +pinned$/m);
      assert.match(stdout, /^all +\d+\.\d{3} +\d+\.\d{3}$/m);
      assert.match(stdout, /^Nothing is cheaper: that is proved\.$/m);
      assert.match(stdout, /^ {2}client and server, same core: 5\.000 ms, mostly calls$/m);
    }));

  it('has a plan of the same, as JSON, each time', () =>
    withFiles(files, async (folder) => {
      const args = ['plan', join(folder, 'test.system'), '--machine', join(folder, 'four.xml'), '--json'];
      const [first, second] = [await atoll(...args), await atoll(...args)];
      assert.equal(first.stdout, second.stdout);
      const { domains, planned, written } = JSON.parse(first.stdout) as Placement;
      assert.equal(domains.find(({ name }) => name === 'other')!.core, 0);
      assert(planned.total < written!.total);
    }));

  it('exports descriptions that check accepts, and does not write over what is there unless told', () =>
    withFiles(files, async (folder) => {
      const out = join(folder, 'out', 'board');
      const args = [
        'plan',
        join(folder, 'test.system'),
        '--machine',
        join(folder, 'four.xml'),
        '--export',
        out,
      ];
      const ended = await atoll(...args);
      assert.equal(ended.code, 0, ended.stderr);
      const written = readdirSync(out).sort();
      assert.deepEqual(written.slice(-2), ['clusters.json', 'clusters.md']);
      const systems = written.slice(0, -2);
      assert.equal(systems.length, 2);
      for (const system of systems) {
        const checked = await atoll('check', join(out, system), '--search-path', folder);
        assert.match(checked.stdout, /no errors\n$/, checked.stderr);
      }

      assertRefused(
        await atoll(...args),
        /the folder '.*board' is not empty: choose another, or say --force/,
      );
      writeFileSync(join(out, 'cluster9.system'), 'of an earlier plan');
      writeFileSync(join(out, 'notes'), 'mine');
      assert.equal((await atoll(...args, '--force')).code, 0);
      assert.deepEqual(readdirSync(out).sort(), [...written, 'notes'].sort());
    }));

  it('exports a domain schedule as it is', () => {
    const schedule =
      '<domains><domain name="x"/><domain_schedule><schedule_entry domain="x" duration="5 us"/></domain_schedule></domains>';
    const system = {
      description: schedule + domain('idle', 'priority="10" domain="x"'),
      programs: { idle: 'return { init() {} };' },
    };
    return withFiles({ ...filesOf(system), 'four.xml': manyCores(4, 1) }, async (folder) => {
      const args = ['--machine', join(folder, 'four.xml'), '--export', join(folder, 'board')];
      const ended = await atoll('plan', join(folder, 'test.system'), ...args);
      assert.equal(ended.code, 0, ended.stderr);
      const exported = readFileSync(join(folder, 'board', 'cluster0.system'), 'utf8');
      assert.match(exported, /<schedule_entry domain="x" duration="5 us" \/>/);
      assert.match(exported, /<protection_domain name="idle" priority="10" domain="x" cpu="0">/);
    });
  });

  const valid: Profile = {
    format: 'atoll profile',
    version: 1,
    system: 'test.system',
    seconds: 1,
    channels: [{ from: 'client', fromId: 1, to: 'server', callsPerSecond: 1, notificationsPerSecond: 0 }],
    domains: [{ name: 'server', entriesPerSecond: 1, load: 0.5 }],
  };
  const [channelOf] = valid.channels;
  const hostile: Readonly<Record<string, readonly [content: unknown, error: RegExp]>> = {
    'that is no JSON': ['{', /it is no JSON/],
    'that is other JSON': [[], /it is no profile/],
    'that is null': [null, /it is no profile/],
    'of another version': [{ ...valid, version: 2 }, /it has version 2, and this is Atoll for version 1/],
    'without channels': [{ ...valid, channels: {} }, /it needs lists of channels and domains/],
    'with null among channels': [{ ...valid, channels: [null] }, /channels\[0\] is no object/],
    'of an unknown domain': [
      { ...valid, domains: [{ name: 'nobody\x1b[31m', load: 0 }] },
      /domains\[0\] names the protection domain "nobody\\u001b\[31m", which .*test\.system has not/,
    ],
    'of an unknown channel': [
      { ...valid, channels: [{ ...channelOf, fromId: 9 }] },
      /channels\[0\] is a channel 9 from "client" to "server", which/,
    ],
    'of a channel that leads elsewhere': [
      { ...valid, channels: [{ ...channelOf, to: 'other' }] },
      /to "other"/,
    ],
    'with a channel twice': [
      { ...valid, channels: [channelOf, channelOf] },
      /channels\[1\] stands there twice/,
    ],
    'with a negative rate': [
      { ...valid, channels: [{ ...channelOf, callsPerSecond: -1 }] },
      /channels\[0\]\.callsPerSecond is -1, and must be a number from 0 to 10000000000/,
    ],
    'with a huge rate': [
      { ...valid, channels: [{ ...channelOf, notificationsPerSecond: 1e300 }] },
      /notificationsPerSecond is 1e\+300/,
    ],
    'with a load above 1': [
      { ...valid, domains: [{ name: 'server', load: 1.5 }] },
      /load is 1\.5.* from 0 to 1\n/,
    ],
  };
  for (const [what, [content, error]] of Object.entries(hostile)) {
    it(`refuses a profile ${what}`, () => {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      return withFiles({ ...files, 'profile.json': text }, async (folder) => {
        const profile = join(folder, 'profile.json');
        const machine = join(folder, 'four.xml');
        const args = ['--machine', machine, '--profile', profile];
        assertRefused(await atoll('plan', join(folder, 'test.system'), ...args), error);
      });
    });
  }

  it('refuses what is no file, and what cannot be written', () =>
    withFiles(files, async (folder) => {
      const system = join(folder, 'test.system');
      const plan = (...args: string[]): Promise<Ended> =>
        atoll('plan', system, '--machine', join(folder, 'four.xml'), ...args);
      assertRefused(await plan('--profile', join(folder, 'none')), /cannot use the profile .* no such file/);
      assertRefused(await plan('--profile', folder), /cannot use the profile .*: it is no file/);
      assertRefused(await plan('--profile', '/dev/zero'), /it is no file/);
      assertRefused(
        await plan('--export', system),
        /cannot write to the folder .*: there is a file of that name/,
      );
      assertRefused(
        await plan('--export', join(system, 'x')),
        /cannot write to the folder .*: a part of its path/,
      );
      assertRefused(await plan('--shared-base', 'there'), /an address is a number as in 0x7000_0000/);
    }));
});

describe('atoll run', { concurrency: 2 }, () => {
  it('--profile-out says what each channel and domain did, and plan goes by it', () =>
    withFiles(files, async (folder) => {
      const system = join(folder, 'test.system');
      const out = join(folder, 'profile.json');
      const ran = await atoll('run', system, '--clusters', 'one', '--profile-out', out, '--json');
      assert.equal(ran.code, 0, ran.stderr);
      const { seconds } = JSON.parse(ran.stdout) as RunReport;
      const profile = JSON.parse(readFileSync(out, 'utf8')) as Profile;
      const per = (from: string): [number, number] => {
        const { callsPerSecond, notificationsPerSecond } = profile.channels.find(
          (each) => each.from === from,
        )!;
        return [Math.round(callsPerSecond * seconds), Math.round(notificationsPerSecond * seconds)];
      };
      assert.deepEqual(
        [per('client'), per('other')],
        [
          [CALLS, 0],
          [0, 0],
        ],
      );
      const toOther = profile.channels.find(({ to }) => to === 'other')!;
      assert.equal(Math.round(toOther.notificationsPerSecond * seconds), 1);
      assert.equal(toOther.fromId, 3);
      const loads = profile.domains.map(({ load }) => load);
      assert(loads.every((load) => load >= 0 && load <= 1));

      const planned = await atoll('plan', system, '--machine', join(folder, 'four.xml'), '--profile', out);
      assert.match(planned.stdout, /Rates are those of .*profile\.json\./);
    }));

  it('--place plan runs the plan, and says what it would have cost as written', twoCores, () =>
    withFiles(files, async (folder) => {
      const system = join(folder, 'test.system');
      const args = ['run', system, '--clusters', 'per-core', '--place', 'plan'];
      const shown = await atoll(...args);
      assert.match(
        shown.stdout,
        /^Placed by plan: \d+\.\d{3} ms of a core each second, which nothing beats; as written it would be \d+\.\d{3} ms\.$/m,
      );
      const { stdout } = await atoll(...args, '--json');
      const { domains, placement } = JSON.parse(stdout) as RunReport & { placement: Placement };
      assert.deepEqual(
        domains.map(({ name, core }) => [name, core]),
        placement.domains.map(({ name, core }) => [name, core]),
      );
      assert.equal(domains.find(({ name }) => name === 'other')!.core, 0);
      assert.equal(domains.find(({ name }) => name === 'client')!.core, 1);
      assert.equal(domains.find(({ name }) => name === 'client')!.calls, CALLS);
    }),
  );

  it('refuses, before it runs anything, what it could not write or use', () =>
    withFiles(files, async (folder) => {
      const system = join(folder, 'test.system');
      mkdirSync(join(folder, 'taken'));
      const run = (...args: string[]): Promise<Ended> => atoll('run', system, '--clusters', 'one', ...args);
      assertRefused(
        await run('--profile-out', join(folder, 'taken')),
        /cannot write the profile '.*taken': it is a folder/,
      );
      assertRefused(
        await run('--profile-out', join(folder, 'none', 'profile')),
        /cannot write the profile .*no such file or folder/,
      );
      assertRefused(await run('--profile', join(folder, 'x')), /say --place plan with it/);
      assertRefused(await run('--place', 'somewhere'), /--place/);
      assert(!existsSync(join(folder, 'none')));
    }));
});
