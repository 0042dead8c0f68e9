// Sessions over real sockets: AUTH in each dialect, pushes live and kept, acknowledgement, rooms, kicks.
import { expect, test } from 'vitest';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { encodeGoimAuth } from '../../../src/protocol/goim.js';
import { formatId, type MessageId, type RoomId, type TokenId, type UserId } from '../../../src/protocol/ids.js';
import { encodeAck, FLAG_EPHEMERAL, FLAG_REDELIVERED, NATIVE_VER } from '../../../src/protocol/native.js';
import {
  encodeJoin,
  encodeNativeAuth,
  encodeRoomRequest,
  parseDisconnect,
  parseJoinReply,
} from '../../../src/protocol/native-json.js';
import { livePerTest, NATIVE_SUBPROTOCOL } from './live.js';

const start = livePerTest();

const user = (id: string) => id as UserId;
const native = (op: number, seq: number, body?: Uint8Array) => encodeFrame(NATIVE_VER, op, seq, body);

test('imgo over TCP: op 8 echoes seq with an empty body, then pushes come as op 5, ver 0, seq 0', async () => {
  const server = await start();
  await server.push('7', '{"test":1}');
  const client = await server.imgo(await server.token('7'));
  expect(client.frames[0]).toEqual({ op: Op.AUTH_REPLY, seq: 7, ver: 1, body: '', push: undefined });
  await client.bodiesCount(1);
  await server.push('7', '{"test":2}');
  expect(await client.bodiesCount(2)).toEqual(['{"test":1}', '{"test":2}']);
  expect(client.frames[1]).toMatchObject({ op: Op.PUSH, ver: 0, seq: 0 });
});

test('imgo over TCP: what the kernel took is acknowledged, so the next session starts after it', async () => {
  const server = await start();
  const token = await server.token('7');
  const first = await server.imgo(token);
  const id = await server.push('7', 'a');
  await first.bodiesCount(1);
  await expect.poll(async () => (await server.buckets.devices(user('7')))[0]?.cursor).toEqual(id);
  first.destroy();
  const second = await server.imgo(token);
  await server.push('7', 'b');
  expect(await second.bodiesCount(1)).toEqual(['b']);
});

test('native: the reply tells session, head and heartbeat; pushes carry id, and acknowledgement moves the cursor', async () => {
  const server = await start();
  const token = await server.token('u', 'phone');
  const client = await server.native({ token });
  const reply = JSON.parse(client.frames[0]?.body as string);
  expect(reply).toMatchObject({ user: 'u', device: 'phone', head: '0-0', heartbeatMs: 60_000, rooms: {} });
  const id = await server.push('u', 'hello');
  const push = await client.next(Op.PUSH);
  expect(push).toMatchObject({ ver: NATIVE_VER, body: 'hello', push: { id, flags: 0, log: undefined } });
  expect((await server.buckets.devices(user('u')))[0]?.cursor).toEqual({ epoch: 0, n: 0 });
  client.send(native(Op.ACK, 0, encodeAck(id)));
  await expect.poll(async () => (await server.buckets.devices(user('u')))[0]?.cursor).toEqual(id);
});

test('native: what was sent and not acknowledged comes again, flagged', async () => {
  const server = await start();
  const token = await server.token('u', 'phone');
  const first = await server.native({ token });
  await server.push('u', 'one');
  await first.next(Op.PUSH);
  first.destroy();
  await expect.poll(async () => (await server.stats()).sessions).toBe(0);
  await server.push('u', 'two');
  const second = await server.native({ token });
  await second.bodiesCount(2);
  const pushes = second.frames.filter(({ op }) => op === Op.PUSH);
  expect(pushes.map(({ body, push }) => [body, push?.flags])).toEqual([
    ['one', FLAG_REDELIVERED],
    ['two', 0],
  ]);
});

test('native: an acknowledgement above what was sent is refused and moves nothing', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('u', 'phone') });
  const id = await server.push('u', 'x');
  await client.next(Op.PUSH);
  client.send(native(Op.ACK, 0, encodeAck({ epoch: id.epoch, n: id.n + 1 })));
  await expect.poll(() => server.reason('refused_ack')).toBe(1);
  expect((await server.buckets.devices(user('u')))[0]?.cursor).toEqual({ epoch: 0, n: 0 });
});

test('native: a client cursor starts reading there, and what is gone is told as a gap', async () => {
  const server = await start({ keep: { messages: 3, bytes: 1 << 20, ageMs: 1e9 } });
  const ids: MessageId[] = [];
  for (let n = 0; n < 6; n++) ids.push(await server.push('u', `m${n}`));
  await server.buckets.maintain();
  const client = await server.native({ token: await server.token('u', 'phone'), cursor: ids[0] as MessageId });
  expect(await client.bodiesCount(3)).toEqual(['m3', 'm4', 'm5']);
  const gap = await client.next(Op.GAP);
  expect(JSON.parse(gap.body)).toEqual({
    log: 'user:u',
    after: formatId(ids[0] as MessageId),
    upTo: formatId(ids[2] as MessageId),
  });
});

