// What became of a message, asked of a real server over its API: step by step of one that everybody took, and for each reason
// a message that was lost to it, whose trace says so.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ShownTrace } from '../../src/cli/message/timeline.js';
import { encodeFrame, Op } from '../../src/protocol/frame.js';
import { parseId, type RoomId } from '../../src/protocol/ids.js';
import { encodeAck, NATIVE_VER } from '../../src/protocol/native.js';
import { encodeNativeAuth } from '../../src/protocol/native-json.js';
import { TestApi, until } from '../harness/api.js';
import { call } from '../harness/pusher.js';
import { type RunningServer, startServer } from '../harness/server.js';
import { RawTcp } from '../unit/comet/live.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-trace-'));
const env = {
  XDG_STATE_HOME: join(folder, 'state'),
  IMGO_DELIVERY__KEEP__MESSAGES: '5',
  IMGO_LIMITS__LAG__MAX: '64KiB',
  IMGO_ROOMS__JOIN: 'open',
  IMGO_FANOUT__WINDOW: '0s',
  IMGO_STORE__RESERVE: '1MiB',
};
let server: RunningServer;
const api = new TestApi(() => server.ready.http);
const clients: RawTcp[] = [];
let users = 0;
const aUser = (): string => `u${++users}`;

beforeAll(async () => {
  server = await startServer(['--memory', '--http', '0', '--tcp', '0', '--ws', '0', '--goim', '0'], env);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

interface Pushed {
  readonly log: string;
  readonly id: string | null;
  readonly trace: string;
}

async function push(to: object, message: unknown = 1, more: object = {}): Promise<Pushed> {
  const body = JSON.stringify({ to, message, trace: true, ...more });
  const answer = await call(`${server.ready.http}/v1/push`, 'POST', body);
  expect(answer.status, answer.body).toBe(200);
  return JSON.parse(answer.body) as Pushed;
}

async function get<T>(path: string, query: Record<string, string>): Promise<T> {
  const answer = await call(`${server.ready.http}${path}?${new URLSearchParams(query)}`, 'GET', undefined);
  return JSON.parse(answer.body) as T;
}

function trace({ log, id, trace: mark }: Pick<Pushed, 'log' | 'id'> & { trace?: string }): Promise<ShownTrace> {
  return get('/v1/trace', { log, id: id ?? `t-${mark}` });
}

/** The trace once its verdict is this. */
async function verdict(pushed: Pushed, outcome: string, reason: string | null): Promise<ShownTrace> {
  let last = await trace(pushed);
  await until(
    `${pushed.log}@${pushed.id} is ${outcome} (${reason}); it was ${JSON.stringify(last.verdict)}`,
    async () => {
      last = await trace(pushed);
      return last.verdict.outcome === outcome && last.verdict.reason === reason;
    },
  );
  return last;
}

async function native(auth: Parameters<typeof encodeNativeAuth>[0]): Promise<RawTcp> {
  const client = await RawTcp.open(server.ready.tcp);
  clients.push(client);
  client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth(auth)));
  await client.next(Op.AUTH_REPLY);
  return client;
}

async function goim(user: string, accepts: readonly number[], room = ''): Promise<RawTcp> {
  const client = await RawTcp.open(server.ready.goim ?? '');
  clients.push(client);
  const body = JSON.stringify({ mid: Number(user), key: '', room_id: room, platform: 'web', accepts });
  client.send(encodeFrame(1, Op.AUTH, 1, Buffer.from(body)));
  await client.next(Op.AUTH_REPLY);
  return client;
}

async function acknowledge(client: RawTcp, id: string | null): Promise<void> {
  const push = await client.next(Op.PUSH);
  expect(push.push?.id).toEqual(parseId(id ?? ''));
  client.send(encodeFrame(NATIVE_VER, Op.ACK, 2, encodeAck(parseId(id ?? '') ?? { epoch: 0, n: 0 })));
}

const joins = (room: string) => new Map([[room as RoomId, undefined]]);
const names = ({ steps }: ShownTrace): readonly string[] => steps.map(({ step }) => step);
const stepOf = ({ steps }: ShownTrace, name: string) => steps.find(({ step }) => step === name);

