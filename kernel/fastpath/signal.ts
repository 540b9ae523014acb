/** The fastpath of a signal through an interrupt-sending capability: the thread goes on, and the kernel has no part in what follows. */
import { CapType, slotAt } from '../model/cap';
import { TCB } from '../model/objects';
import { sendSGI } from '../smp/machine';

/** `thread`: the current one. Returns the handle of its program, or 0, and nothing has changed. */
@inline
export function fastSignal(thread: TCB, cptr: u32): u32 {
  if (cptr >= thread.ctable.span) return 0;
  const cap = slotAt(thread.ctable.object, cptr);
  if (cap.type != CapType.SGISignal) return 0;
  thread.msgInfo = 0;
  sendSGI(<u32>cap.badge, <u32>cap.object);
  return thread.program;
}
