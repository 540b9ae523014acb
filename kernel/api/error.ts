/** How an invocation says why it failed: an error as the label of its reply, details in its message registers. */
import { here } from '../model/state';
import { TCB } from '../model/objects';
import { setMR } from '../ipc/message';
import { LookupFailure, SeL4Error } from './constants';
import { setLookupFailure } from './lookup';

/** Not an error: the caller is answered later. */
export const DEFERRED = <SeL4Error>-1;

/** What the running invocation returns if it succeeds: `count` words. */
export function returnWords(count: u32, word0: u64, word1: u64 = 0): SeL4Error {
  const core = here();
  core.resultLength = count;
  core.errorWord0 = word0;
  core.errorWord1 = word1;
  return SeL4Error.NoError;
}

export function invalidArgument(index: u32): SeL4Error {
  here().errorWord0 = index;
  return SeL4Error.InvalidArgument;
}

export function invalidCapability(index: u32): SeL4Error {
  here().errorWord0 = index;
  return SeL4Error.InvalidCapability;
}

export function rangeError(min: u64, max: u64): SeL4Error {
  here().errorWord0 = min;
  here().errorWord1 = max;
  return SeL4Error.RangeError;
}

export function notEnoughMemory(bytesLeft: u64): SeL4Error {
  here().errorWord0 = bytesLeft;
  return SeL4Error.NotEnoughMemory;
}

/** A lookup failed; why is in the core's state. A depth out of range is an error of its own. */
export function failedLookup(wasSource: bool): SeL4Error {
  const core = here();
  if (core.lookupFailure == LookupFailure.None) return rangeError(core.lookupWord0, core.lookupWord1);
  core.errorWord0 = wasSource ? 1 : 0;
  return SeL4Error.FailedLookup;
}

/** A slot was found, but no capability of use in it; `bitsLeft` as in a missing-capability failure. */
export function missingCapability(wasSource: bool, bitsLeft: u64): SeL4Error {
  const core = here();
  core.lookupFailure = LookupFailure.MissingCapability;
  core.lookupWord0 = bitsLeft;
  core.errorWord0 = wasSource ? 1 : 0;
  return SeL4Error.FailedLookup;
}

/** Writes the error's details into the caller's message registers; returns their number. */
export function setErrorMessage(thread: TCB, error: SeL4Error): u32 {
  const core = here();
  switch (<i32>error) {
    case SeL4Error.InvalidArgument:
    case SeL4Error.InvalidCapability:
    case SeL4Error.NotEnoughMemory:
      return setMR(thread, 0, core.errorWord0);
    case SeL4Error.RangeError:
      setMR(thread, 0, core.errorWord0);
      return setMR(thread, 1, core.errorWord1);
    case SeL4Error.FailedLookup:
      setMR(thread, 0, core.errorWord0);
      return setLookupFailure(thread, 1, core.lookupFailure, core.lookupWord0, core.lookupWord1, core.lookupWord2);
    default:
      return 0;
  }
}
