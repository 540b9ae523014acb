/** `atoll bench`: figures, and in words what they mean. */
import { bootBenchmark, type BootReport } from '../../bench/boot/index.js';
import { coordinationBenchmark, type CoordinationReport } from '../../bench/coordination/index.js';
import { ipcBenchmark, type IpcReport, type Target } from '../../bench/ipc/index.js';
import { kernelBenchmark, type KernelReport } from '../../bench/kernel/index.js';
import {
  FASTPATHS_A_CALL,
  LINES_A_FASTPATH,
  scalingBenchmark,
  simulatedScaling,
  type ScalingReport,
} from '../../bench/scaling/index.js';
import { simulatedBenchmark, type SimulatedFigure } from '../../bench/simulated.js';
import { simulatedModel } from '../machine/simulated/presets.js';
import { progressBar } from './progress-bar.js';
import { table } from './table.js';

interface MachineOptions {
  readonly json: boolean;
  /** `host`, or one to simulate. */
  readonly machine: string;
}

/** @throws TopologyError */
export async function benchIpc({ json, machine }: MachineOptions): Promise<void> {
  if (machine !== 'host') return benchSimulated(machine, json, IPC_FIGURES);
  const report = await ipcBenchmark();
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : describeIpc(report));
}

const IPC_FIGURES = {
  ppcall_same_core_cycles: 'protected call between two domains of one core',
  notify_cross_cluster_rtt_cycles: 'notification between two clusters',
  line_rtt_cycles: '  of which bare: one cache line between the two cores',
} as const satisfies Partial<Record<SimulatedFigure, string>>;

const COORDINATION_FIGURES = {
  line_rtt_cycles: 'one cache line there and back',
  notify_cross_cluster_rtt_cycles: 'notification between two clusters, there and back',
  ppcall_cross_cluster_rtt_cycles: 'protected call to another cluster',
  ppcall_cross_core_rtt_cycles: 'protected call to another core of one cluster',
} as const satisfies Partial<Record<SimulatedFigure, string>>;

async function benchSimulated(
  machine: string,
  json: boolean,
  titles: Partial<Record<SimulatedFigure, string>>,
): Promise<void> {
  const model = simulatedModel(machine);
  const keys = Object.keys(titles) as SimulatedFigure[];
  const figures = await simulatedBenchmark(model, keys);
  const cores = model.topology.cores.length;
  const { megahertz } = model.core;
  if (json) {
    process.stdout.write(`${JSON.stringify({ machine, cores, megahertz, ...figures })}\n`);
    return;
  }
  const rows = keys.map((key) => {
    const cycles = figures[key]!;
    if (cycles === null) return [titles[key]!, '–', ''];
    return [titles[key]!, number(cycles, 0), number((cycles * 1000) / megahertz)];
  });
  process.stdout.write(
    `Means on the simulated machine ${machine}, ${cores} cores; ns at its ${number(megahertz, 0)} MHz.\n\n` +
      `${table(['there and back', 'cycles', 'ns'], rows)}\n`,
  );
}

/** `quick`: a single round. */
export async function benchBoot({
  json,
  quick,
}: {
  readonly json: boolean;
  readonly quick: boolean;
}): Promise<void> {
  const report = await bootBenchmark(quick);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : describeBoot(report));
}

export function benchKernel({ json }: { readonly json: boolean }): void {
  const report = kernelBenchmark();
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : describeKernel(report));
}

