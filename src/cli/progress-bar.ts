/** How far a long command is: a bar on standard error, where that is a terminal. */
export interface ProgressBar {
  readonly show: (done: number, all: number) => void;
  readonly clear: () => void;
}

const WIDTH = 30;

export function progressBar(): ProgressBar {
  if (!process.stderr.isTTY) return { show: () => undefined, clear: () => undefined };
  return {
    show(done, all) {
      const full = all === 0 ? WIDTH : Math.round((WIDTH * done) / all);
      process.stderr.write(`\r[${'#'.repeat(full)}${' '.repeat(WIDTH - full)}] ${done} of ${all}`);
    },
    clear: () => void process.stderr.write('\r\x1b[K'),
  };
}
