/** What a description's rules depend on, for each architecture as Microkit configures seL4 for it. */
import type { Arch } from './types.js';

export interface Architecture {
  /** Bytes, smallest first. */
  readonly pageSizes: readonly [bigint, bigint];
  /** The first address beyond a user's address space. */
  readonly userTop: bigint;
  readonly hypervisor: boolean;
}

const pageSizes = [0x1000n, 0x20_0000n] as const;

export const architectures: Readonly<Record<Arch, Architecture>> = {
  // With the hypervisor configuration, the address space is as large as the physical one: 40 bits.
  aarch64: { pageSizes, userTop: 2n ** 40n, hypervisor: true },
  riscv64: { pageSizes, userTop: 0x3f_ffff_f000n, hypervisor: false },
  x86_64: { pageSizes, userTop: 0x7fff_ffff_f000n, hypervisor: true },
};
