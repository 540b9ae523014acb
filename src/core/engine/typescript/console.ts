/** The debug console: whole lines, so that those of several cores do not mix, written when they are said. */
import { writeSync } from 'node:fs';

/** Longest text that is kept back for its line's end. */
const LONGEST_LINE = 4096;

/** Writes all of a text to a file descriptor, waiting where the reader is slow; a reader that is gone ends nothing. */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** One domain's side of the console. */
export class Console {
  private line = '';

  /** With a clock, of nanoseconds, each line starts with its time in seconds, as `[12.345678901] `. */
  constructor(
    private readonly fd: number,
    private readonly clock?: () => number,
  ) {}

  write(text: string): void {
    this.line += text;
    const end = this.line.lastIndexOf('\n') + 1;
    if (end > 0) {
      const lines = this.line.slice(0, end);
      writeAll(this.fd, this.clock === undefined ? lines : lines.replace(/^(?=.|\n)/gm, stamp(this.clock())));
      this.line = this.line.slice(end);
    } else if (this.line.length > LONGEST_LINE) {
      this.flush();
    }
  }

  /** Writes what is left of an unfinished line, and ends it. */
  flush(): void {
    if (this.line !== '') writeAll(this.fd, `${this.line}\n`);
    this.line = '';
  }
}

function stamp(nanoseconds: number): string {
  return `[${(nanoseconds / 1e9).toFixed(9)}] `;
}
