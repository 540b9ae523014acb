/**
 * Each invocation at its boundaries: messages cut short, each argument at the limits of what it can be, each capability
 * replaced by one of another kind. Kernel and specification refuse the same, for the same reason, and do the same.
 */
import { describe, it } from 'node:test';
import { Invocation, ObjectType, Register, Rights } from '../../kernel/api/constants.js';
import { BUILDS } from '../kernel/machine.js';
import { CSPACE_SLOT, RADIX, type Message, type Step } from './programs.js';
import { World } from './world.js';

/** Slots of the caller, as `World` fills them. */
const [CNODE, NOTIFICATION, ENDPOINT, REPLY] = [31, 16, 20, 24];
const [BADGED, UNTYPED, RAW_CONTEXT, SCHED_CONTROL, FRAME, IRQ_CONTROL] = [22, 30, 32, 33, 34, 36];
const DOMAIN = 9;
/** Of the threads the first is the caller, the last has never run. The contexts are theirs, in the same order. */
const [CALLER, SPARE] = [4, 8];
const TCBS = [6, 5, 7, CALLER, SPARE];
const CONTEXTS = [14, 13, 15, 12, RAW_CONTEXT];
/** Whether the slot holds an endpoint, notification or reply, to which all labels are alike. */
const isForMessages = (slot: number): boolean =>
  (slot >= NOTIFICATION && slot < UNTYPED) || slot > IRQ_CONTROL;
/** Where another thread waits to receive: with all rights, badged, and with the right to send alone. */
const RECEIVES = [21, 23, 39];
/** Empty slots, and one after all that are filled. */
const [FREE, OTHER_FREE, FILLED] = [50, 56, 41];
const OWN = CSPACE_SLOT;

const LIMITS = [
  // As slots these are one of each kind.
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 20, 22, 24, 30, 31, 33, 34, 36].map(BigInt),
  ...[62, 63, 64, 65, 100, 101, 254, 255, 256, 257].map(BigInt),
  ...[31n, 32n, 40n, 56n, 63n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits]),
  ...[2n ** 64n - 1n, 3_600_000_000n, 3_600_000_001n],
];
/** What is added to an argument that has a meaning of its own, such as an address. */
const NEAR = [-1024n, -1n, 1n, 8n, 1024n, 3072n, 4096n];

type Before = readonly (readonly [target: number, message: Message])[];

interface Call {
  readonly name: string;
  readonly targets: readonly number[];
  readonly label: number;
  readonly words?: readonly (number | bigint)[];
  readonly caps?: readonly number[];
  /** Calls that the thread makes before. */
  readonly before?: Before;
  readonly domains?: number;
}

const message = (
  label: number,
  words: readonly (number | bigint)[] = [],
  caps: readonly number[] = [],
): Message => ({
  label,
  words: words.map(BigInt),
  caps,
});

const MAKES_CHILD: Before = [
  [UNTYPED, message(Invocation.UntypedRetype, [ObjectType.Endpoint, 0, 0, 0, OTHER_FREE, 1], [OWN])],
];
/** Untyped memory, and a thread at its beginning. */
const MAKES_THREAD: Before = [
  [UNTYPED, message(Invocation.UntypedRetype, [ObjectType.Untyped, 12, 0, 0, FREE, 1], [OWN])],
  [FREE, message(Invocation.UntypedRetype, [ObjectType.TCB, 0, 0, 0, OTHER_FREE, 1], [OWN])],
];
const MAKES_HANDLER: Before = [
  [IRQ_CONTROL, message(Invocation.IRQIssueIRQHandler, [5, OTHER_FREE, RADIX], [OWN])],
];
const MAKES_SCHEDULE: Before = [[DOMAIN, message(Invocation.DomainScheduleConfigure, [1, 2, 1000])]];
/** A CNode of radix 2 whose slot 1 leads back to it, behind a guard of three bits, and whose slot 2 has a frame. */
const MAKES_LOOP: Before = [
  [CNODE, message(Invocation.CNodeMint, [1, 2, CNODE, RADIX, Rights.All, (0b101 << 6) | 3], [OWN])],
  [CNODE, message(Invocation.CNodeCopy, [2, 2, FRAME, RADIX, Rights.All], [OWN])],
];

