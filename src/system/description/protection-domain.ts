import { boolean, checkAttributes, identifier, number, required } from './attributes.js';
import { checkCpu, type Context } from './context.js';
import { parseIoPort } from './ioport.js';
import { parseIrq } from './irq.js';
import { parseMap } from './map.js';
import { parseScheduling } from './scheduling.js';
import { Setvars } from './setvar.js';
import { parseVirtualMachine } from './virtual-machine.js';
import type {
  IoPort,
  Irq,
  MapDescription,
  ProgramImage,
  ProtectionDomainDescription,
  VirtualMachine,
} from './types.js';
import type { Element } from './xml.js';

const DEFAULT_STACK = 0x2000;
const MIN_STACK = 0x1000;
const MAX_STACK = 16 * 1024 * 1024;

/** The one name that Microkit keeps for itself. */
const MONITOR = 'monitor';

const ATTRIBUTES = [
  'name',
  'priority',
  'budget',
  'period',
  'passive',
  'stack_size',
  'cpu',
  'smc',
  'fpu',
  'domain',
];

/** A domain of which all is known but what other domains and channels add to it. */
export interface Draft {
  readonly element: Element;
  readonly description: Omit<ProtectionDomainDescription, 'setvars' | 'capMaps'>;
  readonly setvars: Setvars;
  readonly cspace: Element | undefined;
}

/** Appends the domain and then, depth first, its children to `drafts`. */
export function parseProtectionDomain(
  context: Context,
  element: Element,
  drafts: Draft[],
  parent?: number,
): void {
  const isChild = parent !== undefined;
  checkAttributes(element, isChild ? [...ATTRIBUTES, 'id', 'setvar_id'] : ATTRIBUTES);
  const name = required(element, 'name');
  if (name === MONITOR) throw element.error(`the PD name '${MONITOR}' is reserved for the Microkit monitor`);
  const stackSize = parseStackSize(context, element);
  const contents = parseContents(context, element, name, stackSize);
  const { virtualMachine, children, setvars, cspace, ...rest } = contents;
  const domain = parseDomain(context, element);

  drafts.push({
    element,
    description: {
      name,
      ...parseScheduling(element),
      passive: boolean(element, 'passive', false),
      stackSize,
      smc: parseSmc(context, element),
      cpu: parseCpu(context, element),
      // A domain schedule is for one core.
      cpuPinned: element.attributes.has('cpu') || context.domainSchedule !== undefined,
      fpu: boolean(element, 'fpu', true),
      ...(domain !== undefined && { domain }),
      ...(isChild && { parent, childId: identifier(element) }),
      ...rest,
      ...(virtualMachine && { virtualMachine }),
      at: element.at,
    },
    setvars,
    cspace,
  });
  const index = drafts.length - 1;
  checkChildIds(name, children, virtualMachine);
  for (const child of children) {
    setvars.addId(child, identifier(child));
    parseProtectionDomain(context, child, drafts, index);
  }
  if (context.arch === 'x86_64' && virtualMachine !== undefined && children.length > 0) {
    // A virtual CPU that runs is interrupted by its domain's notification alone, not by its endpoint.
    throw element.error(`PD '${name}' with a virtual machine cannot have children on x86_64`);
  }
}

interface Contents {
  programImage: ProgramImage;
  maps: MapDescription[];
  irqs: Irq[];
  ioports: IoPort[];
  virtualMachine: VirtualMachine | undefined;
  children: Element[];
  setvars: Setvars;
  cspace: Element | undefined;
}

