/**
 * The mutants that a kernel could have: each differs from it in one operator, one constant or one statement that is
 * left out. AssemblyScript has TypeScript's syntax, so TypeScript's parser finds them.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';

/**
 * @typedef {object} Mutant
 * @property {string} file From the root of the project.
 * @property {number} line Counts from 1.
 * @property {string} within The function, or '' outside of all.
 * @property {string} was Its lines of code, and what takes their place.
 * @property {string} is
 * @property {string} key Names it as long as these lines stand in that function, wherever that is moved to.
 * @property {string} source The whole file, changed.
 */

const OPERATORS = {
  ...{ '==': '!=', '!=': '==', '<': '<=', '<=': '<', '>': '>=', '>=': '>' },
  ...{ '&&': '||', '||': '&&', '+': '-', '-': '+', '*': '/', '/': '*', '%': '*' },
  ...{ '&': '|', '|': '&', '^': '|', '<<': '>>', '>>': '<<' },
  ...{ '+=': '-=', '-=': '+=', '|=': '&=', '&=': '|=', '++': '--', '--': '++' },
};
const WORDS = { true: 'false', false: 'true', enqueueHead: 'enqueueTail', enqueueTail: 'enqueueHead' };

/** The kernel's sources; what they share with TypeScript is not only theirs to change. */
export function sources(root, folder = join(root, 'kernel')) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(root, path);
    return entry.name.endsWith('.ts') && entry.name !== 'constants.ts' ? [relative(root, path)] : [];
  });
}

/** @returns {Mutant[]} All that a file could have. */
export function mutantsOf(root, file) {
  const text = readFileSync(join(root, file), 'utf8');
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const mutants = [];
  const twins = new Map();

  function add(node, replacement, within, start = node.getStart(), end = node.end) {
    const from = text.lastIndexOf('\n', start) + 1;
    const next = text.indexOf('\n', end);
    const to = next < 0 ? text.length : next;
    const plain = (code) => code.replaceAll(/\s+/g, ' ').trim();
    const was = plain(text.slice(from, to));
    const is = plain(text.slice(from, start) + replacement + text.slice(end, to));
    const name = `${file} ${within}: ${was} → ${is}`;
    const twin = twins.get(name) ?? 0;
    twins.set(name, twin + 1);
    mutants.push({
      file,
      line: text.slice(0, start).split('\n').length,
      within,
      was,
      is,
      key: twin === 0 ? name : `${name} (${twin + 1})`,
      source: text.slice(0, start) + replacement + text.slice(end),
    });
  }

  function visit(node, within) {
    if (isNoCode(node)) return;
    const name = functionName(node) ?? within;
    if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken;
      if (OPERATORS[operator.getText()]) add(operator, OPERATORS[operator.getText()], name);
    } else if (ts.isPrefixUnaryExpression(node)) {
      const operator = ts.tokenToString(node.operator);
      if (operator !== '-')
        add(node, OPERATORS[operator] ?? '', name, node.getStart(), node.operand.getStart());
    } else if (ts.isPostfixUnaryExpression(node)) {
      add(node, OPERATORS[ts.tokenToString(node.operator)], name, node.operand.end);
    } else if (ts.isNumericLiteral(node)) {
      add(node, String(Number(node.getText()) + 1), name);
    } else if (WORDS[node.getText()]) {
      add(node, WORDS[node.getText()], name);
    } else if (canBeLeftOut(node)) {
      add(node, '{}', name);
    }
    ts.forEachChild(node, (child) => visit(child, name));
  }
  visit(tree, '');
  return mutants;
}

/** What is no code of its own, or names what others also know. */
function isNoCode(node) {
  return (
    ts.isImportDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isDecorator(node) ||
    ts.isTypeNode(node) ||
    (ts.canHaveModifiers(node) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword))
  );
}

function functionName(node) {
  return ts.isFunctionDeclaration(node) || ts.isAccessor(node) ? node.name.getText() : undefined;
}

/** A statement that something is expected of, or one that guards what follows: an `if` that does nothing but leave. */
function canBeLeftOut(node) {
  if (ts.isExpressionStatement(node) || ts.isBreakOrContinueStatement(node)) return true;
  if (ts.isReturnStatement(node)) return !node.expression;
  return ts.isIfStatement(node) && !node.elseStatement && ts.isReturnStatement(node.thenStatement);
}

/** In an order that a seed and the mutants' own names decide, on any machine. */
export function shuffled(mutants, seed) {
  const order = new Map(
    mutants.map((mutant) => [mutant, createHash('sha256').update(`${seed} ${mutant.key}`).digest('hex')]),
  );
  return mutants.toSorted((a, b) => (order.get(a) < order.get(b) ? -1 : 1));
}
