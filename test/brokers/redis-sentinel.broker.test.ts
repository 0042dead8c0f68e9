// The connection to Redis behind Sentinel comes back by itself from whatever the ways to servers and sentinels do during a
// failover: a sentinel that says nothing, a primary that says nothing, and news that come at a bad moment.

import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/server/clock.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import type { FaultProxy } from '../harness/fault-proxy.js';
import { askRedis, type RedisSentinel, startSentinel } from './redis.js';
import { openRedisDoor } from './redis-door.js';

const clock = systemClock;
const BACK = { timeout: 60_000, interval: 100 };

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

interface Scene {
  readonly redis: RedisSentinel;
  readonly link: RedisLink;
  /** The ways to the servers, the first primary's first, and to the sentinels, the one that is asked first first. */
  readonly servers: readonly FaultProxy[];
  readonly sentinels: readonly FaultProxy[];
}

async function scene(): Promise<Scene> {
  const redis = stack.use(await startSentinel());
  const door = stack.use(await openRedisDoor(redis));
  const link = stack.use(await connectRedis({ url: door.url, clock, connectForMs: 60_000 }));
  const count = redis.servers.length;
  return { redis, link, servers: door.proxies.slice(0, count), sentinels: door.proxies.slice(count) };
}

/** The sentinels make the replica the primary. */
async function failOver({ redis }: Scene): Promise<void> {
  const before = await redis.primary();
  const asked = redis.sentinels.at(-1)?.port ?? 0;
  expect(await askRedis(asked, `SENTINEL FAILOVER ${redis.name}`)).toBe('OK');
  await vi.waitFor(async () => expect((await redis.primary()).port).not.toBe(before.port), BACK);
}

/** Something is written, and by the primary. */
const write = async ({ link }: Scene): Promise<void> => void (await link.command('incr', 'k'));

describe('a failover that is told', () => {
  test('while the address of the primary is asked for does not end the connection for good', async () => {
    const now = await scene();
    const [first] = now.sentinels;
    first?.stall();
    for (const server of now.servers) server.cut();
    await vi.waitFor(() => expect(write(now)).rejects.toMatchObject({ code: 'redis_unreachable' }), BACK);
    await failOver(now);
    first?.heal();
    await vi.waitFor(() => write(now), BACK);
  });
});

describe('a failover that is not told', () => {
  test('over a primary that says nothing is found out by who looks whether it answers', async () => {
    const now = await scene();
    stack.use(await RedisWatch.start({ link: now.link, clock }));
    for (const sentinel of now.sentinels) {
      sentinel.refuse();
      sentinel.cut();
    }
    now.servers[0]?.stall();
    await failOver(now);
    for (const sentinel of now.sentinels) sentinel.heal();
    await vi.waitFor(() => write(now), BACK);
  });
});

describe('a sentinel that says nothing', () => {
  test('to who subscribes to its news anew harms nobody', async () => {
    const now = await scene();
    const [first] = now.sentinels;
    await vi.waitFor(() => expect(first?.connections).toBe(1), BACK);
    first?.stall();
    first?.cut();
    await vi.waitFor(() => expect(first?.connections).toBe(1), BACK);
    // Longer than any answer is waited for: a rejection that nobody handles ends a process, and fails a test.
    await wait(2_000);
    first?.heal();
    await write(now);
  });

  test('is passed over', async () => {
    const now = await scene();
    now.sentinels[0]?.stall();
    for (const server of now.servers) server.cut();
    await vi.waitFor(() => write(now), BACK);
  });
});
