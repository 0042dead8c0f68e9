// Spans of a push, from the caller's trace to the sockets: a real server, with workers and without, and a receiver that takes OTLP.
// Nothing is sent where nobody asks, and a receiver that is away hurts nobody.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { type RunningServer, startServer } from '../harness/server.js';

interface Span {
  readonly node: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, string>> }[];
  readonly status?: { readonly code: number; readonly message: string };
}

const folder = mkdtempSync(join(tmpdir(), 'imgo-spans-'));
const spans: Span[] = [];
let receiver: Server;
let endpoint = '';
const undo: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  receiver = createServer((request, reply) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const { resourceSpans } = JSON.parse(text) as {
        resourceSpans: {
          resource: { attributes: Span['attributes'] };
          scopeSpans: { spans: Omit<Span, 'node'>[] }[];
        }[];
      };
      for (const { resource, scopeSpans } of resourceSpans) {
        const node = resource.attributes.find(({ key }) => key === 'service.instance.id')?.value['stringValue'] ?? '';
        spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, node }))));
      }
      reply.end('{}');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => receiver.once('listening', resolve));
  endpoint = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  spans.length = 0;
});
afterAll(async () => {
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

async function serve(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer['ready']> {
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0', '--set', 'rooms.join=open', '--set', 'fanout.window=0'];
  const server = await startServer(['--memory', ...ports, ...args], { XDG_STATE_HOME: folder, HOME: folder, ...env });
  undo.push(() => server.end('SIGTERM'));
  return server.ready;
}

async function enter(ready: RunningServer['ready'], user: string): Promise<{ readonly got: () => number }> {
  const { token } = (await (await post(ready, '/v1/tokens', { user })).json()) as { readonly token: string };
  const opened = Promise.withResolvers<void>();
  let got = 0;
  const client = connect(
    { url: `tcp://${ready.tcp}`, token, rooms: ['r' as RoomId] },
    { opened: () => opened.resolve(), message: () => void got++ },
  );
  undo.push(() => client.close());
  await opened.promise;
  return { got: () => got };
}

const post = (
  { http }: RunningServer['ready'],
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
) => fetch(`${http}${path}`, { method: 'POST', body: JSON.stringify(body), headers });
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';
const sampled = { traceparent: `00-${TRACE}-${CALLER}-01` };
const named = (name: string) => spans.filter((span) => span.name === name);
const value = ({ attributes }: Span, key: string) =>
  Object.values(attributes.find((one) => one.key === key)?.value ?? {})[0];

describe('a push whose caller is traced', () => {
  it('is a trace from the caller to the sockets, each span below the one before', async () => {
    const ready = await serve(['--set', `observe.otlp=${endpoint}`]);
    await enter(ready, 'u');
    const pushed = await post(ready, '/v1/push', { to: { user: 'u' }, message: 'canary' }, sampled);
    const { id } = (await pushed.json()) as { readonly id: string };
    await expect.poll(() => spans.length, { timeout: 15_000 }).toBe(5);
    const [push] = named('push');
    expect(spans.map(({ traceId }) => traceId)).toEqual(Array(5).fill(TRACE));
    expect(push).toMatchObject({ parentSpanId: CALLER, kind: 2 });
    const chain = ['push', 'accept', 'apply', 'notify', 'write'].map((name) => named(name)[0]);
    for (const [at, span] of chain.entries()) {
      if (at > 0) expect(span?.parentSpanId).toBe(chain[at - 1]?.spanId);
      expect(BigInt(span?.endTimeUnixNano ?? 0) >= BigInt(span?.startTimeUnixNano ?? 1)).toBe(true);
      if (at > 0 && span !== undefined)
        expect([value(span, 'imgo.log'), value(span, 'imgo.id')]).toEqual(['user:u', id]);
    }
    expect(value(chain[4] as Span, 'imgo.written')).toBe('1');
    expect(JSON.stringify(spans)).not.toContain('canary');
    const metrics = await (await fetch(`${ready.http}/metrics`)).text();
    expect(metrics).toContain('imgo_spans_exported_total{worker="0"} 5');
  });

  it('to a room is one span for each comet that has members, with counts, not one for each member', async () => {
    const ready = await serve(['--workers', '2', '--set', `observe.otlp=${endpoint}`]);
    const members = await Promise.all(Array.from({ length: 12 }, (_, nth) => enter(ready, `u${nth}`)));
    await post(ready, '/v1/push', { to: { room: 'r' }, message: 1 }, sampled);
    await expect.poll(() => members.map(({ got }) => got()), { timeout: 15_000 }).toEqual(Array(12).fill(1));
    const written = () => named('write').reduce((sum, span) => sum + Number(value(span, 'imgo.written')), 0);
    await expect.poll(written, { timeout: 15_000 }).toBe(12);
    expect(named('write').length).toBeLessThanOrEqual(2);
    // The parent sends those that tell, in its own time.
    const comets = () => new Map(named('notify').map((span) => [span.spanId, value(span, 'imgo.comet')]));
    const above = () => named('write').map(({ parentSpanId = '' }) => comets().get(parentSpanId));
    await expect.poll(above, { timeout: 15_000 }).toEqual(named('write').map(({ node }) => node));
  });

  it('that fails says why; what is not asked for is not traced', async () => {
    const ready = await serve(['--set', `observe.otlp=${endpoint}`]);
    await post(ready, '/v1/push', { to: { user: 'u' }, message: 1, ttl: 0, idempotencyKey: 'k' }, sampled);
    await post(ready, '/v1/push', { to: { user: 'u' }, message: 1 }, { traceparent: `00-${TRACE}-${CALLER}-00` });
    await post(ready, '/v1/push', { to: { user: 'u' }, message: 1 });
    await post(ready, '/v1/push', { to: { user: 'u' }, message: 1, trace: true });
    await expect.poll(() => named('push').length, { timeout: 15_000 }).toBe(2);
    expect(named('push')[0]).toMatchObject({ status: { code: 2, message: 'invalid_request' } });
    expect(named('push')[1]?.traceId).not.toBe(TRACE);
    expect(named('push')[1]?.parentSpanId).toBeUndefined();
  });

  it('in a batch is one span with its counts, and below it the lines that ask to be traced', async () => {
    const ready = await serve(['--set', `observe.otlp=${endpoint}`]);
    const line = (more: object) => JSON.stringify({ to: { user: 'u' }, message: 1, ...more });
    const body = [line({}), line({ trace: true }), line({ to: {} }), line({})].join('\n');
    const url = `${ready.http}/v1/push/batch`;
    const answer = await fetch(url, {
      method: 'POST',
      body,
      headers: { ...sampled, 'content-type': 'application/x-ndjson' },
    });
    expect((await answer.text()).split('\n')).toHaveLength(5);
    await expect.poll(() => named('batch').length + named('push').length, { timeout: 15_000 }).toBe(2);
    const [batch] = named('batch');
    expect(batch).toMatchObject({ traceId: TRACE, parentSpanId: CALLER });
    expect([value(batch as Span, 'imgo.lines'), value(batch as Span, 'imgo.refused')]).toEqual(['4', '1']);
    expect(named('push')[0]).toMatchObject({ traceId: TRACE, parentSpanId: batch?.spanId });
  });

  it.each([
    ['/1/push?uid=7', 'user'],
    ['/1/push/room?rid=7', 'room'],
    ['/1/push/all', 'all'],
    ['/goim/push/mids?operation=5&mids=7', 'users'],
    ['/goim/push/room?operation=5&type=live&room=7', 'room'],
    ['/goim/push/keys?operation=5&keys=k', 'keys'],
  ])('by the old API %s is a span below the caller', async (path, target) => {
    const ready = await serve(['--set', `observe.otlp=${endpoint}`]);
    expect((await post(ready, path, { test: 1 }, sampled)).status).toBe(200);
    await expect.poll(() => named('push').length, { timeout: 15_000 }).toBe(1);
    const [push] = named('push');
    expect(push).toMatchObject({ traceId: TRACE, parentSpanId: CALLER });
    expect(value(push as Span, 'imgo.target')).toBe(target);
  });

  it('the receiver may be named by the variables of OpenTelemetry', async () => {
    const ready = await serve([], { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME: 'push-eu' });
    await post(ready, '/v1/push', { to: { user: 'u' }, message: 1 }, sampled);
    await expect.poll(() => named('push').length, { timeout: 15_000 }).toBe(1);
  });
});

it('a receiver that is away hurts nobody', async () => {
  const ready = await serve(['--set', 'observe.otlp=http://127.0.0.1:1', '--set', 'observe.trace_sample=100%']);
  const member = await enter(ready, 'u');
  for (let nth = 0; nth < 50; nth++) {
    expect((await post(ready, '/v1/push', { to: { user: 'u' }, message: nth })).status).toBe(200);
  }
  await expect.poll(member.got, { timeout: 15_000 }).toBe(50);
  expect(await (await fetch(`${ready.http}/metrics`)).text()).toContain('imgo_spans_exported_total{worker="0"} 0');
});

it('where no receiver is named nothing is told of spans, and a traced caller is not traced here', async () => {
  const ready = await serve([]);
  const answer = (await (await post(ready, '/v1/push', { to: { user: 'u' }, message: 1 }, sampled)).json()) as object;
  expect(Object.keys(answer)).toEqual(['log', 'id']);
  expect(await (await fetch(`${ready.http}/metrics`)).text()).not.toContain('imgo_spans');
});
