// The store in Redis under a job: messages per CPU second of the job's process, applied, looked up and notified in batches,
// beside bare SETs of the same bytes over the same client; how many scripts Redis runs a CPU second of its own; and what an
// offline message and a session take in Redis's memory. Redis and this process share the machine.

import { readFileSync } from 'node:fs';
import { type MessageId, type NodeId, type SessionId, type UserId, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { systemClock as clock } from '../../src/server/clock.js';
import { createJob } from '../../src/server/job/job.js';
import type { BatchHandler, Queue, QueueBatch } from '../../src/server/queue/queue.js';
import { createRedisRegistry } from '../../src/server/router/redis.js';
import type { CometService } from '../../src/server/rpc/services.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { Buckets, BucketsOptions, IdentifiedRecord, SessionRecord } from '../../src/server/store/buckets.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { openRedisStore } from '../../src/server/store/redis.js';
import { startRedis } from '../brokers/redis.js';
import type { Bench, BenchRow } from './row.js';

const DAY = 86_400_000;
const KEEP = { messages: 1_000, bytes: 1 << 20, ageMs: 7 * DAY };
const OPTIONS: BucketsOptions = {
  keep: KEEP,
  rooms: KEEP,
  devicesPerUser: 8,
  newDevice: 'kept',
  idempotency: { forMs: DAY, bytes: 64 << 20 },
  forgetLogAfterMs: 30 * DAY,
};
const PAYLOAD = Buffer.alloc(200, 'x');
const PARTITIONS = 64;
/** Users of one partition. */
const USERS = 2_000;
const BATCH = 1_000;
const BATCHES = 60;
const NODE = 'comet' as NodeId;

interface Stage {
  readonly link: RedisLink;
  readonly buckets: Buckets;
  readonly registry: ReturnType<typeof createRedisRegistry>;
}

async function open(link: RedisLink, watch: RedisWatch, prefix: string): Promise<Stage> {
  const { buckets } = await openRedisStore({ link, watch, prefix, options: OPTIONS, epoch: 1, clock });
  const registry = createRedisRegistry({ link, prefix, leaseMs: 3_600_000 });
  return { link, buckets, registry };
}

/** Users whose buckets are in one partition. */
function usersOf(partition: number, count: number): UserId[] {
  const users: UserId[] = [];
  for (let at = 0; users.length < count; at++) {
    const user = `${at}` as UserId;
    if (bucketOf(userLog(user)) % PARTITIONS === partition) users.push(user);
  }
  return users;
}

function session(user: UserId, incarnation: number): SessionRecord {
  return {
    session: `s_${user.padStart(16, '0')}` as SessionId,
    user,
    device: '' as SessionRecord['device'],
    token: `t_${user.padStart(16, '0')}` as SessionRecord['token'],
    comet: NODE,
    incarnation,
    seq: Number(user) + 1,
    dialect: 'native',
    transport: 'tcp',
    peer: '203.0.113.7',
    since: clock.now(),
  };
}

function batchOf(partition: number, users: readonly UserId[], from: number): QueueBatch {
  const acceptedAt = clock.now();
  const records = Array.from({ length: BATCH }, (_, at): IdentifiedRecord => {
    const id: MessageId = { epoch: 1, n: from + at + 1 };
    const log = userLog(users[Math.imul(from + at, 7_919) % users.length] as UserId);
    return { id, log, payload: PAYLOAD, acceptedAt, expiresAt: acceptedAt + DAY };
  });
  const buckets = Array.from({ length: 1_024 / PARTITIONS }, (_, at) => partition + at * PARTITIONS);
  const commit = { upTo: { epoch: 1, n: from + BATCH }, buckets };
  return { partition, records, ephemeral: [], attempt: 1, commit, applied: () => undefined };
}

/** Hands out the batches of two partitions, each in order, side by side. */
async function feed(handler: BatchHandler, partitions: ReadonlyMap<number, readonly UserId[]>, first: number) {
  const feeds = [...partitions].map(async ([partition, users]) => {
    for (let at = 0; at < BATCHES; at++) await handler(batchOf(partition, users, (first + at) * BATCH));
  });
  await Promise.all(feeds);
}

/** User and system time of a process, in seconds. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function numberOf(link: RedisLink, section: string, field: string): Promise<number> {
  const text = String(await link.command('info', section));
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1]);
}

async function measureJob(stage: Stage): Promise<readonly BenchRow[]> {
  const { buckets, registry, link } = stage;
  const lease = await registry.join({ node: NODE, roles: ['comet'], address: '', version: '1', since: 1 });
  const partitions = new Map([3, 40].map((partition) => [partition, usersOf(partition, USERS)]));
  for (const users of partitions.values()) {
    const options = { cap: 8, onTooMany: 'replace-oldest' } as const;
    await Promise.all(users.map((user) => buckets.register(session(user, lease.incarnation), options)));
  }
  let notified = 0;
  const comet: Pick<CometService, 'notify'> = {
    notify: async (notifications) => {
      notified += notifications.length;
    },
  };
  let handler: BatchHandler | undefined;
  const queue: Pick<Queue, 'consume'> = {
    consume: async (given) => {
      handler = given;
    },
  };
  const job = createJob({ queue: queue as Queue, buckets, registry, clock, cometFor: () => comet as CometService });
  await job.run(new AbortController().signal);
  if (handler === undefined) throw new Error('the job does not consume');
  await feed(handler, partitions, 0);
  const pid = await numberOf(link, 'server', 'process_id');
  const calls = () => numberOf(link, 'stats', 'total_commands_processed');
  const before = { own: process.cpuUsage(), redis: cpuOf(pid), notified, calls: await calls(), at: clock.monotonic() };
  await feed(handler, partitions, BATCHES);
  const { user, system } = process.cpuUsage(before.own);
  const redis = cpuOf(pid) - before.redis;
  const seconds = (clock.monotonic() - before.at) / 1_000;
  const commands = (await calls()) - before.calls;
  const messages = notified - before.notified;
  const wanted = partitions.size * BATCHES * BATCH;
  if (messages !== wanted) throw new Error(`${messages} of ${wanted} messages were notified`);
  const reference = await bareSets(link);
  return [
    {
      name: `job: applied, looked up, notified in ${BATCH}s`,
      figure: messages / ((user + system) / 1e6),
      reference,
      unit: 'msg/CPU s',
      bound: { least: 40_000 },
      note: `${((user + system) / messages).toFixed(1)} us each; ${Math.round(messages / seconds)}/s on this machine`,
    },
    {
      name: 'the same, CPU of Redis',
      figure: messages / redis,
      unit: 'msg/CPU s',
      note: `${((redis * 1e6) / messages).toFixed(1)} us each, ${(commands / messages).toFixed(1)} commands each`,
    },
  ];
}

/** Bare SETs of the same bytes over the same client, per CPU second of this process. */
async function bareSets(link: RedisLink): Promise<number> {
  const before = process.cpuUsage();
  const count = 50_000;
  for (let from = 0; from < count; from += BATCH) {
    await Promise.all(Array.from({ length: BATCH }, (_, at) => link.command('set', `bare${at}`, PAYLOAD)));
  }
  const { user, system } = process.cpuUsage(before);
  return count / ((user + system) / 1e6);
}

async function oneByOne(stage: Stage): Promise<BenchRow> {
  const users = Array.from({ length: 1_000 }, (_, at) => `one-${at}` as UserId);
  const count = 20_000;
  const apply = async (n: number): Promise<void> => {
    const log = userLog(users[n % users.length] as UserId);
    const id = { epoch: 1, n };
    const record = { id, log, payload: PAYLOAD, acceptedAt: clock.now(), expiresAt: clock.now() + DAY };
    await stage.buckets.apply([{ bucket: bucketOf(log), lastSeen: ZERO_ID, records: [record], upTo: id }]);
  };
  let next = 0;
  const before = process.cpuUsage();
  const write = async (): Promise<void> => {
    while (next < count) await apply(10_000_000 + next++);
  };
  await Promise.all(Array.from({ length: 64 }, write));
  const { user, system } = process.cpuUsage(before);
  return {
    name: 'apply, one message a script, 64 in flight',
    figure: count / ((user + system) / 1e6),
    unit: 'msg/CPU s',
  };
}

/** Bytes of Redis's memory that each of `count` takes. */
async function bytesEach(link: RedisLink, count: number, add: (at: number) => Promise<unknown>): Promise<number> {
  const before = await numberOf(link, 'memory', 'used_memory');
  for (let from = 0; from < count; from += 500) {
    await Promise.all(Array.from({ length: Math.min(500, count - from) }, (_, at) => add(from + at)));
  }
  return ((await numberOf(link, 'memory', 'used_memory')) - before) / count;
}

async function measureMemory({ link, buckets }: Stage): Promise<readonly BenchRow[]> {
  const users = 20_000;
  let n = 50_000_000;
  const push = (at: number): Promise<unknown> => {
    const log = userLog(`offline-${at % users}` as UserId);
    const id = { epoch: 1, n: ++n };
    const record = { id, log, payload: PAYLOAD, acceptedAt: clock.now(), expiresAt: clock.now() + 7 * DAY };
    return buckets.apply([{ bucket: bucketOf(log), lastSeen: ZERO_ID, records: [record], upTo: id }]);
  };
  const register = async (at: number): Promise<void> => {
    const record = session(`${at}` as UserId, 1_800_000_000_000);
    await buckets.register({ ...record, user: `online-${at}` as UserId }, { cap: 8, onTooMany: 'replace-oldest' });
  };
  const unit = 'bytes';
  const first = await bytesEach(link, users, push);
  const more = await bytesEach(link, users * 9, push);
  const registered = await bytesEach(link, users, register);
  return [
    { name: 'memory: first offline message of a user', figure: first, unit, note: '200 bytes of payload' },
    { name: 'memory: each further one', figure: more, unit, note: 'ten a user' },
    { name: 'memory: a registered session', figure: registered, unit },
  ];
}

async function run(): Promise<readonly BenchRow[]> {
  const server = await startRedis().catch((error: unknown) => {
    console.log(`  Redis cannot be started here: ${String(error)}`);
    return undefined;
  });
  if (server === undefined) return [];
  await using stack = new AsyncDisposableStack();
  stack.use(server);
  const link = stack.use(await connectRedis({ url: server.url, clock, commandTimeoutMs: 30_000 }));
  const watch = stack.use(await RedisWatch.start({ link, clock }));
  const job = await measureJob(await open(link, watch, 'job'));
  const single = await oneByOne(await open(link, watch, 'one'));
  await link.command('flushall');
  const memory = await measureMemory(await open(link, watch, 'memory'));
  return [...job, single, ...memory];
}

export const redis: Bench = { name: 'redis', run };
