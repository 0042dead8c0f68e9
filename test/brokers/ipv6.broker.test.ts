// Roles apart over IPv6 alone: Kafka, Redis, links between nodes, the API and clients' connections.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../harness/api.js';
import { freePort } from '../harness/ports.js';
import { Stage } from '../unit/apart/stage.js';
import { startKafka } from './kafka.js';
import { openQueue } from './kafka-queue.js';
import { startRedis } from './redis.js';
import { brokerSettings, uniquePrefix } from './shared.js';

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

test('what is pushed arrives where every address is one of IPv6, links in TLS included', async () => {
  const kafka = stack.use(await startKafka({ ipv6: true }));
  expect(kafka.bootstrap[0]).toMatch(/^\[::1\]:/);
  const redis = stack.use(await startRedis(['bind ::1 127.0.0.1']));
  const listen = { 'cluster.rpc': '[::1]:0', 'listen.tcp': '[::1]:0', 'listen.ws': '[::1]:0' };
  const stage = stack.use(
    new Stage({
      settings: { ...listen, 'cluster.encrypt': 'always' },
      brokers: brokerSettings(`redis://[::1]:${redis.process.port}`, kafka.bootstrap),
    }),
  );
  const logic = await stage.start('l1', 'logic', { 'listen.http': '[::1]:0' });
  await stage.start('j1', 'job', { 'listen.http': 'off' });
  const comet = await stage.start('c1', 'comet');
  const { http, rpc } = logic.addresses;
  for (const address of [http, rpc, comet.addresses.tcp, comet.addresses.ws]) expect(address).toContain('[::1]:');
  const api = stage.api('l1');
  const { got } = await stage.listen(api, '7', 'c1');
  await api.push({ user: '7' }, 'six');
  await until('it', () => got.length === 1);
  expect(got).toEqual(['"six"']);
});

test('a broker that is not there is named as it was written', async () => {
  const brokers = [`[::1]:${await freePort()}`];
  await expect(openQueue(brokers, uniquePrefix())).rejects.toMatchObject({
    code: 'kafka_unreachable',
    message: expect.stringMatching(/\[::1\]:\d+ .*ECONNREFUSED ::1/),
  });
});
