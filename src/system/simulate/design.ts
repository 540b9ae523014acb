/** How kernels are arranged on a machine. */
export const DESIGNS = ['single', 'single-elided', 'per-core', 'clustered'] as const;
export type Design = (typeof DESIGNS)[number];

/** What a design is: how it cuts the machine, as `clustersOf` takes it, and whether kernels elide their lock. */
export interface Cut {
  readonly clusters: string;
  readonly elided: boolean;
}

export const CUT_OF: Readonly<Record<Design, Cut>> = {
  single: { clusters: 'one', elided: false },
  'single-elided': { clusters: 'one', elided: true },
  'per-core': { clusters: 'per-core', elided: false },
  clustered: { clusters: 'auto', elided: false },
};