function calls(buffer: number): Call[] {
  const retype = (type: ObjectType, bits = 0, ...more: number[]): Call => ({
    name: `retype to ${ObjectType[type]}`,
    targets: [UNTYPED],
    label: Invocation.UntypedRetype,
    words: [type, bits, ...(more.length > 0 ? more : [0, 0, FREE, 2])],
    caps: [OWN],
  });
  const cnode = (label: Invocation, words: number[], caps = [OWN], targets = [OWN]): Call => ({
    name: Invocation[label],
    ...{ targets, label, words, caps },
  });
  const of = (
    targets: readonly number[],
    label: Invocation,
    words: (number | bigint)[] = [],
    caps: number[] = [],
  ): Call => ({
    name: Invocation[label],
    ...{ targets, label, words, caps },
  });
  const handler = (label: Invocation, caps: number[] = []): Call => ({
    ...of([OTHER_FREE], label, [], caps),
    before: MAKES_HANDLER,
  });
  return [
    ...[ObjectType.TCB, ObjectType.Notification, ObjectType.Reply, ObjectType.SmallPage].map((type) =>
      retype(type),
    ),
    ...[retype(ObjectType.Untyped, 5), retype(ObjectType.CapTable, 2), retype(ObjectType.SchedContext, 7)],
    retype(ObjectType.Endpoint, 0, CNODE, RADIX, 1, 2),
    { ...retype(ObjectType.Endpoint), before: MAKES_CHILD },
    { ...retype(ObjectType.Untyped, 12, 0, 0, FREE, 3), before: MAKES_CHILD },
    cnode(Invocation.CNodeRevoke, [ENDPOINT, RADIX], []),
    cnode(Invocation.CNodeDelete, [ENDPOINT, RADIX], []),
    { ...cnode(Invocation.CNodeDelete, [FREE, RADIX], []), before: MAKES_THREAD },
    { ...cnode(Invocation.CNodeDelete, [0b0110101, 7], [], [CNODE]), before: MAKES_LOOP },
    { ...cnode(Invocation.CNodeDelete, [0b011010110110, 12], [], [CNODE]), before: MAKES_LOOP },
    cnode(Invocation.CNodeCancelBadgedSends, [BADGED, RADIX], []),
    cnode(Invocation.CNodeCopy, [FREE, RADIX, NOTIFICATION, RADIX, Rights.All]),
    cnode(Invocation.CNodeMint, [FREE, RADIX, ENDPOINT, RADIX, Rights.All, 7]),
    cnode(Invocation.CNodeMint, [FREE, RADIX, CNODE, RADIX, Rights.All, (0b101 << 6) | 3]),
    { ...cnode(Invocation.CNodeCopy, [FREE, RADIX, UNTYPED, RADIX, Rights.All]), before: MAKES_CHILD },
    cnode(Invocation.CNodeMove, [FREE, RADIX, BADGED, RADIX]),
    cnode(Invocation.CNodeMutate, [FREE, RADIX, CNODE, RADIX, 62]),
    cnode(Invocation.CNodeRotate, [FREE, RADIX, 0, FRAME, RADIX, 0, SPARE, RADIX], [OWN, OWN]),
    cnode(Invocation.CNodeRotate, [FREE, RADIX, 62, CNODE, RADIX, 58, 2, RADIX], [OWN, OWN]),
    cnode(Invocation.CNodeRotate, [CNODE, RADIX, 58, 2, RADIX, 62, CNODE, RADIX], [OWN, OWN]),
    of(TCBS, Invocation.TCBReadRegisters, [1, 2]),
    of(TCBS, Invocation.TCBWriteRegisters, [1, 2, 3, 7]),
    of(TCBS, Invocation.TCBCopyRegisters, [15], [TCBS[0]]),
    of(TCBS, Invocation.TCBConfigure, [58, buffer], [OWN, FRAME]),
    of(TCBS, Invocation.TCBSetSpace, [58], [ENDPOINT, OWN]),
    of(TCBS, Invocation.TCBSetPriority, [65], [CALLER]),
    of(TCBS, Invocation.TCBSetMCPriority, [65], [CALLER]),
    of([SPARE, ...TCBS], Invocation.TCBSetSchedParams, [90, 65], [CALLER, RAW_CONTEXT, BADGED]),
    of(TCBS, Invocation.TCBSetSchedParams, [90, 65], [CALLER, FREE, BADGED]),
    of(TCBS, Invocation.TCBSetTimeoutEndpoint, [], [BADGED]),
    of(TCBS, Invocation.TCBSetIPCBuffer, [buffer], [FRAME]),
    of(TCBS, Invocation.TCBSuspend),
    of(TCBS, Invocation.TCBResume),
    of(TCBS, Invocation.TCBBindNotification, [], [NOTIFICATION]),
    of(TCBS, Invocation.TCBUnbindNotification),
    of([RAW_CONTEXT, ...CONTEXTS], Invocation.SchedContextBind, [], [SPARE]),
    of(CONTEXTS, Invocation.SchedContextUnbind),
    of(CONTEXTS, Invocation.SchedContextUnbindObject, [], [TCBS[0]]),
    of(CONTEXTS, Invocation.SchedContextConsumed),
    of(CONTEXTS, Invocation.SchedContextYieldTo),
    of([SCHED_CONTROL], Invocation.SchedControlConfigureFlags, [10, 20, 1, 5, 1], [RAW_CONTEXT]),
    of([SCHED_CONTROL], Invocation.SchedControlConfigureFlags, [10, 20, 1, 5, 0], [CONTEXTS[0]]),
    of([IRQ_CONTROL], Invocation.IRQIssueIRQHandler, [5, FREE, RADIX], [OWN]),
    { ...of([IRQ_CONTROL], Invocation.IRQIssueIRQHandler, [5, FREE, RADIX], [OWN]), before: MAKES_HANDLER },
    of([IRQ_CONTROL], Invocation.IRQIssueSGISignal, [5, 9, FREE, RADIX], [OWN]),
    ...[handler(Invocation.IRQAckIRQ), handler(Invocation.IRQClearIRQHandler)],
    handler(Invocation.IRQSetIRQHandler, [NOTIFICATION]),
    ...[
      of([DOMAIN], Invocation.DomainSetSet, [1], [TCBS[0]]),
      of([DOMAIN], Invocation.DomainSetSet, [1], [CALLER]),
      of([DOMAIN], Invocation.DomainScheduleConfigure, [1, 2, 1000]),
      of([DOMAIN], Invocation.DomainScheduleConfigure, [1, 0, 0]),
      of([DOMAIN], Invocation.DomainScheduleConfigure, [0, 0, 1]),
      { ...of([DOMAIN], Invocation.DomainScheduleSetStart, [1]), before: MAKES_SCHEDULE },
    ].map((call) => ({ ...call, domains: 4 })),
    of([DOMAIN], Invocation.DomainSetSet, [0], [CALLER]),
    of(
      [...RECEIVES, REPLY, NOTIFICATION, ENDPOINT],
      Invocation.Invalid,
      [1, 2, 3, 4, 5],
      [RECEIVES[1], FRAME, ENDPOINT],
    ),
  ];
}

