import type { KernelImage } from '../../src/core/kernel.js';
import { Machine } from './machine.js';
import { watched } from './watched.js';

const SIZE = 4 << 20;
const BASE = 1 << 20;

/** A machine, and how many lines of 64 bytes its kernel touches. */
export function touchedLines(image: KernelImage) {
  const pages = (BASE + SIZE) >> 16;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const lines = new Set<number>();
  const { instantiate } = watched(image, memory, [{ base: BASE, size: SIZE }], (address, size) => {
    for (let line = address >>> 6; line <= (address + size - 1) >>> 6; line++) lines.add(line);
  });
  const m = new Machine({ image, base: BASE, size: SIZE, memory, instantiate });
  const touched = (action: () => void): number => {
    lines.clear();
    action();
    return lines.size;
  };
  return { m, touched };
}
