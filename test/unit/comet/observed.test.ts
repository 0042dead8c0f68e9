// What a comet tells those who watch, with real clients of every dialect.

import { describe, expect, test } from 'vitest';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { encodeGoimAuth } from '../../../src/protocol/goim.js';
import { formatId, type LogName, type RoomId, userLog } from '../../../src/protocol/ids.js';
import { encodeClientJson } from '../../../src/protocol/imgo-json.js';
import { encodeAck, NATIVE_SUBPROTOCOL, NATIVE_VER } from '../../../src/protocol/native.js';
import { encodeJoin, encodeNativeAuth, encodeRoomRequest } from '../../../src/protocol/native-json.js';
import type { EventFilter } from '../../../src/server/observe/events.js';
import { until } from '../../harness/api.js';
import { type Live, livePerTest, type RawTcp, RawWs } from './live.js';
import { type Seen, Watching } from './watched.js';

const start = livePerTest();

const watch = (server: Live, filter?: EventFilter) => Watching.begin(server.hub, filter);
const native = (op: number, seq: number, body?: Uint8Array) => encodeFrame(NATIVE_VER, op, seq, body);
const isPush = ({ event, name }: Seen) => event === 'frame' && name === 'push';
const KIB = 1024;

async function nativeWs(server: Live, user: string): Promise<RawWs> {
  const client = await server.ws(NATIVE_SUBPROTOCOL);
  client.send(
    native(
      Op.AUTH,
      1,
      encodeNativeAuth({ token: await server.token(user), rooms: new Map([['r' as RoomId, undefined]]) }),
    ),
  );
  await client.next(Op.AUTH_REPLY);
  return client;
}

const DIALECTS: readonly (readonly [string, (server: Live) => Promise<unknown>])[] = [
  [
    'native over TCP',
    async (server) => server.native({ token: await server.token('7'), rooms: new Map([['r' as RoomId, undefined]]) }),
  ],
  ['native over WebSocket', (server) => nativeWs(server, '7')],
  ['imgo over TCP', async (server) => server.imgo(await server.token('7', undefined, ['r']))],
  [
    'imgo over WebSocket',
    async (server) => {
      const client = await server.ws();
      client.send(encodeClientJson(0, Op.AUTH, 1, await server.token('7', undefined, ['r'])));
      await client.next(Op.AUTH_REPLY);
    },
  ],
  [
    'goim over TCP',
    async (server) => {
      const client = await server.tcp('goim');
      client.send(encodeFrame(1, Op.AUTH, 5, encodeGoimAuth({ mid: '7', room: 'r', accepts: [5] })));
      await client.next(Op.AUTH_REPLY);
    },
  ],
  [
    'goim over WebSocket',
    async (server) => {
      const client = await RawWs.open(`ws://${server.comet.addresses().goim}/sub`, undefined, {});
      server.clients.push(client);
      client.send(encodeFrame(1, Op.AUTH, 5, encodeGoimAuth({ mid: '7', room: 'r', accepts: [5] })));
      await client.next(Op.AUTH_REPLY);
    },
  ],
];

