/**
 * Reads hwloc's XML, which `lstopo --of xml` writes: versions 2 and 3, and version 1 but for its distances.
 *
 * The format is that of hwloc2.dtd. Objects are nested as the hardware is; a NUMA node stands beside what it is local
 * to (since version 2) or around it (version 1). Numbers of CPUs and nodes are the operating system's.
 */

import { readFileSync } from 'node:fs';
import { SaxesParser, type SaxesTagPlain } from 'saxes';
import { Bitmap } from './bitmap.js';
import {
  DEFAULT_LINE_BYTES,
  TopologyError,
  layOut,
  type CacheKind,
  type MachineFacts,
  type Topology,
} from './topology.js';

/** @throws TopologyError when the file cannot be read, is no hwloc XML, or contradicts itself. */
export function topologyFromFile(path: string): Topology {
  let xml: string;
  try {
    xml = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EISDIR: 'it is a folder' };
    throw new TopologyError(
      `cannot read the machine description '${path}': ${reasons[code ?? ''] ?? message}`,
    );
  }
  return parseHwloc(xml, path);
}

/**
 * @param file for messages.
 * @throws TopologyError as {@link topologyFromFile}.
 */
export function parseHwloc(xml: string, file: string): Topology {
  return layOut(new HwlocReader(file).read(xml));
}

/** An `object` element that is open. */
interface OpenObject {
  readonly type: string;
  readonly cpuset: Bitmap | undefined;
  /** The processing units inside: complete when the object is closed. */
  readonly cpus: number[];
  /** A package's or a physical core's number. */
  readonly number?: number;
}

interface NodeRecord {
  readonly id: number;
  readonly memoryBytes: number;
  readonly cpuset: Bitmap | undefined;
  /** The processing units inside, then those inside each object around, nearest first. */
  readonly scopes: readonly (readonly number[])[];
}

interface Distances {
  readonly count: number;
  readonly nodes: number[];
  readonly values: number[];
}

/** Cache objects since version 2; version 1 has the type `Cache` with a `depth`. */
const CACHE_TYPE = /^L([1-5])(i?)Cache$/;
/** hwloc_obj_cache_type_e. */
const CACHE_KINDS: readonly (CacheKind | undefined)[] = ['unified', 'data', 'instruction'];
/** HWLOC_DISTANCES_KIND_VALUE_LATENCY, the bit in a matrix's `kind` that says that its values are latencies. */
const KIND_LATENCY = 4;
/** Real machines stay below 20. Keeps the work for each object bounded. */
const MAX_DEPTH = 100;

class HwlocReader {
  readonly #file: string;
  readonly #parser = new SaxesParser<{ xmlns: false; position: true }>({ xmlns: false, position: true });
  readonly #cpus: MachineFacts['cpus'][number][] = [];
  readonly #seenCpus = new Set<number>();
  readonly #nodes: NodeRecord[] = [];
  readonly #caches: MachineFacts['caches'][number][] = [];
  readonly #open: OpenObject[] = [];
  #isTopology = false;
  #packages = 0;
  #physicalCores = 0;
  #allowed: Bitmap | undefined;
  #machineMemory = 0;
  /** The matrix that is open. */
  #matrix: Distances | undefined;
  #distances: Distances | undefined;
  #text = '';
  /** Where the tag in hand starts, counted from 1. */
  #line = 1;
  #column = 1;

  constructor(file: string) {
    this.#file = file;
  }

