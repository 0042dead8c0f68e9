// Roles apart while what they need is away, at the start or later: each says what it misses, pushes are refused and not half
// accepted, and all goes on by itself. And messages that Kafka deleted before a job came to them: their readers are told.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import { parseId } from '../../src/protocol/ids.js';
import type { Gap } from '../../src/protocol/native-json.js';
import { ClusterNode, type Role } from '../faults/node.js';
import { TestApi, until } from '../harness/api.js';
import { freePorts } from '../harness/ports.js';
import { call } from '../harness/pusher.js';
import { type KafkaCluster, startKafka } from './kafka.js';
import { type RedisServer, startRedis } from './redis.js';
import { uniquePrefix } from './shared.js';
import { kafkaAt } from './topics.js';

const BACK = { timeout: 60_000, interval: 100 };
const TOPIC = uniquePrefix();

let folder: string;
let kafka: KafkaCluster;
let redis: RedisServer;
let logic: ClusterNode;
let job: ClusterNode;
let comet: ClusterNode;
const api = new TestApi(() => logic.options.http);
const clients: Client[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-outages-test-'));
  mkdirSync(join(folder, 'state'));
  [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
});
afterAll(async () => {
  await Promise.allSettled([kafka[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()]);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  const keyFile = join(folder, 'cluster.key');
  writeFileSync(keyFile, `imgo_cluster_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  const prefix = uniquePrefix();
  const ports = [...(await freePorts(9))];
  const rpcOfLogic = ports[1] ?? 0;
  const make = (role: Role): ClusterNode => {
    const [http, rpc, tcp] = ports.splice(0, 3);
    const settings = [
      `role = ["${role}"]`,
      'shutdown_timeout = "10s"',
      `[listen]\nhttp = ${http}\nws = "off"\ntcp = ${role === 'comet' ? tcp : '"off"'}`,
      `[cluster]\nnode = "${role}"\nkey_file = ${JSON.stringify(keyFile)}\nrpc = ${rpc}`,
      ...(role === 'comet'
        ? [`logic = ["127.0.0.1:${rpcOfLogic}"]`]
        : [
            `[queue]\nengine = "kafka"\n[queue.kafka]\nbrokers = ${JSON.stringify(kafka.bootstrap)}`,
            `topic = "${TOPIC}"\ngroup = "${prefix}"\npartitions = 2\nreplication = 1`,
            `[redis]\nurl = "${redis.url}"\nprefix = "${prefix}"`,
          ]),
    ];
    const at = { http: `http://127.0.0.1:${http}`, tcp: `127.0.0.1:${tcp}`, ws: '' };
    return new ClusterNode({ name: role, role, settings, folder, ...at });
  };
  [logic, job, comet] = [make('logic'), make('job'), make('comet')];
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all([logic, job, comet].map((node) => node.end('SIGKILL')));
});

/** What a node says at /readyz: nothing, when it is ready. */
async function missing(node: ClusterNode): Promise<readonly string[]> {
  const answer = await call(`${node.options.http}/readyz`, 'GET', undefined).catch(() => undefined);
  if (answer === undefined) return ['no answer'];
  const { ready, reasons } = JSON.parse(answer.body) as { ready: boolean; reasons: readonly string[] };
  expect(ready).toBe(answer.status === 200);
  return reasons;
}

/** One push: its status, what it is refused with, and when it may come again. */
async function push(user: string) {
  const response = await fetch(`${logic.options.http}/v1/push`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: { user }, message: 'x' }),
  });
  const { code } = (await response.json()) as { code?: string };
  return { status: response.status, code, again: response.headers.get('retry-after') };
}

async function listen(user: string) {
  const got: unknown[] = [];
  const gaps: Gap[] = [];
  const opened = Promise.withResolvers<void>();
  const client = connect(
    { url: `tcp://${comet.options.tcp}`, token: await api.token(user), device: 'phone' },
    {
      opened: () => opened.resolve(),
      message: ({ payload }) => void got.push(JSON.parse(Buffer.from(payload).toString())),
      gap: (gap) => void gaps.push(gap),
    },
  );
  clients.push(client);
  await opened.promise;
  return { got, gaps };
}

/** Starts all three, and a client; resolves once a message has reached it. */
async function running(user: string) {
  await Promise.all([logic, job, comet].map((node) => node.start()));
  const { got, gaps } = await listen(user);
  await api.push({ user }, 'before');
  await expect.poll(() => got, BACK).toEqual(['before']);
  return { got, gaps };
}

