// Spans on their way to a receiver: a real HTTP server that takes OTLP, answers as receivers do, or does not answer at all.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, test } from 'vitest';
import { systemClock } from '../../../src/server/clock.js';
import { type Span, SpanExporter } from '../../../src/server/observe/otlp.js';
import { otlpSettings } from '../../../src/server/observe/otlp-settings.js';
import { traceParent } from '../../../src/server/observe/trace-parent.js';

interface Taken {
  readonly headers: IncomingMessage['headers'];
  readonly path: string | undefined;
  readonly body: {
    readonly resourceSpans: readonly {
      readonly resource: object;
      readonly scopeSpans: readonly {
        readonly scope: object;
        readonly spans: readonly Readonly<Record<string, unknown>>[];
      }[];
    }[];
  };
}

type Answer = (reply: ServerResponse, nth: number) => void;
const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function receiver(
  answer: Answer,
): Promise<{ readonly url: string; readonly taken: Taken[]; readonly server: Server }> {
  const taken: Taken[] = [];
  const server = createServer((request, reply) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      taken.push({ headers: request.headers, path: request.url, body: JSON.parse(text) as Taken['body'] });
      answer(reply, taken.length);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  undo.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, taken, server };
}

/** Pauses of a second are a hundredth of one here. */
const quick: typeof systemClock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms / 100, run),
  every: (ms, run) => systemClock.every(ms / 100, run),
};

function exporter(
  endpoint: string,
  env: Readonly<Record<string, string>> = {},
  warned: object[] = [],
  clock = quick,
): SpanExporter {
  const settings = otlpSettings(endpoint, env);
  if (settings === undefined) throw new Error('no settings');
  const made = new SpanExporter({
    clock,
    settings,
    node: 'n-1',
    version: '1.2.3',
    warn: (details) => warned.push(details),
  });
  undo.push(() => made.stop());
  return made;
}

const span = (name: string): Span => ({
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: 'b7ad6b7169203331',
  name,
  kind: 'server',
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_001.5,
  attributes: { 'imgo.log': 'user:1', 'imgo.sessions': 2, 'imgo.share': 0.5, 'imgo.ok': true },
});
const spansOf = (taken: readonly Taken[]) =>
  taken.flatMap(({ body }) => body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));

it('a span arrives as OTLP has it: hex ids, nanoseconds as text, typed attributes, the process as its resource', async () => {
  const { url, taken } = await receiver((reply) => reply.end('{}'));
  const sender = exporter(url, {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x,tenant=a',
    OTEL_SERVICE_NAME: 'push',
  });
  sender.add(span('push'));
  sender.add({ ...span('bad'), error: 'store_full', parentId: undefined });
  await expect.poll(() => spansOf(taken).length).toBe(2);
  expect(taken[0]).toMatchObject({
    path: '/v1/traces',
    headers: { 'content-type': 'application/json', authorization: 'Bearer x', tenant: 'a' },
    body: {
      resourceSpans: [
        {
          resource: {
            attributes: [
              { key: 'service.name', value: { stringValue: 'push' } },
              { key: 'service.version', value: { stringValue: '1.2.3' } },
              { key: 'service.instance.id', value: { stringValue: 'n-1' } },
            ],
          },
          scopeSpans: [{ scope: { name: 'imgo', version: '1.2.3' } }],
        },
      ],
    },
  });
  expect(spansOf(taken)).toEqual([
    {
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
      parentSpanId: 'b7ad6b7169203331',
      name: 'push',
      kind: 2,
      startTimeUnixNano: '1700000000000250000',
      endTimeUnixNano: '1700000000001500000',
      attributes: [
        { key: 'imgo.log', value: { stringValue: 'user:1' } },
        { key: 'imgo.sessions', value: { intValue: '2' } },
        { key: 'imgo.share', value: { doubleValue: 0.5 } },
        { key: 'imgo.ok', value: { boolValue: true } },
      ],
    },
    expect.objectContaining({ name: 'bad', status: { code: 2, message: 'store_full' } }),
  ]);
  await expect.poll(() => sender.counters).toEqual({ exported: 2, dropped: { queue_full: 0, refused: 0, unsent: 0 } });
});