describe.each(DIALECTS)('a watched session that speaks %s', (_name, open) => {
  const options = { listen: { goim: { host: '127.0.0.1', port: 0 } }, fanout: { windowMs: 100 } };

  test('shows each push with its log, id and time, from the user’s log, a room and all, in order', async () => {
    const server = await start(options);
    const watching = await watch(server, { users: ['7'] });
    await open(server);
    expect(await watching.kind('open')).toMatchObject({ user: '7', node: 'c-1', session: expect.any(String) });
    const expected: [LogName, string][] = [];
    for (let n = 0; n < 3; n++) expected.push([userLog('7' as never), formatId(await server.push('7', `"u${n}"`))]);
    await watching.next('the last of the user', ({ id }) => id === expected[2]?.[1]);
    for (let n = 0; n < 3; n++) expected.push(['room:r' as LogName, formatId(await server.pushRoom('r', `"r${n}"`))]);
    await watching.next('the last of the room', ({ log, id }) => log === 'room:r' && id === expected[5]?.[1]);
    expected.push(['all' as LogName, formatId(await server.pushAll('"a"'))]);
    await watching.next('that of all', ({ log }) => log === 'all');
    const pushes = watching.events.filter(isPush);
    expect(pushes.map(({ log, id }) => [log, id])).toEqual(expected);
    for (const push of pushes) {
      expect(push).toMatchObject({ direction: 'out', op: 5, ms: expect.any(Number), header: { op: 5 } });
      expect(push['body']).toBeUndefined();
      expect(push['bytes']).toBeGreaterThan(16);
    }
    expect(watching.dropped).toBe(0);
  });

  test('payloads are shown where they are asked for, byte for byte', async () => {
    const server = await start(options);
    const watching = await watch(server, { payload: 'full' });
    const hidden = await watch(server);
    await open(server);
    await server.push('7', '{"a": 1 }');
    const push = await watching.next('the push', isPush);
    expect(Buffer.from(String(push['body']), 'base64').toString()).toBe('{"a": 1 }');
    expect((await hidden.next('the push', isPush))['body']).toBeUndefined();
  });
});

test('opening a session shows no token, in whichever frame', async () => {
  const server = await start();
  const watching = await watch(server, { payload: 'full', heartbeats: true });
  const token = await server.token('7');
  const client = await server.native({ token });
  client.send(native(Op.HEARTBEAT, 2));
  await watching.next('its heartbeat', ({ name }) => name === 'heartbeat_reply');
  expect(JSON.stringify(watching.events)).not.toContain(token);
  expect(watching.events.map(({ event, name }) => name ?? event)).toEqual([
    'open',
    'auth_reply',
    'heartbeat',
    'heartbeat_reply',
  ]);
});

test('heartbeats are left out unless they are asked for', async () => {
  const server = await start();
  const watching = await watch(server, { events: ['frame'] });
  const client = await server.native({ token: await server.token('7') });
  client.send(native(Op.HEARTBEAT, 2));
  await client.next(Op.HEARTBEAT_REPLY);
  await server.push('7', 'x');
  await watching.next('the push', isPush);
  expect(watching.events.map(({ name }) => name)).toEqual(['auth_reply', 'push']);
});

test('an acknowledgement says of what, and how long after the message was given to the socket', async () => {
  const server = await start();
  const watching = await watch(server, { users: ['7'] });
  const client = await server.native({ token: await server.token('7') });
  await server.push('7', 'x');
  const id = await server.push('7', 'y');
  await client.bodiesCount(2);
  client.send(native(Op.ACK, 3, encodeAck(id)));
  const ack = await watching.next('the ack', ({ name }) => name === 'ack');
  expect(ack).toMatchObject({ direction: 'in', log: 'user:7', id: formatId(id), ms: expect.any(Number), bytes: 28 });
});

test('what may have been delivered before says so', async () => {
  const server = await start();
  const token = await server.token('7', 'phone');
  const first = await server.native({ token });
  await server.push('7', 'x');
  await first.bodiesCount(1);
  const watching = await watch(server, { users: ['7'] });
  first.destroy();
  await watching.kind('close');
  await server.native({ token });
  expect(await watching.next('it again', isPush)).toMatchObject({ redelivered: true, header: { flags: 1 } });
});

test('a session that ends says why, and for how long it was there', async () => {
  const server = await start();
  const watching = await watch(server);
  const kicked = await server.native({ token: await server.token('7', 'phone') });
  await server.comet.service.disconnect({ kind: 'user', user: '7' as never }, 'kicked');
  await kicked.end();
  const close = await watching.kind('close');
  expect(close).toMatchObject({ user: '7', device: 'phone', code: 4103, reason: 'kicked', openMs: expect.any(Number) });
  const left = await server.native({ token: await server.token('8') });
  left.destroy();
  expect(await watching.next('the other', ({ event, user }) => event === 'close' && user === '8')).toMatchObject({
    code: 0,
    reason: 'gone',
  });
});

