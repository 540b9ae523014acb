/** Invocations of the Domain capability: which domain a thread is in, and the schedule of domains (manual 10.3; RFC 20). */
import { CapType, isNull } from '../model/cap';
import { TCB } from '../model/objects';
import { cluster, here, scheduleEntry, setScheduleEntry } from '../model/state';
import { Invocation, Limit, SeL4Error } from '../api/constants';
import { invalidArgument, rangeError } from '../api/error';
import { extraCap } from '../api/lookup';
import { getMR } from '../ipc/message';
import { MAX_DURATION, setDomain, startSchedule } from '../scheduler/domain';

const LAST_ENTRY: u64 = Limit.DomainSchedule - 1;

export function invokeDomain(thread: TCB, label: u32, length: u32): SeL4Error {
  switch (label) {
    case Invocation.DomainSetSet:
      return set(thread, length);
    case Invocation.DomainScheduleConfigure:
      return configure(thread, length);
    case Invocation.DomainScheduleSetStart:
      return setStart(thread, length);
    default:
      return SeL4Error.IllegalOperation;
  }
}

/** `DomainSet_Set(domain)` with the thread as extra capability. */
function set(thread: TCB, length: u32): SeL4Error {
  if (length < 1) return SeL4Error.TruncatedMessage;
  const domain = getMR(thread, 0);
  if (domain >= cluster().domains) return invalidArgument(0);
  const cap = extraCap(0);
  if (isNull(cap)) return SeL4Error.TruncatedMessage;
  if (cap.type != CapType.Thread) return invalidArgument(1);
  setDomain(changetype<TCB>(cap.object), <u8>domain);
  return SeL4Error.NoError;
}

/** `DomainSet_ScheduleConfigure(index, domain, duration)`, nanoseconds; two zeros end a schedule. */
function configure(thread: TCB, length: u32): SeL4Error {
  if (length < 3) return SeL4Error.TruncatedMessage;
  const index = getMR(thread, 0);
  const domain = getMR(thread, 1);
  const duration = getMR(thread, 2);
  const domains = <u64>cluster().domains;
  if (index > LAST_ENTRY) return rangeError(0, LAST_ENTRY);
  if (domain >= domains) return rangeError(0, domains - 1);
  if (duration > MAX_DURATION) return invalidArgument(2);
  if (duration == 0 && domain != 0) return invalidArgument(1);
  if (duration == 0 && index == here().scheduleStart) return invalidArgument(2);
  setScheduleEntry(<u32>index, (domain << 56) | duration);
  return SeL4Error.NoError;
}

/** `DomainSet_ScheduleSetStart(index)`: the schedule that begins there is the one to follow, from now on. */
function setStart(thread: TCB, length: u32): SeL4Error {
  if (length < 1) return SeL4Error.TruncatedMessage;
  const index = getMR(thread, 0);
  if (index > LAST_ENTRY) return rangeError(0, LAST_ENTRY);
  if (scheduleEntry(<u32>index) == 0) return invalidArgument(0);
  startSchedule(here(), <u32>index);
  return SeL4Error.NoError;
}
