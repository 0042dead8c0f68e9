// The registry in Redis keeps the contract, and what only an engine that may lose writes promises.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NodeId, RoomId } from '../../src/protocol/ids.js';
import { createRedisRegistry } from '../../src/server/router/redis.js';
import type { RedisLink } from '../../src/server/store/redis/connect.js';
import { registryConformance } from '../conformance/registry.js';
import { patientLink } from './redis-link.js';
import { sharedRedis, uniquePrefix } from './shared.js';

let link: RedisLink;
let now = 1_800_000_000_000;

beforeAll(async () => {
  link = await patientLink(await sharedRedis());
});
afterAll(() => link[Symbol.asyncDispose]());

const create = (leaseMs: number, prefix = uniquePrefix()) =>
  createRedisRegistry({ link, prefix, leaseMs, now: () => now });
const pass = async (ms: number): Promise<void> => {
  now += ms;
};
const node = (name: string) => ({
  node: name as NodeId,
  roles: ['comet'] as const,
  address: '',
  version: '1',
  since: 1,
});
const room = (name: string) => name as RoomId;

describe('the registry in Redis keeps the contract', () => {
  registryConformance({ create: async (leaseMs) => create(leaseMs), pass });
});

describe('the registry in Redis', () => {
  test('is one for all who use its prefix, and nobody else', async () => {
    const prefix = uniquePrefix();
    const [one, other, stranger] = [create(1_000, prefix), create(1_000, prefix), create(1_000)];
    const lease = await one.join(node('a'));
    await one.addRoom(lease, room('r'), 1);
    expect(await other.cometsOf([room('r')])).toMatchObject([[{ node: 'a', incarnation: lease.incarnation }]]);
    expect(await stranger.nodes()).toEqual([]);
  });

  test('takes its time from Redis: a node whose clock is off has a lease as long as the others', async () => {
    const prefix = uniquePrefix();
    const registry = createRedisRegistry({ link, prefix, leaseMs: 60_000 });
    const { incarnation } = await registry.join(node('a'));
    const [seconds] = (await link.command('time')) as Buffer[];
    expect(Math.abs(incarnation / 1_000 - Number(seconds))).toBeLessThan(60);
    expect(await registry.comets()).toHaveLength(1);
  });

  test('has every live comet re-read once a failover, whoever tells it', async () => {
    const registry = create(1_000);
    const lease = await registry.join(node('a'));
    await registry.join({ ...node('logic'), roles: ['logic'] });
    expect(await registry.failedOver('h1')).toBe(1);
    expect(await registry.failedOver('h1')).toBe(0);
    const first = await registry.renew(lease);
    expect(first).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
    expect(await registry.failedOver('h2')).toBe(1);
    expect(await registry.renew(lease)).not.toEqual(first);
  });

  test('forgets what an incarnation held, in steps, and keeps what others hold', async () => {
    const prefix = uniquePrefix();
    const registry = create(1_000, prefix);
    const other = await registry.join(node('b'));
    let lease = await registry.join(node('a'));
    for (let at = 0; at < 1_200; at += 100) {
      const names = Array.from({ length: 100 }, (_, index) => room(`r${at + index}`));
      await Promise.all(names.map((name, index) => registry.addRoom(lease, name, at + index + 1)));
    }
    await registry.addRoom(other, room('r7'), 1);
    lease = await registry.join(node('a'));
    await registry.addRoom(lease, room('kept'), 1);
    expect(await registry.rooms({ after: undefined, limit: 10 })).toEqual(['kept', 'r7']);
    for (let round = 0; round < 4; round++) await registry.renew(lease);
    const size = async (name: string) => Number(await link.command('zcard', `${prefix}{registry}${name}`));
    expect(await size('held')).toBe(2);
    expect(await size('rooms')).toBe(2);
    expect(Number(await link.command('hlen', `${prefix}{registry}words`))).toBe(2);
  });
});
