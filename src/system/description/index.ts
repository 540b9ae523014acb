/** Microkit system descriptions: parsed, checked, and their programs found. */
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { checkSystem } from './check.js';
import { DescriptionError } from './diagnostic.js';
import { type ParseOptions, parseDescription } from './parse.js';
import type { SystemDescription } from './types.js';
import { type Element, MAX_LENGTH, parseXml } from './xml.js';

export { hex } from './attributes.js';
export { DescriptionError } from './diagnostic.js';
export { withGrants } from './grant.js';
export { policyOf } from './on-failure.js';
export { checkPrograms, findProgram, type FoundProgram } from './program.js';
export * from './types.js';
export { Element } from './xml.js';

export interface Options extends Omit<ParseOptions, 'searchPath'> {
  /** Where `prefill_path` is looked for, in order; the description's own directory unless given. */
  readonly searchPath?: readonly string[];
}

/** @throws DescriptionError for whatever the text may be. */
export function parseSystem(text: string, options: Options): SystemDescription {
  const system = parseDescription(text, { searchPath: [dirname(options.file)], ...options });
  checkSystem(system);
  return system;
}

/** Reads and parses a file of UTF-8. @throws DescriptionError, also where the file cannot be read. */
export function loadSystem(file: string, options: Omit<Options, 'file'>): SystemDescription {
  return parseSystem(readText(file), { ...options, file });
}

/** The elements of a file, as written. @throws DescriptionError */
export function loadElements(file: string): Element {
  return parseXml(readText(file), file);
}

function readText(file: string): string {
  const failure = (problem: string) => new DescriptionError(problem, { file });
  let bytes: Buffer;
  try {
    const status = statSync(file);
    if (!status.isFile()) {
      throw failure(
        `cannot read the description: not a ${status.isDirectory() ? 'file but a directory' : 'regular file'}`,
      );
    }
    if (status.size > MAX_LENGTH) throw failure(`the description is larger than ${MAX_LENGTH} bytes`);
    bytes = readFileSync(file);
  } catch (error) {
    if (error instanceof DescriptionError) throw error;
    throw failure(`cannot read the description: ${reason(error)}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw failure('the description is not valid UTF-8');
  }
}

function reason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'no such file';
    case 'EACCES':
      return 'permission denied';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
