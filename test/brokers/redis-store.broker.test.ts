// The store in Redis keeps the contracts: Buckets and Credentials, on a real server.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { userLog } from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { Buckets, BucketsOptions } from '../../src/server/store/buckets.js';
import type { RedisLink } from '../../src/server/store/redis/connect.js';
import { openHistory } from '../../src/server/store/redis/history.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore, type RedisStore } from '../../src/server/store/redis.js';
import { bucketsConformance } from '../conformance/buckets.js';
import { LOG, MINUTE, OPTIONS, ROOM, Stage, user } from '../conformance/buckets-stage.js';
import { credentialsConformance } from '../conformance/credentials.js';
import { TestClock } from '../unit/store/test-clock.js';
import { patientLink } from './redis-link.js';
import { sharedRedis, uniquePrefix } from './shared.js';

/** Every step goes through all there is. */
const UPKEEP = { keys: 1_000_000, buckets: 1_024 };

let link: RedisLink;
let watch: RedisWatch;

beforeAll(async () => {
  link = await patientLink(await sharedRedis());
  watch = await RedisWatch.start({ link, clock: systemClock });
});
afterAll(async () => {
  watch[Symbol.dispose]();
  await link[Symbol.asyncDispose]();
});

async function open(options: BucketsOptions, clock: TestClock): Promise<RedisStore> {
  const prefix = uniquePrefix();
  const epoch = await openHistory(
    { topic: 'imgo.push', clusterId: 'c', topicId: 't', partitions: 64 },
    { link, prefix, clock },
  );
  return openRedisStore({ link, watch, prefix, options, epoch, clock, now: () => clock.now(), upkeep: UPKEEP });
}

describe('buckets in Redis', () => {
  bucketsConformance({
    clock: () => new TestClock(),
    create: async (options, clock): Promise<Buckets> => (await open(options, clock)).buckets,
  });
});

describe('credentials in Redis', () => {
  credentialsConformance({ create: async () => (await open(OPTIONS, new TestClock())).credentials });
});

test('what was put aside is known by its id, in its bucket, to whoever asks', async () => {
  const { asides } = await open(OPTIONS, new TestClock());
  const id = { epoch: 7, n: 3 };
  expect(await asides.has({ log: LOG, id })).toBe(false);
  await asides.note({ log: LOG, id });
  expect(await asides.has({ log: LOG, id })).toBe(true);
  expect(await asides.has({ log: LOG, id: { epoch: 7, n: 4 } })).toBe(false);
  expect(await asides.has({ log: ROOM, id })).toBe(false);
});

describe('what the queue lost before it was applied', () => {
  const scene = async () => {
    const clock = new TestClock();
    const store = await open(OPTIONS, clock);
    const { buckets } = store;
    return { clock, store, stage: new Stage({ clock: () => clock, create: async () => buckets }, clock, buckets) };
  };
  const own = [bucketOf(LOG)];

  test('is a gap for who reads, between what came before and what comes later', async () => {
    const { store, stage } = await scene();
    await stage.push(3);
    expect(await store.lose(own, stage.id(7))).toBe(1);
    expect(await stage.shown()).toBe('1 2 3 (3-7]');
    expect(await stage.shown(stage.id(3))).toBe('(3-7]');
    expect(await stage.apply([stage.record(8)])).toMatchObject({ results: [{ kind: 'appended', prev: stage.id(7) }] });
    expect(await stage.shown()).toBe('1 2 3 (3-7] 8');
    expect(await stage.shown(stage.id(3))).toBe('(3-7] 8');
  });

  test('is told to a device that has acknowledged everything, and to one that never got a message', async () => {
    const { store, stage } = await scene();
    const [, , third] = await stage.push(3);
    const session = await stage.open('s1', { device: 'phone' as never });
    await stage.acknowledge(session, third ?? stage.id(3));
    await stage.close(session, stage.id(3));
    const bob = user('bob');
    await stage.close(await stage.open('s2', { user: bob, device: 'pad' as never }), stage.id(0));
    expect(await store.lose([...own, bucketOf(userLog(bob))], stage.id(7))).toBe(2);
    const again = await stage.register(stage.session('s3', { device: 'phone' as never }));
    expect(await stage.buckets.openCursor(again, undefined)).toMatchObject({ start: stage.id(3), head: stage.id(7) });
    expect(await stage.shown(stage.id(3))).toBe('(3-7]');
    expect(await stage.shown(undefined, userLog(bob))).toBe('(0-7]');
  });

  test('is so for rooms, leaves other buckets alone, and changes nothing the second time', async () => {
    const { clock, store, stage } = await scene();
    await stage.push(2, { log: ROOM, expiresAt: clock.now() + MINUTE });
    const room = [bucketOf(ROOM)];
    expect(await store.lose(own, stage.id(7))).toBe(0);
    expect(await stage.shown(undefined, ROOM)).toBe('1 2');
    expect(await store.lose(room, stage.id(7))).toBe(1);
    expect(await store.lose(room, stage.id(7))).toBe(0);
    expect(await stage.shown(undefined, ROOM)).toBe('1 2 (2-7]');
    expect(await stage.buckets.marks([...own, ...room])).toEqual([stage.id(7), stage.id(7)]);
  });
});
