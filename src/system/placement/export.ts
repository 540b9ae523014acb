/**
 * The plan as files for a board: for each cluster a Microkit system description with what is all its own, and a table
 * of what is between clusters, which no single image's description can say.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Topology } from '../../machine/topology/index.js';
import { hex, parseSystem, type Element, type SystemDescription } from '../description/index.js';
import { type ClusterTable, crossed, readable } from './cluster-table.js';
import { Cut } from './cut.js';
import { FileError, reasonOf } from './file-error.js';
import type { Placement } from './placement.js';

export interface ExportOptions {
  readonly system: SystemDescription;
  /** The elements that `system` was parsed from. */
  readonly elements: Element;
  readonly topology: Topology;
  readonly placement: Placement;
  /** Physical address of the first shared region. */
  readonly sharedBase: bigint;
  /** Interrupt lines of a cluster that others may ring. */
  readonly lines: number;
  readonly searchPath: readonly string[];
}

/**
 * The files by name: `cluster<n>.system`, `clusters.json` and `clusters.md`.
 * @throws DescriptionError for what cannot be cut so; FileError where shared regions find no room.
 */
export function exportPlan(options: ExportOptions): Map<string, string> {
  const { system, elements, placement, topology, searchPath } = options;
  const cut = new Cut(system, elements, placement, options.sharedBase);
  const ids = [...new Set(cut.clusterOf)].sort((a, b) => a - b);
  const files = new Map<string, string>();
  const clusters = ids.map((cluster) => {
    const file = `cluster${cluster}.system`;
    const text = cut.describe(cluster);
    // What is written must be a description by itself, whatever was cut off.
    parseSystem(text, { file, arch: system.arch, searchPath });
    files.set(file, text);
    const domains = placement.domains.filter((each) => each.cluster === cluster);
    return {
      cluster,
      file,
      cores: [...new Set(domains.map(({ core }) => core))].sort((a, b) => a - b),
      domains: domains.map(({ name }) => name),
    };
  });
  const firstCores = clusters.map(({ cores }) => cores[0]);
  const table: ClusterTable = {
    format: 'atoll clusters',
    version: 1,
    system: system.file,
    machine: topology.source,
    clusters,
    regions: cut
      .shared()
      .map((region) => ({ ...region, physAddr: hex(region.physAddr), size: hex(region.size) })),
    ...crossed(system, cut.clusterOf, ids, firstCores, options.lines, topology.cores.length),
  };
  files.set('clusters.json', `${JSON.stringify(table, null, 2)}\n`);
  files.set('clusters.md', readable(table));
  return files;
}

/**
 * Writes the files into a folder, which is made if need be.
 * @param force whether a folder with something in it will do: what an earlier plan left there goes then.
 * @throws FileError where it cannot be written.
 */
export function writeExport(folder: string, files: ReadonlyMap<string, string>, force: boolean): void {
  try {
    mkdirSync(folder, { recursive: true });
    const present = readdirSync(folder);
    if (present.length > 0 && !force)
      throw new FileError(
        `the folder '${folder}' is not empty: choose another, or say --force to write into it`,
      );
    for (const name of present) if (/^cluster\d+\.system$/.test(name)) rmSync(join(folder, name));
    for (const [name, text] of files) writeFileSync(join(folder, name), text);
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new FileError(`cannot write to the folder '${folder}': ${reasonOf(error)}`);
  }
}
