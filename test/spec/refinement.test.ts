/**
 * Refinement: random programs of system calls run on the kernel and on the specification, and after each call both
 * agree: on every capability, thread, queue and message. So do both images, with and without their fastpaths, and
 * clusters of several cores, where programs choose which core enters the kernel next. `ATOLL_REFINEMENT` is the number
 * of calls for each image, at least.
 */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BUILDS, IMAGES } from '../kernel/machine.js';
import { BEGINNINGS, KINDS, programOf } from './programs.js';
import { World } from './world.js';

const CALLS = Number(process.env.ATOLL_REFINEMENT ?? 20_000);
/** A little less than programs have on average, and so many calls between two looks at raw memory. */
const CALLS_PER_RUN = 80;
const CALLS_PER_CHECK = 5;

const CLUSTERS = BUILDS.flatMap((image) =>
  (image.startsWith('smp') ? [1, 2, 3] : [1]).map((cores) => ({ image, cores })),
);

for (const { image, cores } of CLUSTERS) {
  describe(`${image} does what is specified, with ${cores} cores`, () => {
    Object.entries(KINDS).forEach(([kind, step], index) => {
      it(kind, (test) => {
        const programs = (CALLS * IMAGES.length) / CALLS_PER_RUN;
        const runs = Math.ceil(programs / CLUSTERS.length / Object.keys(KINDS).length);
        // The same programs, whether both images are under test or one.
        const seed =
          100 * cores + index + Number(process.env.ATOLL_SEED ?? 1) + (image.includes('without') ? 50 : 0);
        const before = process.cpuUsage();
        let calls = 0;
        fc.assert(
          fc.property(programOf(step), (program) => {
            const domains = kind === 'domains' && image.startsWith('unicore') ? 3 : 1;
            const world = new World({ image, cores, domains }, CALLS_PER_CHECK, BEGINNINGS[kind]);
            for (const each of program) world.step(each);
            calls += world.calls;
          }),
          { numRuns: runs, seed },
        );
        const { user, system } = process.cpuUsage(before);
        test.diagnostic(
          `${calls} calls, ${Math.round((calls * 1e6) / (user + system))} in a second of a core`,
        );
      });
    });
  });
}
