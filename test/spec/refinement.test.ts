/**
 * Refinement: random programs of system calls run on the kernel and on the specification, and after each call both
 * agree: on every capability, thread, queue and message. So do both images, with and without their fastpaths.
 * `ATOLL_REFINEMENT` is the number of calls, at least.
 */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BUILDS } from '../kernel/machine.js';
import { KINDS, programOf } from './programs.js';
import { World } from './world.js';

const CALLS = Number(process.env.ATOLL_REFINEMENT ?? 12_000);
/** A little less than programs have on average, and so many calls between two looks at raw memory. */
const CALLS_PER_RUN = 80;
const CALLS_PER_CHECK = 5;

for (const [build, image] of BUILDS.entries()) {
  describe(`${image} does what is specified`, () => {
    Object.entries(KINDS).forEach(([kind, step], index) => {
      it(kind, (test) => {
        const runs = Math.ceil(CALLS / CALLS_PER_RUN / BUILDS.length / Object.keys(KINDS).length);
        const before = process.cpuUsage();
        let calls = 0;
        fc.assert(
          fc.property(programOf(step), (program) => {
            const world = new World({ image }, CALLS_PER_CHECK, kind === 'budgets');
            for (const each of program) world.step(each);
            calls += world.calls;
          }),
          { numRuns: runs, seed: 10 * build + index + Number(process.env.ATOLL_SEED ?? 1) },
        );
        const { user, system } = process.cpuUsage(before);
        test.diagnostic(
          `${calls} calls, ${Math.round((calls * 1e6) / (user + system))} in a second of a core`,
        );
      });
    });
  });
}