/** The message itself, and all that differ from it in one respect. */
function* variations({ label, words = [], caps = [] }: Call): Generator<Message> {
  yield message(label, words, caps);
  for (let length = 0; length < words.length; length++) yield message(label, words.slice(0, length), caps);
  for (let count = 0; count < caps.length; count++) yield message(label, words, caps.slice(0, count));
  // What a message between threads says is their own business.
  const checked = label === Number(Invocation.Invalid) ? [] : words.entries();
  for (const [index, word] of checked) {
    const near = NEAR.map((difference) => BigInt.asUintN(64, BigInt(word) + difference));
    for (const limit of [...LIMITS, ...near]) yield message(label, words.with(index, limit), caps);
  }
  for (const index of caps.keys())
    for (let slot = 0; slot <= FILLED; slot++) yield message(label, words, caps.with(index, slot));
}

/** What a thread does, in the terms of a random program. */
const step = (call: number, target: number, other = 0): Step => ({
  ...{
    call,
    target,
    other,
    core: 0,
    late: false,
    label: 0,
    words: [0, 0, 0, 0, 0, 0, 0, 0],
    caps: [0, 0, 0],
    raw: undefined,
    time: 0,
  },
});
const [SEND, REPLY_RECEIVE, RECEIVE, WAIT, CALL] = [0, 3, 5, 9, 12];

