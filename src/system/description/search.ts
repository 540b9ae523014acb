import { statSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * The first regular file of that path on the search path. As in Microkit the path may be absolute, or lead out of a
 * directory of the search path: whoever writes the description chooses the programs.
 */
export function findFile(path: string, searchPath: readonly string[]): string | undefined {
  if (path === '' || path.includes('\0')) return undefined;
  return searchPath.map((directory) => resolve(directory, path)).find(isFile);
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
