/** Reads an element's attributes, with Microkit's rules and its words for what is wrong with them. */
import type { Element } from './xml.js';

/** Identifiers are bits of a 64-bit badge, of which one says that the event is a protected procedure call. */
const MAX_ID = 62;
const MAX_U64 = 2n ** 64n - 1n;

export function checkAttributes(element: Element, allowed: readonly string[]): void {
  for (const name of element.attributes.keys()) {
    if (!allowed.includes(name)) throw element.error(`invalid attribute '${name}'`);
  }
}

export function required(element: Element, name: string): string {
  const value = element.attributes.get(name);
  if (value === undefined) throw element.error(`Missing required attribute '${name}'`);
  return value;
}

/** An unsigned 64-bit integer: decimal, or hexadecimal after `0x`; underscores anywhere are ignored. */
export function integer(element: Element, name: string): bigint | undefined {
  const value = element.attributes.get(name);
  return value === undefined ? undefined : parseInteger(element, name, value);
}

export function requiredInteger(element: Element, name: string): bigint {
  return parseInteger(element, name, required(element, name));
}

/** As `integer`, for what is a JavaScript integer here. */
export function number(element: Element, name: string): number | undefined {
  const value = integer(element, name);
  return value === undefined ? undefined : toNumber(element, name, value);
}

export function requiredNumber(element: Element, name: string): number {
  return toNumber(element, name, requiredInteger(element, name));
}

/** The identifier of a channel, child, I/O port or virtual CPU: 0 to 62. */
export function identifier(element: Element): number {
  const id = requiredNumber(element, 'id');
  if (id > MAX_ID) throw element.error(`id must be < ${MAX_ID + 1}`);
  return id;
}

export function boolean(element: Element, name: string, otherwise: boolean): boolean {
  switch (element.attributes.get(name)) {
    case undefined:
      return otherwise;
    case 'true':
      return true;
    case 'false':
      return false;
    default:
      throw element.error(`${name} must be 'true' or 'false'`);
  }
}

export function oneOf<T extends string>(
  element: Element,
  name: string,
  values: readonly [T, T],
  otherwise: T,
): T {
  const value = element.attributes.get(name);
  if (value === undefined) return otherwise;
  const found = values.find((allowed) => allowed === value);
  if (found === undefined) throw element.error(`${name} must be either '${values[0]}' or '${values[1]}'`);
  return found;
}

/** @param name what the value is of, for the message. */
export function parseInteger(element: Element, name: string, value: string): bigint {
  const digits = value.replaceAll('_', '');
  const failure = (why: string) => element.error(`failed to parse integer '${value}' of ${name} (${why})`);
  if (/^-(0x[0-9a-f]+|\d+)$/i.test(digits)) throw element.error(`${name} must be >= 0`);
  // The length is checked first: BigInt() of a megabyte of digits takes minutes.
  if (digits.length > 128) throw failure('too long');
  if (!/^(0x[0-9a-fA-F]+|[0-9]+)$/.test(digits)) {
    throw failure(digits === '' ? 'it is empty' : 'invalid digit');
  }
  const parsed = BigInt(digits);
  if (parsed > MAX_U64) throw failure('it does not fit in 64 bits');
  return parsed;
}

function toNumber(element: Element, name: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw element.error(`${name} (${value}) is too large`);
  return Number(value);
}

/** As Microkit prints addresses. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
