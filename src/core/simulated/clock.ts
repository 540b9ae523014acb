/** One core's part in the simulation: its virtual time, and what it pays for what it does outside of the kernel. */
import type { SimulatedMachine } from '../../machine/simulated/machine.js';
import type { Turns } from '../../machine/simulated/turns.js';

/** What finding a word and using it takes, beside its line: the address, the access, a comparison and a branch. */
const ACCESS_INSTRUCTIONS = 4;

export class CoreClock {
  /** Set when the system starts: what comes before takes no time. */
  started = false;
  readonly #cyclesPerNanosecond: number;

  /** `checkOrders` throws when the core is to stop. */
  constructor(
    readonly core: number,
    readonly machine: SimulatedMachine,
    readonly turns: Turns,
    private readonly checkOrders: () => void,
  ) {
    this.#cyclesPerNanosecond = machine.model.core.megahertz / 1000;
  }

  /** In cycles. */
  get now(): number {
    return this.machine.timeOf(this.core);
  }

  get nanoseconds(): number {
    return this.now / this.#cyclesPerNanosecond;
  }

  /** The first cycle at which `nanoseconds` have passed. */
  cyclesOf(nanoseconds: number): number {
    return Math.ceil(nanoseconds * this.#cyclesPerNanosecond) + 1;
  }

  /** To be called before anything that other cores can notice. @throws Halted */
  sync(): void {
    if (!this.started) return;
    this.checkOrders();
    this.turns.sync(this.core);
    this.checkOrders();
  }

  /** Until the given cycle, or until an interrupt comes. @throws Halted */
  sleep(until: number): void {
    this.checkOrders();
    const time = this.turns.sleep(this.core, until);
    this.checkOrders();
    this.machine.clocks[this.core] = time;
  }

  /**
   * After an attempt at a kernel entry that elides its lock: returns when no other core can undo it any more, or it is to be
   * attempted again: then false. @throws Halted
   */
  settle(): boolean {
    const { core, machine } = this;
    this.checkOrders();
    this.turns.sleep(core, machine.clocks[core]);
    this.checkOrders();
    if (machine.stands(core)) return true;
    this.sync();
    return false;
  }

  /** The program, or its library, reads or writes memory that cores share. @throws Halted */
  access(address: number, bytes: number, write: boolean): void {
    this.sync();
    this.machine.userAccess(this.core, address, bytes, write, ACCESS_INSTRUCTIONS);
  }

  /** The same, as one atomic read-modify-write. @throws Halted */
  atomic(address: number): void {
    this.sync();
    this.machine.userAtomic(this.core, address);
  }
}
