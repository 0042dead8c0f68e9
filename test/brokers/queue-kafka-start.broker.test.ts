// Opening the queue: a topic that is made, refused or warned of, and brokers that refuse, each with its own error.

import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clusterOf, fixKafkajs } from '../../src/server/queue/kafka/internals.js';
import { FaultProxy } from '../harness/fault-proxy.js';
import { makeCertificate } from './certificate.js';
import { startKafka } from './kafka.js';
import { openQueue, record } from './kafka-queue.js';
import { sharedKafka, uniquePrefix } from './shared.js';
import { createTopic } from './topics.js';

let stack: AsyncDisposableStack;
let topic: string;
beforeEach(() => {
  stack = new AsyncDisposableStack();
  topic = uniquePrefix();
});
afterEach(() => stack.disposeAsync());

describe('the topic', () => {
  test('is made with as many partitions as are asked for; whoever comes later finds the same one', async () => {
    const options = { topic: { topic, partitions: 5, replication: 'auto', create: true } } as const;
    const opened = await Promise.all([1, 2, 3].map(async () => openQueue(await sharedKafka(), topic, options)));
    for (const queue of opened) stack.use(queue);
    const [first, ...others] = opened.map(({ identity }) => identity);
    expect(first).toMatchObject({ topic, partitions: 5, topicId: expect.stringMatching(/^[\w-]{22}$/) });
    for (const other of others) expect(other).toEqual(first);
    expect(first?.clusterId).not.toBe('');
  });

  test('that is missing is refused where its operator makes topics', async () => {
    const options = { topic: { topic, partitions: 1, replication: 1, create: false } } as const;
    await expect(openQueue(await sharedKafka(), topic, options)).rejects.toMatchObject({
      code: 'kafka_topic',
      message: `Kafka topic ${topic} does not exist, and queue.kafka.create is off.`,
    });
  });

  test.each([
    ['unclean.leader.election.enable', 'true', /unclean/],
    ['cleanup.policy', 'compact', /cleanup\.policy/],
  ])('with %s = %s is refused', async (name, value, says) => {
    await createTopic(await sharedKafka(), topic, { config: { [name]: value } });
    const opening = openQueue(await sharedKafka(), topic);
    await expect(opening).rejects.toMatchObject({ code: 'kafka_topic', message: expect.stringMatching(says) });
  });

  test('with too few replicas is refused', async () => {
    await createTopic(await sharedKafka(), topic);
    const options = { topic: { topic, partitions: 1, replication: 3, create: true } } as const;
    await expect(openQueue(await sharedKafka(), topic, options)).rejects.toMatchObject({ code: 'kafka_topic' });
  });

  test('that forgets soon is warned of', async () => {
    const config = { 'retention.ms': '60000', 'retention.bytes': '1000000' };
    await createTopic(await sharedKafka(), topic, { config });
    const queue = stack.use(await openQueue(await sharedKafka(), topic));
    expect(queue.warnings).toEqual([
      expect.stringContaining('retention.ms'),
      expect.stringContaining('retention.bytes'),
    ]);
  });

  test('bounds what a push may have', async () => {
    await createTopic(await sharedKafka(), topic, { config: { 'max.message.bytes': '10000' } });
    const queue = stack.use(await openQueue(await sharedKafka(), topic));
    await queue.accept(record('1', 'x'.repeat(9_000)));
    await expect(queue.accept(record('1', 'x'.repeat(10_000)))).rejects.toMatchObject({ code: 'payload_too_large' });
  });
});

