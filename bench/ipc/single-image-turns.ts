/** What the cores that share an image are told. */
/** Slots in the client's and the server's CNode. */
export const ENDPOINT = 1;
export const REPLY = 2;

export interface SharedImage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  /** Physical addresses of the TCBs. */
  readonly client: number;
  readonly server: number;
}

export interface Turns extends SharedImage {
  readonly cpu: number;
  readonly side: number;
  readonly sides: number;
  /** Whose turn it is. */
  readonly turn: Int32Array;
}
