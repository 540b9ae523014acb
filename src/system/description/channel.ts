import { boolean, checkAttributes, identifier, required } from './attributes.js';
import type { ChannelDescription, ChannelEnd } from './types.js';
import type { Element } from './xml.js';

export function parseChannel(element: Element, pdByName: ReadonlyMap<string, number>): ChannelDescription {
  checkAttributes(element, []);
  const ends = element.children.map((child) => parseEnd(child, pdByName));
  const [a, b] = ends;
  if (a === undefined || b === undefined || ends.length > 2) {
    throw element.error('exactly two end elements must be specified');
  }
  if (a.pp && b.pp) throw element.error('cannot ppc bidirectionally');
  return { ends: [a, b], at: element.at };
}

function parseEnd(element: Element, pdByName: ReadonlyMap<string, number>): ChannelEnd {
  if (element.name !== 'end') throw element.error(`invalid XML element '${element.name}'`);
  checkAttributes(element, ['pd', 'id', 'pp', 'notify', 'setvar_id']);
  const name = required(element, 'pd');
  const id = identifier(element);
  const notify = boolean(element, 'notify', true);
  const pp = boolean(element, 'pp', false);
  const pd = pdByName.get(name);
  if (pd === undefined) throw element.error(`invalid PD name '${name}'`);
  return { pd, id, notify, pp, at: element.at };
}
