/** What a line cost when a turn of a benchmark began, and when it ended; null where none could be measured. */
export interface Bracketed {
  readonly lines: readonly [number, number] | null;
}

/**
 * The turns in which the cores stayed where they were; all, where there is none. A virtual machine's cores may move at any
 * time, and what a line costs with it.
 * @param noise by how much a line's cost differs at most between cores that stay: the dearer to the cheaper.
 */
export function steadyTurns<T extends Bracketed>(turns: readonly T[], noise: number): readonly T[] {
  const stayed = turns.filter(
    ({ lines }) => lines === null || Math.max(...lines) <= noise * Math.min(...lines),
  );
  return stayed.length > 0 ? stayed : turns;
}
