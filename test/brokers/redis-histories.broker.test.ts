// Random histories against the store in Redis: it keeps the invariants of delivery, and gives the answers that the memory
// engine gives.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/server/clock.js';
import { createMemoryBuckets } from '../../src/server/store/memory.js';
import type { RedisLink } from '../../src/server/store/redis/connect.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore } from '../../src/server/store/redis.js';
import { fc } from '../harness/property.js';
import { history, OPTIONS, runs } from '../unit/store/random-steps.js';
import { TestClock } from '../unit/store/test-clock.js';
import { type Step, World } from '../unit/store/world.js';
import { patientLink } from './redis-link.js';
import { sharedRedis, uniquePrefix } from './shared.js';

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

async function onRedis(steps: readonly Step[]): Promise<unknown[]> {
  const clock = new TestClock();
  const epoch = Math.floor(clock.now() / 1_000);
  const parts = { link, watch, prefix: uniquePrefix(), options: OPTIONS, epoch, clock, upkeep: UPKEEP };
  const { buckets } = await openRedisStore({ ...parts, now: () => clock.now() });
  const world = new World(buckets, clock, OPTIONS);
  await world.run(steps);
  return world.answers;
}

async function onMemory(steps: readonly Step[]): Promise<unknown[]> {
  const clock = new TestClock();
  const world = new World(createMemoryBuckets(OPTIONS, clock), clock, OPTIONS);
  await world.run(steps);
  return world.answers;
}

test('the store in Redis gives the answers that memory gives, through any history', async () => {
  const same = async (steps: readonly Step[]): Promise<void> => {
    expect(await onRedis(steps)).toEqual(await onMemory(steps));
  };
  await fc.assert(fc.asyncProperty(history([]), same), runs(100));
});
