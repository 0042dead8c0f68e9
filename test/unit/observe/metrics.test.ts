// /metrics of a real server: what Prometheus reads, by its rules; every label from a table; each node its own figures only.

import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { connect } from '../../../src/client/index.js';
import { DISCONNECT } from '../../../src/protocol/disconnect.js';
import { ERRORS } from '../../../src/protocol/error-table.js';
import type { RoomId } from '../../../src/protocol/ids.js';
import { type RunningServer, startServer } from '../../../src/server/assemble.js';
import { systemClock } from '../../../src/server/clock.js';
import { Counters } from '../../../src/server/comet/counters.js';
import { FanOutCounters } from '../../../src/server/comet/fan-out.js';
import { loadConfig } from '../../../src/server/config-load.js';
import { ALERT_CODES } from '../../../src/server/observe/alerts.js';
import { COUNTERS, REASONS } from '../../../src/server/observe/comet-metrics.js';
import { Exposition } from '../../../src/server/observe/exposition.js';
import { METRICS, type MetricRow } from '../../../src/server/observe/metric-table.js';
import { metricsPage } from '../../../src/server/observe/metrics-page.js';
import { ProcessFigures } from '../../../src/server/observe/process-figures.js';
import { startProbes } from '../../../src/server/probes.js';
import { parseScrape, type Scraped } from './scrape.js';

const PROMTOOL = spawnSync('promtool', ['--version']).status === 0;

let server: RunningServer;
let text = '';
let scraped: ReadonlyMap<string, Scraped>;

const api = (method: string, path: string, body?: unknown) =>
  fetch(`${server.addresses.http}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

beforeAll(async () => {
  const settings = { 'listen.http': 0, 'listen.ws': 0, 'listen.tcp': 0, data: 'memory', 'rooms.join': 'open' };
  const flags = Object.entries(settings).map(([key, value]) => ({ key, value, where: key }));
  const { config } = loadConfig({ env: {}, flags, folder: tmpdir() });
  server = await startServer(config, { log: pino({ level: 'silent' }), version: '1.2.3"\\' });
  await api('GET', '/metrics');
  const { token } = (await (await api('POST', '/v1/tokens', { user: 'canary-user' })).json()) as { token: string };
  const opened = Promise.withResolvers<void>();
  const three = Promise.withResolvers<void>();
  let messages = 0;
  const client = connect(
    { url: server.addresses.ws as string, token, rooms: ['canary-room' as RoomId] },
    { opened: () => opened.resolve(), message: () => void (++messages === 3 && three.resolve()) },
  );
  await opened.promise;
  await api('POST', '/v1/push', { to: { user: 'canary-user' }, message: 'canary-payload' });
  await api('POST', '/v1/push', { to: { room: 'canary-room' }, message: 'canary-payload' });
  await api('POST', '/v1/push', { to: { all: true }, message: 'canary-payload', ttl: 0 });
  await api('POST', '/v1/push', { to: {} });
  await three.promise;
  text = await (await api('GET', '/metrics')).text();
  scraped = parseScrape(text);
  await client.close();
});
afterAll(() => server?.stop());

const value = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  scraped
    .get(name)
    ?.samples.filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted))
    .reduce((sum, sample) => sum + sample.value, 0);

describe('a scrape', () => {
  it('tells what happened', () => {
    expect(value('imgo_push_accepted_total', { target: 'user' })).toBe(1);
    expect(value('imgo_push_accepted_total', { target: 'ephemeral' })).toBe(1);
    expect(value('imgo_push_refused_total')).toBe(1);
    expect(value('imgo_comet_connections')).toBe(1);
    expect(value('imgo_comet_sessions', { dialect: 'native' })).toBe(1);
    expect(value('imgo_comet_rooms')).toBe(2);
    expect(value('imgo_comet_members')).toBe(2);
    expect(value('imgo_comet_ring_bytes')).toBeGreaterThan(0);
    expect(value('imgo_comet_deliveries_total', { to: 'user' })).toBe(1);
    expect(value('imgo_comet_deliveries_total', { to: 'room' })).toBe(2);
    expect(value('imgo_job_records_total', { outcome: 'appended' })).toBe(2);
    expect(value('imgo_ready')).toBe(1);
    expect(value('process_open_fds')).toBeGreaterThan(10);
    expect(value('process_max_fds')).toBeGreaterThan(value('process_open_fds') ?? 0);
    expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);
  });

  it('has no metric, type or label that is not in the table', () => {
    const shape = [...scraped].map(([name, { type, help, samples }]) => {
      const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels).filter((key) => key !== 'le')));
      return [name, { type, help, labels: [...labels].sort() }] as const;
    });
    const table = shape.map(([name]) => {
      const row = (METRICS as Readonly<Record<string, MetricRow>>)[name];
      return [name, { type: row?.type, help: row?.help, labels: [...(row?.labels ?? [])].sort() }];
    });
    expect(shape).toEqual(table);
  });

  it('has labels of tables only: as many as there are, however many users and rooms', () => {
    const known: Readonly<Record<string, readonly string[]>> = {
      worker: ['0'],
      code: [...Object.keys(ERRORS), ...ALERT_CODES],
      target: ['user', 'users', 'room', 'all', 'ephemeral'],
      dialect: ['native', 'imgo', 'goim1', 'goim2'],
      transport: ['tcp', 'ws'],
      to: ['user', 'room', 'user_ephemeral'],
      in: ['session', 'room'],
      of: ['user', 'room'],
      kind: ['minor', 'major', 'incremental', 'weakcb'],
      outcome: ['appended', 'repeated', 'not_appended', 'gone', 'poison'],
      state: ['sent', 'acknowledged', 'backlog'],
    };
    for (const [name, { samples }] of scraped) {
      if (name === 'imgo_build_info') continue;
      for (const { labels } of samples) {
        for (const [key, told] of Object.entries(labels)) if (key in known) expect(known[key]).toContain(told);
      }
    }
    expect(text).not.toContain('canary');
    expect(text.split('\n').length).toBeLessThan(600);
  });

  it('escapes what a label may not have', () => {
    expect(text).toContain('imgo_build_info{version="1.2.3\\"\\\\"');
  });

  it.skipIf(!PROMTOOL)('is clean to promtool', () => {
    const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: '', stdout: '' });
  });
});

test('every name in the table is clean to promtool and says what it means', () => {
  for (const [name, row] of Object.entries(METRICS) as [string, MetricRow][]) {
    expect(name).toMatch(/^(imgo|process|nodejs)_[a-z][a-z0-9_]*$/);
    expect(name.endsWith('_total')).toBe(row.type === 'counter');
    if (row.type === 'histogram') expect(name).toMatch(/_seconds$/);
    expect(name).not.toMatch(/_(ms|milliseconds|kib|mib|percent)(_|$)/);
    expect(row.help.length).toBeGreaterThan(10);
    expect(row.labels ?? []).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(user|room|session|log|device)$/)]),
    );
  }
});

test('whatever a comet counts has a metric', () => {
  const topics = Object.keys(new FanOutCounters()).map((name) => `topics_${snake(name)}`);
  const counted = [...Object.keys(new Counters().snapshot()), ...topics, 'pins_evicted', 'recovered_evicted'];
  expect(counted.sort()).toEqual(Object.keys(COUNTERS).sort());
});

test('every reason that a comet counts has a metric', () => {
  const files = globSync('src/server/comet/*.ts', { cwd: join(import.meta.dirname, '../../..') });
  const reasons = files.flatMap((file) =>
    [
      ...readFileSync(join(import.meta.dirname, '../../..', file), 'utf8').matchAll(
        /\.count\(\s*[^'`)]*['`]([^'`]+)['`]/g,
      ),
    ].map(([, reason = '']) => reason),
  );
  expect(reasons.length).toBeGreaterThan(20);
  expect(reasons.filter((reason) => REASONS[reason.slice(0, reason.indexOf('_'))] === undefined)).toEqual([]);
  expect(Object.keys(DISCONNECT).every((name) => /^[a-z_]+$/.test(name))).toBe(true);
});

