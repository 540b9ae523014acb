/** Who sees what programs do, where somebody is to: chosen when a core starts, so that it costs nothing where nobody is. */
/** A domain is named by where its row in the statistics begins. */
export interface Observer {
  /** What is called in place of an instance's entry points. */
  entries<T extends object>(row: number, entries: T): T;
  /** What the program gets in place of its functions. */
  functions<T extends object>(row: number, functions: T): T;
}

/** The last of them is nearest to the program. */
export function observers(those: readonly (Observer | undefined)[]): Observer | undefined {
  const all = those.filter((each) => each !== undefined);
  if (all.length === 0) return undefined;
  return {
    entries: (row, entries) => all.reduce((seen, observer) => observer.entries(row, seen), entries),
    functions: (row, functions) => all.reduce((seen, observer) => observer.functions(row, seen), functions),
  };
}
