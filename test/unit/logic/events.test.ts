// GET /v1/events: who may, which filters are refused and how, and how a stream begins and ends.

import { get } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/server/clock.js';
import { createKey } from '../../../src/server/logic/keys.js';
import { MAX_STREAMS } from '../../../src/server/logic/routes/events.js';
import { EventHub } from '../../../src/server/observe/hub.js';
import { until } from '../../harness/api.js';
import { EventReader, type Refused } from '../../harness/events.js';
import { call, type Setup, type SetupOptions, setUp } from './setup.js';

let hub: EventHub;
let setup: Setup;
let base: string;
const readers: EventReader[] = [];

async function start(more: SetupOptions = {}): Promise<void> {
  await setup?.[Symbol.asyncDispose]();
  setup = await setUp({ ...more, http: { hub, watched: async () => [{ node: 'n', service: hub }], ...more.http } });
  base = setup.http.addresses().http;
}

beforeEach(async () => {
  hub = new EventHub('n', systemClock);
  await start();
});

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await setup[Symbol.asyncDispose]();
  hub.stop();
});

async function open(query = '', headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
  const reader = await EventReader.begin(base, query, headers);
  readers.push(reader);
  return reader;
}

const refuse = async (query: string, headers: Readonly<Record<string, string>> = {}) =>
  (await EventReader.open(base, query, headers)) as Refused;

const push = (user: string) => call(base, 'POST', '/v1/push', JSON.stringify({ to: { user }, message: 1 }));

test('without a word about it a stream is lines of JSON, and shows what this logic accepts', async () => {
  const reader = await open('?event=accepted');
  expect(reader.answer.headers['content-type']).toMatch(/^application\/x-ndjson/);
  expect(reader.events[0]).toMatchObject({ event: 'watching', nodes: 1, sessions: 0, version: '0.0.0' });
  await push('7');
  expect(await reader.kind('accepted')).toMatchObject({ node: 'n', log: 'user:7', id: expect.any(String), bytes: 1 });
});

test('with Accept: text/event-stream it is SSE: a kind, a position, the event', async () => {
  const reader = await open('?event=accepted', { accept: 'text/event-stream' });
  expect(reader.answer.headers['content-type']).toMatch(/^text\/event-stream/);
  await push('7');
  const { at } = await reader.kind('accepted');
  expect(reader.text).toContain(`event: accepted\nid: ${at}\ndata: {"event":"accepted","at":${at},`);
  expect(reader.text.endsWith('\n\n')).toBe(true);
});

test('repeated parameters are alternatives, different ones must all hold', async () => {
  const reader = await open('?user=1&user=2&event=accepted,applied&event=notified');
  for (const user of ['3', '2', '1']) await push(user);
  await reader.next('the last', ({ log }) => log === 'user:1');
  expect(reader.events.flatMap(({ log }) => log ?? [])).toEqual(['user:2', 'user:1']);
});

test('a limit ends it, with a word; the nodes forget it', async () => {
  const reader = await open('?event=accepted&limit=2');
  for (const user of ['1', '2', '3']) await push(user);
  await until('the end', () => reader.ended);
  expect(reader.events.map(({ event }) => event)).toEqual(['watching', 'accepted', 'accepted', 'end']);
  await until('forgotten', () => hub.watches.length === 0);
});

describe.each([
  ['?event=opened', 'event'],
  ['?event=open,', 'event'],
  ['?sample=0', 'sample'],
  ['?sample=2', 'sample'],
  ['?sample=-0.1', 'sample'],
  ['?sample=most', 'sample'],
  ['?since=yesterday', 'since'],
  ['?since=2h', 'since'],
  ['?limit=0', 'limit'],
  ['?limit=1.5', 'limit'],
  ['?heartbeats=yes', 'heartbeats'],
  ['?payload=some', 'payload'],
  [`?user=${'x'.repeat(129)}`, 'user'],
  ['?room=%00', 'room'],
  ['?session=', 'session'],
  ['?usr=1', 'usr'],
])('%s', (query, parameter) => {
  test(`is refused and names ${parameter}`, async () => {
    const { status, headers, problem } = await refuse(query);
    expect(status).toBe(400);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(JSON.stringify(problem)).toContain(parameter);
    expect(hub.watches.length).toBe(0);
  });
});

test('an unknown node is not found', async () => {
  expect(await refuse('?node=z')).toMatchObject({ status: 404, problem: { code: 'node_not_found' } });
});