describe('a message that its user takes', () => {
  test('has every step, from accepted to acknowledged, in order', async () => {
    const user = aUser();
    const phone = await native({ token: await api.token(user), device: 'phone' });
    const pushed = await push({ user }, 'hello');
    await acknowledge(phone, pushed.id);
    const found = await verdict(pushed, 'acknowledged', null);
    expect(names(found).filter((name) => name !== 'notified')).toEqual([
      'accepted',
      'taken',
      'applied',
      'looked_up',
      'arrived',
      'written',
      'drained',
      'acknowledged',
    ]);
    expect(stepOf(found, 'notified')).toMatchObject({ ok: true });
    expect(stepOf(found, 'accepted')).toMatchObject({ bytes: 7, ttlMs: 7 * 86_400_000 });
    expect(stepOf(found, 'taken')).toMatchObject({ partition: 0, offset: parseId(pushed.id ?? '')?.n });
    expect(stepOf(found, 'looked_up')).toMatchObject({ sessions: 1 });
    expect(stepOf(found, 'acknowledged')).toMatchObject({ by: 'client', device: expect.stringContaining('phone') });
    expect(found.missing).toEqual([]);
    expect(JSON.stringify(found)).not.toContain('hello');
  });

  test('after it was away is followed to the device that comes for it', async () => {
    const user = aUser();
    const token = await api.token(user);
    const pushed = await push({ user });
    await verdict(pushed, 'kept', 'no_session');
    await acknowledge(await native({ token, device: 'phone' }), pushed.id);
    const found = await verdict(pushed, 'acknowledged', null);
    expect(stepOf(found, 'written')).toBeDefined();
    expect(stepOf(found, 'acknowledged')).toBeDefined();
  });

  test('that was not traced tells what the log and the cursors tell', async () => {
    const user = aUser();
    const token = await api.token(user);
    const id = await api.push({ user }, 1);
    const log = `user:${user}`;
    expect(await trace({ log, id })).toMatchObject({ mark: null, steps: [], verdict: { reason: 'no_session' } });
    await acknowledge(await native({ token, device: 'phone' }), id);
    await until('the cursor moves', async () => (await trace({ log, id })).verdict.outcome === 'acknowledged');
  });
});

describe('a message of a room', () => {
  test('has counts and a sample, never a step for each member', async () => {
    const room = 'many';
    const count = 40;
    for (let at = 0; at < count; at++) await native({ token: await api.token(aUser()), rooms: joins(room) });
    const pushed = await push({ room });
    const found = await verdict(pushed, 'delivered', null);
    await until('all were given it', async () => stepOf(await trace(pushed), 'swept')?.['written'] === count);
    expect(found.steps.length).toBeLessThan(12);
    expect(stepOf(found, 'written')).toBeUndefined();
    const sample = stepOf(await trace(pushed), 'swept')?.['sample'] as { readonly written: readonly string[] };
    expect(sample.written.length).toBe(8);
  });
});

