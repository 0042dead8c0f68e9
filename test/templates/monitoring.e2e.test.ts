// templates/monitoring: every query of the dashboard and of the rules names what a server tells, the files are what the code says,
// and promtool takes them. What the rules do is tried by promtool as well, where it is.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { ALERTS } from '../../src/server/observe/alerts.js';
import { METRICS } from '../../src/server/observe/metric-table.js';
import { alertRules, RULES } from '../docs/alert-rules.js';
import { DASHBOARD, dashboard } from '../docs/dashboard.js';
import { type RunningServer, startServer } from '../harness/server.js';
import { FOLDER, read } from './files.js';

const PROMTOOL = spawnSync('promtool', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'imgo-monitoring-'));

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly id: number;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const panels = (JSON.parse(read('monitoring/grafana-dashboard.json')) as { readonly panels: readonly Panel[] }).panels;
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr })));

/** Told only once there is something to tell of it: a Kafka, a problem, an alert, a refusal. */
const NOT_ALWAYS = new Set([
  'imgo_problem',
  'imgo_spans_dropped_total',
  'imgo_queue_lag_messages',
  'imgo_queue_events_total',
  'imgo_comet_refused_total',
  'imgo_comet_closed_total',
  'imgo_comet_faults_total',
  'imgo_comet_failures_total',
]);

/** Names of metrics in a query, as series have them. */
function seriesIn(expr: string): readonly string[] {
  return [...expr.matchAll(/\b(?:imgo|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name);
}

function tool(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}` };
}

let server: RunningServer;
let scrape = '';

beforeAll(async () => {
  cpSync(join(FOLDER, 'monitoring'), folder, { recursive: true });
  writeFileSync(join(folder, 'metrics.key'), 'a-key-of-a-test-and-of-nothing-else\n');
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0', '--set', 'rooms.join=open'];
  server = await startServer(['--data', join(folder, 'data'), ...ports], { XDG_STATE_HOME: folder, HOME: folder });
  const { http, tcp, ws } = server.ready;
  const post = (path: string, body: unknown) => fetch(`${http}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const { token } = (await (await post('/v1/tokens', { user: 'u' })).json()) as { readonly token: string };
  const got = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const handlers = { opened: () => opened.resolve(), message: () => got.resolve() };
  const client = connect({ url: `tcp://${tcp}`, token, rooms: ['r' as RoomId] }, handlers);
  await opened.promise;
  await post('/v1/push', { to: { room: 'r' }, message: 1 });
  await post('/v1/push', { to: {}, message: 1 });
  await got.promise;
  await fetch(ws.replace('ws:', 'http:'));
  scrape = await (await fetch(`${http}/metrics`)).text();
  await client.close();
});
afterAll(async () => {
  await server?.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

describe('the dashboard', () => {
  it('is what the code says (npm run docs writes it)', () => {
    expect(readFileSync(join(FOLDER, '..', DASHBOARD), 'utf8')).toBe(dashboard());
  });

  it('has panels that are on the grid, one beside the other, each with a query', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { type, targets, gridPos } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      if (type !== 'row') expect(targets?.length).toBeGreaterThan(0);
    }
    for (const [at, { gridPos: one }] of panels.entries()) {
      for (const { gridPos: other } of panels.slice(at + 1)) {
        const apart =
          one.x + one.w <= other.x ||
          other.x + other.w <= one.x ||
          one.y + one.h <= other.y ||
          other.y + other.h <= one.y;
        expect(apart).toBe(true);
      }
    }
  });

  it('asks for what a running server tells, by name and by label', () => {
    expect(queries.length).toBeGreaterThan(50);
    const untold: string[] = [];
    for (const { expr } of queries) {
      for (const name of seriesIn(expr)) {
        const metric = name in METRICS ? name : name.replace(/_(bucket|sum|count)$/, '');
        expect(Object.keys(METRICS)).toContain(metric);
        if (!NOT_ALWAYS.has(metric) && !new RegExp(`^${name}[ {]`, 'm').test(scrape)) untold.push(name);
        const { labels = [] } = METRICS[metric as keyof typeof METRICS] as { readonly labels?: readonly string[] };
        for (const [, by = ''] of expr.matchAll(/by \(([^)]*)\)/g)) {
          for (const label of by.split(', ')) expect(['le', 'instance', ...labels]).toContain(label);
        }
      }
    }
    expect(untold).toEqual([]);
  });

  it('shows every metric of a comet, a job, the queue and the store that counts something lost', () => {
    const asked = queries.map(({ expr }) => expr).join('\n');
    const lost = Object.keys(METRICS).filter((name) => /refused|dropped|closed|gaps|lost|failures/.test(name));
    expect(lost.filter((name) => !asked.includes(name) && !name.startsWith('imgo_http_'))).toEqual([
      'imgo_queue_refused_total',
      'imgo_queue_dropped_total',
      'imgo_job_apply_failures_total',
    ]);
  });

  it.skipIf(!PROMTOOL)('is made of queries that Prometheus can read', () => {
    const rules = queries.map(({ expr }, at) => {
      const real = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
      return `      - { record: "q${at}", expr: ${JSON.stringify(real)} }`;
    });
    writeFileSync(join(folder, 'queries.yml'), `groups:\n  - name: queries\n    rules:\n${rules.join('\n')}\n`);
    expect(tool('check', 'rules', 'queries.yml')).toMatchObject({ status: 0 });
  });
});

