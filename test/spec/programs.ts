/**
 * Random programs of system calls. Each step is a handful of numbers, which are read as what makes most sense of the
 * capability that the step finds: so most calls get past the first check, and shrinking keeps them sensible.
 */
import fc from 'fast-check';
import { Invocation, ObjectType, Rights } from '../../kernel/api/constants.js';
import type { Cap } from '../../spec/state.js';
import { CapType } from '../../src/core/inspect/memory.js';

/** Slots of each thread's CNode, and its radix. */
export const SLOTS = 64;
export const RADIX = 6;
/** Where each thread's CNode holds itself, so that it can be named as root; other slots hold what `World` gives. */
export const CSPACE_SLOT = 1;
/** The first of the slots with SchedControl of all cores but the first. */
export const OTHER_CORES = 60;

export interface Step {
  /** Which system call: see `World.step`. */
  readonly call: number;
  /** Which core of the cluster enters the kernel, and whether it first takes an interrupt that it was sent. */
  readonly core: number;
  readonly late: boolean;
  readonly target: number;
  readonly other: number;
  readonly label: number;
  readonly words: readonly number[];
  readonly caps: readonly number[];
  /** Now and then a message is sent as it is, without making sense of it. */
  readonly raw: bigint | undefined;
  /** Microseconds that pass before. */
  readonly time: number;
}

const small = fc.nat(SLOTS - 1);
/** Now and then an address at which there is no slot. */
const address = fc.oneof({ weight: 100, arbitrary: small }, { weight: 1, arbitrary: fc.nat(2 * SLOTS) });
const arbitraryStep: fc.Arbitrary<Step> = fc.record({
  call: fc.nat(19),
  core: fc.nat(5),
  late: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  target: address,
  other: address,
  label: fc.nat(13),
  words: fc.array(small, { minLength: 8, maxLength: 8 }),
  caps: fc.array(address, { minLength: 3, maxLength: 3 }),
  raw: fc.oneof(
    { weight: 11, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  ),
  time: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(40) }),
});

/** Steps of which `share` per cent do one kind of thing, to get into its corners. */
function biased(share: number, bias: Partial<Record<keyof Step, fc.Arbitrary<unknown>>>): fc.Arbitrary<Step> {
  const special = fc
    .tuple(arbitraryStep, fc.record(bias as Record<string, fc.Arbitrary<unknown>>))
    .map(([step, changes]) => ({ ...step, ...changes }));
  return fc.oneof({ weight: share, arbitrary: special }, { weight: 100 - share, arbitrary: arbitraryStep });
}

const between = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
/** Threads call each other, wait and reply, at endpoints; and notifications, from slot `target` on. */
const talk = (target = 20): Partial<Record<keyof Step, fc.Arbitrary<unknown>>> => ({
  call: fc.constantFrom(0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 12, 12, 12, 13),
  target: between(target, 23),
  other: fc.constantFrom(24, 25, 26, 27, 24, 25, 26, 27, 20, 23),
  // What can be sent along and what cannot, what arrives unwrapped.
  caps: fc.tuple(fc.constantFrom(1, 8, 16, 20, 21, 22, 23, 30, 31, 36), address, small),
});
/** One invocation of some objects: `label` as in `LABELS`, with a first capability as `messageTo` reads it. */
const invoke = (targets: readonly number[], labels: readonly number[], first: readonly number[] = []) =>
  biased(100, {
    call: fc.constant(12),
    target: fc.constantFrom(...targets),
    label: fc.constantFrom(...labels),
    ...(first.length === 0 ? {} : { caps: fc.tuple(fc.constantFrom(...first), small, small) }),
  });

/**
 * How a program begins: half of the threads have a budget below their period, or are passive servers that wait for calls;
 * or all are equally urgent, and one has no buffer.
 */
export type Beginning = 'limited' | 'passive' | 'equal';
export const BEGINNINGS: Readonly<Record<string, Beginning>> = {
  budgets: 'limited',
  timeouts: 'limited',
  'passive servers': 'passive',
  'chains of calls': 'passive',
  'objects that end': 'passive',
  equals: 'equal',
};

const [THREADS, CONTEXTS, NESTED] = [
  [4, 5, 6, 7],
  [12, 13, 14, 15],
  [43, 44, 45],
];

