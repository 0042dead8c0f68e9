// Tokens, keys and payloads: told to whom they belong, and written nowhere else.
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { call, setUp } from './setup.js';

test('no token, key or payload appears in a log line, an error or a metric', async () => {
  const canary = `canary${Math.random().toString(36).slice(2)}`;
  await using setup = await setUp({ http: { legacyHttp: { host: '127.0.0.1', port: 0 } } });
  const { http: base, legacyHttp } = setup.http.addresses();
  const legacy = legacyHttp as string;
  const seen: string[] = [];
  const ask = async (at: string, method: string, path: string, body?: string, headers = {}) => {
    const answer = await call(at, method, path, body, headers);
    if (!path.startsWith('/v1/users')) seen.push(answer.text, JSON.stringify([...answer.headers]));
    return answer;
  };
  const made = (await call(base, 'POST', '/v1/tokens', '{"user":"u"}')).json;
  await setup.open(made.token);
  const bodies = [
    `{"to":{"user":"u"},"message":"${canary}"}`,
    `{"to":{"user":"u"},"message":"${canary}`,
    `{"to":{"user":"u"},"message":${canary}}`,
    `{"to":{"user":"u"},"${canary}":1}`,
    `{"to":{"user":"u"},"base64":"${canary}!"}`,
    `{"to":{"user":"u"},"message":1,"ttl":"${canary}"}`,
    `{"to":{"user":"u"},"message":1,"idempotencyKey":"${canary} "}`,
    `${canary}`,
    `{"token":"${canary}","user":"u"}`,
    `{"user":"u","ttl":"${canary}"}`,
    `{"${canary}":1}`,
  ];
  for (const body of bodies) {
    for (const path of ['/v1/push', '/v1/push/batch', '/v1/tokens', '/v1/tokens/inspect', '/v1/keys', '/1/pushs']) {
      await ask(base, 'POST', path, body);
    }
    await ask(legacy, 'POST', '/1/push?uid=1', body);
    await ask(legacy, 'POST', '/goim/push/mids?operation=5&mids=1', body);
  }
  await ask(base, 'POST', '/1/admin/token/new', `uid=1&token=${canary}-that-is-long-enough`);
  await ask(base, 'POST', '/1/admin/token/new', `uid=2&token=${canary}-that-is-long-enough`);
  await ask(base, 'GET', `/1/msg/get?uid=1&token=${canary}`);
  await ask(base, 'GET', `/v1/nothing?token=${canary}`);
  await ask(base, 'GET', `/v1/tokens/${canary}`);
  await ask(base, 'DELETE', `/v1/tokens/${canary}`);
  await ask(base, 'DELETE', `/v1/sessions/${canary}`);
  await ask(base, 'GET', '/v1/stats', undefined, { authorization: `Bearer ${canary}` });
  const key = (await call(base, 'POST', '/v1/keys', '{"scopes":["admin"]}')).json;
  const auth = { authorization: `Bearer ${key.key}` };
  await ask(base, 'GET', '/v1/stats', undefined, { authorization: `Bearer ${canary}` });
  await ask(base, 'GET', '/v1/stats', undefined, { authorization: `Basic ${btoa(`x:${canary}`)}` });
  for (const path of ['/v1/stats', '/v1/nodes', '/metrics', '/v1/tokens', '/v1/keys', '/v1/sessions']) {
    expect((await ask(base, 'GET', path, undefined, auth)).status).toBe(200);
  }
  const said = seen.join('\n') + setup.logged();
  for (const secret of [canary, made.token, key.key]) expect(said).not.toContain(secret);
  // They are kept, where they belong.
  expect((await call(base, 'GET', '/v1/users/u/messages', undefined, auth)).text).toContain(canary);
});

test('what is not HTTP gets a 400 and nothing is repeated', async () => {
  await using setup = await setUp();
  const { hostname, port } = new URL(setup.http.addresses().http);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.end('canary nonsense\r\n\r\n'));
    let text = '';
    socket.on('data', (part) => (text += part));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('urn:imgo:error:invalid_request');
  expect(answer + setup.logged()).not.toContain('canary');
});

test('metrics have names by the rules and bounded labels', async () => {
  await using setup = await setUp();
  const base = setup.http.addresses().http;
  await call(base, 'POST', '/v1/push', '{"to":{"user":"u"},"message":1}');
  await call(base, 'POST', '/v1/push', 'x');
  const { text, headers } = await call(base, 'GET', '/metrics');
  expect(headers.get('content-type')).toMatch(/^text\/plain/);
  for (const line of [
    'imgo_push_accepted_total{target="user"} 1',
    'imgo_push_refused_total{code="invalid_request"} 1',
    'imgo_queue_waiting_messages 0',
    'imgo_store_writable 1',
    'imgo_comet_connections{worker="1"} 3',
    'imgo_comet_sessions{worker="1",dialect="native",transport="tcp"} 2',
    'imgo_comet_deliveries_total{worker="1",to="user"} 7',
    'imgo_comet_dropped_total{worker="1",reason="ephemeral_old"} 1',
    'imgo_push_accept_duration_seconds_count 1',
    'imgo_push_accept_duration_seconds_bucket{le="+Inf"} 1',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).not.toContain('user="');
  expect(text).toContain('process_cpu_seconds_total');
});

test('a connection above the bound is closed at once and counted', async () => {
  await using setup = await setUp({ http: { maxConnections: 1 } });
  const base = setup.http.addresses().http;
  const { hostname, port } = new URL(base);
  const first = connect(Number(port), hostname);
  await new Promise((resolve) => first.once('connect', resolve));
  const second = connect(Number(port), hostname);
  second.on('error', () => undefined);
  await new Promise((resolve) => second.once('close', resolve));
  first.destroy();
  await expect
    .poll(async () => (await call(base, 'GET', '/metrics').catch(() => undefined))?.text)
    .toMatch(/^imgo_http_refused_connections_total [1-9]/m);
});

test('readiness follows the store', async () => {
  await using setup = await setUp({ http: {} });
  const base = setup.http.addresses().http;
  expect((await call(base, 'GET', '/readyz')).json).toEqual({ ready: true, reasons: [] });
  setup.buckets.health = () => ({ writable: false, code: 'store_full', usedBytes: 1, counters: {} });
  const answer = await call(base, 'GET', '/readyz');
  expect([answer.status, answer.json]).toEqual([503, { ready: false, reasons: ['store_full'] }]);
  expect((await call(base, 'GET', '/healthz')).status).toBe(200);
});
