// Slow clients, lost leases and lost notifications: a stalled session costs one pending write and nobody else anything; a
// comet without its lease writes nothing; what was missed is read.
import { expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { compareIds, type LogName, type SessionId, type UserId, ZERO_ID } from '../../../src/protocol/ids.js';
import { NATIVE_VER } from '../../../src/protocol/native.js';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import type { Registry, Renewal } from '../../../src/server/router/registry.js';
import type { Notification, SessionInfo } from '../../../src/server/rpc/services.js';
import { type Live, livePerTest, type RawTcp } from './live.js';

const start = livePerTest();

const user = (id: string) => id as UserId;
const KIB = 1024;
const numbered = (n: number) => String(n).padEnd(32 * KIB, '.');

async function sessionInfo(server: Live, client: RawTcp): Promise<SessionInfo> {
  const { session } = JSON.parse(client.frames[0]?.body as string);
  return (await server.comet.service.session(session)) as SessionInfo;
}

/** Pushes until the session that does not read is held. */
async function stall(server: Live, client: RawTcp, id: string): Promise<number> {
  client.socket.pause();
  let count = 0;
  while ((await sessionInfo(server, client)).state !== 'held') await server.push(id, numbered(count++));
  return count;
}

test('of two sessions of one user the stalled one delays nobody, holds one write, and gets everything later', async () => {
  const server = await start({ keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 } });
  const slow = await server.native({ token: await server.token('u', 'slow') });
  const fast = await server.native({ token: await server.token('u', 'fast') });
  let count = await stall(server, slow, 'u');
  for (let n = 0; n < 100; n++) await server.push('u', numbered(count++));
  expect(await fast.bodiesCount(count)).toHaveLength(count);
  const info = await sessionInfo(server, slow);
  expect(info.state).toBe('held');
  expect(compareIds(info.sentTo, (await sessionInfo(server, fast)).sentTo)).toBeLessThan(0);
  slow.socket.resume();
  const bodies = await slow.bodiesCount(count);
  expect(bodies.map((body) => Number.parseInt(body, 10))).toEqual(Array.from({ length: count }, (_, n) => n));
  await expect.poll(async () => (await sessionInfo(server, slow)).state).toBe('streaming');
});

test('a stalled session that is replaced, kicked or gone has acknowledged only what the kernel took', async () => {
  const server = await start({ keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 } });
  const token = await server.token('u');
  const slow = await server.tcp();
  slow.send(encodeFrame(1, Op.AUTH, 1, Buffer.from(token)));
  await slow.next(Op.AUTH_REPLY);
  slow.socket.pause();
  let count = 0;
  const held = async () => (await server.stats()).counters.holds ?? 0;
  while ((await held()) === 0) await server.push('u', numbered(count++));
  for (let n = 0; n < 10; n++) await server.push('u', numbered(count++));
  const [registered] = await server.buckets.sessions({ after: undefined, limit: 1 });
  const info = (await server.comet.service.session(registered?.session as SessionId)) as SessionInfo;
  expect(info.state).toBe('held');
  expect(compareIds(info.position, info.sentTo)).toBeLessThan(0);
  slow.socket.resetAndDestroy();
  await expect.poll(async () => (await server.stats()).sessions).toBe(0);
  const again = await server.imgo(token);
  await again.until(() => again.bodies.some((body) => Number.parseInt(body, 10) === count - 1));
  const got = again.bodies.map((body) => Number.parseInt(body, 10));
  expect(got).toEqual(Array.from({ length: got.length }, (_, n) => count - got.length + n));
  expect(got.length).toBeGreaterThan(10);
});

test('with the policy disconnect a session beyond its lag limit is closed', async () => {
  const server = await start({
    keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 },
    limits: { lag: { maxBytes: 256 * KIB, policy: 'disconnect' } },
  });
  const slow = await server.native({ token: await server.token('u', 'slow') });
  await stall(server, slow, 'u');
  for (let n = 0; n < 20; n++) await server.push('u', numbered(n));
  expect(await server.reason('closed_lag_exceeded')).toBe(1);
});

test('heartbeats of a session that does not read wait as one', async () => {
  const server = await start({
    keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 },
    limits: { inboundPerSecond: 10_000 },
  });
  const slow = await server.native({ token: await server.token('u', 'slow') });
  await stall(server, slow, 'u');
  for (let n = 1; n <= 1_000; n++) slow.send(encodeFrame(NATIVE_VER, Op.HEARTBEAT, n));
  await expect.poll(async () => (await server.stats()).counters.heartbeats).toBe(1_000);
  slow.socket.resume();
  expect((await slow.next(Op.HEARTBEAT_REPLY)).seq).toBe(1_000);
});

test('ephemeral messages are not given to a session that catches up, and that is counted', async () => {
  const server = await start({ keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 } });
  const slow = await server.native({ token: await server.token('u', 'slow') });
  await stall(server, slow, 'u');
  await server.pushEphemeral('u', 'blink');
  await expect.poll(() => server.reason('dropped_ephemeral_catch_up')).toBe(1);
});