function parseContents(context: Context, element: Element, name: string, stackSize: number): Contents {
  const setvars = new Setvars();
  const [maps, irqs, ioports, children]: [MapDescription[], Irq[], IoPort[], Element[]] = [[], [], [], []];
  const singles = new Map<string, Element>();
  // The stack takes the top of the address space.
  const end = context.architecture.userTop - BigInt(stackSize);

  for (const child of element.children) {
    switch (child.name) {
      case 'program_image':
      case 'virtual_machine':
      case 'cspace':
        if (singles.has(child.name)) throw child.error(`${child.name} must only be specified once`);
        singles.set(child.name, child);
        break;
      case 'map': {
        const map = parseMap(context, child, true, end);
        setvars.addMap(context, child, map);
        maps.push(map);
        break;
      }
      case 'irq': {
        const irq = parseIrq(child, context.arch);
        setvars.addId(child, irq.id);
        irqs.push(irq);
        break;
      }
      case 'ioport': {
        const port = parseIoPort(child, context.arch);
        setvars.addId(child, port.id);
        setvars.add(child, child.attributes.get('setvar_addr'), {
          kind: 'ioport_addr',
          value: BigInt(port.addr),
        });
        ioports.push(port);
        break;
      }
      case 'setvar':
        setvars.addElement(context, child);
        break;
      case 'protection_domain':
        children.push(child);
        break;
      default:
        throw child.error(`invalid XML element '${child.name}'`);
    }
  }
  const image = singles.get('program_image');
  if (image === undefined) {
    throw element.error(`missing 'program_image' element on protection_domain: '${name}'`);
  }
  const vm = singles.get('virtual_machine');
  const virtualMachine = vm && parseVirtualMachine(context, vm);
  for (const vcpu of vm?.children ?? []) {
    if (vcpu.name === 'vcpu') setvars.addId(vcpu, identifier(vcpu));
  }
  return {
    programImage: parseProgramImage(image),
    maps,
    irqs,
    ioports,
    virtualMachine,
    children,
    setvars,
    cspace: singles.get('cspace'),
  };
}

function parseProgramImage(element: Element): ProgramImage {
  checkAttributes(element, ['path', 'path_for_symbols']);
  const path = required(element, 'path');
  const pathForSymbols = element.attributes.get('path_for_symbols');
  return { path, ...(pathForSymbols !== undefined && { pathForSymbols }), at: element.at };
}

function parseStackSize(context: Context, element: Element): number {
  const stackSize = number(element, 'stack_size') ?? DEFAULT_STACK;
  if (stackSize < MIN_STACK || stackSize > MAX_STACK) {
    throw element.error(
      `stack size must be between 0x${MIN_STACK.toString(16)} bytes and 0x${MAX_STACK.toString(16)} bytes`,
    );
  }
  const page = context.architecture.pageSizes[0];
  if (BigInt(stackSize) % page !== 0n) {
    throw element.error(`stack size must be aligned to the smallest page size, ${page} bytes`);
  }
  return stackSize;
}

function parseSmc(context: Context, element: Element): boolean {
  const smc = boolean(element, 'smc', false);
  if (smc && context.arch !== 'aarch64') {
    throw element.error('ARM SMC forwarding support is not available for this architecture');
  }
  return smc;
}

function parseCpu(context: Context, element: Element): number {
  const cpu = number(element, 'cpu') ?? 0;
  checkCpu(context, element, cpu);
  if (cpu > 0 && context.domainSchedule !== undefined) {
    throw element.error('the domain scheduler is not supported in multicore builds of seL4');
  }
  return cpu;
}

function parseDomain(context: Context, element: Element): number | undefined {
  if (context.domainSchedule === undefined) {
    const name = element.attributes.get('domain');
    if (name === undefined) return undefined;
    throw element.error(`specifying a domain '${name}' without declaring a domain schedule is not allowed`);
  }
  const name = required(element, 'domain');
  if (!Object.hasOwn(context.domainSchedule.domains, name)) {
    throw element.error(`domain '${name}' not declared in 'domains'`);
  }
  return context.domainSchedule.domains[name];
}

/** Children and virtual CPUs share their parent's identifiers. */
function checkChildIds(name: string, children: readonly Element[], vm: VirtualMachine | undefined): void {
  const ids = new Set<number>();
  for (const child of children) {
    const id = identifier(child);
    if (ids.has(id)) throw child.error(`duplicate id: ${id} in protection domain: '${name}'`);
    if (vm?.vcpus.some((vcpu) => vcpu.id === id)) {
      throw child.error(
        `duplicate id: ${id} clashes with virtual machine vcpu id in protection domain: '${name}'`,
      );
    }
    ids.add(id);
  }
}
