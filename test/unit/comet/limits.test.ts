// What one client may do, and what becomes of those that do more: each is closed with its code, counted, and nobody else
// notices.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { encodeGoimAuth } from '../../../src/protocol/goim.js';
import { encodeAck, NATIVE_VER } from '../../../src/protocol/native.js';
import { encodeNativeAuth } from '../../../src/protocol/native-json.js';
import { type Live, livePerTest, NATIVE_SUBPROTOCOL, RawTcp } from './live.js';

const start = livePerTest();

const native = (op: number, seq: number, body?: Uint8Array) => encodeFrame(NATIVE_VER, op, seq, body);
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('who does not authenticate within the deadline is closed: silent, slow, after the upgrade, or amid HTTP', async () => {
  const server = await start({ limits: { handshakeMs: 300 } });
  const silent = await server.tcp();
  const slow = await server.tcp();
  const frame = encodeFrame(1, Op.AUTH, 1, Buffer.from('0123456789012345678901234567890123456789'));
  const dripping = setInterval(() => slow.send(frame.subarray(0, 1)), 50);
  const upgraded = await server.ws();
  const half = await RawTcp.open(new URL(server.comet.addresses().ws as string).host);
  server.clients.push(half);
  half.send(Buffer.from('GET /sub HTTP/1.1\r\nHost: x\r\n'));
  await Promise.all([silent.end(), slow.end(), upgraded.end(), half.end()]);
  clearInterval(dripping);
  expect(upgraded.code).toBe(4005);
  await expect.poll(() => server.reason('closed_handshake_timeout')).toBeGreaterThanOrEqual(3);
  await expect.poll(async () => (await server.stats()).connections).toBe(0);
});

test('silence beyond the idle limit closes a session, a heartbeat keeps it', async () => {
  const server = await start({ limits: { idleMs: 1_000, handshakeMs: 300 } });
  const silent = await server.native({ token: await server.token('u', 'a') });
  const alive = await server.imgo(await server.token('v'));
  const beating = setInterval(() => alive.send(encodeFrame(1, Op.HEARTBEAT, 9)), 200);
  expect(JSON.parse((await silent.next(Op.DISCONNECT)).body).code).toBe(4004);
  clearInterval(beating);
  alive.send(encodeFrame(1, Op.HEARTBEAT, 10));
  await alive.until(() => alive.closed || alive.frames.some(({ op, seq }) => op === Op.HEARTBEAT_REPLY && seq === 10));
  expect(alive.closed).toBe(false);
  expect(await alive.next(Op.HEARTBEAT_REPLY)).toMatchObject({ seq: 9, body: '' });
});

test('more frames than allowed close the session; acknowledgements may come ten times as often', async () => {
  const server = await start({ limits: { inboundPerSecond: 10 } });
  const client = await server.native({ token: await server.token('u', 'a') });
  const id = await server.push('u', 'x');
  await client.next(Op.PUSH);
  for (let n = 0; n < 60; n++) client.send(native(Op.ACK, 0, encodeAck(id)));
  client.send(native(Op.HEARTBEAT, 1));
  await client.next(Op.HEARTBEAT_REPLY);
  for (let n = 0; n < 30; n++) client.send(native(Op.HEARTBEAT, 2));
  expect(JSON.parse((await client.next(Op.DISCONNECT)).body).code).toBe(4007);
  await client.end();
});

test('wrong order, double AUTH and unknown native operations break the protocol; unknown legacy ones are ignored', async () => {
  const server = await start();
  const early = await server.tcp();
  early.send(encodeFrame(1, Op.HEARTBEAT, 1));
  await early.end();
  const twice = await server.imgo(await server.token('7'));
  twice.send(encodeFrame(1, Op.AUTH, 1, Buffer.from('again')));
  await twice.end();
  const odd = await server.native({ token: await server.token('u', 'a') });
  odd.send(native(999, 1));
  expect(JSON.parse((await odd.next(Op.DISCONNECT)).body).code).toBe(4106);
  const legacy = await server.imgo(await server.token('8'));
  legacy.send(encodeFrame(1, 999, 1));
  legacy.send(encodeFrame(1, Op.TEST, 4));
  expect(await legacy.next(Op.TEST_REPLY)).toMatchObject({ seq: 4, body: '{"test":"come on"}' });
  expect(await server.reason('ignored_op')).toBe(1);
  expect(await server.reason('closed_protocol_error')).toBe(3);
});

