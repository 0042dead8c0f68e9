/**
 * The report: one file that needs no network and runs no script but its own (its policy names both by their hash), readable
 * without it, with the whole result in it.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compareRuns } from '../compare.js';
import type { BenchResult } from '../figures.js';
import { drawingOf } from './charts.js';
import type { Chart, HeatMap } from './drawing.js';
import { html, jsonFor, Markup } from './markup.js';
import {
  assertions,
  breaks,
  circumstances,
  comparison,
  head,
  integrity,
  messages,
  reasons,
  roles,
  tiles,
  times,
  trust,
  work,
} from './sections.js';
import { titleOf } from './verdict.js';

const require = createRequire(import.meta.url);

/** Charts that want the whole width. */
const WIDE = new Set(['rates', 'latency', 'heat-cpu', 'heat-loop']);

/** The page of a run; `compared`: an earlier one, laid over it and judged beside it. */
export function htmlReport(result: BenchResult, compared?: BenchResult): string {
  const plot = readFileSync(require.resolve('uplot/dist/uPlot.iife.min.js'), 'utf8');
  const licence = readFileSync(require.resolve('uplot/LICENSE'), 'utf8').replaceAll('*/', '* /');
  const script = inline(`/*\nuPlot:\n${licence}*/\n${plot}\n${ownText('page.js')}`);
  const plotStyle = readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8');
  const style = inline(`${plotStyle}\n${ownText('page.css')}`);
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const drawing = drawingOf(result, compared);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>imgo bench: ${titleOf(result.plan)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
${head(result)}
${tiles(result)}
<div class="pair"><div class="stack">${assertions(result)}${integrity(result)}${breaks(result)}</div>${trust(result)}</div>
<div class="pair"><div class="stack">${messages(result)}${times(result)}</div><div class="stack">${work(result)}${roles(result)}${reasons(result)}</div></div>
${compared === undefined ? '' : comparison(compared, compareRuns(compared, result))}
<h2>Over time</h2>
<noscript><p class="muted">The charts are drawn by the script in this file; all figures stand in the tables.</p></noscript>
<div class="charts">${drawing.charts.map(frameOf)}</div>
${circumstances(result)}
<footer><p>The whole result is in this file. <a id="save" download="imgo-bench.json" hidden>Save it as JSON</a></p></footer>
</main>
<script type="application/json" id="result">${jsonFor(result)}</script>
<script type="application/json" id="drawing">${jsonFor(drawing)}</script>
<script>${script}</script>
</body>
</html>
`;
  return page.text;
}

/** Where a chart is drawn. */
function frameOf({ id, title, note }: Chart | HeatMap): Markup {
  return html`<figure id="chart-${id}" class="${WIDE.has(id) ? 'wide' : ''}"><figcaption><h3>${title}</h3><p>${note}</p></figcaption><div class="plot"></div></figure>
`;
}

/** A file beside this one. */
function ownText(file: string): string {
  return readFileSync(new URL(file, import.meta.url), 'utf8');
}

/** Text of our own and of uPlot inside of `<script>` and `<style>`: nothing in it may end the element. */
function inline(text: string): Markup {
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error('an inlined file would end its element');
  return new Markup(text);
}

function hashOf({ text }: Markup): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