/** What each kind of program is rich in. The slots are those that `World` fills. */
export const KINDS: Readonly<Record<string, fc.Arbitrary<Step>>> = {
  anything: arbitraryStep,
  'derivation trees': biased(80, { call: fc.constant(12), target: between(1, 3), label: between(0, 7) }),
  'calls and replies': fc.oneof(
    { weight: 9, arbitrary: biased(90, talk()) },
    // Sends through a badged capability are cancelled.
    {
      weight: 1,
      arbitrary: biased(100, {
        call: fc.constant(12),
        target: fc.constant(1),
        label: fc.constant(3),
        words: fc.constantFrom(22, 23).map((slot) => [slot, 0, 0, 0, 0, 0, 0, 0]),
      }),
    },
  ),
  // Short messages, for which there are fastpaths; priorities change, and notifications are bound and signalled.
  'short calls': fc.oneof(
    {
      weight: 12,
      arbitrary: biased(95, {
        ...talk(),
        call: fc.constantFrom(3, 3, 4, 4, 5, 12, 12, 12, 13),
        words: fc.tuple(between(0, 5), between(0, 5), small, small, small, small, small, small),
      }),
    },
    { weight: 1, arbitrary: invoke(THREADS, [3, 3, 11, 12]) },
    { weight: 1, arbitrary: biased(100, { call: fc.constant(8), target: between(16, 19) }) },
  ),
  'notifications and their bindings': fc.oneof(
    invoke(THREADS, [11, 11, 12]),
    biased(80, talk(16)),
    biased(80, talk(16)),
    biased(80, { target: between(4, 19), call: between(2, 14) }),
  ),
  // Threads acknowledge an interrupt and wait for the next, at an endpoint or notification, until their core is idle.
  interrupts: fc.oneof(
    { weight: 1, arbitrary: invoke(THREADS, [11, 11, 12]) },
    { weight: 1, arbitrary: biased(100, { call: fc.constant(8), target: fc.constantFrom(11, 11, 16, 17) }) },
    {
      weight: 6,
      arbitrary: biased(95, {
        call: fc.constant(7),
        target: fc.constantFrom(10, 10, 10, 11),
        label: fc.constantFrom(0, 0, 0, 3, 1),
        other: between(16, 21),
      }),
    },
    { weight: 3, arbitrary: biased(90, { ...talk(16), call: fc.constantFrom(5, 6, 9, 15) }) },
  ),
  'memory and deletion': biased(60, { call: fc.constant(12), target: fc.constantFrom(1, 1, 30, 31) }),
  // A few CNodes, in each other and in themselves, and badged capabilities, all made, moved, copied and deleted.
  'nested CNodes': fc.oneof(
    biased(100, {
      call: fc.constant(12),
      target: fc.constant(30),
      words: fc.tuple(fc.constantFrom(4, 4, 2), small, fc.constantFrom(...NESTED), between(0, 1)),
    }),
    ...[1, 1, 1].map(() =>
      biased(95, {
        call: fc.constant(12),
        target: fc.constantFrom(1, 1, 2, ...NESTED),
        label: fc.constantFrom(0, 1, 2, 4, 5, 6, 7, 7, 7, 9),
        words: fc.tuple(
          fc.oneof(fc.constantFrom(...NESTED), fc.constantFrom(...NESTED), fc.constantFrom(20, 22, 30)),
          fc.oneof(fc.constantFrom(...NESTED), fc.constantFrom(...NESTED), fc.constantFrom(20, 22, 31)),
          small,
          small,
        ),
      }),
    ),
  ),
  // Which ones the initial thread ends, while others use them.
  'objects that end': biased(90, {
    ...talk(16),
    label: fc.constantFrom(0, 1, 2, 8, 9),
    caps: fc.tuple(between(0, 15), small, small),
  }),
  budgets: biased(50, {
    time: fc.oneof(
      fc.nat(200),
      fc.nat(50_000).map((nanoseconds) => nanoseconds / 1000),
    ),
    target: fc.constantFrom(12, 13, 14, 15, 33, OTHER_CORES),
    call: between(10, 15),
  }),
  // Threads that receive, late; and contexts that are taken from them meanwhile.
  timeouts: fc.oneof(
    biased(100, { ...talk(), time: fc.nat(100) }),
    biased(100, { call: between(2, 6), target: between(20, 21), other: between(24, 27), time: fc.nat(200) }),
    invoke(CONTEXTS, [0, 1, 1, 2], [0, 1, 2]),
  ),
  'passive servers': fc.oneof(
    // A context is unbound from its thread, or bound to a thread or notification.
    invoke([12, 13, 14, 32], [0, 0, 1, 1, 2, 4], [0, 1, 2, 3, 6, 6, 7]),
    invoke([6, 7], [5]),
    biased(90, talk(16)),
    biased(90, talk(16)),
  ),
  'chains of calls': fc.oneof(
    biased(100, { call: fc.constant(12), target: between(20, 23) }),
    biased(100, { call: between(3, 6), target: between(20, 21), other: between(24, 27) }),
    biased(80, { call: between(0, 1), target: between(24, 27) }),
    invoke(THREADS, [9, 10]),
  ),
  // They yield to each other, and stop who has yielded.
  equals: fc.oneof(
    invoke(CONTEXTS, [4]),
    invoke(THREADS, [1, 3, 9, 10, 10]),
    biased(100, { call: fc.constant(11), label: between(0, 5) }),
    biased(90, talk(16)),
  ),
  // Contexts are configured for another core, threads suspended, resumed, and unbound wherever they run.
  'other cores': fc.oneof(
    biased(100, { call: fc.constant(12), target: fc.constantFrom(33, OTHER_CORES, OTHER_CORES + 1) }),
    invoke(THREADS, [1, 3, 5, 9, 9, 10, 10], THREADS),
    invoke(CONTEXTS, [0, 1, 2, 3, 4]),
    biased(80, talk(16)),
  ),
  domains: fc.oneof(
    biased(100, { call: fc.constant(12), target: fc.constant(9), time: fc.nat(60) }),
    biased(90, { ...talk(16), time: fc.nat(60) }),
  ),
  faults: fc.oneof(
    biased(100, { call: fc.constant(11), label: between(6, 11) }),
    biased(100, { call: between(3, 6), target: between(20, 21), other: between(24, 27) }),
    // A thread is suspended, resumed, or gets another handler.
    invoke(THREADS, [6, 8, 9, 9, 10]),
  ),
};

