import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** The path of a machine description; tests run from the repository's root. */
export function machineFile(name: string): string {
  return join('test', 'machine', 'fixtures', name);
}

/** Writes `files` (path to contents) into a new folder, which goes when the test ends. */
export function layTree(test: TestContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'atoll-'));
  test.after(() => rmSync(root, { recursive: true }));
  for (const [path, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), contents);
  }
  return root;
}

/** An hwloc description of `count` cores, `perL2` of which share each L2. */
export function manyCores(count: number, perL2: number): string {
  const word = (set: number[]): string => {
    const words = new Array<number>(Math.floor(Math.max(...set) / 32) + 1).fill(0);
    for (const bit of set) words[words.length - 1 - Math.floor(bit / 32)] |= 1 << (bit % 32);
    return words
      .map((word, i) => (word === 0 && i > 0 ? '' : `0x${(word >>> 0).toString(16).padStart(8, '0')}`))
      .join();
  };
  const l2s = Array.from({ length: count / perL2 }, (_, l2) => {
    const cpus = Array.from({ length: perL2 }, (_, i) => l2 * perL2 + i);
    const pus = cpus.map(
      (cpu) => `<object type="Core" os_index="${cpu}" cpuset="${word([cpu])}">
        <object type="PU" os_index="${cpu}" cpuset="${word([cpu])}" complete_cpuset="${word([cpu])}"/></object>`,
    );
    return `<object type="L2Cache" cpuset="${word(cpus)}" cache_size="1048576" depth="2" cache_linesize="64"
      cache_type="0">${pus.join('\n')}</object>`;
  });
  return `<?xml version="1.0"?><!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology version="2.0">
    <object type="Machine" os_index="0"><object type="Package" os_index="0">
    <object type="NUMANode" os_index="0" local_memory="1099511627776"/>
    ${l2s.join('\n')}</object></object></topology>`;
}
