/** The specification is to be read: it stays short beside the kernel that it specifies. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function lines(folder: string): number {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .reduce((sum, name) => sum + readFileSync(join(root, folder, name), 'utf8').split('\n').length - 1, 0);
}

test('the specification has at most a third of the lines of the kernel', () => {
  const [specification, kernel] = [lines('spec'), lines('kernel')];
  assert.ok(3 * specification <= kernel, `${specification} of ${kernel}`);
});
