/** Derives an image from another: Binaryen reads and writes it, and what is changed is changed in its text. */
import binaryen from 'binaryen';

const { Atomics, BulkMemory, BulkMemoryOpt, MutableGlobals, SIMD128, SignExt, NontrappingFPToInt } =
  binaryen.Features;
const FEATURES =
  Atomics | BulkMemory | BulkMemoryOpt | MutableGlobals | SIMD128 | SignExt | NontrappingFPToInt;

/** @typedef {string | Node[]} Node An S-expression. */

/**
 * @param {Uint8Array} image
 * @param {(field: Node, module: Node[]) => Node} change what becomes of each function.
 * @param {string} imports further imports, as text.
 * @param {string} helpers further functions.
 */
export function rewrite(image, change, imports, helpers) {
  const original = binaryen.readBinary(image);
  original.setFeatures(FEATURES);
  const [module] = parse(original.emitText());
  const fields = module.map((field) => (field[0] === 'func' ? change(field, module) : field));
  const firstImport = fields.findIndex((field) => field[0] === 'import');
  fields.splice(firstImport, 0, ...parse(imports));
  fields.push(...parse(helpers));
  const result = binaryen.parseText(print(fields));
  result.setFeatures(FEATURES);
  if (!result.validate()) throw new Error('the derived image is not valid');
  return result.emitBinary();
}

export function constant(value) {
  return ['i32.const', `${value}`];
}

function parse(text) {
  const root = [];
  const open = [root];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[()]|[^\s()"]+/g)) {
    if (token === '(') {
      const list = [];
      open.at(-1).push(list);
      open.push(list);
    } else if (token === ')') open.pop();
    else open.at(-1).push(token);
  }
  return root;
}

function print(node) {
  return Array.isArray(node) ? `(${node.map(print).join(' ')})` : node;
}