test('an event loop that stood still counts for every look that fell into it', () => {
  let now = 0;
  let look = () => undefined as unknown;
  const clock = {
    ...systemClock,
    monotonic: () => now,
    every(_ms: number, run: () => void) {
      look = run;
      return { timer: 0 };
    },
  };
  const figures = new ProcessFigures(clock);
  const scrape = () => {
    const to = new Exposition();
    figures.write(to);
    const { samples = [] } = parseScrape(to.text()).get('imgo_eventloop_delay_seconds') ?? {};
    return (suffix: string, le?: string) =>
      samples.find((one) => one.name.endsWith(suffix) && one.labels['le'] === le)?.value;
  };
  expect(scrape()('_count')).toBe(0);
  now = 51;
  look();
  now = 51 + 550;
  look();
  const late = scrape();
  expect(late('_count')).toBe(1 + 11);
  expect(late('_bucket', '0.2')).toBe(1 + 5);
  figures.stop();
});

describe('who may read it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-metrics-'));
  const file = join(folder, 'metrics.key');
  writeFileSync(file, 'a-key-for-metrics-alone\n');
  afterAll(() => rmSync(folder, { recursive: true }));
  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
  const source = { text: async () => 'x 1\n' };

  it('a node without the API tells it on loopback, and elsewhere whoever has the key', async () => {
    const near = await startProbes({ host: '127.0.0.1', port: 0 }, () => [], {
      metrics: metricsPage(source, undefined),
    });
    expect(await (await fetch(`${near.address}/metrics`)).text()).toBe('x 1\n');
    await near.stop();
    const far = await startProbes({ host: '0.0.0.0', port: 0 }, () => [], { metrics: metricsPage(source, file) });
    const address = far.address.replace('0.0.0.0', '127.0.0.1');
    expect((await fetch(`${address}/metrics`)).status).toBe(401);
    expect((await fetch(`${address}/metrics`, bearer('another-key-altogether'))).status).toBe(401);
    const answer = await fetch(`${address}/metrics`, bearer('a-key-for-metrics-alone'));
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    await far.stop();
  });

  it('a key that can be guessed is none', () => {
    writeFileSync(join(folder, 'short'), 'secret\n');
    expect(() => metricsPage(source, join(folder, 'short'))).toThrow(
      expect.objectContaining({ code: 'file_unreadable' }),
    );
    expect(() => metricsPage(source, join(folder, 'none'))).toThrow(
      expect.objectContaining({ code: 'file_unreadable' }),
    );
  });
});

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
