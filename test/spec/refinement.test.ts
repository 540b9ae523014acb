/**
 * Refinement: random programs of system calls run on the kernel image and on the specification, and after each call
 * both agree: on every capability, thread, queue and message. `ATOLL_REFINEMENT` is the number of calls, at least.
 */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { IMAGES } from '../kernel/machine.js';
import { KINDS, programOf } from './programs.js';
import { World } from './world.js';

const CALLS = Number(process.env.ATOLL_REFINEMENT ?? 12_000);
const CALLS_PER_RUN = 90;
const CALLS_PER_CHECK = 5;

for (const image of IMAGES) {
  describe(`the ${image} image does what is specified`, () => {
    Object.entries(KINDS).forEach(([kind, step], index) => {
      it(kind, () => {
        const runs = Math.ceil(CALLS / CALLS_PER_RUN / IMAGES.length / Object.keys(KINDS).length);
        fc.assert(
          fc.property(programOf(step), (program) => {
            const world = new World({ image }, CALLS_PER_CHECK);
            for (const each of program) world.step(each);
          }),
          { numRuns: runs, seed: index + Number(process.env.ATOLL_SEED ?? 1) },
        );
      });
    });
  });
}