function describeKernel(report: KernelReport): string {
  const { targets } = report;
  const limited = (
    title: string,
    figure: number,
    { at_most, met }: { at_most: number; met: boolean },
  ): string[] => [title, number(figure, 0), `at most ${number(at_most, 0)}`, met ? 'yes' : 'no'];
  const plain = (title: string, figure: number): string[] => [title, number(figure, 0), '', ''];
  return `Counted on the images of the simulated machine: the same on every computer.

${table(
  ['', 'counted', 'target', 'met'],
  [
    limited('cache lines of Call on the fastpath', report.call_fastpath_lines, targets.call_fastpath_lines),
    limited('cache lines of ReplyRecv', report.reply_recv_fastpath_lines, targets.reply_recv_fastpath_lines),
    plain('  the same with the lock of several cores: Call', report.smp_call_fastpath_lines),
    plain('  ReplyRecv', report.smp_reply_recv_fastpath_lines),
    plain('instructions of both, one core', report.fastpath_pair_instructions),
    [
      'longest entry, 100,000 capabilities: instructions',
      number(report.longest_entry_instructions, 0),
      'not more',
      targets.longest_entry_does_not_grow.met ? 'yes' : 'no',
    ],
    plain('  with 2,000', report.longest_entry_instructions_2000),
    limited('bytes of the image for one core', report.unicore_bytes, targets.unicore_bytes),
    limited('  for several', report.smp_bytes, targets.smp_bytes),
  ],
)}
`;
}

export async function benchCoordination({ json, machine }: MachineOptions): Promise<void> {
  if (machine !== 'host') return benchSimulated(machine, json, COORDINATION_FIGURES);
  const bar = progressBar();
  const report = await coordinationBenchmark(bar.show);
  bar.clear();
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : describeCoordination(report));
}

function describeCoordination(report: CoordinationReport): string {
  if (report.cores === 1) return `${ONE_CORE}\n`;
  const { figures, missing, near, targets, turns } = report;
  const row = (title: string, key: keyof CoordinationReport['figures']): string[] => {
    const cells = near === null ? [figures] : [figures, near.figures];
    return [
      title,
      ...cells.map(({ [key]: ns }) => (ns === null ? `– (${missing[key] ?? 'not measured'})` : number(ns))),
    ];
  };
  const target = (title: string, key: keyof CoordinationReport['targets']): string[] => {
    const { ratio, at_least, at_most, met } = targets[key];
    const limit = at_most === undefined ? `at least ${at_least}` : `at most ${at_most}`;
    return [title, ratio === null ? '–' : number(ratio, 2), limit, met === null ? '–' : met ? 'yes' : 'no'];
  };
  return `Medians on this computer, between two of its ${report.cores} cores.

${table(near === null ? ['', 'ns'] : ['', 'far, ns', 'near, ns'], [
  row('one cache line there and back', 'line_rtt_ns'),
  row('  the same in C', 'c_line_rtt_ns'),
  row('  the same in C, with a line each way', 'c_two_lines_rtt_ns'),
  row('notification between two clusters, there and back', 'notify_cross_cluster_rtt_ns'),
  row('protected call to another cluster', 'ppcall_cross_cluster_rtt_ns'),
  row('protected call to another core of one cluster', 'ppcall_cross_core_rtt_ns'),
  row('postMessage between two worker threads, there and back', 'post_message_rtt_ns'),
  row('message of one line, streamed through a ring', 'ring_message_ns'),
  row("  the same through Boost's spsc_queue", 'boost_spsc_message_ns'),
])}

${table(
  ['ratio', 'measured', 'target', 'met'],
  [
    target('notification per line in C', 'notify_per_c_line_rtt'),
    target('protected call to another cluster per line in C', 'ppcall_per_c_line_rtt'),
    target('notification per line each way in C', 'notify_per_c_two_lines_rtt'),
    target('protected call to another cluster per line each way in C', 'ppcall_per_c_two_lines_rtt'),
    target('postMessage per protected call to another cluster', 'post_message_per_ppcall'),
    target("message through a ring per message through Boost's queue", 'ring_per_boost'),
  ],
)}

A line there and back is what the two cores cannot do without. It may go both ways in one transfer each, where who reads
it gets it for writing too; a line each way, as doorbells are, cannot, and costs more where cores are near. A ring sends each message in a line of its own and
publishes many at once, so that their transfers overlap.
${
  near === null
    ? ''
    : `
The cores of this virtual machine moved: in ${near.turns} of ${near.turns + turns} turns they shared a cache, which makes them one cluster. The ratios are
those of the other turns.
`
}`;
}