test('native: an ephemeral push has the flag and id 0-0, and is not kept', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('u', 'phone') });
  await server.pushEphemeral('u', 'blink');
  const push = await client.next(Op.PUSH);
  expect(push.push).toEqual({ id: { epoch: 0, n: 0 }, flags: FLAG_EPHEMERAL, log: undefined });
});

test('a wrong token is told to native clients and not to legacy ones', async () => {
  const server = await start();
  const first = await server.tcp();
  first.send(native(Op.AUTH, 1, encodeNativeAuth({ token: 'nobody' })));
  const told = parseDisconnect(Buffer.from((await first.next(Op.DISCONNECT)).body));
  expect(told).toMatchObject({ code: 4100, reconnect: false });
  await first.end();
  const second = await server.tcp();
  second.send(encodeFrame(1, Op.AUTH, 1, Buffer.from('nobody')));
  await second.end();
  expect(second.frames).toEqual([]);
  const third = await server.ws();
  third.send(JSON.stringify({ ver: 1, op: 7, seq: 1, body: 'nobody' }));
  await third.end();
  expect(third.code).toBe(4100);
  expect(await server.reason('closed_token_refused')).toBe(3);
});

test('imgo over WebSocket: arrays of objects, payloads as they came', async () => {
  const server = await start();
  const client = await server.ws();
  client.send(JSON.stringify({ ver: 1, op: 7, seq: 3, body: await server.token('7') }));
  await client.next(Op.AUTH_REPLY);
  expect(client.texts[0]).toBe('[{"ver":1,"op":8,"seq":3,"body":{}}]');
  await server.push('7', '{"n":12345678901234567890}');
  await client.next(Op.PUSH);
  expect(client.texts[1]).toBe('[{"ver":0,"op":5,"seq":0,"body":{"n":12345678901234567890}}]');
  client.send(JSON.stringify({ ver: 1, op: 2, seq: 4 }));
  expect(await client.next(Op.HEARTBEAT_REPLY)).toMatchObject({ seq: 4, body: '{}' });
});

test('native over WebSocket: the subprotocol, binary frames, a close code with the same number', async () => {
  const server = await start();
  const client = await server.ws(NATIVE_SUBPROTOCOL);
  client.send(native(Op.AUTH, 1, encodeNativeAuth({ token: await server.token('u', 'tab') })));
  await client.next(Op.AUTH_REPLY);
  await server.push('u', 'x');
  expect((await client.next(Op.PUSH)).push?.log).toBeUndefined();
  expect(await server.comet.service.disconnect({ kind: 'user', user: user('u') }, 'kicked')).toBe(1);
  await client.end();
  expect(JSON.parse((await client.next(Op.DISCONNECT)).body).code).toBe(4103);
  expect(client.code).toBe(4103);
});

test('goim on its own port: stated identity, accepts filter the user log, op 9 batches on WebSocket', async () => {
  const server = await start({ listen: { goim: { host: '127.0.0.1', port: 0 } } });
  const client = await server.tcp('goim');
  client.send(encodeFrame(1, Op.AUTH, 5, encodeGoimAuth({ mid: '9', room: 'live://1', accepts: [1000] })));
  expect(await client.next(Op.AUTH_REPLY)).toMatchObject({ seq: 5, body: '' });
  await server.push('9', 'no', 1001);
  await server.push('9', 'yes', 1000);
  expect(await client.next(1000)).toMatchObject({ ver: 1, body: 'yes' });
  client.send(encodeFrame(1, Op.HEARTBEAT, 6, Buffer.from('with a body')));
  expect(await client.next(Op.HEARTBEAT_REPLY)).toMatchObject({ seq: 6, body: '\0\0\0\u0001' });
  await server.pushRoom('live://1', 'room', 2000);
  expect(await client.next(2000)).toMatchObject({ body: 'room' });
  client.send(encodeFrame(1, Op.CHANGE_ROOM, 7, Buffer.from('live://2')));
  expect(await client.next(Op.CHANGE_ROOM_REPLY)).toMatchObject({ seq: 7, body: 'live://2' });
  client.send(encodeFrame(1, Op.SUBSCRIBE, 8, Buffer.from('1001,1002')));
  expect(await client.next(Op.SUBSCRIBE_REPLY)).toMatchObject({ body: '1001,1002' });
  await server.push('9', 'now', 1001);
  expect(await client.next(1001)).toMatchObject({ body: 'now' });
  await expect.poll(async () => (await server.stats()).counters.filtered).toBe(1);
});

