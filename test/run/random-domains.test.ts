/**
 * Random systems with a domain schedule: protection domains of several scheduling domains that call and notify each other,
 * some passive, some with budgets. Whatever the turns cut apart, every handler ends. `ATOLL_SYSTEMS` is how many there are.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomNumbers } from '../../src/machine/random.js';
import { channel, domain, run, type System } from './system.js';

const SYSTEMS = Number(process.env.ATOLL_SYSTEMS ?? 5);
const SEED = Number(process.env.ATOLL_SEED ?? 1);

interface Member {
  readonly name: string;
  readonly priority: number;
  readonly attributes: string;
  /** Channels on which it calls, and notifies. */
  readonly calls: number[];
  readonly notifies: number[];
  channels: number;
}

function randomSystem(below: (limit: number) => number): System {
  const names = ['a', 'b', 'c'].slice(0, 2 + below(2));
  const entries = Array.from({ length: names.length + below(3) }, (_, index) => {
    const name = names[index] ?? names[below(names.length)];
    return `<schedule_entry domain="${name}" duration="${5 + below(60)} us"/>`;
  });
  const declared = names.map((name) => `<domain name="${name}"/>`).join('');
  const members = Array.from({ length: 3 + below(5) }, (_, index): Member => {
    const kind = ['', 'passive="true"', 'budget="20" period="60"', ''][below(4)];
    const attributes = `domain="${names[below(names.length)]}" ${kind}`;
    const priority = 10 * (1 + below(20)) + index;
    return { name: `p${index}`, priority, attributes, calls: [], notifies: [], channels: 0 };
  });
  const channels = Array.from({ length: members.length }, () => {
    const [one, other] = [members[below(members.length)], members[below(members.length)]];
    if (one === other) return '';
    const [low, high] = one.priority < other.priority ? [one, other] : [other, one];
    const isCall = below(3) > 0;
    (isCall ? low.calls : low.notifies).push(low.channels);
    high.notifies.push(high.channels);
    return channel(
      `${low.name} ${low.channels++}${isCall ? ' pp="true"' : ''}`,
      `${high.name} ${high.channels++}`,
    );
  });
  const description =
    `<domains>${declared}<domain_schedule>${entries.join('')}</domain_schedule></domains>` +
    members.map((each) => domain(each.name, `priority="${each.priority}" ${each.attributes}`)).join('') +
    channels.join('');
  const programOf = ({ calls, notifies }: Member): string => `
    const call = (number) => {
      for (const channel of ${JSON.stringify(calls)}) {
        pd.mrSetNumber(0, number);
        pd.ppcall(channel, pd.msginfoNew(0, 1));
        if (pd.mrGetNumber(0) !== number + 1) throw new Error('a wrong answer');
      }
    };
    const notify = () => { for (const channel of ${JSON.stringify(notifies)}) pd.notify(channel); };
    let seen = 0;
    return {
      init() {
        for (let i = 0; i < 5; i++) { pd.compute(${below(30_000)}); call(i); }
        notify();
        pd.dbgPuts(pd.name + '\\n');
      },
      notified() {
        if (++seen > 3) return;
        call(seen);
        notify();
      },
      protected() {
        const number = pd.mrGetNumber(0);
        pd.compute(${below(8000)});
        if (number < 3) notify();
        call(number);
        pd.mrSetNumber(0, number + 1);
        return pd.msginfoNew(0, 1);
      },
    };`;
  const programs = Object.fromEntries(members.map((each) => [each.name, programOf(each)] as const));
  return { description, programs, args: ['--machine', 'cortex-a53', '--for', '500ms', '--check-invariants'] };
}

describe('random systems with a domain schedule', { concurrency: 2 }, () => {
  const random = randomNumbers(SEED);
  for (let number = 0; number < SYSTEMS; number++) {
    const system = randomSystem((limit) => Math.floor(random() * limit));
    it(`number ${number}`, async () => {
      try {
        const { code, report, said } = await run(system);
        assert.equal(code, 0);
        assert.equal(report.ended, 'idle', JSON.stringify([said, report.domains.map(({ state }) => state)]));
        assert.deepEqual([...said].sort(), Object.keys(system.programs).sort());
      } catch (error) {
        // Some have calls that could wait for each other.
        if (!/of another scheduling domain, where/.test((error as Error).message)) throw error;
      }
    });
  }
});