/** `quick`: a single short round. @throws TopologyError */
export async function benchScaling({
  json,
  quick,
  machine,
}: MachineOptions & { readonly quick: boolean }): Promise<void> {
  const model = machine === 'host' ? undefined : simulatedModel(machine);
  const report = model === undefined ? await scalingBenchmark(quick) : simulatedScaling(model);
  if (json)
    process.stdout.write(`${JSON.stringify(model === undefined ? report : { machine, ...report })}\n`);
  else process.stdout.write(describeScaling(report, model?.name));
}

function describeIpc(report: IpcReport): string {
  const { tsc_mhz: mhz, ratios, targets } = report;
  const row = (title: string, ns: number | null): string[] => [
    title,
    ns === null ? '' : number(ns),
    ns === null || mhz === null ? '' : number((ns * mhz) / 1000, 0),
  ];
  const figures = table(
    ['there and back', 'ns', 'cycles'],
    [
      row('protected call between two domains of one core', report.ppcall_same_core_ns),
      row('  of which the kernel: call and reply without the programs', report.kernel_call_ns),
      row('  of which bare: two calls of an empty WebAssembly function', report.wasm_crossing_pair_ns),
      row('postMessage between two worker threads', report.post_message_rtt_ns),
      row('notification between two clusters', report.notify_cross_cluster_rtt_ns),
      row('  of which bare: one cache line between two cores', report.line_rtt_ns),
      row('call in one kernel image, one core alone', report.single_image_call_local_ns),
      row('call in one kernel image, two cores in turn', report.single_image_call_ns),
      row('  of which bare, one way: loading a line that the other core wrote last', report.far_line_ns),
      row('  the same on two simulated cores', report.simulated_single_image_call_ns),
      row('  and there the protected call on one core', report.simulated_ppcall_same_core_ns),
    ],
  );
  const words = [
    `A protected call runs from one program through the kernel into another and back, with four message
registers each way. It costs ${times(ratios.ppcall_per_crossing_pair)} what just entering WebAssembly twice costs \
(${verdict(targets.ppcall_per_crossing_pair)}),
and a message and its answer between two worker threads of Node cost ${times(ratios.post_message_per_ppcall)} as much
(${verdict(targets.post_message_per_ppcall)}).`,
  ];
  if (ratios.notify_per_line_rtt !== null) {
    words.push(`A notification to another cluster and one back cost ${times(ratios.notify_per_line_rtt)} what one cache line
there and back costs (${verdict(targets.notify_per_line_rtt)}). No kernel knows of the other:
a doorbell rings on the other core, an interrupt to the kernel there, which signals the domain.`);
  }
  words.push(report.single_image_call_ns === null ? ONE_CORE : describeSingleImage(report));
  const counter = mhz === null ? '' : `; cycles of the cycle counter, ${number(mhz, 0)} MHz`;
  return `Medians on this computer, ${report.cores} ${report.cores === 1 ? 'core' : 'cores'}${counter}.

${figures}

${words.join('\n\n')}
`;
}

const ONE_CORE = `This machine lets Atoll use one core only, so what crosses cores was not measured.`;

/** A call in turn costs so many times one on one core where one image for both cores stops making sense. */
const SHARING_COSTS = 1.5;

function describeSingleImage(report: IpcReport): string {
  const inTurn = report.single_image_call_ns!;
  const blowUp = inTurn / report.single_image_call_local_ns;
  const figures = `One kernel image used by two cores in turn: ${number(inTurn)} ns a call, \
${times(report.ratios.single_image_per_ppcall!)} the protected call on one core
between whole programs (${number(report.ppcall_same_core_ns)} ns), and ${times(blowUp)} the same call in the same image \
where one core does all.`;
  const meaning =
    blowUp < SHARING_COSTS
      ? `The lines of the kernel's state cost these two cores little to share: one image for both makes sense.`
      : `The work is the same. What it adds is that each core must first fetch the kernel's state from the other's
cache, line by line. So Atoll boots one kernel for each set of cores that share an L2 cache, shares nothing
between the kernels, and has the clusters send each other messages of one line instead.`;
  return [`${figures}\n${meaning}`, ...describeSimulation(report)].join('\n\n');
}

