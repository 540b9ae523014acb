/**
 * A monitor that dies now and then in the middle of handing memory over: what hand-over.ts does, with a chance to die
 * before each change of the ledger, of the kernel, and before each message. For trying what the others make of it.
 */
import type { HandOverActions } from './hand-over.js';

/** @param step called before each step. It does not return where the monitor dies there. */
export function mortal(actions: HandOverActions, step: () => void): HandOverActions {
  return {
    chunks: actions.chunks,
    entry: (chunk) => actions.entry(chunk),
    replace(chunk, before, after) {
      step();
      return actions.replace(chunk, before, after);
    },
    take(chunk) {
      step();
      actions.take(chunk);
    },
    giveUp(chunk) {
      step();
      actions.giveUp(chunk);
    },
    send(peer, message, chunk, entry) {
      step();
      actions.send(peer, message, chunk, entry);
    },
    answered(peer, chunk) {
      step();
      actions.answered(peer, chunk);
    },
    given: () => actions.given(),
  };
}
