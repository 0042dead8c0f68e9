// The report is one file that trusts nothing that was put into it: no text of a run becomes markup or script, and its policy
// lets only its own run.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BenchResult } from '../../../src/bench/figures.js';
import { drawingOf } from '../../../src/bench/report/charts.js';
import type { Chart } from '../../../src/bench/report/drawing.js';
import { htmlReport } from '../../../src/bench/report/html.js';
import { html } from '../../../src/bench/report/markup.js';
import { madeUpResult } from '../../harness/bench-result.js';

const result = madeUpResult({ connections: 10_000, processes: 2, measureSeconds: 60 });

const HOSTILE = `</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> "'&\u2028`;

const BREAKS = {
  connections: 31,
  causes: { closed: 32 },
  returned: 32,
  away: 0,
  retries: {},
  awayMs: { p50: 410, p90: 500, p99: 1_200, p999: 2_000, max: 2_100 },
  resumed: 77,
  gapped: 0,
  missed: 5,
  lost: 0,
};

/** Texts of a run that come from outside, all of them hostile. */
function hostile(): BenchResult {
  const samples = result.samples.map((sample) => ({
    ...sample,
    failed: { [HOSTILE]: 3 },
    fanOut: { ...sample.fanOut, reasons: { [HOSTILE]: 2 } },
  }));
  return {
    ...result,
    command: HOSTILE,
    at: HOSTILE,
    cutShort: HOSTILE,
    notes: [HOSTILE],
    plan: {
      ...result.plan,
      server: HOSTILE,
      settings: [HOSTILE],
      mode: HOSTILE as 'room',
      transport: HOSTILE as 'tcp',
    },
    connections: { ...result.connections, failed: { [HOSTILE]: 3 } },
    client: { ...result.client, saturated: { is: true, reasons: [HOSTILE] } },
    assertions: [{ text: HOSTILE, metric: HOSTILE, holds: false, value: 1, shown: HOSTILE, byDefault: false }],
    processes: result.processes.map((one) => ({ ...one, name: HOSTILE })),
    versions: { imgo: HOSTILE, node: HOSTILE },
    machine: { ...result.machine, model: HOSTILE, kernel: HOSTILE },
    breaks: { ...BREAKS, causes: { [HOSTILE]: 2 }, retries: { [HOSTILE]: 1 } },
    samples,
  };
}

/** The contents of an element of the page. */
function within(page: string, opening: string, closing: string): string {
  const from = page.indexOf(opening);
  expect(from).toBeGreaterThan(-1);
  const start = from + opening.length;
  return page.slice(start, page.indexOf(closing, start));
}

test('what hostile texts say is shown, and nothing of it is markup', () => {
  const bad = hostile();
  const page = htmlReport(bad, { ...bad, plan: { ...bad.plan, settings: [] } });
  expect(page.match(/<script/g)).toHaveLength(3);
  expect(page.match(/<\/script/g)).toHaveLength(3);
  expect(page).not.toMatch(/<img|<!--/);
  expect(page).toContain('&lt;/script&gt;&lt;script&gt;alert(1)');
  const embedded = within(page, '<script type="application/json" id="result">', '</script>');
  expect(JSON.parse(embedded)).toEqual(JSON.parse(JSON.stringify(bad)));
});

