/** A program that cannot be run. The message says which file, where in it, what is wrong and what to do. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
}