test('payloads are refused with what allows them, and shown where that is set', async () => {
  const { status, problem } = await refuse('?payload=full');
  expect([status, problem['code']]).toEqual([403, 'payloads_hidden']);
  expect(JSON.stringify(problem)).toContain('observe.payloads');
  await start({ options: { payloadsShown: true } });
  await open('?payload=full');
  expect(hub.watches.at(-1)?.matcher.payloads).toBe(true);
});

test('more streams than a logic sends are refused, and say when to come again; one that ends makes room', async () => {
  // A node serves fewer watches than a logic streams: none is asked here.
  await start({ http: { watched: async () => [] } });
  for (let at = 0; at < MAX_STREAMS; at++) await open();
  const { status, headers, problem } = await refuse('');
  expect([status, problem['code'], headers['retry-after']]).toEqual([429, 'too_many_streams', '1']);
  readers[5]?.close();
  await until('room', async () => {
    const again = await EventReader.open(base);
    if (again instanceof EventReader) readers.push(again);
    return again instanceof EventReader;
  });
});

test('a reader that goes away is noticed at once', async () => {
  const reader = await open();
  expect(hub.watches.length).toBe(1);
  reader.close();
  await until('forgotten', () => hub.watches.length === 0);
});

test('readers that go away before their stream begins leave nothing behind', async () => {
  const service = { watch: () => new Promise<never>(() => undefined), unwatch: async () => undefined };
  let asked = 0;
  const nodes = async () => {
    asked++;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return [{ node: 'n', service }];
  };
  await start({ http: { watched: nodes } });
  const calls = Array.from({ length: MAX_STREAMS }, () =>
    get(`${base}/v1/events`, { agent: false }).on('error', () => {}),
  );
  await until('all have come', () => asked === MAX_STREAMS);
  for (const call of calls) call.destroy();
  await until('room', async () => {
    const again = await EventReader.open(base);
    if (again instanceof EventReader) readers.push(again);
    return again instanceof EventReader;
  });
  // Streams that are left look for nodes every second.
  for (const reader of readers.splice(0)) reader.close();
  await until('nobody asks for nodes', async () => {
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    return asked === before;
  });
});

test('a key that is revoked ends the streams that it began', async () => {
  await start({ http: { development: false } });
  const made = (name: string) =>
    createKey(setup.credentials, systemClock, { name, scopes: ['admin'], ttlMs: undefined });
  const [good, bad] = [await made('good'), await made('bad')];
  const of = ({ secret }: { readonly secret: string }) => open('', { authorization: `Bearer ${secret}` });
  const [stays, goes] = [await of(good), await of(bad)];
  await setup.credentials.revokeKey(bad.record.id, systemClock.now());
  await until('the end', () => goes.ended);
  expect(goes.events.at(-1)).toMatchObject({ event: 'end', reason: 'refused' });
  expect(stays.ended).toBe(false);
  await until('forgotten', () => hub.watches.length === 1);
});

test('a server that stops ends its streams with a word', async () => {
  const reader = await open();
  await setup.http.stop();
  await until('the end', () => reader.ended);
  expect(reader.events.at(-1)).toMatchObject({ event: 'end', reason: 'shutdown' });
});

test('a stream needs the scope admin, and who opened it is logged by the name of the key, never by the key', async () => {
  await start({ http: { development: false } });
  const key = async (name: string, scope: 'read' | 'admin') =>
    (await createKey(setup.credentials, systemClock, { name, scopes: [scope], ttlMs: undefined })).secret;
  const [reads, rules] = [await key('dashboard', 'read'), await key('night shift', 'admin')];
  expect(await refuse('')).toMatchObject({ status: 401, problem: { code: 'key_missing' } });
  const headers = (secret: string) => ({ authorization: `Bearer ${secret}` });
  expect(await refuse('', headers(reads))).toMatchObject({ status: 403, problem: { code: 'scope_missing' } });
  await open('?user=7&event=open', headers(rules));
  const line = setup
    .logged()
    .split('\n')
    .find((text) => text.includes('a stream of events begins'));
  expect(JSON.parse(line ?? '')).toMatchObject({
    level: 30,
    key: 'night shift',
    filter: { users: ['7'], events: ['open'] },
  });
  expect(setup.logged()).not.toContain(rules);
});

test('a page of another origin can neither call it nor load it like a picture', async () => {
  const asked = [
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' },
    { host: 'rebound.example' },
  ];
  for (const headers of asked)
    expect(await refuse('', headers), JSON.stringify(headers)).toMatchObject({ status: 403 });
  expect(hub.watches.length).toBe(0);
  await open('', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' });
});

test('HEAD opens no stream', async () => {
  expect((await fetch(`${base}/v1/events`, { method: 'HEAD' })).status).toBe(405);
  expect(hub.watches.length).toBe(0);
});
