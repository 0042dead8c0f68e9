// GET /v1/events of a real server with worker processes: one stream shows all of them, outlives them, and costs bounded
// memory when nobody reads it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { TestApi, until } from '../harness/api.js';
import { EventReader } from '../harness/events.js';
import { type RunningServer, startServer } from '../harness/server.js';
import { workersBelow } from '../harness/workers.js';

const MIB = 2 ** 20;

let folder: string;
let server: RunningServer;
const api = new TestApi(() => server.ready.http);
const clients: Client[] = [];
const readers: EventReader[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-events-test-'));
  server = await startServer(['--http', '0', '--ws', '0', '--tcp', '0', '--memory', '--workers', '2'], {
    XDG_STATE_HOME: join(folder, 'state'),
    TMPDIR: folder,
    IMGO_ROOMS__JOIN: 'open',
    IMGO_OBSERVE__PAYLOADS: 'allowed',
  });
});

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

async function open(query = ''): Promise<EventReader> {
  const reader = await EventReader.begin(server.ready.http, query);
  readers.push(reader);
  return reader;
}

async function listen(user: string): Promise<Client> {
  const opened = Promise.withResolvers<void>();
  const client = connect(
    { url: `tcp://${server.ready.tcp}`, token: await api.token(user), device: 'phone', rooms: ['r' as RoomId] },
    { message: () => undefined, opened: () => opened.resolve() },
  );
  clients.push(client);
  await opened.promise;
  return client;
}

const workers = () => workersBelow(folder);

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

it('shows what happens in every worker: lives of sessions, frames, sweeps, and the way of a message', async () => {
  const reader = await open('?payload=full&heartbeats=1');
  expect(reader.events[0]).toMatchObject({ event: 'watching', nodes: 3 });
  for (let at = 0; at < 8; at++) await listen(`u${at}`);
  await until('all of them', () => reader.count('open') === 8 && reader.count('join') === 8);
  const nodes = new Set(reader.events.filter(({ event }) => event === 'open').map(({ node }) => node));
  const id = await api.push({ user: 'u3' }, { secret: 'of u3' });
  const push = await reader.next('the push', ({ name, log }) => name === 'push' && log === 'user:u3');
  expect(push).toMatchObject({ user: 'u3', device: expect.stringContaining('phone'), id, ms: expect.any(Number) });
  expect(Buffer.from(String(push['body']), 'base64').toString()).toBe('{"secret":"of u3"}');
  await api.push({ room: 'r' }, 'room');
  const pushes = () => reader.events.filter(({ name, log }) => name === 'push' && log === 'room:r');
  await until('one of each member', () => pushes().length === 8);
  await until('a sweep of each worker', () => reader.count('flush') >= nodes.size);
  for (const kind of ['accepted', 'applied', 'notified']) {
    const one = await reader.next(kind, ({ event, log }) => event === kind && log === 'user:u3');
    expect(one).toMatchObject({ id });
  }
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await until('all closed', () => reader.count('close') === 8);
  expect(reader.count('dropped')).toBe(0);
});

it('a worker that is killed is missed, and back when it has been started again', async () => {
  await listen('u1');
  const reader = await open();
  const [victim] = workers() as [number];
  process.kill(victim, 'SIGKILL');
  const { node, reason } = (await reader.kind('missed')) as { node?: unknown; reason?: unknown };
  expect(node).toMatch(/\/[12]$/);
  expect(['unreachable', 'gone']).toContain(reason);
  expect(await reader.kind('back')).toMatchObject({ node });
  expect(reader.count('missed')).toBe(1);
  // The kernel spreads connections over the workers: some of them come to this one.
  let at = 2;
  await until('a session there', async () => {
    await listen(`u${at++}`);
    return reader.events.some((one) => one.event === 'open' && one.node === node);
  });
});

it('a stream that nobody reads costs bounded memory and delays nobody; what it missed is counted in it', async () => {
  for (let at = 0; at < 20; at++) await listen(`u${at}`);
  const reader = await open('?payload=full');
  reader.answer.pause();
  const payload = 'x'.repeat(20_000);
  // What goes through all processes once is what they keep for themselves.
  for (let n = 0; n < 200; n++) await api.push({ room: 'r' }, payload);
  const before = residentBytes(server.ready.pid);
  // Twenty members, each with a frame of 27 KB in base64: 540 MB of events.
  for (let n = 0; n < 1_000; n++) await api.push({ room: 'r' }, payload);
  expect(residentBytes(server.ready.pid) - before).toBeLessThan(150 * MIB);
  reader.answer.resume();
  await until('drops', () => reader.count('dropped') > 0);
  const seen = reader.events.filter(({ event }) => event === 'dropped');
  for (const one of seen) {
    expect(one).toMatchObject({
      count: expect.any(Number),
      reason: expect.stringMatching(/^(slow_reader|node_buffer)$/),
    });
  }
  const id = await api.push({ user: 'u1' }, 'after');
  await reader.next('what happens now', (event) => event['id'] === id);
});

it('ends with a word when the server stops', async () => {
  const reader = await open();
  await server.end('SIGTERM');
  await until('its end', () => reader.ended);
  expect(reader.events.at(-1)).toMatchObject({ event: 'end', reason: 'shutdown' });
});