describe('a message lost to', () => {
  test('no_session: nobody is online', async () => {
    await verdict(await push({ user: aUser() }), 'kept', 'no_session');
    await verdict(await push({ room: 'empty' }), 'kept', 'no_session');
  });

  test('expired: nobody came in time', async () => {
    const pushed = await push({ user: aUser() }, 1, { ttl: '200ms' });
    await verdict(pushed, 'lost', 'expired');
  });

  test('expired: a device that comes later gets a gap, and passing it is not taking it', async () => {
    const user = aUser();
    const token = await api.token(user);
    const first = await native({ token, device: 'phone' });
    await acknowledge(first, (await push({ user }, 'before')).id);
    await until('the cursor moves', async () => (await api.kept(user)).devices[0]?.cursor !== '0-0');
    first.destroy();
    const pushed = await push({ user }, 1, { ttl: '200ms' });
    await verdict(pushed, 'lost', 'expired');
    const again = await native({ token, device: 'phone' });
    await again.next(Op.GAP);
    const upTo = parseId(pushed.id ?? '') ?? { epoch: 0, n: 0 };
    again.send(encodeFrame(NATIVE_VER, Op.ACK, 2, encodeAck(upTo)));
    await until('the gap is passed', async () => (await api.kept(user)).devices[0]?.cursor === pushed.id);
    const found = await trace(pushed);
    expect(found.verdict).toMatchObject({ outcome: 'lost', reason: 'expired' });
    expect(names(found)).toContain('gap');
    expect(names(found)).not.toContain('acknowledged');
  });

  test('trimmed: its log was over its bounds', async () => {
    const user = aUser();
    const pushed = await push({ user }, 'first');
    for (let at = 0; at < 5; at++) await api.push({ user }, at);
    await verdict(pushed, 'lost', 'trimmed');
  });

  test('ephemeral: nobody was online, and it was never stored', async () => {
    const pushed = await push({ user: aUser() }, 1, { ttl: 0 });
    expect(pushed.id).toBeNull();
    const found = await verdict(pushed, 'lost', 'ephemeral');
    expect(found.message.state).toBe('ephemeral');
    await verdict(await push({ room: 'empty' }, 1, { ttl: 0 }), 'lost', 'ephemeral');
  });

  test('filtered: its session takes other operations', async () => {
    const user = String(900 + users++);
    await goim(user, [1000]);
    await verdict(await push({ user }), 'lost', 'filtered');
    const all = await push({ all: true });
    const found = await verdict(all, 'lost', 'filtered');
    expect(stepOf(found, 'swept')).toMatchObject({ filtered: 1, written: 0 });
  });

  test('revoked: its session ended with its token before it was taken', async () => {
    const user = aUser();
    const token = await api.token(user);
    const phone = await native({ token, device: 'phone' });
    const pushed = await push({ user });
    await phone.next(Op.PUSH);
    await verdict(pushed, 'delivered', null);
    const { items } = await get<{ items: { id: string }[] }>('/v1/tokens', { user });
    await call(`${server.ready.http}/v1/tokens/${items[0]?.id}`, 'DELETE', undefined);
    const found = await verdict(pushed, 'kept', 'revoked');
    expect(stepOf(found, 'closed')).toMatchObject({ reason: 'token_revoked', written: true });
    // And of one that comes after that.
    await verdict(await push({ user }), 'kept', 'revoked');
  });

  test('gap: its member read too slowly', async () => {
    const room = 'slow';
    const member = await native({ token: await api.token(aUser()), rooms: joins(room) });
    member.socket.pause();
    const large = 'x'.repeat(60_000);
    // Until the kernel takes no more, the ring (4 MiB) has gone on, and the member has lost its place.
    for (let at = 0; at < 400; at++) await api.push({ room }, large);
    const pushed = await push({ room }, 'small');
    await verdict(pushed, 'kept', null);
    await expect.poll(async () => stepOf(await trace(pushed), 'swept')).toMatchObject({ held: 1, written: 0 });
    member.socket.resume();
    await member.next(Op.GAP);
    const found = await verdict(pushed, 'lost', 'gap');
    expect(stepOf(found, 'gap')).toMatchObject({ reason: 'lag' });
  });
});

describe('what does not exist', () => {
  test('is not taken for something that expired, though its log has others', async () => {
    const user = aUser();
    const id = await api.push({ user }, 1);
    const [epoch = 0, n = 0] = id.split('-').map(Number);
    for (const other of [`1-1`, `${epoch}-${n - 1}`, `${epoch}-${n + 1}`]) {
      const answer = await call(`${server.ready.http}/v1/trace?log=user:${user}&id=${other}`, 'GET', undefined);
      expect([other, answer.status]).toEqual([other, 404]);
    }
  });

  test.each([
    ['user:1', '1-99999999', 404, 'message_not_found'],
    ['user:nobody-ever', '1-1', 404, 'message_not_found'],
    ['user:1', `t-${'0'.repeat(32)}`, 404, 'message_not_found'],
    ['user:1', '0-0', 400, 'message_name_invalid'],
    ['user:1', '1-01', 400, 'message_name_invalid'],
    ['client:1', '1-1', 400, 'message_name_invalid'],
  ])('%s@%s is %i', async (log, id, status, code) => {
    for (const path of ['/v1/trace', '/v1/messages']) {
      const answer = await call(`${server.ready.http}${path}?${new URLSearchParams({ log, id })}`, 'GET', undefined);
      expect([answer.status, JSON.parse(answer.body).code]).toEqual([status, code]);
    }
  });
});