test('a notification that was lost is made up for by the next one, and by a resync', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('u', 'a') });
  const notify = server.comet.service.notify;
  let lost = 0;
  Object.assign(server.comet.service, {
    notify: async (notes: readonly Notification[]) => {
      lost += notes.length;
    },
  });
  await server.push('u', 'lost 1');
  await server.pushAll('lost 2');
  await expect.poll(() => lost).toBe(2);
  Object.assign(server.comet.service, { notify });
  await server.push('u', 'next');
  expect(await client.bodiesCount(2)).toEqual(['lost 1', 'next']);
  await server.comet.service.resync();
  expect(await client.bodiesCount(3)).toEqual(['lost 1', 'next', 'lost 2']);
});

test('a resync registers every session again with a router that forgot them', async () => {
  const server = await start();
  const client = await server.native({ token: await server.token('u', 'a') });
  const { comet } = await sessionInfo(server, client);
  await server.buckets.dropComet(comet, undefined);
  expect(await server.buckets.sessionsOf([user('u')])).toEqual([[]]);
  await server.comet.service.resync();
  const [found] = await server.buckets.sessionsOf([user('u')]);
  expect(found).toMatchObject([{ comet, user: 'u', device: 'a' }]);
});

test('a position that logic could not be told is told again', async () => {
  let failures = 0;
  const away = new ImgoError('node_unreachable', { node: 'logic' });
  const server = await start({
    between: (logic) =>
      new Proxy(logic, {
        get: (target, name) => {
          if (name === 'report' && failures++ === 0) return async () => Promise.reject(away);
          const value = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  });
  const client = await server.imgo(await server.token('7'));
  const id = await server.push('7', 'x');
  await client.bodiesCount(1);
  await expect.poll(async () => (await server.buckets.devices(user('7')))[0]?.cursor, { timeout: 5_000 }).toEqual(id);
  expect(await server.reason('failed_progress')).toBe(1);
});

test('a message that is applied while its reader is being opened is delivered', async () => {
  const gate = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const server = await start({
    between: (logic) =>
      new Proxy(logic, {
        get: (target, name) => {
          if (name === 'open') {
            return async (request: Parameters<typeof target.open>[0]) => {
              const reply = await target.open(request);
              opened.resolve();
              await gate.promise;
              return reply;
            };
          }
          const value = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  });
  const client = await server.tcp();
  client.send(encodeFrame(1, Op.AUTH, 1, Buffer.from(await server.token('7'))));
  await opened.promise;
  await server.push('7', 'between');
  await expect.poll(async () => (await server.stats()).counters.notifications).toBe(1);
  gate.resolve();
  expect(await client.bodiesCount(1)).toEqual(['between']);
});

test('a comet that overslept its lease writes nothing until it has registered and checked its sessions again', async () => {
  let jump = 0;
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + jump };
  let away = false;
  let real: Registry | undefined;
  const server = await start({
    clock,
    leaseMs: 4_000,
    renewMs: 20,
    registry: (registry) => {
      real = registry;
      return new Proxy(registry, {
        get: (target, name) => {
          const value = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (away && (name === 'renew' || name === 'join')) return Promise.reject(new Error('registry is away'));
            return value.apply(target, args) as Promise<Renewal>;
          };
        },
      });
    },
  });
  const client = await server.native({ token: await server.token('u', 'a') });
  const revoked = await server.token('v', 'b');
  const other = await server.native({ token: revoked });
  away = true;
  jump += 60_000;
  await server.push('u', 'while fenced').catch(() => undefined);
  await server.pushAll('all while fenced');
  const record = (await server.credentials.tokens({ after: undefined, limit: 10 })).find(
    ({ user: of }) => of === user('v'),
  );
  await server.credentials.revokeTokens({ id: record?.id as never }, Date.now());
  await server.push('v', 'never');
  // The registry has given this comet up, so that jobs tell it nothing: a late one does.
  for (const log of ['user:u', 'user:v', 'all'] as LogName[]) {
    const { items } = await server.buckets.read(log, ZERO_ID, { entries: 1, bytes: 1_000 });
    const [item] = items;
    if (item?.kind === 'entry') await server.comet.service.notify([{ ...item.entry, log, ephemeral: false }]);
  }
  await new Promise<void>((resolve) => setImmediate(resolve));
  const { counters } = await server.stats();
  expect(counters.notifications).toBe(3);
  expect([counters.deliveries, counters.topics_deliveries]).toEqual([0, 0]);
  away = false;
  await client.until(() => client.bodies.length === 2);
  expect(client.bodies.sort()).toEqual(['all while fenced', 'while fenced']);
  expect(JSON.parse((await other.next(Op.DISCONNECT)).body).code).toBe(4102);
  expect(other.bodies).toEqual([]);
  const sessions = await server.buckets.sessions({ after: undefined, limit: 10 });
  const [node] = (await real?.nodes()) ?? [];
  expect(sessions.map(({ incarnation }) => incarnation)).toEqual([node?.incarnation]);
  expect((await server.stats()).counters.fences).toBe(1);
});
