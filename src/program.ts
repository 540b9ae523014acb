/**
 * What a program sees: the interface between a protection domain written in TypeScript and Atoll.
 *
 * The functions of {@link ProtectionDomain} are libmicrokit's, under their own names in camel case without the
 * prefix (Microkit user manual, "libmicrokit"); what they mean is what the manual says.
 */

/** A channel identifier, 0 to 62, as the description's `<end id="…">` names it. */
export type Channel = number;

/** A child identifier, 0 to 62, as the description's `<protection_domain id="…">` names it. */
export type Child = number;

/**
 * A message's label and the number of its message registers. Opaque: make it with `msginfoNew`, read it with
 * `msginfoGetLabel` and `msginfoGetCount`. A plain number, so that passing one allocates nothing.
 */
export type Msginfo = number;

/** The typed arrays in which a memory region can be seen. */
export type RegionArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The constructor of a {@link RegionArray}, as `Int32Array`. */
export interface RegionArrayConstructor<T extends RegionArray> {
  new (length: number): T;
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
}

/**
 * One end of a ring: a queue of messages from one domain to one other, on whatever core, without the kernel. A message
 * is 0 to `longest` words of 32 bits. Nothing here waits, wakes anybody or allocates: who sends notifies, or calls.
 *
 * The other end is not trusted. Where what it left in memory cannot be, `send` and `receive` throw an Error named
 * `RingError`.
 */
export interface Ring {
  /** The longest message, in words. Up to 15 words go in one cache line. */
  readonly longest: number;
  /**
   * Sends the first `length` words (all, unless given) of `message`. Returns false, and sends nothing, where the ring
   * is full. With `more` the other end may see it only after the next `send` without `more`, or `flush`: to be used
   * when another message follows at once, for a fifth of the cost.
   * @throws RangeError for a length that no message has. @throws TypeError on the receiving end.
   */
  send(message: Int32Array | Uint32Array, length?: number, more?: boolean): boolean;
  /** Makes all that was sent with `more` visible. @throws TypeError on the receiving end. */
  flush(): void;
  /**
   * Takes the next message into `into`. Returns its length in words, or -1 where there is none.
   * @throws RangeError where it is longer than `into`; it stays. @throws TypeError on the sending end.
   */
  receive(into: Int32Array | Uint32Array): number;
}

/** What a protection domain may do. Everything that it can reach, it reaches through this object. */
export interface ProtectionDomain {
  /** The domain's name in the description. */
  readonly name: string;
  /** What the description's `setvar_…` attributes and `<setvar>` elements set, by symbol. */
  readonly vars: Readonly<Record<string, bigint>>;

  /**
   * The bytes of the memory region whose map names `symbol` as its `setvar_vaddr`. With a second argument the
   * same bytes as another kind of typed array, such as `Int32Array`, which `Atomics` needs.
   * A region mapped without `w` yields a view that can be indexed, iterated, and copied with `slice()`, and that
   * throws a TypeError on any write.
   * @throws RangeError when no map of this domain names the symbol.
   */
  region(symbol: string): Uint8Array;
  region<T extends RegionArray>(symbol: string, as: RegionArrayConstructor<T>): T;

  /**
   * The ring in the memory region whose map names `symbol` as its `setvar_vaddr`: this domain's end of it, the same
   * each time. The description says which regions are rings (docs/system-descriptions.md).
   * @throws RangeError when no map of this domain names the symbol, or the region is no ring.
   */
  ring(symbol: string): Ring;

  /** Signals the other end of a channel. */
  notify(channel: Channel): void;
  /** Calls the protected procedure of the other end, which must have a strictly higher priority. */
  ppcall(channel: Channel, msginfo: Msginfo): Msginfo;
  /** As `notify`, done when the running handler ends; one deferred action at most may be outstanding. */
  deferredNotify(channel: Channel): void;
  /** Acknowledges an interrupt, so that the next can come. */
  irqAck(channel: Channel): void;
  /** As `irqAck`, done when the running handler ends; one deferred action at most may be outstanding. */
  deferredIrqAck(channel: Channel): void;

  /** @param label 0 to 2^46 - 1. @param count message registers, 0 to 64. */
  msginfoNew(label: number, count: number): Msginfo;
  msginfoGetLabel(msginfo: Msginfo): number;
  msginfoGetCount(msginfo: Msginfo): number;

  /** Message register `index` (0 to 63), an unsigned 64-bit word. */
  mrGet(index: number): bigint;
  mrSet(index: number, value: bigint): void;
  /**
   * The same registers for words that fit a JavaScript integer (0 to 2^53 - 1): allocates nothing.
   * @throws RangeError when the register's word, or the value, is not such an integer.
   */
  mrGetNumber(index: number): number;
  mrSetNumber(index: number, value: number): void;

  /** Starts a child afresh: a new instance of its program, from `init`. */
  pdRestart(child: Child): void;
  /** Stops a child for good, until `pdRestart`. */
  pdStop(child: Child): void;
  /** Lets a stopped child go on. */
  pdResume(child: Child): void;

  /**
   * Says that the program now computes for so many cycles. On a simulated machine that much virtual time passes, in which
   * more urgent domains of the core run as they become ready; on the host nothing happens, since there what a program
   * computes takes its time by itself.
   * @throws RangeError where `cycles` is no number from 0.
   */
  compute(cycles: number): void;

  /** Writes to the debug console. */
  dbgPuts(text: string): void;
  /** Writes one character (a code point) to the debug console. */
  dbgPutc(character: number): void;
}

/** The entry points of a program. Each runs to completion; only `init` must be there. */
export interface Program {
  /** Runs once when the domain starts, and again after each restart. */
  init(): void;
  /** The other end of `channel` signalled, or the channel's interrupt came. */
  notified?(channel: Channel): void;
  /** The other end of `channel` calls. The result is the reply. */
  protected?(channel: Channel, msginfo: Msginfo): Msginfo;
  /**
   * A child faulted; the message registers hold the fault message.
   * Returns a msginfo to reply to the fault, which lets the child go on with its next event, or nothing to leave it
   * stopped (`pdRestart` starts it afresh).
   */
  fault?(child: Child, msginfo: Msginfo): Msginfo | undefined | void;
}

/** What a program module's default export makes: called once for each instance of the program. */
export type ProgramFactory = (pd: ProtectionDomain) => Program;

/** Marks a program module's default export. Returns its argument. */
export function protectionDomain(factory: ProgramFactory): ProgramFactory {
  return factory;
}
