/** Why a system call does not do what it was to do. Whoever throws has changed nothing that the error would undo. */
import type { LookupFailure, SeL4Error } from '../kernel/api/constants.js';

type Word = number | bigint;

/** A capability address leads nowhere (section 3.4): the failure, and the words that describe it. */
export class LookupError extends Error {
  readonly words: readonly bigint[];
  constructor(
    readonly address: bigint,
    failure: LookupFailure,
    ...details: Word[]
  ) {
    super('lookup failed');
    this.words = [failure, ...details].map(BigInt);
  }
}

/** An invocation is refused (section 10.1): the error is the label of its answer, the details are its message. */
export class Refusal extends Error {
  readonly words: readonly bigint[];
  constructor(
    readonly error: SeL4Error,
    ...details: Word[]
  ) {
    super('refused');
    this.words = details.map(BigInt);
  }
}

export function refuse(error: SeL4Error, ...details: Word[]): never {
  throw new Refusal(error, ...details);
}

export function refuseIf(condition: boolean, error: SeL4Error, ...details: Word[]): void {
  if (condition) refuse(error, ...details);
}