  read(xml: string): MachineFacts {
    const parser = this.#parser;
    parser.on('error', (error) => {
      this.#mark(0);
      // The parser puts its own position in front.
      const reason = error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, '');
      if (this.#isTopology) this.#fail(`bad XML: ${reason}`);
      this.#fail(`this is not hwloc XML, as lstopo --of xml makes it: ${reason}`);
    });
    parser.on('doctype', (doctype) => {
      this.#mark(0);
      if (doctype.includes('['))
        this.#fail('a machine description must not declare entities: remove the [...]');
    });
    parser.on('opentagstart', (tag) => this.#mark(tag.name.length + 2));
    parser.on('opentag', (tag) => this.#openTag(tag));
    parser.on('closetag', (tag) => this.#closeTag(tag));
    parser.on('text', (text) => (this.#text = text));
    parser.write(xml).close();

    if (this.#cpus.length === 0) {
      throw new TopologyError(`${this.#file} has no processing unit (object type="PU") that may be used`);
    }
    return {
      source: `${this.#file} (hwloc XML)`,
      cpus: this.#cpus,
      nodes: this.#finishedNodes(),
      caches: this.#caches,
    };
  }

  #openTag({ name, attributes }: SaxesTagPlain): void {
    if (!this.#isTopology) {
      if (name !== 'topology') {
        this.#fail(
          `this is not hwloc XML, as lstopo --of xml makes it: the root is '${name}', not 'topology'`,
        );
      }
      this.#isTopology = true;
    }
    if (name === 'object') this.#openObject(attributes);
    if (name === 'distances2' && isNodeLatency(attributes)) {
      this.#matrix = { count: this.#required(attributes, 'nbobjs'), nodes: [], values: [] };
    }
    this.#text = '';
  }

  #closeTag({ name }: SaxesTagPlain): void {
    if (name === 'object') {
      const { cpus } = this.#open.pop()!;
      const parent = this.#open.at(-1);
      if (parent) for (const cpu of cpus) parent.cpus.push(cpu);
    }
    if (name === 'indexes') this.#readNumbers(this.#matrix?.nodes);
    if (name === 'u64values') this.#readNumbers(this.#matrix?.values);
    if (name === 'distances2' && this.#matrix) {
      const { count, nodes, values } = this.#matrix;
      if (nodes.length !== count || values.length !== count * count) {
        this.#fail(`a matrix of ${count} objects has ${nodes.length} indexes and ${values.length} values`);
      }
      this.#distances ??= this.#matrix;
      this.#matrix = undefined;
    }
  }

  #openObject(attributes: Record<string, string>): void {
    const type = attributes['type'] ?? this.#fail("missing attribute 'type' on element 'object'");
    if (this.#open.length >= MAX_DEPTH) this.#fail(`objects are nested more than ${MAX_DEPTH} deep`);
    const number =
      type === 'Package' || type === 'Socket' // its name before version 1.11
        ? (this.#number(attributes, 'os_index') ?? this.#packages++)
        : type === 'Core'
          ? this.#physicalCores++
          : undefined;
    const object: OpenObject = {
      type,
      cpuset: this.#bitmap(attributes, 'cpuset'),
      cpus: [],
      ...(number !== undefined && { number }),
    };
    this.#open.push(object);
    if (type === 'Machine') {
      this.#allowed = this.#bitmap(attributes, 'allowed_cpuset');
      this.#machineMemory = this.#number(attributes, 'local_memory') ?? 0;
    } else if (type === 'NUMANode') {
      this.#nodes.push({
        id: this.#number(attributes, 'os_index') ?? this.#nodes.length,
        memoryBytes: this.#number(attributes, 'local_memory') ?? 0,
        cpuset: object.cpuset,
        scopes: this.#open.map(({ cpus }) => cpus).reverse(),
      });
    } else if (type === 'PU') {
      this.#addCpu(this.#required(attributes, 'os_index'), object);
    } else if (type === 'Cache' || CACHE_TYPE.test(type)) {
      // Memory-side caches are in front of a memory, not of cores. Early versions 2 write them so.
      if (attributes['subtype'] !== 'MemorySideCache') this.#addCache(attributes, object);
    }
  }

  #addCpu(cpu: number, object: OpenObject): void {
    if (this.#seenCpus.has(cpu)) this.#fail(`there are two processing units with os_index="${cpu}"`);
    this.#seenCpus.add(cpu);
    for (const around of this.#open) {
      if (around.cpuset && !around.cpuset.has(cpu)) {
        this.#fail(`the cpuset of ${around.type} does not contain the PU with os_index="${cpu}" inside it`);
      }
    }
    if (this.#allowed && !this.#allowed.has(cpu)) return;
    object.cpus.push(cpu);
    this.#cpus.push({
      cpu,
      package: this.#open.findLast(({ type }) => type === 'Package' || type === 'Socket')?.number ?? 0,
      // A processing unit outside any physical core is one by itself.
      physical: this.#open.findLast(({ type }) => type === 'Core')?.number ?? -1 - cpu,
    });
  }

