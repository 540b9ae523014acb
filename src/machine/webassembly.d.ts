/** What is used of the platform's `WebAssembly`, which neither ECMAScript's library nor Node's types declare. */
declare namespace WebAssembly {
  /** Memory shared between threads; can be posted to another. */
  class Memory {
    constructor(limits: { initial: number; maximum: number; shared: true });
    readonly buffer: SharedArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: object);
    readonly exports: unknown;
  }
  /** A trap. */
  class RuntimeError extends Error {}
}