test('goim over WebSocket on its own port shares it with TCP', async () => {
  const server = await start({ listen: { goim: { host: '127.0.0.1', port: 0 } } });
  const { RawWs } = await import('./live.js');
  const client = await RawWs.open(`ws://${server.comet.addresses().goim}/sub`, undefined, {});
  server.clients.push(client);
  client.send(encodeFrame(1, Op.AUTH, 5, encodeGoimAuth({ mid: '9', accepts: [1000] })));
  await client.next(Op.AUTH_REPLY);
  await server.push('9', 'yes', 1000);
  expect(await client.next(1000)).toMatchObject({ ver: 1, body: 'yes' });
});

test('rooms: JOIN answers with the head, messages name their room, LEAVE ends them', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('u', 'phone') });
  const before = await server.pushRoom('r', 'before');
  client.send(native(Op.JOIN, 2, encodeJoin('r' as RoomId)));
  const joined = parseJoinReply(Buffer.from((await client.next(Op.JOIN_REPLY)).body));
  expect(joined).toEqual({ room: 'r', head: before, recovered: true });
  await server.pushRoom('r', 'after');
  expect(await client.next(Op.PUSH)).toMatchObject({ body: 'after', push: { log: 'room:r' } });
  client.send(native(Op.PRESENCE, 3, encodeRoomRequest('r' as RoomId)));
  expect(JSON.parse((await client.next(Op.PRESENCE_REPLY)).body)).toEqual({ count: 1 });
  client.send(native(Op.LEAVE, 4, encodeRoomRequest('r' as RoomId)));
  await client.next(Op.LEAVE_REPLY);
  await server.pushRoom('r', 'unseen');
  await server.push('u', 'last');
  await client.until(() => client.bodies.includes('last'));
  expect(client.bodies).toEqual(['after', 'last']);
});

test('rooms: joining from a position recovers what came since, before what is live', async () => {
  const server = await start();
  const since = await server.pushRoom('r', '0');
  for (let n = 1; n < 50; n++) await server.pushRoom('r', String(n));
  const client = await server.tcp();
  const rooms = new Map([['r' as RoomId, since]]);
  client.send(native(Op.AUTH, 1, encodeNativeAuth({ token: await server.token('u', 'phone'), rooms })));
  const reply = JSON.parse((await client.next(Op.AUTH_REPLY)).body);
  expect(reply.rooms.r.recovered).toBe(true);
  await server.pushRoom('r', '50');
  const expected = Array.from({ length: 50 }, (_, n) => String(n + 1));
  expect(await client.bodiesCount(50)).toEqual(expected);
  expect(client.frames[0]?.op).toBe(Op.AUTH_REPLY);
});

test('a token without rooms may not join where the setting says so', async () => {
  const server = await start({ logic: { roomsJoin: 'token' } });
  const client = await server.native({ token: await server.token('u', 'phone') });
  client.send(native(Op.JOIN, 2, encodeJoin('r' as RoomId)));
  expect(JSON.parse((await client.next(Op.JOIN_REPLY)).body)).toEqual({ room: 'r', error: 'join_refused' });
});

test('all: everybody gets it, whatever the dialect', async () => {
  const server = await start();
  const one = await server.native({ token: await server.token('u', 'phone') });
  const two = await server.imgo(await server.token('v'));
  await server.pushAll('hear');
  expect(await one.next(Op.PUSH)).toMatchObject({ body: 'hear', push: { log: 'all' } });
  expect(await two.next(Op.PUSH)).toMatchObject({ body: 'hear' });
});

test('a newer session of a device replaces the older one', async () => {
  const server = await start();
  const token = await server.token('u', 'phone');
  const first = await server.native({ token });
  const second = await server.native({ token });
  expect(JSON.parse((await first.next(Op.DISCONNECT)).body).code).toBe(4104);
  await first.end();
  await server.push('u', 'x');
  expect(await second.bodiesCount(1)).toEqual(['x']);
  expect((await server.stats()).sessions).toBe(1);
});

test('a revoked token closes its sessions', async () => {
  const server = await start();
  const [made] = await server.tokens.create([{ user: user('u'), device: undefined, rooms: [], ttlMs: undefined }]);
  const client = await server.native({ token: made?.secret as string });
  await server.tokens.revoke({ id: made?.record.id as TokenId });
  expect(JSON.parse((await client.next(Op.DISCONNECT)).body).code).toBe(4102);
  await client.end();
});

test('stopping tells clients when to come back and reports how far they are', async () => {
  const server = await start();
  const one = await server.native({ token: await server.token('u', 'phone') });
  const two = await server.ws();
  two.send(JSON.stringify({ ver: 1, op: 7, seq: 1, body: await server.token('v') }));
  await two.next(Op.AUTH_REPLY);
  const id = await server.push('v', '1');
  await two.next(Op.PUSH);
  await server.comet.stop(5_000);
  expect(JSON.parse((await one.next(Op.DISCONNECT)).body)).toMatchObject({ code: 4000, reconnect: { minMs: 1000 } });
  await two.end();
  expect(two.code).toBe(4000);
  expect((await server.buckets.devices(user('v')))[0]).toMatchObject({ cursor: id, clean: true });
});
