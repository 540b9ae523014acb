/** What a parent may have done with a child: an invocation of the child's TCB, by whom that is held. */
import { Invocation, ProgramCounter } from '../../kernel/api/constants.js';
import { Stop } from './core.js';

export interface ChildOrder {
  /** The invocation's arguments. */
  readonly words: readonly number[];
  /** Why the child does not go on afterwards. */
  readonly leaves: Stop;
}

export const CHILD_ORDERS: ReadonlyMap<Invocation, ChildOrder> = new Map([
  // Resumed, with one register: where it begins.
  [Invocation.TCBWriteRegisters, { words: [1, 1, ProgramCounter.Entry], leaves: Stop.None }],
  [Invocation.TCBSuspend, { words: [], leaves: Stop.Order }],
  [Invocation.TCBResume, { words: [], leaves: Stop.None }],
]);