test('the policy allows one script and one style, by hashes of what stands there, and no network', () => {
  const page = htmlReport(result);
  const policy = within(page, 'http-equiv="Content-Security-Policy" content="', '"');
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  expect(policy.split('; ')).toEqual([
    "default-src 'none'",
    `script-src ${hash(within(page, '<script>', '</script>'))}`,
    `style-src ${hash(within(page, '<style>', '</style>'))}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(page).not.toMatch(/ style="| on\w+="/);
  expect(page).not.toMatch(/<(?:link|script|img|iframe)[^>]+(?:src|href)="(?!data:)/);
});

test('a report of ten minutes and a hundred processes stays a page, not a table of 60,000 cells', () => {
  const large = madeUpResult({ measureSeconds: 600, processes: 56 });
  const page = htmlReport(large);
  const body = page.slice(page.indexOf('<body>'), page.indexOf('<script type="application/json"'));
  expect(body.match(/<\w/g)?.length).toBeLessThan(600);
  expect(page.length).toBeLessThan(4_000_000);
});

test.each(['room', 'user', 'all', 'mix', 'idle', 'connect', 'http'] as const)(
  'a run of mode %s has a report',
  (mode) => {
    const none = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
    const quiet = {
      offered: 0,
      accepted: 0,
      delivered: 0,
      expected: 0,
      latencies: [],
      latencyMs: none,
      reference: null,
      calibration: null,
    };
    const http = {
      requestsPerSecond: 9_000,
      latencyMs: none,
      non2xx: 0,
      errors: 0,
      bytesPerSecond: 1e6,
      requestsPerCpuSecond: 11_000,
    };
    const pushes = mode === 'idle' || mode === 'connect' || mode === 'http';
    const page = htmlReport({
      ...result,
      ...(pushes ? quiet : {}),
      plan: { ...result.plan, mode },
      http: mode === 'http' ? http : null,
    });
    expect(page).not.toMatch(/>[^<]*(NaN|undefined|Infinity)[^<]*<\/(dd|td|p|th|h1)>/);
    expect(page.includes('chart-rates')).toBe(!pushes);
  },
);

test('a run that ended before its first second has a report', () => {
  const page = htmlReport({ ...result, samples: [], processes: [], latencies: [], cutShort: 'the server ended' });
  expect(page).toContain('Cut short: the server ended.');
  expect(page).not.toContain('<figure');
});

const chart = (id: string, of: BenchResult = result, compared?: BenchResult): Chart => {
  const found = drawingOf(of, compared).charts.find((one) => one.id === id);
  if (found?.kind !== 'lines') throw new Error(`no chart ${id}`);
  return found;
};

test('what is drawn adds up to what was counted', () => {
  const { x, lines } = chart('rates');
  const total = (label: string) => {
    const line = lines.find((one) => one.label === label);
    return line?.values.reduce<number>((sum, value) => sum + (value ?? 0), 0) ?? Number.NaN;
  };
  expect(x.length).toBe(result.samples.filter(({ phase }) => phase !== 'connect').length);
  for (const label of ['offered', 'accepted', 'delivered']) expect(total(label) / result.expected).toBeCloseTo(1, 2);
});

test('the curve only rises, and passes the median and the percentiles', () => {
  const { x, lines } = chart('curve');
  const [line] = lines;
  expect(line?.values.at(-1)).toBeGreaterThanOrEqual(result.latencyMs.p999);
  expect(line?.values.at(-1)).toBeLessThanOrEqual(result.latencyMs.max);
  const at = (tenths: number) => line?.values[x.findIndex((value) => value >= tenths)] ?? Number.NaN;
  expect(at(-Math.log10(0.5))).toBeGreaterThanOrEqual(result.latencyMs.p50);
  expect(at(2)).toBeGreaterThanOrEqual(result.latencyMs.p99);
  expect(line?.values.every((value, index, all) => index === 0 || (value ?? 0) >= (all[index - 1] ?? 0))).toBe(true);
});

test('a run to compare with is laid over from the first message, whatever its connections took', () => {
  const slow = madeUpResult({ connections: 100_000, processes: 2, measureSeconds: 60, seed: 3 });
  const laid = chart('latency', result, slow).lines.filter(({ dashed }) => dashed);
  expect(laid.map(({ label }) => label)).toEqual(['p50, compared', 'p99, compared']);
  const first = (of: BenchResult) =>
    of.samples.find(({ latencyMs }) => latencyMs !== null)?.latencyMs?.p50 ?? Number.NaN;
  const { lines } = chart('latency', result, slow);
  const index = lines[0]?.values.findIndex((value) => value !== null) ?? -1;
  expect(laid[0]?.values[index]).toBeCloseTo(first(slow), -1);
});

test('a logarithmic axis is for what lies far apart', () => {
  expect(chart('latency').log).toBeUndefined();
  const samples = result.samples.map((sample) => ({
    ...sample,
    latencyMs: sample.latencyMs && { ...sample.latencyMs, max: 60_000 },
  }));
  expect(chart('latency', { ...result, samples }).log).toBe(true);
});

test('reasons are lines of their own, also those with names of old', () => {
  const samples = result.samples.map((sample, at) => ({
    ...sample,
    failed: at < 3 ? {} : { __proto__x: 1, constructor: 4 },
  }));
  expect(
    chart('failures', { ...result, samples }).lines.map(({ label, values }) => [label, values[0], values[5]]),
  ).toEqual([
    ['constructor', 0, 4],
    ['__proto__x', 0, 1],
  ]);
});

test('connections that broke have a box, and a line of those that are away', () => {
  const samples = result.samples.map((sample, at) => ({ ...sample, away: at === 9 ? 31 : 0 }));
  const broke = { ...result, samples, breaks: BREAKS };
  expect(htmlReport(broke)).toContain('Connections that broke');
  const away = chart('connect', broke).lines.find(({ label }) => label === 'away');
  expect(away?.values.reduce((sum: number, value) => sum + (value ?? 0), 0)).toBe(31);
  expect(htmlReport(result)).not.toContain('Connections that broke');
  expect(drawingOf(result).charts.map(({ id }) => id)).not.toContain('connect');
});

test('a template escapes what is put into it, and lists of that', () => {
  expect(html`<p title="${'"'}">${['<', html`<b>${'&'}</b>`, null, undefined, 0]}</p>`.text).toBe(
    '<p title="&quot;">&lt;<b>&amp;</b>0</p>',
  );
});