test('malformed frames close the connection with their code, before and after AUTH', async () => {
  const server = await start({ limits: { frameBytes: 1_024 } });
  const broken: [string, number][] = [
    ['0000000f 0010 0001 00000007 00000001', 4106],
    ['00000010 000f 0001 00000007 00000001', 4106],
    ['00000010 0011 0001 00000007 00000001', 4106],
    ['80000010 0010 0001 00000007 00000001', 4106],
    ['00000010 8010 0001 00000007 00000001', 4106],
    ['00000401 0010 0001 00000007 00000001', 4107],
    ['7fffffff 0010 0001 00000007 00000001', 4107],
  ];
  for (const [bytes, code] of broken) {
    const before = await server.tcp();
    before.send(hex(bytes));
    await before.end();
    expect(before.frames).toEqual([]);
    const after = await server.native({ token: await server.token('u', 'a') });
    after.send(hex(bytes));
    expect(JSON.parse((await after.next(Op.DISCONNECT)).body).code).toBe(code);
    await after.end();
  }
  expect(await server.reason('closed_protocol_error')).toBe(10);
  expect(await server.reason('closed_frame_too_large')).toBe(4);
});

test('WebSocket: a message must be whole frames or one JSON object of the dialect that was agreed on', async () => {
  const server = await start();
  const token = await server.token('u', 'a');
  const auth = native(Op.AUTH, 1, encodeNativeAuth({ token }));
  const cases: [string | undefined, (string | Uint8Array)[], number][] = [
    [undefined, ['{'], 4106],
    [undefined, ['['.repeat(100)], 4106],
    [undefined, ['{"op":"7"}'], 4106],
    [undefined, ['{"op":2}'], 4106],
    [undefined, [auth.subarray(0, 20)], 4106],
    [undefined, [hex('0000')], 4106],
    [NATIVE_SUBPROTOCOL, ['{"op":7,"ver":1,"body":"x"}'], 4109],
    [NATIVE_SUBPROTOCOL, [encodeFrame(1, Op.AUTH, 1, Buffer.from('x'))], 4109],
    [NATIVE_SUBPROTOCOL, [auth, '{"op":2}'], 4109],
    [undefined, [JSON.stringify({ ver: 1, op: 7, body: token }), encodeFrame(1, Op.HEARTBEAT, 1)], 4109],
  ];
  for (const [protocol, messages, code] of cases) {
    const client = await server.ws(protocol);
    for (const message of messages) client.send(message);
    await client.end();
    expect([messages[0], client.code]).toEqual([messages[0], code]);
  }
  const large = await server.ws();
  large.send(new Uint8Array(70_000));
  await large.end();
  expect(large.code).toBe(1009);
});

test('WebSocket: other origins, other hosts and other paths are refused before the upgrade', async () => {
  const server = await start({
    listen: { hosts: ['127.0.0.1', 'localhost'], origins: ['same-host', 'https://ok.test'] },
  });
  await server.ws(undefined, { Origin: 'http://127.0.0.1:1' });
  await server.ws(undefined, { Origin: 'https://ok.test' });
  await expect(server.ws(undefined, { Origin: 'https://evil.test' })).rejects.toThrow('403');
  await expect(server.ws(undefined, { Origin: 'null' })).rejects.toThrow('403');
  await expect(server.ws(undefined, { Origin: 'http://evil.test', Host: 'evil.test' })).rejects.toThrow('403');
  expect(await server.reason('closed_origin_refused')).toBe(3);
  const base = (server.comet.addresses().ws as string).replace('ws:', 'http:').replace('/sub', '');
  expect((await fetch(base)).status).toBe(404);
  expect((await fetch(`${base}/sub`)).status).toBe(426);
});

test('above max_conns a connection is closed at once, said once, and there is room again when others left', async () => {
  const server = await start({ limits: { maxConns: 2 } });
  const first = await server.native({ token: await server.token('u', 'a') });
  await server.native({ token: await server.token('u', 'b') });
  const third = await server.tcp();
  await third.end();
  expect(await server.reason('refused_max_conns')).toBe(1);
  expect(server.warnings).toHaveLength(1);
  first.destroy();
  await expect.poll(async () => (await server.stats()).connections).toBe(1);
  await server.native({ token: await server.token('u', 'c') });
});

test('connections per address and their rate are limited where that is set', async () => {
  const server = await start({ limits: { perAddress: { conns: 2, rate: 0 } } });
  await server.tcp();
  await server.tcp();
  await (await server.tcp()).end();
  expect(await server.reason('refused_address_conns')).toBe(1);
  const port = Number((server.comet.addresses().tcp as string).split(':')[1]);
  const elsewhere = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  await new Promise((resolve) => elsewhere.once('connect', resolve));
  await expect.poll(async () => (await server.stats()).connections).toBe(3);
  elsewhere.destroy();
});

