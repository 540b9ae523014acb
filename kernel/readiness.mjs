/**
 * What an address waits for: which locals of a function hold what was loaded and lead to an address. The instrumentation
 * keeps for each of these, in a local of its own, when its value is there.
 */

/** Instructions that read memory, and that write it: the address is their first operand. */
export const LOAD = /^(?:i32|i64|v128)\.load(8|16|32)?(?:_[su])?$|^i32\.atomic\.(?:load$|rmw)/;
export const STORE = /^(?:i32|i64|v128)\.(?:atomic\.)?store(8|16|32)?$/;

const LOADED = 'loaded';

/** The names of these locals. Any path is taken for possible, and what a function is given or yields for loaded. */
export function waitingLocals(func) {
  /** By local: all that flows into it. */
  const flows = new Map();
  const addresses = new Set();
  const flow = (local, from) => flows.set(local, new Set([...(flows.get(local) ?? []), ...from]));
  const visit = (node) => {
    const parts = node.slice(1).filter(Array.isArray);
    const operands = parts.map(visit);
    const all = new Set(operands.flatMap((from) => [...from]));
    const [operator, name] = node;
    if (operator === 'param') flow(name, [LOADED]);
    if (operator === 'local.get') return new Set([name]);
    if (operator === 'local.set' || operator === 'local.tee') {
      flow(name, all);
      return new Set([name]);
    }
    if (LOAD.test(operator) || STORE.test(operator)) for (const from of operands[0]) addresses.add(from);
    if (LOAD.test(operator) || operator === 'call') return new Set([LOADED]);
    return all;
  };
  visit(func);
  const loaded = closure([LOADED], (from) =>
    [...flows].filter(([, to]) => to.has(from)).map(([local]) => local),
  );
  const leading = closure(addresses, (to) => flows.get(to) ?? []);
  return new Set([...flows.keys()].filter((local) => loaded.has(local) && leading.has(local)));
}

/** All that is reached in steps. */
function closure(start, next) {
  const reached = new Set(start);
  for (const one of reached) for (const other of next(one)) reached.add(other);
  return reached;
}
