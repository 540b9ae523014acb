import { TCB } from '../model/objects';

/**
 * Copies the tag and the four message registers of the register file; the last thing that a fastpath does, since the
 * engine has just written them in words of 32 bits, and a wider load waits until those have left the store buffer.
 */
@inline
export function copyRegisters(from: TCB, to: TCB): void {
  const source = changetype<usize>(from) + offsetof<TCB>('msgInfo');
  const target = changetype<usize>(to) + offsetof<TCB>('msgInfo');
  store<u32>(target, load<u32>(source));
  store<u32>(target, load<u32>(source, 4), 4);
  v128.store(target, v128.load(source, 8), 8);
  v128.store(target, v128.load(source, 24), 24);
}
