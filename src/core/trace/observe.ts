/** Puts a recorder between a core and what it uses: kernel, interrupts, call lines, programs, threads. */
import type { CoreInterrupts } from '../../machine/host/controller.js';
import { CallAccess, type CallLines, serialIn } from '../call-lines.js';
import type { SharedAccess } from '../core.js';
import type { Kernel } from '../kernel.js';
import type { Observer } from '../observer.js';
import { COUNTS } from '../statistics.js';
import type { EngineThread } from '../thread.js';
import { ENTRIES, HANDLERS, Recorded, TraceRecorder } from './recorder.js';

type Entry = (...words: number[]) => number;
type Handler = (id?: number, message?: number) => unknown;

export class CoreTrace implements Observer {
  readonly #recorder: TraceRecorder;

  /**
   * @param trace memory of the recorder. @param core in the machine. @param cores of the kernel's cluster.
   * @param now in nanoseconds.
   */
  constructor(
    trace: SharedArrayBuffer,
    private readonly core: number,
    private readonly cores: readonly number[],
    now: () => number,
  ) {
    this.#recorder = new TraceRecorder(trace, now);
  }

  /** From now on it is recorded. */
  start(): void {
    this.#recorder.start();
  }

  kernel(kernel: Kernel): Kernel {
    const result: Record<string, Entry> = { ...(kernel as unknown as Record<string, Entry>) };
    ENTRIES.forEach((name, index) => (result[name] = this.#entry(result[name], index)));
    return result as unknown as Kernel;
  }

  #entry(entry: Entry, index: number): Entry {
    const isInterrupt = ENTRIES[index] === 'interrupt';
    return (...words) =>
      this.#during(Recorded.Kernel, index, 0, () => {
        if (isInterrupt) this.#recorder.note(Recorded.InterruptTaken, this.core, words[0]);
        return entry(...words);
      });
  }

  interrupts(device: CoreInterrupts): CoreInterrupts {
    return {
      ...device,
      sendSGI: (core, irq) => {
        this.#recorder.note(Recorded.Interrupted, core, irq);
        device.sendSGI(core, irq);
      },
      sendIPI: (core) => {
        this.#recorder.note(Recorded.Interrupted, this.cores[core], 0);
        device.sendIPI(core);
      },
    };
  }

  /** `memory`: physical memory. */
  access(access: SharedAccess, memory: SharedArrayBuffer): SharedAccess {
    return { ...access, calls: new TracedCalls(memory, access.calls, this.#recorder) };
  }

  entries<T extends object>(row: number, entries: T): T {
    const traced = HANDLERS.map((name, index) => {
      const entry = (entries as Partial<Record<string, Handler>>)[name];
      if (entry === undefined) return [name, undefined];
      const handler: Handler = (id, message) =>
        this.#during(Recorded.Handler, row / COUNTS, 64 * index + (id ?? 0), () => entry(id, message));
      return [name, handler];
    });
    return Object.fromEntries(traced) as T;
  }

  functions<T extends object>(_row: number, functions: T): T {
    return functions;
  }

  /** Returns the thread, whose runs are recorded from now on. */
  thread<T extends EngineThread>(thread: T): T {
    const run = thread.run.bind(thread);
    thread.run = () => this.#during(Recorded.Thread, thread.handle, 0, run);
    return thread;
  }

  #during<T>(kind: Recorded, a: number, b: number, action: () => T): T {
    this.#recorder.begin(kind, a, b);
    try {
      return action();
    } finally {
      this.#recorder.end();
    }
  }
}

class TracedCalls extends CallAccess {
  constructor(
    memory: SharedArrayBuffer,
    private readonly calls: CallAccess,
    private readonly recorder: TraceRecorder,
  ) {
    super(new Uint32Array(memory));
  }

  override serialOf(lines: CallLines): number {
    return this.calls.serialOf(lines);
  }

  override setSerial(lines: CallLines, serial: number): void {
    this.calls.setSerial(lines, serial);
  }

  override writeMessage(
    lines: CallLines,
    registers: number,
    buffer: number,
    number: number,
    carried?: boolean,
  ): void {
    this.recorder.note(Recorded.MessageSent, lines.line, serialIn(number));
    this.calls.writeMessage(lines, registers, buffer, number, carried);
  }

  override readMessage(lines: CallLines, registers: number, buffer: number): void {
    this.calls.readMessage(lines, registers, buffer);
    this.recorder.note(Recorded.MessageReceived, lines.line, super.serialOf(lines));
  }
}