test('one frame a write, paced, for clients that parse one frame a read', async () => {
  const server = await start({ fanout: { oneFramePerWrite: ['tcp'], paceMs: 5 } });
  for (let n = 0; n < 5; n++) await server.push('7', `m${n}`);
  const client = await server.imgo(await server.token('7'));
  expect(await client.bodiesCount(5)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
  expect(client.chunks.slice(0, 6)).toEqual([16, 18, 18, 18, 18, 18]);
});

test('one frame a write is for the listeners that are named, and no other', async () => {
  const listen = { goim: { host: '127.0.0.1', port: 0 } };
  const server = await start({ listen, fanout: { oneFramePerWrite: ['goim'], paceMs: 5 } });
  for (const user of ['7', '8']) for (let n = 0; n < 5; n++) await server.push(user, `m${n}`);
  const paced = await server.tcp('goim');
  paced.send(encodeFrame(1, Op.AUTH, 1, encodeGoimAuth({ mid: '7', accepts: [5] })));
  expect(await paced.bodiesCount(5)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
  const pushes = paced.chunks.slice(-5);
  expect(new Set(pushes)).toEqual(new Set([18]));
  const other = await server.imgo(await server.token('8'));
  expect(await other.bodiesCount(5)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
  // In one chunk, alone or with the answer to its authentication before them.
  expect(other.chunks.at(-1)).toBeGreaterThanOrEqual(5 * 18);
});

test('a client that ends its side, resets, or closes amid everything leaves nothing behind', async () => {
  const server = await start();
  for (let n = 0; n < 20; n++) {
    const client = await server.native({ token: await server.token('u', `d${n % 4}`) });
    if (n % 3 === 0) client.socket.end();
    else if (n % 3 === 1) client.socket.resetAndDestroy();
    else client.socket.destroy();
    await server.push('u', String(n));
    await server.pushAll(String(n));
  }
  await expect.poll(async () => (await server.stats()).connections).toBe(0);
  expect((await server.stats()).sessions).toBe(0);
  expect(await server.buckets.sessions({ after: undefined, limit: 10 })).toEqual([]);
});

/** A connection to the WebSocket port that speaks HTTP by hand. */
async function http(server: Live, words: string): Promise<Socket> {
  const { hostname: host, port } = new URL(server.comet.addresses().ws as string);
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(words);
  return socket;
}

const upgrade = (path: string) =>
  [`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'Upgrade: websocket', 'Connection: Upgrade'].join('\r\n') +
  `\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`;

test('WebSocket: a refused upgrade is counted once, also when its client stays; a reset is no breach', async () => {
  const server = await start({ limits: { handshakeMs: 300 } });
  const refused = await http(server, upgrade('/other'));
  const [answer] = (await once(refused, 'data')) as [Buffer];
  expect(answer.toString('latin1')).toMatch(/^HTTP\/1.1 404 /);
  const reset = await http(server, 'GET /sub HTTP/1.1\r\nHost: x\r\n');
  await expect.poll(async () => (await server.stats()).connections).toBe(2);
  reset.resetAndDestroy();
  const garbage = await http(server, 'once upon a time\r\n\r\n');
  garbage.resume();
  await expect.poll(async () => (await server.stats()).connections, { timeout: 10_000 }).toBe(0);
  refused.destroy();
  garbage.destroy();
  expect(await server.reason('refused_http_404')).toBe(1);
  expect(await server.reason('closed_protocol_error')).toBe(1);
  expect(await server.reason('closed_handshake_timeout')).toBe(0);
});

test('WebSocket: who says more while it is not heard than may wait is closed', async () => {
  const server = await start();
  const socket = await http(server, upgrade('/sub'));
  await once(socket, 'data');
  const masked = (bytes: Uint8Array) => {
    const length = bytes.length < 126 ? [0x80 | bytes.length] : [0xfe, bytes.length >> 8, bytes.length & 255];
    return Buffer.concat([Buffer.from([0x82, ...length, 0, 0, 0, 0]), bytes]);
  };
  const auth = masked(encodeFrame(1, Op.AUTH, 1, Buffer.from(await server.token('u', 'a'))));
  const beat = masked(encodeFrame(1, Op.HEARTBEAT, 2));
  socket.write(Buffer.concat([auth, ...Array.from({ length: 2_000 }, () => beat)]));
  socket.resume();
  await once(socket, 'end');
  socket.destroy();
  expect(await server.reason('closed_rate_limited')).toBe(1);
});
