/** `--report FILE.html`: one page with plots, which needs nothing but itself to be viewed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { cannotWrite } from '../system/placement/file-error.js';

/** Lines over x; drawn where the page has an element of this id. */
export interface Chart {
  readonly id: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** Both axes. */
  readonly logarithmic: boolean;
  readonly lines: readonly {
    readonly name: string;
    readonly dashed?: boolean;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
}

export interface Section {
  readonly title: string;
  readonly text?: string;
  readonly charts?: readonly Chart[];
  readonly tables?: readonly HtmlTable[];
}

export interface HtmlTable {
  readonly title: string;
  readonly head: readonly string[];
  /** A number is shaded by its share of the table's greatest, where `shaded`. */
  readonly rows: readonly (readonly (string | number)[])[];
  readonly shaded?: boolean;
}

/** @throws FileError when it cannot be written. */
export function writeReport(file: string, title: string, sections: readonly Section[]): void {
  const style = readFileSync(createRequire(import.meta.url).resolve('uplot/dist/uPlot.min.css'), 'utf8');
  const page = buildSync({
    entryPoints: [fileURLToPath(new URL('./report-page.js', import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    legalComments: 'inline',
  }).outputFiles[0].text;
  // Inside a script element, nothing but this would end it.
  const data = JSON.stringify(sections.flatMap(({ charts = [] }) => charts)).replaceAll('<', '\\u003c');
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escape(title)}</title>
<style>${style}${STYLE}</style>
<h1>${escape(title)}</h1>
${sections.map(describe).join('\n')}
<script type="application/json" id="charts">${data}</script>
<script>${page.replaceAll('</script', '<\\/script')}</script>
</html>
`;
  try {
    writeFileSync(file, html);
  } catch (error) {
    throw cannotWrite('report', file, error);
  }
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222 }
.charts { display: flex; flex-wrap: wrap; gap: 1em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding: .3em 0 }
th, td { padding: .15em .6em; border: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }`;

function describe({ title, text, charts = [], tables = [] }: Section): string {
  return `<section>
<h2>${escape(title)}</h2>
${text === undefined ? '' : `<p>${escape(text)}</p>`}
<div class="charts">${charts.map(({ id }) => `<div id="${escape(id)}"></div>`).join('')}</div>
${tables.map(describeTable).join('\n')}
</section>`;
}

function describeTable({ title, head, rows, shaded = false }: HtmlTable): string {
  const most = Math.max(0, ...rows.flat().filter((cell) => typeof cell === 'number'));
  const cell = (value: string | number): string => {
    if (typeof value === 'string') return `<td>${escape(value)}</td>`;
    const share = shaded && most > 0 ? value / most : 0;
    const shade = share > 0 ? ` style="background: rgb(192 57 43 / ${(80 * share).toFixed(0)}%)"` : '';
    return `<td${shade}>${value.toLocaleString('en-US', { maximumFractionDigits: 1 })}</td>`;
  };
  return `<table><caption>${escape(title)}</caption>
<tr>${head.map((name) => `<th>${escape(name)}</th>`).join('')}</tr>
${rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n')}
</table>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
