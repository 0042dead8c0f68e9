// The store in Redis keeps the contracts: Buckets and Credentials, on a real server.

import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../src/server/clock.js';
import type { Buckets, BucketsOptions } from '../../src/server/store/buckets.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { openHistory } from '../../src/server/store/redis/history.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore, type RedisStore } from '../../src/server/store/redis.js';
import { bucketsConformance } from '../conformance/buckets.js';
import { OPTIONS } from '../conformance/buckets-stage.js';
import { credentialsConformance } from '../conformance/credentials.js';
import { TestClock } from '../unit/store/test-clock.js';
import { sharedRedis, uniquePrefix } from './shared.js';

/** Every step goes through all there is. */
const UPKEEP = { keys: 1_000_000, buckets: 1_024 };

let link: RedisLink;
let watch: RedisWatch;

beforeAll(async () => {
  link = await connectRedis({ url: await sharedRedis(), clock: systemClock });
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
