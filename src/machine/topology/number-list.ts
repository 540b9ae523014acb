/**
 * Lists of numbers as Linux writes CPU lists, such as `0-3,8,10-11`.
 */

/** The text is no list of numbers. */
export class NumberListError extends Error {}

/**
 * @param limit no number may reach it, so that a mistyped range cannot fill the memory.
 * @returns the numbers in the order of the text; an empty text is an empty list.
 * @throws NumberListError
 */
export function parseNumberList(text: string, limit = 1 << 20): number[] {
  const numbers: number[] = [];
  if (text.trim() === '') return numbers;
  for (const item of text.split(',')) {
    const match = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(item);
    if (!match) throw new NumberListError(`'${item.trim()}' is no number and no range such as 0-3`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) throw new NumberListError(`the range ${item.trim()} runs backwards`);
    if (last >= limit) throw new NumberListError(`${last} is too large: the largest is ${limit - 1}`);
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

/** The shortest such list of ascending `numbers`. */
export function formatNumberList(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let start = 0, end: number; start < numbers.length; start = end + 1) {
    for (end = start; numbers[end + 1] === numbers[end] + 1;) end++;
    ranges.push(end === start ? `${numbers[start]}` : `${numbers[start]}-${numbers[end]}`);
  }
  return ranges.join(',');
}
