/**
 * The XML below a system description: elements with attributes and positions, and instructions to Atoll. What the
 * format does not use (document type declarations, and with them entities; text) is refused, and so is a file beyond
 * the limits here, so that a hostile one costs bounded memory and time.
 */
import { SaxesParser } from 'saxes';
import { DescriptionError } from './diagnostic.js';
import type { Position } from './types.js';

/** Characters of text. */
export const MAX_LENGTH = 16 * 1024 * 1024;
const MAX_ELEMENTS = 100_000;
const MAX_ATTRIBUTES = 64;
const MAX_DEPTH = 256;
/** How an instruction's name begins: no element's does. */
export const INSTRUCTION = '?atoll ';

export class Element {
  readonly attributes = new Map<string, string>();
  readonly children: Element[] = [];
  /** The instructions to Atoll in it, each as an element whose name begins with `INSTRUCTION`. */
  readonly instructions: Element[] = [];

  constructor(
    readonly name: string,
    readonly file: string,
    readonly at: Position,
  ) {}

  /** The error to throw when this element is at fault. */
  error(problem: string): DescriptionError {
    return new DescriptionError(problem, { file: this.file, at: this.at, element: this.name });
  }
}

/** @returns the root element. @throws DescriptionError */
export function parseXml(text: string, file: string): Element {
  if (text.length > MAX_LENGTH) {
    throw new DescriptionError(`the description is longer than ${MAX_LENGTH} characters`, { file });
  }
  const locate = locator(text);
  const parser = new SaxesParser({ position: false });
  const open: Element[] = [];
  let root: Element | undefined;
  let closed: Element | undefined;
  let elements = 0;

  const current = (): Element | undefined => open[open.length - 1];
  /** The start of the markup that the parser is reading: none contains another `<`. */
  const markupStart = (): Position => locate(text.lastIndexOf('<', parser.position - 1));
  const refuseText = (content: string): void => {
    const element = current();
    if (element !== undefined && content.trim() !== '') {
      throw new DescriptionError(`unexpected text found in element '${element.name}'`, {
        file,
        at: element.at,
      });
    }
  };

  parser.on('error', (error) => {
    // An element that another's closing tag closes has just been popped.
    const element = error.message.startsWith('unexpected close tag') ? closed : current();
    const inside = element === undefined ? '' : ` in element '${element.name}' of line ${element.at.line}`;
    throw new DescriptionError(`Could not parse the XML: ${error.message.replace(/\.$/, '')}${inside}`, {
      file,
      at: locate(parser.position),
    });
  });
  parser.on('doctype', () => {
    throw new DescriptionError('document type declarations are not allowed', {
      file,
      at: locate(text.lastIndexOf('<!DOCTYPE', parser.position)),
    });
  });
  parser.on('opentagstart', (tag) => {
    const element = new Element(tag.name, file, markupStart());
    if (++elements > MAX_ELEMENTS) throw element.error(`more than ${MAX_ELEMENTS} elements`);
    if (open.length >= MAX_DEPTH) throw element.error(`elements nested deeper than ${MAX_DEPTH}`);
    current()?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on('attribute', ({ name, value }) => {
    const element = current()!;
    if (element.attributes.has(name)) throw element.error(`duplicate attribute '${name}'`);
    if (element.attributes.size >= MAX_ATTRIBUTES)
      throw element.error(`more than ${MAX_ATTRIBUTES} attributes`);
    element.attributes.set(name, value);
  });
  parser.on('closetag', () => {
    closed = open.pop();
  });
  parser.on('processinginstruction', ({ target, body }) => {
    if (target !== 'atoll') return;
    const at = locate(text.lastIndexOf('<?atoll', parser.position - '?>'.length - body.length));
    if (root === undefined || current() !== root) {
      throw new DescriptionError("an instruction to Atoll must stand directly in the element 'system'", {
        file,
        at,
      });
    }
    if (++elements > MAX_ELEMENTS) throw root.error(`more than ${MAX_ELEMENTS} elements`);
    root.instructions.push(parseInstruction(body, file, at));
  });
  parser.on('text', refuseText);
  parser.on('cdata', refuseText);

  parser.write(text).close();
  return root!;
}

/** An instruction is written as the start of an element is: a name, then attributes. */
function parseInstruction(body: string, file: string, at: Position): Element {
  let parsed: Element | undefined;
  try {
    parsed = parseXml(`<${body}/>`, file);
  } catch (error) {
    if (!(error instanceof DescriptionError)) throw error;
  }
  if (parsed === undefined || parsed.children.length > 0 || parsed.instructions.length > 0) {
    throw new DescriptionError('an instruction to Atoll is written <?atoll NAME key="value" …?>', {
      file,
      at,
    });
  }
  const instruction = new Element(`${INSTRUCTION}${parsed.name}`, file, at);
  for (const [name, value] of parsed.attributes) instruction.attributes.set(name, value);
  return instruction;
}

/**
 * Turns indices into the text into positions; a line ends as XML 1.0, section 2.11 has it. Goes on from the index
 * asked for before, so that the positions of all elements together cost one pass over the text.
 */
function locator(text: string): (index: number) => Position {
  const start = text.startsWith('\ufeff') ? 1 : 0;
  let at = start;
  let line = 1;
  let column = 1;
  return (index) => {
    if (index < at) [at, line, column] = [start, 1, 1];
    for (; at < index; at++) {
      const unit = text.charCodeAt(at);
      const endsLine = unit === 0x0a || (unit === 0x0d && text.charCodeAt(at + 1) !== 0x0a);
      const lowSurrogate = unit >= 0xdc00 && unit <= 0xdfff;
      if (endsLine) [line, column] = [line + 1, 1];
      else if (!lowSurrogate) column++;
    }
    return { line, column };
  };
}
