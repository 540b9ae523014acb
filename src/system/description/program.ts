/** Which file a `program_image` stands for. */
import { closeSync, openSync, readSync } from 'node:fs';
import { DescriptionError } from './diagnostic.js';
import { findFile } from './search.js';
import type { SystemDescription } from './types.js';

/** What a program image turned out to be. `typescript` is JavaScript too. */
export interface FoundProgram {
  readonly kind: 'typescript' | 'elf';
  /** Absolute. */
  readonly file: string;
}

/** In the order of preference. */
const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs'];
const ELF_MAGIC = '\x7fELF';

/**
 * One description serves the board and Atoll: where no directory of the search path has a loadable image at `path`
 * (`x.elf`), a program beside where it would be (`x.ts`, `x.mts`, `x.js`, `x.mjs`) stands in for it. A path that
 * names such a program itself is taken as it is.
 */
export function findProgram(path: string, searchPath: readonly string[]): FoundProgram | undefined {
  if (EXTENSIONS.some((extension) => path.endsWith(extension))) {
    const file = findFile(path, searchPath);
    return file === undefined ? undefined : { kind: 'typescript', file };
  }
  for (const directory of searchPath) {
    const file = findFile(path, [directory]);
    if (file !== undefined && isElf(file)) return { kind: 'elf', file };
  }
  const stem = path.replace(/\.elf$/, '');
  for (const directory of searchPath) {
    for (const extension of EXTENSIONS) {
      const file = findFile(stem + extension, [directory]);
      if (file !== undefined) return { kind: 'typescript', file };
    }
  }
  return undefined;
}

/** The program of each protection domain, in their order. @throws DescriptionError where there is none. */
export function checkPrograms(system: SystemDescription, searchPath: readonly string[]): FoundProgram[] {
  const found = new Map<string, FoundProgram | undefined>();
  return system.protectionDomains.map(({ programImage: { path, at } }) => {
    if (!found.has(path)) found.set(path, findProgram(path, searchPath));
    const program = found.get(path);
    if (program === undefined) {
      throw new DescriptionError(
        `unable to find program image: '${path}' (searched ${searchPath.join(', ')})`,
        { file: system.file, at, element: 'program_image' },
      );
    }
    return program;
  });
}

function isElf(file: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const start = Buffer.alloc(ELF_MAGIC.length);
    readSync(descriptor, start, 0, start.length, 0);
    return start.toString('latin1') === ELF_MAGIC;
  } catch {
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
