/** What runs in the page that `--report` writes: draws each chart of the page into its place. Bundled into the page. */
import uPlot from 'uplot';
import type { Chart } from './report-file.js';

/** What is used of a browser, whose types would otherwise be everywhere. */
declare const document: { getElementById(id: string): { textContent: string } };

const COLOURS = ['#c0392b', '#2471a3', '#1e8449', '#b7950b', '#7d3c98', '#566573', '#ba4a00', '#148f77'];

function draw({ id, title, x, y, logarithmic, lines }: Chart): void {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const scale = logarithmic ? { time: false, distr: 3, log: 2 } : { time: false };
  const options = {
    title,
    width: 560,
    height: 360,
    scales: { x: scale, y: logarithmic ? { distr: 3, log: 10 } : { range: [0, null] } },
    axes: [{ label: x }, { label: y, size: 70 }],
    series: [
      { label: x },
      ...lines.map(({ name, dashed }, at) => ({
        label: name,
        stroke: COLOURS[at % COLOURS.length],
        width: 2,
        spanGaps: true,
        points: { show: true, size: 6 },
        ...(dashed ? { dash: [6, 4] } : {}),
      })),
    ],
  };
  const columns = lines.map(({ points }) => {
    const values = new Map(points);
    return xs.map((at) => values.get(at) ?? null);
  });
  new uPlot(options as never, [xs, ...columns] as never, document.getElementById(id));
}

for (const chart of JSON.parse(document.getElementById('charts').textContent) as Chart[]) draw(chart);