export const programOf = (step: fc.Arbitrary<Step>): fc.Arbitrary<Step[]> =>
  fc.array(step, { minLength: 30, maxLength: 150, size: 'max' });

/** The invocations of an object of each type. */
const LABELS: Partial<Record<CapType, readonly Invocation[]>> = {
  [CapType.Untyped]: [Invocation.UntypedRetype],
  [CapType.CNode]: [15, 16, 16, 17, 18, 19, 19, 20, 21, 22, 18, 16],
  [CapType.Thread]: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 37],
  [CapType.SchedContext]: [29, 30, 31, 32, 33],
  [CapType.SchedControl]: [Invocation.SchedControlConfigureFlags],
  [CapType.IRQControl]: [23, 24],
  [CapType.IRQHandler]: [25, 26, 27],
  [CapType.Domain]: [34, 34, 34, 35, 36],
};

export interface Message {
  readonly label: number | bigint;
  readonly words: readonly bigint[];
  readonly caps: readonly number[];
}

/**
 * What the step says to a capability. `buffer`: the address of the caller's buffer. Slots of a CNode that is not a thread's
 * own are addressed in as many bits as it has, behind its guard.
 */
export function messageTo({ type, bits, guardSize, badge }: Cap, step: Step, buffer: number): Message {
  const { words, caps, raw } = step;
  const depth = bits + guardSize;
  const inside = (slot: number): bigint => (badge << BigInt(bits)) | BigInt(slot % 2 ** bits);
  const labels = LABELS[type] ?? [0];
  const label = labels[step.label % labels.length];
  const [a, b, c, d] = words;
  let shaped: readonly (number | bigint)[] = [];
  let extra: readonly number[] = caps;
  const own = [CSPACE_SLOT, CSPACE_SLOT];
  /** Mostly a capability of use; an empty slot may be one. */
  const oneOf = (index: number, ...slots: number[]): number =>
    caps[index] < 56 ? slots[caps[index] % slots.length] : caps[index];
  const EMPTY = 50;
  switch (label) {
    case Invocation.UntypedRetype: {
      const kind = a % (ObjectType.SmallPage + 1);
      const fixed = [4 + (b % 10), 0, 0, 0, 1 + (b % 3), 7 + (b % 2)][kind] ?? 0;
      shaped = [kind, fixed, 0, 0, c, 1 + (d % 4)];
      extra = own;
      break;
    }
    case Invocation.CNodeRevoke:
    case Invocation.CNodeDelete:
    case Invocation.CNodeCancelBadgedSends:
      shaped = [inside(a), depth];
      extra = [];
      break;
    case Invocation.CNodeCopy:
    case Invocation.CNodeMint:
    case Invocation.CNodeMove:
    case Invocation.CNodeMutate:
      shaped = [
        inside(a),
        depth,
        b,
        RADIX,
        ...(label === Invocation.CNodeMutate ? [] : [c < 40 ? Rights.All : c & 15]),
        d % 4,
      ];
      extra = own;
      break;
    case Invocation.CNodeRotate:
      shaped = [inside(a), depth, 0, b, RADIX, 0, c < 20 ? a : c, RADIX];
      extra = own;
      break;
    case Invocation.TCBReadRegisters:
      shaped = [a & 1, 1 + (b & 1)];
      break;
    case Invocation.TCBWriteRegisters:
      shaped = [a & 1, 2, b & 1, 7];
      break;
    case Invocation.TCBCopyRegisters:
      // Words that the library and the test's harness read must stay what they are.
      shaped = [a & 15];
      extra = [4 + (b % 5)];
      break;
    case Invocation.TCBConfigure:
      shaped = [58, a < 32 ? buffer : 0];
      extra = [CSPACE_SLOT, 12 + (b % 30)];
      break;
    case Invocation.TCBSetSpace:
      shaped = [58];
      extra = [oneOf(0, 20, 21, 22, 23, EMPTY), CSPACE_SLOT];
      break;
    case Invocation.TCBSetPriority:
    case Invocation.TCBSetMCPriority:
      shaped = [40 + (a % 64)];
      break;
    case Invocation.TCBSetSchedParams:
      shaped = [100 - (a & 3), 40 + b];
      extra = [4 + (c % 3), oneOf(1, 12, 13, 14, 15, 32, EMPTY), oneOf(2, 20, 21, 22, 23, EMPTY)];
      break;
    case Invocation.TCBSetTimeoutEndpoint:
      extra = [oneOf(0, 20, 21, 22, 23, EMPTY)];
      break;
    case Invocation.TCBSetIPCBuffer:
      shaped = [a < 40 ? buffer : a < 50 ? 0 : a];
      extra = [oneOf(0, 34, 35)];
      break;
    case Invocation.TCBBindNotification:
    case Invocation.IRQSetIRQHandler:
      extra = [oneOf(0, 16, 17, 18, 19)];
      break;
    case Invocation.IRQAckIRQ:
      shaped = words.slice(0, a % 16 === 0 ? 1 : 0);
      extra = [];
      break;
    case Invocation.SchedContextBind:
    case Invocation.SchedContextUnbindObject:
      extra = [oneOf(0, 4, 5, 6, 7, 8, 16, 17)];
      break;
    case Invocation.SchedControlConfigureFlags:
      extra = [oneOf(0, 12, 13, 14, 15, 32)];
      shaped = [1 + a, b < 16 ? 1 + a : 1 + a + b, c % 4, d, d & 1];
      break;
    case Invocation.DomainSetSet:
      shaped = [a % 4];
      extra = [4 + (b % 5)];
      break;
    case Invocation.DomainScheduleConfigure:
      shaped = [a % 5, b % 3, c < 10 ? 0 : 1000 * c];
      break;
    case Invocation.DomainScheduleSetStart:
      shaped = [a % 6];
      break;
    case Invocation.IRQIssueIRQHandler:
      shaped = [a % 5, b, RADIX];
      extra = own;
      break;
    case Invocation.IRQIssueSGISignal:
      shaped = [a % 5, c, b, RADIX];
      extra = own;
      break;
    default:
      // A message to whoever receives.
      shaped = words.slice(0, a % 9);
      extra = caps.slice(0, Math.max(0, (b % 8) - 4));
  }
  const all = shaped.map(BigInt);
  if (raw === undefined) return { label, words: all, caps: extra };
  const at = Number(raw % BigInt(all.length + 3));
  if (at === all.length) return { label: raw & 63n, words: all, caps: extra };
  if (at > all.length)
    return { label, words: all.slice(0, Number(raw & 7n)), caps: extra.slice(0, Number(raw & 3n)) };
  return { label, words: all.map((word, index) => (index === at ? raw : word)), caps: extra };
}
