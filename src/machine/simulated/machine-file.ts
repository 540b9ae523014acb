/** Machines to simulate that a JSON file describes: as a preset does, or by what is different from another machine. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TopologyError, layOut } from '../topology/topology.js';
import { factsOf, type Layout } from './layout.js';
import { FIGURES, MOST_CORES, type MachineModel } from './model.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The model in a file, whose figures are not yet checked. `machine` makes the one that a file's `base` names, from which it
 * takes what it does not say itself; `assumed` is what a file without a base need not say.
 * @throws TopologyError when the file cannot be read or is not as it must be.
 */
export function readMachineFile(
  path: string,
  machine: (spec: string) => MachineModel,
  assumed: Pick<MachineModel, 'interconnect' | 'transactions'>,
): MachineModel {
  const file = new MachineFile(path);
  const groups = Object.keys(FIGURES) as (keyof typeof FIGURES)[];
  const fields = file.object(file.read(), 'the file', ['base', 'topology', 'interconnect', ...groups]);
  const { base, topology, interconnect } = fields;
  if ((base === undefined) === (topology === undefined)) file.fail(`must have either 'base' or 'topology'`);
  const from: Partial<MachineModel> =
    base === undefined
      ? { topology: layOut(factsOf(path, file.layout(topology))), ...assumed }
      : machine(file.base(base));
  const figures = groups.map((group) => [
    group,
    { ...from[group], ...file.object(fields[group] ?? {}, group, FIGURES[group]) },
  ]);
  if (interconnect !== undefined) file.interconnect(interconnect);
  return {
    ...from,
    ...(Object.fromEntries(figures) as object),
    ...(interconnect === undefined ? {} : { interconnect }),
    name: path,
  } as MachineModel;
}

class MachineFile {
  constructor(private readonly path: string) {}

  fail(what: string): never {
    throw new TopologyError(`the machine description '${this.path}' ${what}`);
  }

  read(): unknown {
    try {
      return JSON.parse(readFileSync(this.path, 'utf8'));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return this.fail(`cannot be read: ${code === 'ENOENT' ? 'there is no such file' : message}`);
    }
  }

  object(value: unknown, where: string, known: readonly string[]): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.fail(`must have an object as ${where}`);
    const unknown = Object.keys(value).find((key) => !known.includes(key));
    if (unknown !== undefined) this.fail(`has '${unknown}' in ${where}; there are ${known.join(', ')}`);
    return value as Fields;
  }

  /** A preset's name, or the path of an hwloc file, from where this file is. */
  base(value: unknown): string {
    if (typeof value !== 'string' || value.endsWith('.json'))
      return this.fail('must have a preset or an hwloc XML file as base');
    return value.endsWith('.xml') ? join(dirname(this.path), value) : value;
  }

  layout(value: unknown): Layout {
    const fields = this.object(value, 'topology', ['packages', 'coresPerPackage', 'l1', 'l2', 'l3']);
    const coresPerPackage = this.#count(fields, 'coresPerPackage', MOST_CORES);
    const cache = (level: string): Layout['l2'] => {
      const shape = this.object(fields[level], level, ['bytes', 'cores']);
      const cores = this.#count(shape, 'cores', MOST_CORES);
      if (coresPerPackage % cores !== 0)
        this.fail(`has an ${level} for each ${cores} of the ${coresPerPackage} cores of a package`);
      return { bytes: this.#count(shape, 'bytes'), cores };
    };
    return {
      packages: this.#count(fields, 'packages', MOST_CORES / coresPerPackage),
      coresPerPackage,
      l1: this.#count(fields, 'l1'),
      l2: cache('l2'),
      ...(fields.l3 === undefined ? {} : { l3: cache('l3') }),
    };
  }

  interconnect(value: unknown): void {
    const { kind } = this.object(value, 'interconnect', ['kind', 'width', 'coresPerStop']);
    if (kind !== 'flat' && kind !== 'ring' && kind !== 'mesh')
      this.fail('must have flat, ring or mesh as kind of interconnect');
  }

  #count(fields: Fields, name: string, most = 2 ** 30): number {
    const value = fields[name];
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
    return this.fail(`must have a whole number from 1 to ${Math.floor(most)} as ${name}`);
  }
}
