/** How V8 is to compile what cores run. To be imported before their threads are started: for those it counts. */
import { setFlagsFromString } from 'node:v8';

/**
 * A call between domains is a chain of small functions, from one program's code through engine and kernel to the
 * other's. V8 inlines all of it only where its budget, in bytes of bytecode, allows: its default makes a call a fifth
 * slower.
 */
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');
setFlagsFromString('--max-inlined-bytecode-size=1500');
/**
 * A kernel entry cannot fail half-way for want of stack: V8 keeps far more in reserve than the kernel ever uses, and
 * without these checks lets it be used. What calls the kernel makes sure of its own (core/headroom.ts).
 */
setFlagsFromString('--no-wasm-stack-checks');
