import type { PciDevice } from './types.js';

/** @param text `bus:device.function`, in hexadecimal. @returns the device, or what is wrong with the text. */
export function parsePciDevice(text: string): PciDevice | string {
  const match = /^([^:]*):([^.]*)\.(.*)$/s.exec(text);
  if (match === null) return 'expected PCI address in bus:device.function form';
  const part = (name: string, digits: string, max: number): number | string => {
    const trimmed = digits.trim();
    if (!/^-?[0-9a-fA-F]{1,16}$/.test(trimmed)) return `failed to parse PCI ${name}`;
    const value = Number.parseInt(trimmed, 16);
    return value >= 0 && value <= max ? value : `PCI ${name} must be within [0..${max}]`;
  };
  const bus = part('bus', match[1], 255);
  const device = part('device', match[2], 31);
  const fn = part('function', match[3], 7);
  if (typeof bus === 'string') return bus;
  if (typeof device === 'string') return device;
  if (typeof fn === 'string') return fn;
  return { bus, device, function: fn };
}

export function formatPciDevice({ bus, device, function: fn }: PciDevice): string {
  const byte = (value: number) => value.toString(16).padStart(2, '0');
  return `${byte(bus)}:${byte(device)}.${fn}`;
}
