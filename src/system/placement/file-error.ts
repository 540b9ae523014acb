import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** A file or folder that a command line names is not as it must be. The message says which, and needs `Error: ` before it. */
export class FileError extends Error {
  override readonly name = 'FileError';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EEXIST: 'there is a file of that name',
  EROFS: 'it is on a file system for reading only',
  ENOSPC: 'no space is left',
};

/** Why the operating system refused, in words. */
export function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}

/**
 * Tells early whether a file can be written: a run may be long. `what` is to be in it, for people.
 * @throws FileError
 */
export function assertWritable(what: string, file: string): void {
  try {
    const there = statSync(file, { throwIfNoEntry: false });
    if (there?.isDirectory() === true)
      throw new FileError(`cannot write the ${what} '${file}': it is a folder`);
    accessSync(there === undefined ? dirname(file) : file, constants.W_OK);
  } catch (error) {
    throw error instanceof FileError ? error : cannotWrite(what, file, error);
  }
}

export function cannotWrite(what: string, file: string, error: unknown): FileError {
  return new FileError(`cannot write the ${what} '${file}': ${reasonOf(error)}`);
}
