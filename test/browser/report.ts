// The bench report as a browser sees it: from a file, under its own policy, on a desk and on a phone; hostile texts stay texts.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { htmlReport } from '../../src/bench/report/html.js';
import { madeUpResult } from '../harness/bench-result.js';
import { openPage } from './chromium.js';

const HOSTILE = '</script><script>window.broken = true</script><img src=x onerror="window.broken = true">';

/** Draws a report of a long run with many processes in a page of its own; throws when something is not as it should be. */
export async function checkReport(browser: Browser, folder: string): Promise<void> {
  const made = madeUpResult({ measureSeconds: 600, processes: 56 });
  const samples = made.samples.map((sample) => ({ ...sample, failed: { [HOSTILE]: 3 } }));
  const result = {
    ...made,
    samples,
    command: HOSTILE,
    processes: made.processes.map((one) => ({ ...one, name: HOSTILE })),
  };
  const file = join(folder, 'report.html');
  writeFileSync(file, htmlReport(result, madeUpResult({ seed: 8 })));
  await using opened = await openPage(browser, pathToFileURL(file).href);
  const { page } = opened;
  const drawn = (await page.evaluate(`(async () => {
    const charts = JSON.parse(document.getElementById('drawing').textContent).charts;
    while (document.querySelectorAll('.uplot').length < charts.filter(({ kind }) => kind === 'lines').length) {
      await new Promise((next) => setTimeout(next, 20));
    }
    const canvas = document.querySelector('canvas.heat');
    const row = canvas.getContext('2d').getImageData(0, 2, canvas.width, 1).data;
    return {
      charts: charts.length,
      figures: document.querySelectorAll('figure').length,
      heats: document.querySelectorAll('canvas.heat').length,
      shades: new Set(row).size,
      elements: document.querySelectorAll('*').length,
      overflows: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      broken: window.broken === true,
      outside: performance.getEntriesByType('resource').length,
      saved: (await (await fetch(document.getElementById('save').href).catch(() => ({ text: () => 'refused' }))).text()),
    };
  })()`)) as Record<string, unknown>;
  assert.equal(drawn['figures'], drawn['charts']);
  assert.equal(drawn['heats'], 4);
  assert.ok(Number(drawn['shades']) > 10, 'the heat map has shades');
  assert.ok(Number(drawn['elements']) < 2_000, `${drawn['elements']} elements`);
  assert.deepEqual([drawn['overflows'], drawn['broken'], drawn['outside']], [false, false, 0]);
  assert.equal(drawn['saved'], 'refused', 'the policy lets the page reach nothing');
  process.stdout.write('ok: the report of a bench run draws itself, from a file, under its policy\n');
}
