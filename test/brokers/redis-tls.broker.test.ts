// Redis with TLS: one server, a cluster and a primary behind a Sentinel are used by who trusts their certificate, over either
// kind of address; who does not hears why.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/server/clock.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { freePort } from '../harness/ports.js';
import { type Certificate, makeCertificate } from './certificate.js';
import { BrokerGroup } from './process.js';
import { startRedis } from './redis.js';

const HANGS_MS = 60_000;
const clock = systemClock;

let stack: AsyncDisposableStack;
let ours: Certificate;
beforeEach(() => {
  stack = new AsyncDisposableStack();
  ours = stack.use(makeCertificate());
});
afterEach(() => stack.disposeAsync());

/** Lines of a server that takes TLS on its port, and nothing else. */
const withTls = (port: number, ...more: readonly string[]): readonly string[] => [
  'bind 127.0.0.1 ::1',
  'port 0',
  `tls-port ${port}`,
  `tls-cert-file ${ours.cert}`,
  `tls-key-file ${ours.key}`,
  `tls-ca-cert-file ${ours.cert}`,
  'tls-auth-clients no',
  ...more,
];

const serve = async (...more: readonly string[]) => {
  const { process } = stack.use(await startRedis((port) => withTls(port, ...more)));
  return process.port;
};

async function use(url: string): Promise<RedisLink> {
  const patience = { connectForMs: HANGS_MS, commandTimeoutMs: HANGS_MS };
  const link = stack.use(await connectRedis({ url, clock, ca: ours.ca, ...patience }));
  using watch = await RedisWatch.start({ link, clock });
  expect(watch.health()).toMatchObject({ writable: true });
  expect(String(await link.command('set', 'key', 'value'))).toBe('OK');
  expect(String(await link.command('get', 'key'))).toBe('value');
  return link;
}

test('one server, over IPv4, IPv6 and by its name', async () => {
  const port = await serve();
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    const { address } = await use(`rediss://${host}:${port}`);
    expect(address).toBe(`${host}:${port}`);
  }
});

test('a certificate that is not trusted is refused at once, and the error says so and what to do', async () => {
  const port = await serve();
  const theirs = stack.use(makeCertificate());
  for (const ca of [undefined, theirs.ca]) {
    const url = `rediss://127.0.0.1:${port}`;
    await expect(connectRedis({ url, clock, ...(ca === undefined ? {} : { ca }) })).rejects.toMatchObject({
      code: 'redis_tls',
      retryable: false,
      message: expect.stringMatching(/self.signed certificate/),
    });
  }
});

test('a client without TLS is told that it may want it', async () => {
  const port = await serve();
  await expect(connectRedis({ url: `redis://127.0.0.1:${port}`, clock, connectForMs: 2_000 })).rejects.toMatchObject({
    code: expect.stringMatching(/^redis_(tls|unreachable)$/),
  });
});

test('a cluster', async () => {
  // A node that met no other does not know its own address.
  const own = ['cluster-announce-ip 127.0.0.1', `cluster-port ${await freePort()}`];
  const port = await serve('cluster-enabled yes', 'tls-cluster yes', ...own);
  const first = new Redis({ host: '127.0.0.1', port, tls: { ca: ours.ca } });
  stack.defer(() => first.disconnect());
  await first.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  await expect.poll(async () => String(await first.call('CLUSTER', 'INFO'))).toContain('cluster_state:ok');
  expect((await use(`clusters://127.0.0.1:${port}`)).primaries()).toHaveLength(1);
});

test('the primary that a Sentinel with TLS names', async () => {
  const port = await serve('tls-replication yes');
  const group = stack.use(await BrokerGroup.create());
  const own = await freePort();
  const file = join(group.folder, 'sentinel.conf');
  const lines = [`dir ${group.folder}`, 'tls-replication yes', `sentinel monitor main 127.0.0.1 ${port} 1`];
  writeFileSync(file, `${[...withTls(own), ...lines].join('\n')}\n`);
  await group.add({ name: 'Sentinel', program: 'redis-server', args: [file, '--sentinel'], port: own }).start();
  await use(`sentinels://127.0.0.1:${own}/main`);
});
