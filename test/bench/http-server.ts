// The server under test of the HTTP benchmark, in a process of its own: `imgo` is logic, queue, job and store with one live
// session; `bare` is Fastify with an lmdb put and nothing else. Tells its port and, when asked, the CPU time it used.
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { open } from 'lmdb';
import type { NodeId, UserId } from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { createJob } from '../../src/server/job/job.js';
import { createLogicHttp } from '../../src/server/logic/http.js';
import { logicDefaults } from '../../src/server/logic/options.js';
import { createLogicService } from '../../src/server/logic/sessions.js';
import { createEmbeddedQueue } from '../../src/server/queue/embedded.js';
import { createMemoryRegistry } from '../../src/server/router/memory.js';
import type { CometService } from '../../src/server/rpc/services.js';
import type { Buckets, BucketsOptions } from '../../src/server/store/buckets.js';
import { openLmdbStore } from '../../src/server/store/lmdb.js';
import { createMemoryBuckets } from '../../src/server/store/memory.js';
import { createMemoryCredentials } from '../../src/server/store/memory-credentials.js';

const [kind = 'imgo', store = 'lmdb'] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-http-'));
const DAY = 86_400_000;
const bucketsOptions: BucketsOptions = {
  keep: { messages: 1_000, bytes: 1024 * 1024, ageMs: 7 * DAY },
  rooms: { messages: 1_000, bytes: 1024 * 1024, ageMs: 3_600_000 },
  devicesPerUser: 16,
  newDevice: 'kept',
  idempotency: { forMs: DAY, bytes: 64 * 1024 * 1024 },
  forgetLogAfterMs: 30 * DAY,
};

async function bare(): Promise<number> {
  const database = open({ path: join(folder, 'bare'), keyEncoding: 'binary', encoding: 'binary' });
  const app = Fastify({ logger: false });
  let n = 0;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/v1/push', (request, reply) => {
    const key = Buffer.alloc(8);
    key.writeUInt32BE(++n, 4);
    const id = n;
    void database.put(key, request.body as Buffer).then(() => {
      reply.header('content-type', 'application/json').send(`{"log":"user:1","id":"1-${id}"}`);
    });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

async function imgo(): Promise<number> {
  const clock = systemClock;
  const credentials = createMemoryCredentials();
  const path = join(folder, 'data');
  const buckets: Buckets =
    store === 'memory'
      ? createMemoryBuckets(bucketsOptions, clock)
      : (await openLmdbStore({ path, options: bucketsOptions, clock, version: '0', reserveBytes: 0 })).buckets;
  const registry = createMemoryRegistry({ clock, leaseMs: 60_000 });
  const queue = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 64 * 1024 * 1024 });
  const node = 'c/1' as NodeId;
  const lease = await registry.join({ node, roles: ['comet'], address: '', version: '0', since: clock.now() });
  // The session takes everything at once, as one that drains does.
  const comet = {
    async notify(notifications) {
      const last = notifications.at(-1);
      if (last !== undefined) void logic.report([{ handle: session.handle, upTo: last.id, acknowledge: true }]);
    },
    async disconnect() {
      return 0;
    },
  } as Partial<CometService> as CometService;
  const job = createJob({ queue, buckets, registry, cometFor: () => comet, clock });
  void job.run(new AbortController().signal);
  const parts = { buckets, credentials, registry, queue, clock, options: logicDefaults, cometFor: () => comet };
  const logic = createLogicService(parts);
  const session = await logic.open({
    credential: { kind: 'stated', user: '1' as UserId, key: 'k' },
    comet: node,
    incarnation: lease.incarnation,
    seq: 1,
    dialect: 'native',
    transport: 'tcp',
    peer: '127.0.0.1',
    device: undefined,
    cursor: undefined,
    rooms: undefined,
  });
  clock.every(20_000, () => void registry.renew(lease));
  const silent = { info: () => undefined, warn: () => undefined, error: console.error };
  const http = createLogicHttp({
    ...parts,
    service: logic,
    log: silent,
    version: '0',
    http: { host: '127.0.0.1', port: 0 },
    development: true,
    metrics: { text: async () => '', opens: () => false },
    drain: { perSecond: 1_000, reconnect: { minMs: 1_000, maxMs: 30_000 } },
    reports: async (nodes) => nodes.map(() => undefined),
    watched: async () => [],
    origins: ['same-host'],
  });
  await http.listen();
  return Number(new URL(http.addresses().http).port);
}

const port = await (kind === 'bare' ? bare() : imgo());
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuSeconds: (user + system) / 1e6 });
});
process.on('disconnect', () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
});
process.send?.({ port });
