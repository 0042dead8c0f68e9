// What a comet says of itself for top: slow sessions and how far they are behind, rooms in an order, latency by samples; and that
// it says little, whatever it has.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatId } from '../../../src/protocol/ids.js';
import { addUp, percentile } from '../../../src/server/observe/latency.js';
import type { StatsRequest } from '../../../src/server/rpc/services.js';
import { Live, type RawTcp } from './live.js';

const KIB = 1024;
const EVERYTHING: StatsRequest = { topics: 100, topicOrder: 'members', sessions: 100 };
const big = (n: number) => String(n).padEnd(32 * KIB, '.');
let server: Live;

beforeEach(async () => {
  server = await Live.start({ keep: { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 } });
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const stats = (more: Partial<StatsRequest> = {}) => server.comet.service.stats({ ...EVERYTHING, ...more });

async function member(user: string, ...rooms: readonly string[]): Promise<RawTcp> {
  const token = await server.token(user, undefined, rooms);
  return server.native({ token, rooms: [...rooms] as never });
}

it('says what its process uses, what bounds its connections, and its clock', async () => {
  const { process, capacity, at, topicCount } = await stats();
  const { descriptors, memory } = process ?? expect.fail('no figures of the process');
  expect(descriptors.used).toBeGreaterThan(3);
  expect(descriptors.limit).toBeGreaterThanOrEqual(descriptors.used);
  expect(memory.limitBytes).toBeGreaterThan(memory.rssBytes);
  expect(capacity).toMatchObject({ by: 'fd_limit' });
  expect(Math.abs((at ?? 0) - Date.now())).toBeLessThan(60_000);
  expect(topicCount).toBe(1);
});

it('a session whose socket takes nothing is the slowest, with where it stands and what it has not got', async () => {
  const [slow, quick] = [await member('slow', 'r'), await member('quick', 'r')];
  slow.socket.pause();
  let count = 0;
  const first = async () => (await stats()).slowest?.[0];
  while (((await first())?.heldMs ?? 0) === 0) await server.pushRoom('r', big(count++));
  for (let n = 0; n < 10; n++) await server.pushRoom('r', big(count++));
  await quick.bodiesCount(count);
  const shown = (await first()) ?? expect.fail('nobody is slow');
  expect(shown).toMatchObject({ user: 'slow', dialect: 'native', transport: 'tcp', log: 'room:r' });
  expect(shown.lagBytes).toBeGreaterThan(10 * 32 * KIB);
  expect(shown.head.n - shown.cursor.n).toBeGreaterThanOrEqual(10);
  expect(shown.gapInMs).toBeGreaterThanOrEqual(0);
  await expect.poll(async () => (await stats()).lagging, { timeout: 5_000 }).toBe(1);
  slow.socket.resume();
  await slow.bodiesCount(count);
  await expect.poll(async () => (await stats()).lagging).toBe(0);
  await expect.poll(async () => (await first())?.heldMs).toBe(0);
});

it('a held session that goes is forgotten', async () => {
  const slow = await member('slow', 'r');
  slow.socket.pause();
  const held = async () => (await stats()).slowest?.some(({ heldMs }) => heldMs > 0) === true;
  for (let n = 0; !(await held()); n++) await server.pushRoom('r', big(n));
  slow.socket.resetAndDestroy();
  await expect.poll(async () => (await stats()).sessions).toBe(0);
  expect(await stats()).toMatchObject({ slowest: [], lagging: 0 });
});

it('tells as many topics and sessions as are asked for, in the order asked for, and of those that are searched', async () => {
  for (let n = 1; n <= 5; n++) await member(`person-${n}`, ...['a', 'b', 'c', 'd', 'e'].slice(0, n));
  for (let n = 0; n < 3; n++) await server.pushRoom('e', 'x');
  const names = async (more: Partial<StatsRequest>) => (await stats(more)).topics.map(({ log }) => log);
  expect(await names({ topics: 3 })).toEqual(['all', 'room:a', 'room:b']);
  expect(await names({ room: 'd' })).toEqual(['room:d']);
  expect(await names({ search: 'room:' })).toHaveLength(5);
  expect((await stats({ sessions: 2 })).slowest).toHaveLength(2);
  expect((await stats({ search: 'person-3' })).slowest?.map(({ user }) => user)).toEqual(['person-3']);
  expect((await stats({ sessions: 0 })).slowest).toBeUndefined();
  expect(await stats({ topics: 1 })).toMatchObject({ topicCount: 6 });
  const e = async () => (await stats({ room: 'e' })).topics[0];
  await expect.poll(e).toMatchObject({ members: 1, messages: 3, deliveries: 3, gaps: 0 });
});

it('tells what all topics have together, and then none of them one by one', async () => {
  await member('a', 'r', 's');
  await member('b', 'r');
  const { sums, topics } = await stats({ topics: 0, sums: true });
  expect(topics).toEqual([]);
  expect(sums).toMatchObject({ members: 5, lagging: 0 });
  await server.pushRoom('r', big(1));
  await expect.poll(async () => (await stats({ sums: true })).sums?.ringBytes).toBeGreaterThan(32 * KIB);
  expect((await stats()).sums).toBeUndefined();
});

it('how long messages took is sampled: one delivery in 64, of users and of rooms', async () => {
  const samples = async () => addUp([(await stats()).took?.counts ?? []]).reduce((sum, one) => sum + one, 0);
  const client = await member('u', 'r');
  for (let n = 0; n < 64; n++) await server.push('u', 'x');
  for (let n = 0; n < 64; n++) await server.pushRoom('r', 'x');
  await client.bodiesCount(128);
  await expect.poll(samples).toBe(2);
  const { recent = [] } = (await stats()).took ?? {};
  expect(percentile(recent, 0.5)).toBeGreaterThanOrEqual(0);
});

it('a cursor and a head are ids of the log that it names', async () => {
  await member('u');
  await server.push('u', 'x');
  const shown = async () => (await stats()).slowest?.[0];
  await expect.poll(async () => (await shown())?.cursor.n).toBe(1);
  expect(formatId((await shown())?.head ?? expect.fail('nobody'))).toMatch(/-1$/);
  expect((await shown())?.log).toBe('user:u');
});
