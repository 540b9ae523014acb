import { TCB } from '../model/objects';
import { Limit } from '../api/constants';

/**
 * Copies the tag and `length` message registers of the register file; the last thing that a fastpath does, since the
 * engine has just written them in words of 32 bits, and a wider load waits until those have left the store buffer.
 * Registers beyond the message's length stay behind: they may hold what others have sent.
 */
@inline
export function copyRegisters(from: TCB, to: TCB, length: u32): void {
  const source = changetype<usize>(from) + offsetof<TCB>('msgInfo');
  const target = changetype<usize>(to) + offsetof<TCB>('msgInfo');
  store<u32>(target, load<u32>(source));
  store<u32>(target, load<u32>(source, 4), 4);
  if (length == <u32>Limit.FastMessageRegisters) {
    v128.store(target, v128.load(source, 8), 8);
    v128.store(target, v128.load(source, 24), 24);
  } else {
    copyFew(source + 8, target + 8, length);
  }
}

function copyFew(source: usize, target: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) store<u64>(target + (<usize>i << 3), load<u64>(source + (<usize>i << 3)));
}
