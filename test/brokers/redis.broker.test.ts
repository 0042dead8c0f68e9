// Each topology of Redis starts, takes a write, and survives what it should survive.
import { Cluster, Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FaultProxy } from '../harness/fault-proxy.js';
import type { BrokerProcess } from './process.js';
import { startRedis, startRedisCluster, startSentinel } from './redis.js';

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

/** Without a retry: what fails, fails. */
function clientOf(port: number): Redis {
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    commandTimeout: 1000,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
  });
  redis.on('error', () => undefined);
  stack.defer(() => redis.disconnect());
  return redis;
}

/** Tries until it works: how long a failover takes is nobody's promise here. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** With `everysec` Redis puts a write off while an earlier one is being synced: a kill then takes what it had answered. */
const ALWAYS = ['appendfsync always'];

test('a single server has what it acknowledged after kill -9 and a restart', async () => {
  const { process, url } = stack.use(await startRedis(ALWAYS));
  expect(await clientOf(Number(new URL(url).port)).set('key', 'value')).toBe('OK');
  await process.restart();
  expect(await clientOf(process.port).get('key')).toBe('value');
});

test('a paused server answers nothing until it goes on', async () => {
  const { process } = stack.use(await startRedis());
  const redis = clientOf(process.port);
  await redis.set('key', 'value');
  process.pause();
  await expect(redis.get('key')).rejects.toThrow('timed out');
  process.resume();
  expect(await redis.get('key')).toBe('value');
});

test('a server takes lines of configuration, and one that cannot start says why', async () => {
  const { process } = stack.use(await startRedis(['requirepass secret']));
  await expect(clientOf(process.port).get('key')).rejects.toThrow('NOAUTH');
  await expect(startRedis(['maxmemory-policy nonsense'])).rejects.toThrow('maxmemory-policy');
});

test('behind the proxy, a client loses the answer to a write that was done', async () => {
  const { process } = stack.use(await startRedis());
  const proxy = stack.use(await FaultProxy.start({ target: process.port }));
  const redis = clientOf(proxy.port);
  expect(await redis.incr('count')).toBe(1);
  const cut = proxy.cutAnswer((request) => request.includes('incr'));
  await expect(redis.incr('count')).rejects.toThrow();
  await cut;
  expect(await clientOf(process.port).get('count')).toBe('2');
});

test.each<[string, (primary: BrokerProcess) => unknown]>([
  ['killed', (primary) => primary.end('SIGKILL')],
  ['paused', (primary) => primary.pause()],
])('Sentinel: a primary that is %s is replaced by its replica, which has what was waited for', async (_, strike) => {
  const sentinel = stack.use(await startSentinel());
  const [first, second] = sentinel.servers;
  expect(await sentinel.primary()).toBe(first);
  const redis = new Redis({
    ...{ sentinels: [...sentinel.sentinels], name: sentinel.name },
    ...{ failoverDetector: true, commandTimeout: 1000, maxRetriesPerRequest: 0 },
  });
  redis.on('error', () => undefined);
  stack.defer(() => redis.disconnect());
  await redis.set('key', 'value');
  expect(await redis.wait(1, 0)).toBe(1);
  await strike(await sentinel.primary());
  expect(await eventually(() => redis.set('key', 'another', 'GET'))).toBe('value');
  // Each sentinel is told by the one that led the failover.
  await vi.waitFor(async () => expect(await sentinel.primary()).toBe(second), 30_000);
});

/** One key for every master's slots, by trial. */
const KEYS = Array.from({ length: 20 }, (_, index) => `key ${index}`);

function clusterClientOf(nodes: readonly { host: string; port: number }[]): Cluster {
  const redisOptions = { commandTimeout: 1000, maxRetriesPerRequest: 0 };
  const cluster = new Cluster([...nodes], { redisOptions, slotsRefreshTimeout: 5000 });
  cluster.on('error', () => undefined);
  stack.defer(() => cluster.disconnect());
  return cluster;
}

test('Cluster: three masters share the keys; one killed and started again has its own', async () => {
  const { nodes, masters } = stack.use(await startRedisCluster());
  const cluster = clusterClientOf(nodes);
  await Promise.all(masters.map(({ port }) => clientOf(port).config('SET', 'appendfsync', 'always')));
  for (const key of KEYS) await cluster.set(key, key);
  const sizes = await Promise.all(masters.map(({ port }) => clientOf(port).dbsize()));
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  await masters[0]?.restart();
  for (const key of KEYS) expect(await eventually(() => cluster.get(key))).toBe(key);
});

test('Cluster with replicas: a killed master is replaced, and every slot takes writes', async () => {
  const { nodes, masters, replicas } = stack.use(await startRedisCluster({ replicas: true }));
  expect(replicas).toHaveLength(3);
  const cluster = clusterClientOf(nodes);
  await masters[0]?.end('SIGKILL');
  for (const key of KEYS) expect(await eventually(() => cluster.set(key, key))).toBe('OK');
  expect(await clientOf(replicas[0]?.port ?? 0).dbsize()).toBeGreaterThan(0);
});