for (const image of BUILDS) {
  describe(`${image} at the boundaries of its interface`, () => {
    /** The first thread runs; of the others one waits for a signal, one to receive, one to send. */
    const world = (before: Before = [], domains = 1): World => {
      const w = new World({ image, domains });
      w.step(step(WAIT, 17));
      w.step(step(RECEIVE, 21, 25));
      w.step(step(SEND, 20));
      for (const [target, said] of before) w.call(target, said);
      return w;
    };
    /** Makes the call in a world where nothing else has happened. */
    const each = (of: Call, messages: Iterable<Message>): void => {
      for (const target of of.targets) {
        // What the arguments can be does not depend on the state of the object.
        if (target !== of.targets[0])
          messages = [...messages].filter(({ words }) => words.join() === (of.words ?? []).join());
        let w: World | undefined;
        for (const said of messages) {
          w ??= world(of.before, of.domains);
          const caller = w.machine.kernels[0].currentTCB();
          w.call(target, said);
          const refused = w.machine.u64(caller + Register.MsgInfo) >> 12n !== 0n;
          if (!refused || w.machine.kernels[0].currentTCB() !== caller) w = undefined;
        }
      }
    };

    const buffer = world().buffer;
    // Arguments are checked by the same code in all builds.
    const many = image === BUILDS[0];
    for (const call of calls(buffer))
      it(call.name, () =>
        each(call, many ? [...variations(call)] : [message(call.label, call.words, call.caps)]),
      );

    it('addresses through several CNodes', () => {
      // 32 zeros, 2 bits of the loop's first CNode, then 5 for each of its turns: guard and slot.
      const turns = (...bits: number[]): number => bits.reduce((address, turn) => address * 32 + turn, 1);
      const [turn, frame] = [0b10101, 0b10110];
      const whole = turns(turn, turn, turn, turn, turn, turn);
      const addresses = [
        ...[
          whole,
          turns(turn, turn, turn, turn, turn, frame),
          turns(frame, 1, 2, 3, 4, 5),
          turns(turn, frame, 0, 0, 0, 0),
        ],
        ...Array.from({ length: 32 }, (_, bit) => (whole ^ (1 << bit)) >>> 0),
      ];
      const moved = message(Invocation.TCBSetSpace, [32], [RECEIVES[0], CNODE]);
      for (const address of addresses)
        for (const system of [SEND, REPLY_RECEIVE, RECEIVE, WAIT]) {
          const w = world([...MAKES_LOOP, [CALLER, moved]]);
          w.step({ ...step(system, address, address), raw: 0n });
        }
    });

    it('addresses at the end of a capability space', () => {
      for (const address of [2 ** RADIX - 1, 2 ** RADIX, 2 ** RADIX + 1])
        for (const system of [SEND, CALL, REPLY_RECEIVE, RECEIVE, WAIT])
          for (const [target, other] of [
            [address, REPLY],
            [RECEIVES[0], address],
          ])
            world().step({ ...step(system, target, other), raw: 0n });
    });

    it('each label, of each capability', () => {
      const labels = [
        ...Array(Invocation.UntypedIssue + 1).keys(),
        2n ** 32n + BigInt(Invocation.TCBSuspend),
      ];
      const invoked = Array.from({ length: FILLED }, (_, slot) => slot).filter(
        (slot) => !isForMessages(slot),
      );
      for (const target of invoked)
        each(
          { name: '', targets: [target], label: 0 },
          labels.map((label) => ({ label, words: [], caps: [] })),
        );
    });
  });
}
