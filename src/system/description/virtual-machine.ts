import { checkAttributes, identifier, number, required } from './attributes.js';
import { checkCpu, type Context } from './context.js';
import { parseMap } from './map.js';
import { parseScheduling } from './scheduling.js';
import type { MapDescription, VirtualCpu, VirtualMachine } from './types.js';
import type { Element } from './xml.js';

export function parseVirtualMachine(context: Context, element: Element): VirtualMachine {
  if (!context.architecture.hypervisor) {
    throw element.error('virtual machines are disabled: seL4 is not a hypervisor on this architecture');
  }
  const ownScheduling = context.arch === 'aarch64';
  checkAttributes(element, ownScheduling ? ['name', 'priority', 'budget', 'period'] : ['name']);
  const name = required(element, 'name');
  const vcpus: VirtualCpu[] = [];
  const maps: MapDescription[] = [];
  for (const child of element.children) {
    if (child.name === 'vcpu') vcpus.push(parseVcpu(context, child, name, vcpus));
    else if (child.name === 'map') {
      maps.push(parseMap(context, child, false, context.architecture.userTop));
    } else throw child.error(`invalid XML element '${child.name}'`);
  }
  if (vcpus.length === 0) throw element.error(`missing 'vcpu' element on virtual_machine: '${name}'`);
  return {
    name,
    ...(ownScheduling && { scheduling: parseScheduling(element) }),
    vcpus,
    maps,
    at: element.at,
  };
}

function parseVcpu(context: Context, element: Element, vm: string, others: VirtualCpu[]): VirtualCpu {
  checkAttributes(element, ['id', 'setvar_id', 'cpu']);
  const id = identifier(element);
  if (others.some((other) => other.id === id)) {
    throw element.error(`duplicate vcpu id ${id} in virtual machine '${vm}'`);
  }
  const cpu = number(element, 'cpu');
  if (cpu !== undefined) checkCpu(context, element, cpu);
  return { id, ...(cpu !== undefined && { cpu }), at: element.at };
}