test('at the start each role says what it waits for, and starts once it is there', async () => {
  await redis.process.end('SIGKILL');
  await kafka.nodes[0]?.end('SIGKILL');
  const starting = [logic, job, comet].map((node) => node.start());
  await expect.poll(() => missing(logic), BACK).toEqual(['redis_unreachable']);
  await expect.poll(() => missing(job), BACK).toEqual(['redis_unreachable']);
  await expect.poll(() => missing(comet), BACK).toContain('logic_unreachable');
  expect(await push('ann')).toEqual({ status: 503, code: 'redis_unreachable', again: '1' });
  await redis.process.start();
  await expect.poll(() => missing(logic), BACK).toEqual(['kafka_unreachable']);
  await expect.poll(() => missing(job), BACK).toEqual(['kafka_unreachable']);
  expect(await push('ann')).toEqual({ status: 503, code: 'kafka_unreachable', again: '1' });
  await kafka.nodes[0]?.start();
  await Promise.all(starting);
  for (const node of [logic, job, comet]) await expect.poll(() => missing(node), BACK).toEqual([]);
  const { got } = await listen('ann');
  await api.push({ user: 'ann' }, 'after');
  await expect.poll(() => got, BACK).toEqual(['after']);
}, 240_000);

test('Redis that goes away is named, pushes are refused, and all goes on when it is back', async () => {
  const { got } = await running('ben');
  await redis.process.end('SIGKILL');
  await expect.poll(() => missing(logic), BACK).toEqual(['redis_unreachable', 'registry']);
  await expect.poll(() => missing(job), BACK).toEqual(['redis_unreachable']);
  await expect.poll(() => push('nobody'), BACK).toEqual({ status: 503, code: 'redis_unreachable', again: '1' });
  // Whoever starts meanwhile waits, though a logic answers it; and does not end.
  await comet.end('SIGKILL');
  const starting = comet.start();
  await expect.poll(() => comet.log(), BACK).toContain('what this process needs went away while it started');
  await redis.process.start();
  await starting;
  expect(comet.failedStarts, comet.log()).toBe(0);
  for (const node of [logic, job, comet]) await expect.poll(() => missing(node), BACK).toEqual([]);
  await until('a push is accepted', () => api.push({ user: 'ben' }, 'after').then(Boolean, () => false));
  await expect.poll(() => got, BACK).toEqual(['before', 'after']);
}, 240_000);

test('Kafka that goes away is named, pushes are refused, and all goes on when it is back', async () => {
  const { got } = await running('cat');
  await kafka.nodes[0]?.end('SIGKILL');
  // The first ones may have been written: nobody can say.
  await expect.poll(() => push('nobody'), BACK).toMatchObject({ status: 503, code: 'kafka_unreachable' });
  await expect.poll(() => missing(logic), BACK).toContain('kafka_unreachable');
  await expect.poll(() => missing(job), BACK).toContain('kafka_unreachable');
  await kafka.nodes[0]?.start();
  for (const node of [logic, job, comet]) await expect.poll(() => missing(node), BACK).toEqual([]);
  await until('a push is accepted', () => api.push({ user: 'cat' }, 'after').then(Boolean, () => false));
  await expect.poll(() => got, BACK).toEqual(['before', 'after']);
}, 240_000);

test('what Kafka deleted before a job came to it is told to its readers as a gap', async () => {
  const { got, gaps } = await running('dan');
  await job.end('SIGTERM');
  const lost: string[] = [];
  for (let at = 0; at < 5; at++) lost.push(await api.push({ user: 'dan' }, `lost ${at}`));
  await deleteAll();
  await job.start();
  await expect.poll(() => gaps, BACK).toHaveLength(1);
  const [gap] = gaps;
  expect(gap?.log).toBe('user:dan');
  expect(gap?.upTo).toEqual(parseId(lost.at(-1) ?? ''));
  expect(gap?.after.n).toBeLessThan(parseId(lost[0] ?? '')?.n ?? 0);
  await api.push({ user: 'dan' }, 'after');
  await expect.poll(() => got, BACK).toEqual(['before', 'after']);
  expect(gaps).toHaveLength(1);
}, 240_000);

/** Every record that the topic has, as retention would. */
async function deleteAll(): Promise<void> {
  const admin = kafkaAt(kafka.bootstrap).admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(TOPIC);
  const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }));
  await admin.deleteTopicRecords({ topic: TOPIC, partitions });
  await admin.disconnect();
}
