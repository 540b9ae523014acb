/** From places in a bundle's code back to places in the source that it came from. */
import { SourceMap, type SourceMapPayload } from 'node:module';
import type { Bundle } from './bundle.js';

/** Lines of a bundle's code before what esbuild printed. */
export const PROLOGUE_LINES = 1;

/** The escapes that `bundle.ts` puts where one character was. */
const ESCAPES = /\\u(?:0069|003c|003e)/g;

/** V8 takes no source URL with blanks. */
export function sourceUrl(file: string): string {
  return file.replace(/\s/g, encodeURIComponent);
}

/**
 * Rewrites each `file:line:column` of the bundle's code in `text`, such as what `describeThrown` says, to the place
 * in the source that it came from.
 */
export function originalPositions(bundle: Bundle, text: string): string {
  const name = sourceUrl(bundle.file).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const places = new RegExp(`${name}:(\\d+):(\\d+)`, 'g');
  if (!places.test(text)) return text;
  const map = new SourceMap(JSON.parse(bundle.map) as SourceMapPayload);
  const lines = bundle.code.split('\n');
  return text.replace(places, (place, line: string, column: string) => {
    const before = lines[Number(line) - 1]?.slice(0, Number(column) - 1) ?? '';
    return position(map, Number(line) - 1 - PROLOGUE_LINES, before.replace(ESCAPES, '?').length) ?? place;
  });
}

/** @param line 0-based in esbuild's output, as `column`. @returns `file:line:column`, 1-based, in the source. */
export function position(map: SourceMap, line: number, column: number): string | undefined {
  const entry = map.findEntry(line, column);
  if (!('originalSource' in entry) || entry.originalSource === undefined) return undefined;
  return `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
}