test('who watches a room sees who joins it and leaves it, and frames of its members only while they are there', async () => {
  const server = await start();
  const watching = await watch(server, { rooms: ['r'] });
  const client = await server.native({ token: await server.token('7') });
  await server.push('7', 'before');
  await client.bodiesCount(1);
  client.send(native(Op.JOIN, 2, encodeJoin('r' as RoomId)));
  await client.next(Op.JOIN_REPLY);
  expect(await watching.kind('join')).toMatchObject({ user: '7', room: 'r' });
  await server.push('7', 'within');
  await client.bodiesCount(2);
  client.send(native(Op.LEAVE, 3, encodeRoomRequest('r' as RoomId)));
  await client.next(Op.LEAVE_REPLY);
  await server.push('7', 'after');
  await client.bodiesCount(3);
  expect(await watching.kind('leave')).toMatchObject({ user: '7', room: 'r' });
  await watching.fetch();
  expect(watching.events.filter(isPush).length).toBe(1);
  expect(watching.sessions).toBe(0);
});

test('a session that is in several of the rooms that are watched counts once, until it has left the last', async () => {
  const server = await start();
  const watching = await watch(server, { rooms: ['r', 's'] });
  const client = await server.native({ token: await server.token('7') });
  const sessions = async (): Promise<number> => {
    await watching.fetch();
    return watching.sessions;
  };
  const counted: number[] = [];
  for (const [seq, room] of ['r', 's'].entries()) {
    client.send(native(Op.JOIN, 2 + seq, encodeJoin(room as RoomId)));
    await watching.next('join', (event) => event.event === 'join' && event['room'] === room);
    counted.push(await sessions());
  }
  for (const [seq, room] of ['r', 's'].entries()) {
    client.send(native(Op.LEAVE, 4 + seq, encodeRoomRequest(room as RoomId)));
    await watching.next('leave', (event) => event.event === 'leave' && event['room'] === room);
    counted.push(await sessions());
  }
  expect(counted).toEqual([1, 1, 1, 0]);
});

test('a sweep of a room is one event, however many members it has', async () => {
  const server = await start({ fanout: { windowMs: 50 } });
  const rooms = new Map([['r' as RoomId, undefined]]);
  for (let at = 0; at < 5; at++) await server.native({ token: await server.token(`u${at}`), rooms });
  const watching = await watch(server, { events: ['flush'], rooms: ['r'] });
  await Promise.all([server.pushRoom('r', 'a'), server.pushRoom('r', 'b')]);
  const swept = () => watching.events.reduce((sum, { messages }) => sum + Number(messages), 0);
  await watching.next('both', () => swept() === 2);
  for (const event of watching.events) {
    expect(event).toMatchObject({ event: 'flush', log: 'room:r', room: 'r', members: 5, sweepMs: expect.any(Number) });
  }
  expect(watching.events.length).toBeLessThanOrEqual(2);
});

test('a socket that takes nothing is held, lags and gets a gap; then it is released', async () => {
  const server = await start({
    limits: { lag: { maxBytes: 256 * KIB, policy: 'gap' } },
    keep: { messages: 20, bytes: 1 << 30, ageMs: 1e9 },
  });
  const watching = await watch(server, { events: ['held', 'released', 'lag', 'gap'] });
  const rooms = new Map([['r' as RoomId, undefined]]);
  const client = await server.native({ token: await server.token('7'), rooms });
  client.socket.pause();
  const holds = async () => (await server.stats()).counters['holds'] ?? 0;
  const large = 'x'.repeat(32 * KIB);
  while ((await holds()) === 0) await server.push('7', large);
  expect(await watching.kind('held')).toMatchObject({ user: '7', bytes: expect.any(Number) });
  for (let n = 0; n < 60; n++) await server.push('7', large);
  expect(await watching.kind('lag')).toMatchObject({ user: '7', log: 'user:7', bytes: expect.any(Number) });
  client.socket.resume();
  expect(await watching.kind('released')).toMatchObject({ user: '7', ms: expect.any(Number) });
  expect(await watching.kind('gap')).toMatchObject({ user: '7', log: 'user:7', reason: 'log' });
  expect(watching.events.filter(({ event }) => event === 'lag').length).toBeLessThanOrEqual(
    watching.events.filter(({ event }) => event === 'held').length,
  );
});

