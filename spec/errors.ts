/** Why a system call does not do what it was to do. Whoever throws has changed nothing that the error would undo. */
import type { SeL4Error } from '../kernel/api/constants.js';

type Word = number | bigint;

class Failure extends Error {
  readonly words: readonly bigint[];
  constructor(...words: Word[]) {
    super('the system call fails');
    this.words = words.map(BigInt);
  }
}

/** An address leads to no capability, or to none of use (section 3.4): the address, the failure, what describes it. */
export class LookupError extends Failure {}

/** An invocation is refused (section 10.1): the error, which is the label of its answer, and the words of that. */
export class Refusal extends Failure {}

export function refuse(error: SeL4Error, ...details: Word[]): never {
  throw new Refusal(error, ...details);
}

export function refuseIf(condition: boolean, error: SeL4Error, ...details: Word[]): void {
  if (condition) refuse(error, ...details);
}