function describeSimulation({ ratios, targets }: IpcReport): string[] {
  const {
    simulated_single_image_per_ppcall: ratio,
    single_image_per_ppcall: here,
    simulation_error: error,
  } = ratios;
  if (ratio === null || here === null || error === null) return [];
  const percent = number(100 * Math.abs(error), 0);
  return [
    `The simulated machine, told what a line costs here and what one core alone does, says ${times(ratio)} where this computer
has ${times(here)}: ${percent}% ${error < 0 ? 'less' : 'more'} (target: at most ${100 * targets.simulation_error.at_most!}% off, \
${targets.simulation_error.met ? 'met' : 'missed'}).`,
  ];
}

function describeBoot(report: BootReport): string {
  const { targets } = report;
  const row = (title: string, figure: keyof BootReport['targets'], unit: string): string[] => {
    const { at_most, met } = targets[figure];
    return [title, `${number(report[figure], 2)} ${unit}`, `${at_most} ${unit}`, met ? 'yes' : 'no'];
  };
  return `From when Node is up until every domain has initialised, all on one core; medians.

${table(
  ['', 'measured', 'at most', 'met'],
  [
    row('63 domains', 'boot_63_seconds', 's'),
    row('1,000 domains', 'boot_1000_seconds', 's'),
    row('1,000 domains, peak memory', 'boot_1000_mb', 'MB'),
  ],
)}
`;
}

/** `simulated`: the machine's name, if it is none that is there. */
function describeScaling(
  { points, call_ns: callNs, ratio, predicted_ratio: predicted }: ScalingReport,
  simulated: string | undefined,
): string {
  const figures = table(
    ['cores', 'one image, calls/s', 'an image a core, calls/s', 'ratio', 'predicted', 'a line, ns'],
    points.map((point) => [
      `${point.cores}`,
      number(point.calls_per_second.one_image, 0),
      number(point.calls_per_second.image_per_cluster, 0),
      number(point.ratio),
      point.predicted_ratio === null ? '' : number(point.predicted_ratio),
      point.line_cost_ns === null ? '' : number(point.line_cost_ns, 0),
    ]),
  );
  const line = points.at(-1)!.line_cost_ns;
  const prediction =
    points.length === 1
      ? ONE_CORE
      : predicted === null || line === null
        ? `No line between two cores could be measured, so there is no prediction.`
        : `The argument for one image per cluster predicts ${times(predicted)}: a call is ${FASTPATHS_A_CALL} fastpaths, \
each touches about ${LINES_A_FASTPATH} lines
that another core of the image had last, and a line costs ${number(line, 0)} ns to bring over (the mean of all pairs \
of cores), so that
the ${number(callNs, 0)} ns of a call on one core become \
${number(callNs + FASTPATHS_A_CALL * LINES_A_FASTPATH * line, 0)}. It counts lines alone: that cores also wait for \
the kernel's lock comes on
top, and that independent pairs share fewer lines than ten comes off.`;
  const summary =
    points.length === 1
      ? ''
      : `On all cores, an image for each core makes ${times(ratio)} the calls of one image for all.\n`;
  const how =
    simulated === undefined
      ? 'medians over slices of 10 ms in which all cores were at work'
      : `means on the simulated machine ${simulated}, where programs compute nothing`;
  return `Pairs of a client and a server, one pair a core, none with anything to do with another. What all pairs together call
a second: ${how}.

${figures}

${summary}${prediction}
`;
}

function number(value: number, digits = 1): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function times(ratio: number): string {
  return `${number(ratio, ratio < 100 ? 1 : 0)} times`;
}

function verdict({ at_most, at_least, met }: Target): string {
  const target = at_most === undefined ? `at least ${at_least}` : `at most ${at_most}`;
  return `target: ${target}, ${met ? 'met' : 'missed'}`;
}
