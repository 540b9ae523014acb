const WASM_PAGE = 65536;

/**
 * Zeroed memory that threads share, and that begins on a cache line, which that of a `SharedArrayBuffer` does not: so
 * what lies 64 bytes apart in it, and belongs to different cores, lies on different lines.
 */
export function sharedLines(bytes: number): SharedArrayBuffer {
  const pages = Math.max(1, Math.ceil(bytes / WASM_PAGE));
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
}
