/**
 * The numbers of the kernel's interface, as the seL4 reference manual (MCS) names them.
 * Read by AssemblyScript and by TypeScript alike: plain enums, nothing else.
 */

/** Errors that an invocation returns as the label of its reply (manual section 4.2, "Error codes"). */
export enum SeL4Error {
  NoError = 0,
  InvalidArgument = 1,
  InvalidCapability = 2,
  IllegalOperation = 3,
  RangeError = 4,
  AlignmentError = 5,
  FailedLookup = 6,
  TruncatedMessage = 7,
  DeleteFirst = 8,
  RevokeFirst = 9,
  NotEnoughMemory = 10,
}

/** What `Untyped_Retype` can make. */
export enum ObjectType {
  Untyped = 0,
  TCB = 1,
  Endpoint = 2,
  Notification = 3,
  CapTable = 4,
  SchedContext = 5,
  Reply = 6,
  /** A frame of 4 KiB, the small page. */
  SmallPage = 7,
  /** A frame of 2 MiB, the large page. */
  LargePage = 8,
  Count = 9,
}

/** Sizes of the kernel's objects, as powers of two (those of RISC-V 64). */
export enum SizeBits {
  Slot = 5,
  TCB = 10,
  Endpoint = 4,
  Notification = 6,
  Reply = 5,
  MinSchedContext = 7,
  MinUntyped = 4,
  MaxUntyped = 31,
  SmallPage = 12,
  LargePage = 21,
  IPCBuffer = 10,
}

export enum Invocation {
  Invalid = 0,
  UntypedRetype = 1,
  TCBReadRegisters = 2,
  TCBWriteRegisters = 3,
  TCBConfigure = 4,
  TCBSetPriority = 5,
  TCBSetMCPriority = 6,
  TCBSetSchedParams = 7,
  TCBSetTimeoutEndpoint = 8,
  TCBSetIPCBuffer = 9,
  TCBSetSpace = 10,
  TCBSuspend = 11,
  TCBResume = 12,
  TCBBindNotification = 13,
  TCBUnbindNotification = 14,
  CNodeRevoke = 15,
  CNodeDelete = 16,
  CNodeCancelBadgedSends = 17,
  CNodeCopy = 18,
  CNodeMint = 19,
  CNodeMove = 20,
  CNodeMutate = 21,
  CNodeRotate = 22,
  IRQIssueIRQHandler = 23,
  IRQIssueSGISignal = 24,
  IRQAckIRQ = 25,
  IRQSetIRQHandler = 26,
  IRQClearIRQHandler = 27,
  SchedControlConfigureFlags = 28,
  SchedContextBind = 29,
  SchedContextUnbind = 30,
  SchedContextUnbindObject = 31,
  SchedContextConsumed = 32,
  SchedContextYieldTo = 33,
  DomainSetSet = 34,
  DomainScheduleConfigure = 35,
  DomainScheduleSetStart = 36,
  TCBCopyRegisters = 37,
  UntypedIssue = 40,
}

/** Labels of fault messages (manual section 6.2). */
export enum FaultType {
  NullFault = 0,
  CapFault = 1,
  UnknownSyscall = 2,
  UserException = 3,
  Timeout = 5,
}

/** Why a capability lookup failed (manual section 3.4). */
export enum LookupFailure {
  None = 0,
  InvalidRoot = 1,
  MissingCapability = 2,
  DepthMismatch = 3,
  GuardMismatch = 4,
}

/** The rights of a capability, as bits (manual section 3.1.4). */
export enum Rights {
  None = 0,
  Write = 1,
  Read = 2,
  Grant = 4,
  GrantReply = 8,
  All = 15,
}

/** Slots of the initial thread's CNode (manual section 9.1). */
export enum InitialSlot {
  Null = 0,
  ThreadTCB = 1,
  CNode = 2,
  IRQControl = 4,
  IPCBuffer = 10,
  /** In clusters of one core. */
  Domain = 11,
  SchedContext = 14,
  /** Atoll's own: see object/untyped-control.ts. */
  UntypedControl = 15,
  /** One SchedControl capability for each core of the cluster, then the untyped capabilities. */
  FirstSchedControl = 16,
}

/** What the engine finds in a thread's register file (see `model/tcb.ts`), as byte offsets. */
export enum Register {
  /** The badge of what was received. */
  Badge = 0,
  /** The message's tag: label << 12 | capsUnwrapped << 9 | extraCaps << 7 | length. */
  MsgInfo = 8,
  /** The first message registers; the others are in the IPC buffer. */
  MR0 = 16,
  /** Where the thread goes on: see `ProgramCounter`. */
  PC = 48,
  /** Not 0 when the thread's system call was cancelled and must be made again. */
  Redo = 52,
  /** The engine's handle of the thread's program; 0 is the idle thread. */
  Program = 56,
  /** The physical address of the thread's IPC buffer, 0 if it has none. */
  IPCBuffer = 60,
}

/** What the engine may read of a thread besides its register file. */
export enum RegisterState {
  /** Offset of the byte that holds the thread's state. */
  Byte = 96,
  /** The state of a thread that is stopped: suspended, or waiting for what will never come. */
  Inactive = 0,
  Running = 1,
  /** Waits at its endpoint for the next event. */
  Receiving = 2,
}

export enum ProgramCounter {
  /** The thread has not run since its registers were written: its program starts afresh. */
  Entry = 0,
  /** The thread is under way. The engine writes it when it starts the thread. */
  Running = 1,
}

export enum Limit {
  MessageRegisters = 120,
  /** Message registers that travel in the register file. */
  FastMessageRegisters = 4,
  ExtraCaps = 3,
  /** Objects that one `Untyped_Retype` can make. */
  RetypeFanOut = 256,
  /** Interrupt lines of a cluster. */
  Interrupts = 64,
  Priorities = 256,
  MaxPriority = 255,
  /** Scheduling domains that a kernel can be booted with. */
  Domains = 256,
  /** Entries of the domain schedule that can be set: behind them an end marker stands for good. */
  DomainSchedule = 255,
  /** Untyped capabilities in a cluster's bootinfo. */
  BootUntypeds = 64,
}

/** What the machine may write into a kernel's state, by its distance from the partition's base. */
export enum ClusterOffset {
  /** Not 0: the cluster is about to be reset. A core that waits for its lock then traps, and can be stopped. */
  Halted = 68,
}

/** Interrupt lines with a meaning of their own. */
export enum InterruptLine {
  /** The inter-processor interrupt by which a core of the cluster asks another to reschedule. */
  Reschedule = 0,
}

/** The fields of the bootinfo that `boot` leaves at the address that it returns, as byte offsets. */
export enum BootInfo {
  /** First empty slot of the initial thread's CNode. */
  EmptyStart = 0,
  /** First slot after the empty ones. */
  EmptyEnd = 4,
  UntypedStart = 8,
  UntypedCount = 12,
  InitialTCB = 16,
  /** A list of (physical address u32, size bits u16, is device u16), one for each untyped capability. */
  Untypeds = 24,
}
