// What the store in Redis keeps when Redis is killed, and when a cluster begins anew on what is there: the contract's
// promises about restarts, with a server of its own. After a restart every comet is another one, and the topic too.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { userLog } from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { Buckets, BucketsOptions } from '../../src/server/store/buckets.js';
import type { Credentials } from '../../src/server/store/credentials.js';
import type { RedisLink } from '../../src/server/store/redis/connect.js';
import { openHistory } from '../../src/server/store/redis/history.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore, type RedisStore } from '../../src/server/store/redis.js';
import { restartConformance } from '../conformance/buckets-restart.js';
import { type BucketsEngine, device, LOG, OPTIONS, Stage, user } from '../conformance/buckets-stage.js';
import { credentialsConformance } from '../conformance/credentials.js';
import { TestClock } from '../unit/store/test-clock.js';
import { type RedisServer, startRedis } from './redis.js';
import { patientLink } from './redis-link.js';
import { uniquePrefix } from './shared.js';

interface Running {
  readonly prefix: string;
  readonly options: BucketsOptions;
  readonly clock: TestClock;
  readonly topic: number;
}

let server: RedisServer;
let link: RedisLink;
let watch: RedisWatch;
const running = new Map<object, Running>();

beforeAll(async () => {
  server = await startRedis();
  await connect();
});
afterAll(async () => {
  await disconnect();
  await server[Symbol.asyncDispose]();
});

async function connect(): Promise<void> {
  link = await patientLink(server.url);
  // With everysec what was answered in the last two seconds may not have been given to the system yet.
  await link.command('config', 'set', 'appendfsync', 'always');
  watch = await RedisWatch.start({ link, clock: systemClock });
}

async function disconnect(): Promise<void> {
  watch[Symbol.dispose]();
  await link[Symbol.asyncDispose]();
}

async function open(one: Running): Promise<RedisStore> {
  const { prefix, options, clock, topic } = one;
  const identity = { topic: 'imgo.push', clusterId: 'c', topicId: `t${topic}`, partitions: 64 };
  const epoch = await openHistory(identity, { link, prefix, clock, accept: true });
  const store = await openRedisStore({ link, watch, prefix, options, epoch, clock, now: () => clock.now() });
  running.set(store.buckets, one);
  running.set(store.credentials, one);
  return store;
}

async function again(of: object): Promise<RedisStore> {
  const before = running.get(of) as Running;
  return open({ ...before, topic: before.topic + 1 });
}

async function kill(): Promise<void> {
  await disconnect();
  await server.process.restart();
  await connect();
}

const fresh = (options: BucketsOptions, clock: TestClock) => ({ prefix: uniquePrefix(), options, clock, topic: 1 });

const engine: BucketsEngine = {
  forgetsEnds: true,
  flagsMore: true,
  clock: () => new TestClock(),
  create: async (options: BucketsOptions, clock: TestClock): Promise<Buckets> =>
    (await open(fresh(options, clock))).buckets,
  restart: async (buckets: Buckets, how: 'orderly' | 'crash'): Promise<Buckets> => {
    await buckets.flush();
    if (how === 'crash') await kill();
    const store = await again(buckets);
    await store.buckets.dropComet('comet' as never, undefined);
    return store.buckets;
  },
};

describe('buckets in a Redis that is killed', () => {
  restartConformance(engine);
});

describe('credentials in a Redis that is killed', () => {
  credentialsConformance({
    create: async (): Promise<Credentials> => (await open(fresh(OPTIONS, new TestClock()))).credentials,
    restart: async (credentials) => {
      await kill();
      return (await again(credentials)).credentials;
    },
  });
});

