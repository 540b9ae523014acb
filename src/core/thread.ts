/** What a core needs of whoever runs a thread's program: the interface between the core's loop and its engines. */
export interface EngineThread {
  /** The kernel's handle of the program, from 1; see `Register.Program`. */
  readonly handle: number;
  /** Physical address of the thread's TCB, and so of its register file. */
  readonly tcb: number;
  /** Its priority, which does not change. */
  readonly priority: number;
  /** The kernel's number of its scheduling domain, which does not change either. */
  readonly schedulingDomain: number;
  /** True while one of its handlers is on the core's stack. */
  onStack: boolean;
  /** True while the scheduler is told not to choose it, since its handler is buried under others. */
  held: boolean;
  /**
   * Runs the thread, which is current and has no handler on the stack, until another is current.
   * Returns that one's handle, 0 for the idle thread.
   */
  run(): number;
}