test('a legacy client cannot be told a gap: the event says so', async () => {
  const server = await start({ keep: { messages: 2, bytes: 1 << 30, ageMs: 1e9 } });
  const token = await server.token('7');
  const first = await server.imgo(token);
  first.destroy();
  const watching = await watch(server, { events: ['gap', 'close'] });
  await until('nobody', async () => (await server.stats()).sessions === 0);
  for (let n = 0; n < 6; n++) await server.push('7', String(n));
  await server.imgo(token);
  expect(await watching.kind('gap')).toMatchObject({ user: '7', log: 'user:7', untold: true });
});

test('a message goes through accepted, applied and notified under one id', async () => {
  const server = await start();
  await server.native({ token: await server.token('7') });
  const watching = await watch(server, { users: ['7'], events: ['applied', 'notified'] });
  const id = formatId(await server.push('7', 'abc'));
  expect(await watching.kind('applied')).toMatchObject({ log: 'user:7', id, bytes: 3 });
  expect(await watching.kind('notified')).toMatchObject({ log: 'user:7', id, comet: 'c-1' });
});

test('sessions that are there when a watch begins are counted and watched; a sample takes the same ones again', async () => {
  const server = await start();
  const clients: RawTcp[] = [];
  for (let at = 0; at < 40; at++) clients.push(await server.native({ token: await server.token(`u${at}`) }));
  expect((await watch(server)).sessions).toBe(40);
  const half = [await watch(server, { sample: 0.5 }), await watch(server, { sample: 0.5 })];
  expect(half[0]?.sessions).toBe(half[1]?.sessions);
  expect(half[0]?.sessions).toBeGreaterThan(5);
  expect(half[0]?.sessions).toBeLessThan(35);
  await server.pushAll('x');
  await Promise.all(clients.map((client) => client.bodiesCount(1)));
  const seen = await Promise.all(
    half.map(async (watching) => {
      const pushes = () => watching.events.filter(isPush);
      await watching.next('all of the sample', () => pushes().length === watching.sessions);
      return pushes()
        .map(({ session }) => session)
        .sort();
    }),
  );
  expect(seen[0]).toEqual(seen[1]);
});

test('when a watch ends its sessions are watched no more, and others go on', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('7') });
  const [one, other] = [await watch(server), await watch(server)];
  await one.end();
  await server.push('7', 'x');
  await client.bodiesCount(1);
  await other.next('the push', isPush);
  expect(one.events).toEqual([]);
  await other.end();
  expect(server.hub.wants).toBe(0);
});

test('a watch whose buffer is full counts frames, and slows nobody', async () => {
  const server = await start({ keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 } });
  const client = await server.native({ token: await server.token('7') });
  const watching = await watch(server, { users: ['7'], events: ['frame'] });
  const count = 3_000;
  for (let n = 0; n < count; n++) await server.push('7', String(n));
  expect((await client.bodiesCount(count)).length).toBe(count);
  await watching.fetch();
  const pushes = watching.events.filter(isPush).length;
  expect(pushes).toBeGreaterThan(500);
  expect(watching.dropped).toBeGreaterThan(0);
  expect(pushes + watching.dropped).toBe(count);
});
