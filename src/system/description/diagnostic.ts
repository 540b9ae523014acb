import type { Position } from './types.js';

/** More of a problem than this is cut: a value from the file may be megabytes long. */
const PROBLEM_LENGTH = 600;

/**
 * What is wrong with a description, in one line:
 * `Error: <what is wrong> on element '<element>': <file>:<line>:<column>`.
 * The element is left out where the problem is not one of an element, and the position where the file could not
 * be read at all.
 */
export class DescriptionError extends Error {
  override readonly name = 'DescriptionError';
  readonly file: string;
  readonly position?: Position;

  constructor(problem: string, where: { file: string; at?: Position; element?: string }) {
    const { file, at, element } = where;
    const onElement = element === undefined ? '' : ` on element '${shorten(element, 64)}'`;
    const location = at === undefined ? file : `${file}:${at.line}:${at.column}`;
    super(printable(`Error: ${shorten(problem, PROBLEM_LENGTH)}${onElement}: ${location}`));
    this.file = file;
    if (at !== undefined) this.position = at;
  }
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

/** Control characters, which names in a hostile file may hold, must neither break the line nor steer a terminal. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