  #addCache(attributes: Record<string, string>, object: OpenObject): void {
    const [, digit, instruction] = CACHE_TYPE.exec(object.type) ?? [];
    const level = Number(digit ?? this.#required(attributes, 'depth'));
    const kind =
      CACHE_KINDS[this.#number(attributes, 'cache_type') ?? (instruction ? 2 : 0)] ??
      this.#fail('unknown cache_type');
    const sizeBytes = this.#number(attributes, 'cache_size');
    this.#caches.push({
      level,
      kind,
      ...(sizeBytes && { sizeBytes }),
      lineBytes: this.#number(attributes, 'cache_linesize') || DEFAULT_LINE_BYTES,
      cpus: object.cpus,
    });
  }

  #finishedNodes(): MachineFacts['nodes'] {
    if (this.#nodes.length === 0 && this.#machineMemory > 0) {
      return [{ id: 0, cpus: this.#cpus.map(({ cpu }) => cpu), memoryBytes: this.#machineMemory }];
    }
    const nodes = this.#nodes.sort((a, b) => a.id - b.id);
    const { count, nodes: order, values } = this.#distances ?? { count: 0, nodes: [], values: [] };
    const places = nodes.map(({ id }) => order.indexOf(id));
    return nodes.map(({ id, memoryBytes, cpuset, scopes }, i) => ({
      id,
      cpus: cpuset
        ? this.#cpus.map(({ cpu }) => cpu).filter((cpu) => cpuset.has(cpu))
        : (scopes.find((cpus) => cpus.length > 0) ?? []),
      ...(memoryBytes > 0 && { memoryBytes }),
      ...(!places.includes(-1) && { distances: places.map((place) => values[places[i] * count + place]) }),
    }));
  }

  /** The attribute's value; undefined where it is missing or hwloc's "unknown", which is -1 in 32 bits. */
  #number(attributes: Record<string, string>, name: string): number | undefined {
    const text = attributes[name];
    if (text === undefined || text === '-1' || text === '4294967295') return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      this.#fail(`the ${name} '${text}' of ${attributes['type']} is no number`);
    }
    return value;
  }

  #required(attributes: Record<string, string>, name: string): number {
    return this.#number(attributes, name) ?? this.#fail(`missing ${name} on ${attributes['type']}`);
  }

  #bitmap(attributes: Record<string, string>, name: string): Bitmap | undefined {
    const text = attributes[name];
    if (text === undefined || text === '') return undefined;
    const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
    return Bitmap.parse(text) ?? this.#fail(`the ${name} '${shown}' of ${attributes['type']} is no bitmap`);
  }

  /** Reads the text of the element that ends into a list of the matrix that is open, if any. */
  #readNumbers(list: number[] | undefined): void {
    if (!list) return;
    for (const [word] of this.#text.matchAll(/\S+/g)) {
      if (!/^\d+$/.test(word)) this.#fail(`'${word}' in a matrix is no number`);
      list.push(Number(word));
    }
  }

  /** Remembers where the parser is, `back` characters ago. */
  #mark(back: number): void {
    this.#line = this.#parser.line;
    this.#column = Math.max(1, this.#parser.column + 1 - back);
  }

  #fail(message: string): never {
    throw new TopologyError(message, { file: this.#file, line: this.#line, column: this.#column });
  }
}

/** Whether a `distances2` element tells how far nodes are from each other. */
function isNodeLatency(attributes: Record<string, string>): boolean {
  return attributes['type'] === 'NUMANode' && (Number(attributes['kind']) & KIND_LATENCY) !== 0;
}
