import { TCB } from '../model/objects';

/**
 * Copies the tag and the four message registers of the register file, in words of 32 bits: the engine writes them so,
 * and a load of 64 bits that two stores of 32 have just written stalls until both have left the store buffer.
 */
@inline
export function copyRegisters(from: TCB, to: TCB): void {
  const source = changetype<usize>(from) + offsetof<TCB>('msgInfo');
  const target = changetype<usize>(to) + offsetof<TCB>('msgInfo');
  store<u32>(target, load<u32>(source));
  store<u32>(target, load<u32>(source, 4), 4);
  store<u32>(target, load<u32>(source, 8), 8);
  store<u32>(target, load<u32>(source, 12), 12);
  store<u32>(target, load<u32>(source, 16), 16);
  store<u32>(target, load<u32>(source, 20), 20);
  store<u32>(target, load<u32>(source, 24), 24);
  store<u32>(target, load<u32>(source, 28), 28);
  store<u32>(target, load<u32>(source, 32), 32);
  store<u32>(target, load<u32>(source, 36), 36);
}
