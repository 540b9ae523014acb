import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { atoll, channel, domain, filesOf, withClusters, withFiles, type Ended } from '../run/system.js';

const GOOD = 'return { init() {} };';

interface Case {
  /** What stands between `<system>` and `</system>`; one domain `a` unless given. */
  readonly description?: string;
  readonly programs?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Another file than the description. */
  readonly file?: string;
  readonly error: RegExp;
}

function command(
  name: 'run' | 'check',
  { description = domain('a', 'priority="1"'), ...rest }: Omit<Case, 'error'>,
): Promise<Ended> {
  const files = filesOf({ description, programs: rest.programs ?? { a: GOOD }, files: rest.files ?? {} });
  const { file = 'test.system', args = [] } = rest;
  return withFiles(files, (folder) =>
    atoll(name, join(folder, file), ...(name === 'run' ? withClusters(args) : args)),
  );
}

/** One line, that says what is wrong, and nothing else. */
function assertRefused({ code, stdout, stderr }: Ended, error: RegExp): void {
  assert.match(stderr, /^Error: [^\n]+\n$/);
  assert.match(stderr, error);
  assert.equal(stdout, '');
  assert.equal(code, 2);
}

const TURNS = '<schedule_entry domain="x" duration="5 us"/><schedule_entry domain="y" duration="5 us"/>';
const scheduled = (entries: string, content: string): string =>
  `<domains><domain name="x"/><domain name="y"/><domain_schedule>${entries}</domain_schedule></domains>${content}`;

const bomb = `<!DOCTYPE system [<!ENTITY a "aaaaaaaaaa">${[...'bcdefghij']
  .map((name, index) => `<!ENTITY ${name} "${`&${'abcdefghi'[index]};`.repeat(10)}">`)
  .join('')}]><system><protection_domain name="&j;" priority="1"/></system>`;

