// The engines in Redis through failovers: what a replica had not got yet is gone, and everybody who has to know is told. And
// on a cluster: all contracts hold where keys are spread over servers.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type NodeId,
  type RoomId,
  type SessionId,
  type TokenId,
  type UserId,
  ZERO_ID,
} from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { createRedisRegistry } from '../../src/server/router/redis.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore } from '../../src/server/store/redis.js';
import { bucketsConformance } from '../conformance/buckets.js';
import { LOG, OPTIONS, Stage } from '../conformance/buckets-stage.js';
import { credentialsConformance } from '../conformance/credentials.js';
import { registryConformance } from '../conformance/registry.js';
import { TestClock } from '../unit/store/test-clock.js';
import { type Address, askRedis, type RedisCluster, startRedisCluster, startSentinel } from './redis.js';
import { patientLink } from './redis-link.js';
import { uniquePrefix } from './shared.js';

const clock = systemClock;
const UPKEEP = { keys: 1_000_000, buckets: 1_024 };
const HANGS_MS = 60_000;

const listed = (addresses: readonly Address[]) => addresses.map(({ host, port }) => `${host}:${port}`).join(',');

describe('on a cluster', () => {
  let cluster: RedisCluster;
  let link: RedisLink;
  let watch: RedisWatch;
  let now = 1_800_000_000_000;

  beforeAll(async () => {
    cluster = await startRedisCluster();
    link = await patientLink(`cluster://${listed(cluster.nodes)}`);
    watch = await RedisWatch.start({ link, clock });
  });
  afterAll(async () => {
    watch[Symbol.dispose]();
    await link[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  const open = async (options = OPTIONS, at = new TestClock()) => {
    const parts = { link, watch, prefix: uniquePrefix(), options, clock: at, upkeep: UPKEEP };
    return openRedisStore({ ...parts, epoch: Math.floor(at.now() / 1_000), now: () => at.now() });
  };

  test('there are three primaries, and all are looked at', () => {
    expect(link.primaries()).toHaveLength(3);
    expect(watch.health()).toMatchObject({ writable: true });
  });

  test('without replicas everything outlives what can be outlived', async () => {
    expect(await (await open()).credentials.outlive?.()).toBe(true);
  });

  describe('buckets', () => {
    bucketsConformance({
      clock: () => new TestClock(),
      create: async (options, at) => (await open(options, at)).buckets,
    });
  });

  describe('credentials', () => {
    credentialsConformance({ create: async () => (await open()).credentials });
  });

  describe('registry', () => {
    registryConformance({
      create: async (leaseMs) => createRedisRegistry({ link, prefix: uniquePrefix(), leaseMs, now: () => now }),
      pass: async (ms) => {
        now += ms;
      },
    });
  });
});

describe('a failover', () => {
  let stack: AsyncDisposableStack;
  beforeEach(() => {
    stack = new AsyncDisposableStack();
  });
  afterEach(() => stack.disposeAsync());

  test('that loses confirmed writes is BEHIND for the job, and another lineage for all', async () => {
    const sentinel = stack.use(await startSentinel());
    const [primary, replica] = sentinel.servers;
    const url = `sentinel://${listed(sentinel.sentinels)}/${sentinel.name}`;
    const link = stack.use(await connectRedis({ url, clock, connectForMs: HANGS_MS }));
    const watch = stack.use(await RedisWatch.start({ link, clock }));
    const prefix = uniquePrefix();
    const registry = createRedisRegistry({ link, prefix, leaseMs: 10 * HANGS_MS });
    watch.onLineage((lineage) => registry.failedOver(lineage));
    const node = { node: 'c' as NodeId, roles: ['comet'] as const, address: '', version: '1', since: 1 };
    const lease = await registry.join(node);
    const resyncOf = async () => {
      const renewal = await registry.renew(lease);
      return renewal.kind === 'renewed' ? renewal.resync : 'expired';
    };
    // The lineage at the start is news to a new registry, once.
    await vi.waitFor(async () => {
      const first = await resyncOf();
      if (typeof first === 'number') await registry.resynced(lease, first);
      expect(Number(await link.command('hlen', `${prefix}{registry}count`))).toBeGreaterThan(1);
      expect(await resyncOf()).toBeUndefined();
    }, HANGS_MS);

    const at = new TestClock();
    const { buckets } = await openRedisStore({ link, watch, prefix, options: OPTIONS, epoch: 7, clock: at });
    const stage = new Stage({ clock: () => at, create: async () => buckets }, at, buckets);
    await stage.push(3);
    expect(Number(await link.command('wait', 1, 900))).toBe(1);
    replica?.pause();
    // What is on its way would be read by the replica when it goes on.
    await link.command('client', 'kill', 'type', 'replica');
    await stage.push(3);
    await registry.addRoom(lease, 'lost' as RoomId, 1);
    await primary?.end('SIGKILL');
    replica?.resume();

    const seen = stage.id(6);
    const late = stage.record(6);
    const result = await vi.waitFor(() => stage.apply([late], seen), { timeout: HANGS_MS, interval: 100 });
    expect(result).toEqual({ kind: 'behind', mark: stage.id(3) });
    const again = [4, 5, 6].map((n) => stage.record(n));
    expect(await stage.apply(again, stage.id(3))).toMatchObject({
      kind: 'applied',
      results: [{ kind: 'appended' }, { kind: 'appended' }, { kind: 'appended' }],
    });
    expect(await stage.shown()).toBe('1 2 3 4 5 6');
    expect(await registry.cometsOf(['lost' as RoomId])).toEqual([[]]);
    await vi.waitFor(async () => expect(await resyncOf()).toEqual(expect.any(Number)), HANGS_MS);
    expect(await buckets.marks([bucketOf(LOG)])).toEqual([stage.id(6)]);
  });

  test('brings back nothing that was revoked or kicked, where that was confirmed; unconfirmed it is said', async () => {
    const sentinel = stack.use(await startSentinel());
    const [primary, replica] = sentinel.servers;
    const url = `sentinel://${listed(sentinel.sentinels)}/${sentinel.name}`;
    const link = stack.use(await patientLink(url));
    const watch = stack.use(await RedisWatch.start({ link, clock }));
    const parts = { link, watch, prefix: uniquePrefix(), options: OPTIONS, epoch: 7, clock };
    const { credentials } = await openRedisStore(parts);
    const id = 't_1' as TokenId;
    const token = { id, hash: 'h', user: '1' as UserId, device: undefined, rooms: [], chosen: false };
    await credentials.putTokens([{ ...token, createdAt: 1, expiresAt: clock.now() + HANGS_MS, revokedAt: undefined }]);
    replica?.pause();
    await credentials.revokeTokens({ id }, 2);
    await credentials.kick(['s_1' as SessionId], clock.now());
    expect(await Promise.all([1, 2, 3].map(() => credentials.outlive?.()))).toEqual([false, false, false]);
    replica?.resume();
    await vi.waitFor(async () => expect(await credentials.outlive?.()).toBe(true), HANGS_MS);
    await primary?.end('SIGKILL');
    const found = await vi.waitFor(() => credentials.tokenById(id), { timeout: HANGS_MS, interval: 100 });
    expect(found).toMatchObject({ revokedAt: 2 });
    expect(await credentials.kicked(['s_1' as SessionId])).toEqual(new Set(['s_1']));
  });

  test('of one primary of a cluster leaves the buckets of the others alone', async () => {
    const cluster = stack.use(await startRedisCluster({ replicas: true }));
    const url = `cluster://${listed(cluster.nodes)}`;
    const link = stack.use(await connectRedis({ url, clock, connectForMs: HANGS_MS }));
    const watch = stack.use(await RedisWatch.start({ link, clock, everyMs: 200 }));
    const heard = new Set<string>();
    watch.onLineage(async (lineage) => heard.add(lineage));
    await vi.waitFor(() => expect(heard.size).toBe(3), HANGS_MS);
    const { buckets } = await openRedisStore({
      link,
      watch,
      prefix: uniquePrefix(),
      options: OPTIONS,
      epoch: 7,
      clock,
    });
    const apply = (n: number) =>
      Promise.allSettled(
        Array.from({ length: 64 }, (_, bucket) =>
          buckets.apply([
            { bucket, lastSeen: n === 1 ? ZERO_ID : { epoch: 7, n: n - 1 }, records: [], upTo: { epoch: 7, n } },
          ]),
        ),
      );
    const applied = await apply(1);
    expect(applied.every(({ status }) => status === 'fulfilled')).toBe(true);
    await Promise.all(cluster.masters.map(({ port }) => waitForReplica(port)));
    await cluster.masters[0]?.end('SIGKILL');
    const during = await apply(2);
    const down = during.filter(({ status }) => status === 'rejected').length;
    expect(down).toBeGreaterThan(0);
    expect(down).toBeLessThan(64);
    for (const one of during) if (one.status === 'rejected') expect(one.reason).toMatchObject({ retryable: true });
    await vi.waitFor(
      async () => {
        const results = await apply(2);
        expect(results.filter(({ status }) => status === 'rejected')).toEqual([]);
      },
      { timeout: HANGS_MS, interval: 200 },
    );
    const marks = await buckets.marks(Array.from({ length: 64 }, (_, bucket) => bucket));
    expect(new Set(marks.map(({ n }) => n))).toEqual(new Set([2]));
    await vi.waitFor(() => expect(heard.size).toBe(4), HANGS_MS);
  });
});

test('a primary of a cluster that hangs, with all that may wait for it, takes nothing from the buckets of the others', async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startRedisCluster({ replicas: true }));
  const link = stack.use(await patientLink(`cluster://${listed(cluster.nodes)}`));
  const watch = stack.use(await RedisWatch.start({ link, clock, everyMs: HANGS_MS }));
  const prefix = uniquePrefix();
  const { buckets } = await openRedisStore({ link, watch, prefix, options: OPTIONS, epoch: 7, clock });
  const [hangs] = cluster.masters;
  const port = hangs?.port ?? 0;
  const owned = await Promise.all(
    Array.from({ length: 24 }, async (_, bucket) => {
      const slot = Number(await askRedis(port, `CLUSTER KEYSLOT {b${bucket}}`));
      return slot < Math.floor(16_384 / 3) ? 'hangs' : 'answers';
    }),
  );
  const of = (whose: string) => owned.flatMap((one, bucket) => (one === whose ? [bucket] : []));
  const apply = (n: number, bucket: number) =>
    buckets.apply([
      { bucket, lastSeen: n === 1 ? ZERO_ID : { epoch: 7, n: n - 1 }, records: [], upTo: { epoch: 7, n } },
    ]);
  await Promise.all(owned.map((_, bucket) => apply(1, bucket)));
  hangs?.pause();
  const megabyte = Buffer.alloc(1 << 20);
  const [bucket] = of('hangs');
  const asked = Array.from({ length: 40 }, () => link.command('set', `${prefix}{b${bucket}}large`, megabyte));
  // Those that were asked are answered when it is gone, or never: what counts is that the rest is not even asked.
  const refused = asked.slice(-8).map((one) => one.then(String, ({ message }: Error) => message));
  for (const one of asked) one.catch(() => undefined);
  const late = expect.stringMatching(`^Redis at 127.0.0.1:${port} .*too much waits for its answers`);
  expect(await Promise.all(refused)).toEqual(refused.map(() => late));
  const applied = await Promise.all(of('answers').map((bucket) => apply(2, bucket)));
  expect(applied.flat().map(({ kind }) => kind)).toEqual(of('answers').map(() => 'applied'));
  expect(of('answers').length).toBeGreaterThan(0);
  hangs?.resume();
});

async function waitForReplica(port: number): Promise<void> {
  const link = await connectRedis({ url: `redis://127.0.0.1:${port}`, clock });
  await vi.waitFor(async () => expect(Number(await link.command('wait', 1, 500))).toBe(1), HANGS_MS);
  await link[Symbol.asyncDispose]();
}