it('a receiver that is busy gets them again, each once', async () => {
  const { url, taken } = await receiver((reply, nth) => {
    reply.statusCode = nth < 3 ? 503 : 200;
    reply.end(nth < 3 ? 'busy' : '{}');
  });
  const warned: object[] = [];
  const sender = exporter(url, {}, warned);
  sender.add(span('one'));
  await expect.poll(() => sender.counters.exported).toBe(1);
  expect(taken.length).toBe(3);
  expect(warned).toEqual([{ receiver: `${url}/v1/traces`, status: 503 }]);
});

it('what a receiver refuses is counted and not sent again', async () => {
  const { url, taken } = await receiver((reply, nth) => {
    if (nth === 1) reply.statusCode = 400;
    reply.end('{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}');
  });
  const sender = exporter(url);
  sender.add(span('one'));
  await expect.poll(() => sender.counters.dropped.refused).toBe(1);
  sender.add(span('two'));
  sender.add(span('three'));
  await expect.poll(() => sender.counters.dropped.refused).toBe(2);
  expect(sender.counters.exported).toBe(1);
  expect(taken.length).toBe(2);
});

it('nobody there, or somebody who does not answer: the queue is bounded, what is too much is counted, a stop takes no time', async () => {
  const silent = await receiver(() => undefined);
  for (const url of ['http://127.0.0.1:1', silent.url]) {
    const warned: object[] = [];
    const sender = exporter(url, { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20canary' }, warned);
    for (let nth = 0; nth < 3_000; nth++) sender.add(span('x'));
    expect(sender.counters.dropped.queue_full).toBe(3_000 - 2_048);
    await sender.stop();
    expect(sender.counters.dropped.unsent).toBe(2_048);
    expect(JSON.stringify(warned)).not.toContain('canary');
  }
});

it('a stop sends what there is', async () => {
  const { url, taken } = await receiver((reply) => reply.end('{}'));
  const sender = exporter(url, {}, [], systemClock);
  for (let nth = 0; nth < 1_300; nth++) sender.add(span('x'));
  await sender.stop();
  expect(spansOf(taken).length).toBe(1_300);
  await expect
    .poll(() => sender.counters)
    .toEqual({ exported: 1_300, dropped: { queue_full: 0, refused: 0, unsent: 0 } });
});

describe('where they go', () => {
  test.each<[string, string | undefined, Readonly<Record<string, string>>, string | undefined]>([
    ['nobody', undefined, {}, undefined],
    ['the setting', 'http://a:4318', {}, 'http://a:4318/v1/traces'],
    [
      'the setting before the variables',
      'http://a:4318/',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b' },
      'http://a:4318/v1/traces',
    ],
    ['the variable', undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://b/otlp' }, 'https://b/otlp/v1/traces'],
    [
      'the variable for traces, as it is',
      undefined,
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c/x' },
      'http://c/x',
    ],
    [
      'nobody, switched off',
      undefined,
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b', OTEL_SDK_DISABLED: 'true' },
      undefined,
    ],
    [
      'nobody, no exporter',
      undefined,
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b', OTEL_TRACES_EXPORTER: 'none' },
      undefined,
    ],
    ['nobody, no address', undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: 'nonsense' }, undefined],
  ])('%s', (_name, setting, env, url) => {
    expect(otlpSettings(setting, env)?.url).toBe(url);
  });

  it('the resource is named by the variables', () => {
    const env = { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=eu%2C1,service.name=x', OTEL_SERVICE_NAME: 'y' };
    expect(otlpSettings('http://a', env)?.resource).toEqual({ 'service.name': 'y', 'deployment.environment': 'eu,1' });
    expect(otlpSettings('http://a', {})?.resource).toEqual({ 'service.name': 'imgo' });
    expect(otlpSettings('http://a', { OTEL_EXPORTER_OTLP_TIMEOUT: '250' })?.timeoutMs).toBe(250);
  });
});

describe('traceparent', () => {
  const ids = '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7';
  test.each<[string | undefined, boolean]>([
    [`00-${ids}-01`, true],
    [`00-${ids}-00`, false],
    [`00-${ids}-03`, true],
    [`cc-${ids}-01-more`, true],
    [`00-${ids}-01-more`, false],
    [`ff-${ids}-01`, false],
    [`00-${ids.toUpperCase()}-01`, false],
    [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, false],
    ['00-1-2-01', false],
    [undefined, false],
  ])('%s', (header, taken) => {
    const [traceId, spanId] = ids.split('-');
    expect(traceParent(header)).toEqual(taken ? { traceId, spanId } : undefined);
  });
});