describe('atoll run refuses', { concurrency: 3 }, () => {
  const cases: Readonly<Record<string, Case>> = {
    'a description that is not there': { file: 'other.system', error: /other\.system/ },
    'bad XML': { description: '<oops>', error: /test\.system:1:\d+/ },
    'a million elements': {
      files: { 'test.system': `<system>${'<x/>'.repeat(1_000_000)}</system>` },
      error: /test\.system:1:\d+/,
    },
    'failures that it cannot make': {
      args: ['--inject', 'dorp=0.1'],
      error: /failures are drop=P, double=P, die=P and seed=N/,
    },
    'failures that come too often': {
      args: ['--inject', 'drop=0.6,double=0.6'],
      error: /drop, double and die are probabilities, at most 1/,
    },
    'an entity bomb': { files: { 'test.system': bomb }, error: /test\.system:1:\d+/ },
    'a missing program': { programs: {}, error: /a\.elf/ },
    'a syntax error in a program': {
      files: { 'a.ts': 'export default (pd) => {{ ;\n' },
      error: /a\.ts:\d+:\d+/,
    },
    'a program that throws when it is loaded': {
      files: { 'a.ts': 'export default null.x;\n' },
      error: /a\.ts: loading the program failed: TypeError: .*a\.ts:1:\d+\)/,
    },
    'a program without init': {
      programs: { a: 'return { notified() {} };' },
      error: /a\.ts: missing entry point 'init'/,
    },
    'an ELF image': { programs: {}, files: { 'a.elf': '\x7fELF' }, error: /ELF/ },
    'a virtual machine': {
      description: domain(
        'a',
        'priority="1"',
        '<virtual_machine name="guest" priority="1"><vcpu id="1"/></virtual_machine>',
      ),
      error: /virtual machine 'guest' cannot run/,
    },
    'no interrupt lines': { args: ['--lines', '0'], error: /a number of lines, 1 to 15/ },
    'an interrupt that the machine has not': {
      description: domain('a', 'priority="1"', '<irq irq="33" id="0"/>'),
      error: /irq 33 cannot run: this machine has the interrupts 16/,
    },
    'a device': {
      description: `<memory_region name="uart" size="0x1000" phys_addr="0x9000000"/>${domain('a', 'priority="1"')}`,
      error: /no device at physical address 0x9000000/,
    },
    'a domain schedule that begins with its end': {
      description: scheduled('<schedule_end_marker/>', domain('a', 'priority="1" domain="x"')),
      error: /start_index \(0\) is the end of a schedule, so that no domain would run: .*test\.system:1:9/,
    },
    'a turn of years': {
      description: scheduled(
        '<schedule_entry domain="x" duration="72057594037928 us"/>',
        domain('a', 'priority="1" domain="x"'),
      ),
      error: /a duration in the domain schedule cannot be more than 72057594037927 us: .*test\.system:1:9/,
    },
    'a domain schedule on several cores': {
      description: scheduled(TURNS, domain('a', 'priority="1" domain="x" cpu="1"')),
      error: /the domain scheduler is not supported in multicore builds of seL4 .*test\.system:1:\d+/,
    },
    'calls between scheduling domains that could wait for each other': {
      description:
        scheduled(TURNS, domain('a', 'priority="1" domain="x"')) +
        domain('b', 'priority="2" domain="y"', '', 'a') +
        domain('c', 'priority="3" domain="x"', '', 'a') +
        channel('a 0 pp="true"', 'b 0') +
        channel('b 1 pp="true"', 'c 0'),
      error:
        /protected calls of 'a' lead to 'b' of another scheduling domain, where 'b' makes protected .*test\.system:1:\d+/,
    },
    'calls to a scheduling domain where the server could be kept back': {
      description:
        scheduled(TURNS, domain('a', 'priority="1" domain="x"')) +
        domain('b', 'priority="3" domain="y"', '', 'a') +
        domain('c', 'priority="4" domain="x"', '', 'a') +
        domain('d', 'priority="2" domain="y"', '', 'a') +
        channel('b 0 pp="true"', 'c 0') +
        channel('a 1 pp="true"', 'd 0'),
      error:
        /protected calls of 'a' lead to 'd' of another scheduling domain, where 'b' makes protected .*test\.system:1:\d+/,
    },
    'a cpu that the machine has not': { description: domain('a', 'priority="1" cpu="63"'), error: /cpu 63/ },
    'a grant to nobody': { args: ['--grant', 'topology:a,b'], error: /there is no protection domain 'b'/ },
    'a grant of what there is not': { args: ['--grant', 'disk:a'], error: /there is no resource 'disk'/ },
    'a grant that is none': { args: ['--grant', 'a'], error: /a grant is topology: or memory: and names of/ },
    'a grant in the description that is wrong': {
      description: `${domain('a', 'priority="1"')}<?atoll grant pd="a"?>`,
      error: /Missing required attribute 'resource' on element '.atoll grant': .*test\.system:2:1/,
    },
    'clusters that are none': { args: ['--clusters', 'many'], error: /many/ },
    'a time that is none': { args: ['--for', 'ever'], error: /a time is a number/ },
    'a machine that is not there': { args: ['--machine', 'nowhere.xml'], error: /nowhere\.xml/ },
    'an option that it has not': { args: ['--fast'], error: /--fast/ },
  };
  for (const [what, { error, ...input }] of Object.entries(cases)) {
    it(what, async () => assertRefused(await command('run', input), error));
  }
});

describe('atoll', { concurrency: 2 }, () => {
  it('refuses a command that it has not', async () => assertRefused(await atoll('walk'), /walk/));

  it('check accepts what can only not run yet', async () => {
    const ended = await command('check', {
      description: domain(
        'a',
        'priority="1"',
        '<virtual_machine name="guest" priority="1"><vcpu id="1"/></virtual_machine>',
      ),
      programs: {},
      files: { 'a.elf': '\x7fELF' },
    });
    assert.match(ended.stdout, /1 protection domains, 0 channels, 0 memory regions: no errors\n$/);
    assert.equal(ended.stderr, '');
    assert.equal(ended.code, 0);
  });

  it('check refuses what Microkit refuses', async () => {
    const description = domain('a', 'priority="255"');
    assertRefused(
      await command('check', { description }),
      /priority must be between 0 and 254.*test\.system:1:\d+/,
    );
  });

  it('check --cores refuses a cpu beyond', async () => {
    const description = domain('a', 'priority="1" cpu="2"');
    assertRefused(await command('check', { description, args: ['--cores', '2'] }), /cpu/);
  });
});