describe('a history', () => {
  const topic = { topic: 'imgo.push', clusterId: 'c', topicId: 't', partitions: 64 };

  test('is one epoch for all who open it', async () => {
    const options = { link, prefix: uniquePrefix(), clock: new TestClock() };
    const epochs = await Promise.all([1, 2, 3].map(() => openHistory(topic, options)));
    expect(new Set(epochs).size).toBe(1);
    options.clock.pass(5_000);
    expect(await openHistory(topic, options)).toBe(epochs[0]);
  });

  test.each([
    ['another topic of the same name', { ...topic, topicId: 'u' }],
    ['another cluster', { ...topic, clusterId: 'd' }],
    ['other partitions', { ...topic, partitions: 32 }],
  ])('%s is refused, and accepted as the next epoch', async (_what, other) => {
    const options = { link, prefix: uniquePrefix(), clock: new TestClock() };
    const first = await openHistory(topic, options);
    await expect(openHistory(other, options)).rejects.toMatchObject({ code: 'kafka_topic_changed' });
    expect(await openHistory(topic, options)).toBe(first);
    options.clock.set(options.clock.now() - 86_400_000);
    const next = await openHistory(other, { ...options, accept: true });
    expect(next).toBe(first + 1);
    expect(await openHistory(other, { ...options, accept: true })).toBe(next);
    await expect(openHistory(topic, options)).rejects.toMatchObject({ code: 'kafka_topic_changed' });
  });

  test('of a newer format is refused, and left as it is', async () => {
    const options = { link, prefix: uniquePrefix(), clock: new TestClock() };
    await openHistory(topic, options);
    await link.command('hset', `${options.prefix}{history}`, 'format', 2);
    await expect(openHistory(topic, options)).rejects.toMatchObject({ code: 'data_newer' });
    expect(String(await link.command('hget', `${options.prefix}{history}`, 'format'))).toBe('2');
  });

  test('of a format that the next version reads and does not write yet is for both, whoever starts when', async () => {
    const options = { link, prefix: uniquePrefix(), clock: new TestClock() };
    const next = { ...options, formats: { read: 2, written: 1 } };
    const afterNext = { ...options, formats: { read: 2, written: 2 } };
    const epoch = await openHistory(topic, options);
    expect(await openHistory(topic, next)).toBe(epoch);
    expect(await openHistory(topic, options)).toBe(epoch);
    expect(await openHistory(topic, afterNext)).toBe(epoch);
    expect(await openHistory(topic, next)).toBe(epoch);
    await expect(openHistory(topic, options), 'two versions apart').rejects.toMatchObject({ code: 'data_newer' });
  });
});

describe('the store in Redis', () => {
  test('a log whose entries Redis expired on its own is told as a gap, and goes on', async () => {
    const stage = await Stage.open(engine);
    const { prefix } = running.get(stage.buckets) as Running;
    await stage.push(3);
    await link.command('del', `${prefix}{b${bucketOf(LOG)}}e:${LOG}`);
    stage.clock.pass(8 * 86_400_000);
    expect(await stage.shown()).toBe('(0-3]');
    await stage.push(1);
    expect(await stage.shown()).toBe('(0-3] 4');
    expect(stage.count('trimmed_expired')).toBe(3);
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 1, bytes: 2, trimmedTo: stage.id(3) });
  });

  test('what was applied before it was taken back is flagged when it comes again', async () => {
    const stage = await Stage.open(engine);
    await stage.open('s', { device: device('phone') });
    await stage.push(2);
    // A job that has seen more than there is.
    expect(await stage.apply([stage.record(6)], stage.id(5))).toMatchObject({ kind: 'behind' });
    const again = await stage.register(stage.session('again', { device: device('phone') }));
    const opened = await stage.buckets.openCursor(again, undefined);
    expect(opened).toMatchObject({ head: stage.id(2), sentBefore: stage.id(5) });
  });

  test('every key of it ends by itself, but those of who is there and of where each bucket stands', async () => {
    const stage = await Stage.open(engine);
    const { prefix } = running.get(stage.buckets) as Running;
    await stage.push(2, { idempotency: { scope: 's', key: 'k', bodyHash: 'b' } }).catch(() => undefined);
    await stage.push(1, { id: stage.id(7), log: userLog(user('bob')) });
    await stage.close(await stage.open('s'), stage.id(1));
    await stage.open('t');
    const keys = (await link.command('keys', `${prefix}*`)) as readonly Buffer[];
    const lasting: string[] = [];
    for (const key of keys) {
      if (Number(await link.command('pttl', key)) < 0)
        lasting.push(String(key).slice(prefix.length).replace(/\d+/, ''));
    }
    expect([...new Set(lasting)].sort()).toEqual(['{b}c', '{b}m', '{b}s:user:alice', '{b}x', '{history}']);
  });
});
