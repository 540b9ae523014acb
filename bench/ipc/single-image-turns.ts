/** What the cores that share an image are told. */
export interface Turns {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  /** Physical address of the client's TCB. */
  readonly client: number;
  readonly cpu: number;
  readonly side: number;
  readonly sides: number;
  /** Whose turn it is. */
  readonly turn: Int32Array;
}