describe('the rules', () => {
  it('are what the code says (npm run docs writes it), one for each alert of the table', () => {
    const text = readFileSync(join(FOLDER, '..', RULES), 'utf8');
    expect(text).toBe(alertRules());
    for (const code of Object.keys(ALERTS)) expect(text).toContain(`imgo_alert{code=\\"${code}\\"}`);
  });

  it('ask for what a running server tells', () => {
    const asked = [...read('monitoring/imgo.rules.yml').matchAll(/expr: (.*)/g)].flatMap(([, expr = '']) =>
      seriesIn(expr),
    );
    expect(asked.length).toBeGreaterThan(25);
    for (const code of Object.keys(ALERTS)) expect(scrape).toContain(`imgo_alert{code="${code}",severity=`);
    const told = (name: string) => new RegExp(`^${name}[ {]`, 'm').test(scrape);
    expect(asked.filter((name) => !NOT_ALWAYS.has(name) && !told(name))).toEqual([]);
  });

  it.skipIf(!PROMTOOL)('and the configuration are what Prometheus takes', () => {
    expect(tool('check', 'config', 'prometheus.yml')).toMatchObject({
      status: 0,
      said: expect.stringContaining('SUCCESS'),
    });
    expect(tool('check', 'rules', '--lint=all', '--lint-fatal', 'imgo.rules.yml')).toMatchObject({ status: 0 });
  });

  it.skipIf(!PROMTOOL)('say what they are to say, when they are to', () => {
    const severity = (series: string) => `${series}{instance="a:7172",job="imgo"}`;
    const alert = (name: string, labels: string) => `
      - eval_time: 12m
        alertname: ${name}
        exp_alerts: [${labels === '' ? '' : `{ exp_labels: { ${labels} } }`}]`;
    const input = [
      ['imgo_alert{code="fd_limit",severity="error",instance="a"}', '0x2 2x20'],
      ['imgo_alert{code="fd_limit",severity="error",instance="b"}', '0x2 2x20'],
      ['imgo_alert{code="window",severity="note",instance="a"}', '1x20'],
      ['imgo_alert{code="gaps",severity="warning",instance="a"}', '0x20'],
      [severity('up'), '1x5 0x15'],
      [severity('imgo_ready'), '1x20'],
      [severity('imgo_build_info'), '1x20'],
      [severity('process_start_time_seconds'), '1+0x6 2+1x13'],
      ['imgo_push_refused_total{code="store_full",instance="a"}', '0+5x20'],
      ['imgo_push_refused_total{code="invalid_request",instance="a"}', '0+5x20'],
    ];
    const cases = [
      alert('ImgoFdLimit', 'code: fd_limit, severity: critical'),
      alert('ImgoWindow', 'code: window, severity: info'),
      alert('ImgoGaps', ''),
      alert('ImgoDown', 'instance: "a:7172", job: imgo, severity: critical'),
      alert('ImgoNotReady', ''),
      alert('ImgoAbsent', ''),
      alert('ImgoRestarts', 'instance: "a:7172", job: imgo, severity: warning'),
      alert('ImgoPushesFail', 'code: store_full, severity: critical'),
      alert('ImgoQueueBehind', ''),
    ];
    const series = input.map(([name, values]) => `\n      - { series: '${name}', values: '${values}' }`).join('');
    // Texts are not compared: promtool would want them word for word.
    const bare = read('monitoring/imgo.rules.yml').replaceAll(/^ {8}annotations:\n(?: {10}.*\n)*/gm, '');
    writeFileSync(join(folder, 'bare.rules.yml'), bare);
    writeFileSync(
      join(folder, 'test.yml'),
      `rule_files: [bare.rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:${series}\n    alert_rule_test:${cases.join('')}\n`,
    );
    expect(tool('test', 'rules', 'test.yml')).toMatchObject({ status: 0, said: expect.stringContaining('SUCCESS') });
  });
});
