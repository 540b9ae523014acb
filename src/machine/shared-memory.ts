/** Memory of WebAssembly that threads share. */
const PAGE = 65536;

/** Zeroed, of at least so many bytes: whole pages of 64 KiB, one or more. */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.max(1, Math.ceil(bytes / PAGE));
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * The same as a buffer. It begins on a cache line, which that of a `SharedArrayBuffer` does not: so what lies 64 bytes
 * apart in it, and belongs to different cores, lies on different lines.
 */
export function sharedLines(bytes: number): SharedArrayBuffer {
  return sharedMemory(bytes).buffer;
}