describe('brokers', () => {
  test('that are not there are unreachable', async () => {
    await expect(openQueue(['127.0.0.1:1'], topic)).rejects.toMatchObject({
      code: 'kafka_unreachable',
      message: expect.stringContaining('127.0.0.1:1'),
    });
  });

  test('that speak no TLS are told from those that do', async () => {
    const brokers = await sharedKafka();
    const kafka = { brokers, tls: true, sasl: undefined };
    const failed = await openQueue(brokers, topic, { kafka }).catch((error: unknown) => error);
    expect(['kafka_tls', 'kafka_unreachable']).toContain((failed as { code?: string }).code);
    expect(String(failed)).toMatch(/TLS/);
  });

  test('that close the connection may want TLS or a user, and the error says so', async () => {
    const server: Server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stack.defer(() => void server.close());
    const brokers = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
    await expect(openQueue(brokers, topic)).rejects.toMatchObject({
      code: 'kafka_unreachable',
      message: expect.stringMatching(/TLS .* or a user/),
    });
  });

  test('of which one hangs are reached by another, and by that one again once it answers', async () => {
    const port = Number((await sharedKafka())[0]?.split(':').at(-1));
    const hanging = stack.use(await FaultProxy.start({ target: port }));
    hanging.stall(['answers']);
    const one = `127.0.0.1:${hanging.port}`;
    fixKafkajs();
    const clusterAt = (brokers: string[], retries: number) => {
      const kafka = new Kafka({ brokers, requestTimeout: 1_000, retry: { retries }, logLevel: logLevel.NOTHING });
      const cluster = clusterOf(kafka);
      stack.defer(() => cluster.disconnect());
      return cluster;
    };
    const both = clusterAt([one, `127.0.0.1:${port}`], 5);
    await both.connect();
    await both.refreshMetadata();
    const alone = clusterAt([one], 0);
    await expect(alone.connect()).rejects.toThrow(/timed out/);
    hanging.heal();
    const used = () => alone.connect().then(() => alone.refreshMetadata());
    await expect.poll(used, { timeout: 20_000 }).toBeUndefined();
  });

  test('that ask for a user take the right password and refuse a wrong one, or none', async () => {
    const jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_imgo="right";';
    const properties = {
      'listener.security.protocol.map': 'CLIENTS:SASL_PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'listener.name.clients.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.clients.plain.sasl.jaas.config': jaas,
    };
    const { bootstrap: brokers } = stack.use(await startKafka({ properties }));
    const as = (password: string) =>
      openQueue(brokers, topic, {
        kafka: { brokers, tls: false, sasl: { username: 'imgo', password, mechanism: 'plain' } },
      });
    const queue = stack.use(await as('right'));
    await queue.accept(record('1', 'hello'));
    await expect(as('wrong')).rejects.toMatchObject({
      code: 'kafka_refused',
      message: expect.stringContaining('user imgo'),
    });
    await expect(openQueue(brokers, topic)).rejects.toMatchObject({
      message: expect.stringMatching(/a user|without a user/),
    });
  });

  test('with TLS and SCRAM take who trusts their certificate and knows the password, and refuse all others', async () => {
    const { folder, key, ca } = stack.use(makeCertificate());
    // A broker has both in one file.
    const keystore = join(folder, 'keystore.pem');
    writeFileSync(keystore, `${readFileSync(key, 'utf8')}${ca}`);
    const properties = {
      'listener.security.protocol.map': 'CLIENTS:SASL_SSL,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'listener.name.clients.ssl.keystore.type': 'PEM',
      'listener.name.clients.ssl.keystore.location': keystore,
      'listener.name.clients.sasl.enabled.mechanisms': 'SCRAM-SHA-512',
      'listener.name.clients.scram-sha-512.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    };
    const { bootstrap: brokers } = stack.use(await startKafka({ properties, scram: { imgo: 'right' } }));
    const as = (password: string, tls: boolean | { readonly ca: string }) =>
      openQueue(brokers, topic, {
        kafka: { brokers, tls, sasl: { username: 'imgo', password, mechanism: 'scram-sha-512' } },
      });
    const queue = stack.use(await as('right', { ca }));
    await queue.accept(record('1', 'hello'));
    await expect(as('wrong', { ca })).rejects.toMatchObject({
      code: 'kafka_refused',
      message: expect.not.stringContaining('wrong'),
    });
    await expect(as('right', true)).rejects.toMatchObject({ code: 'kafka_tls' });
    await expect(as('right', false)).rejects.toMatchObject({ message: expect.stringMatching(/TLS/) });
  });
});
