// Each topology of Kafka starts, appends, and survives what it should survive; and the faults that the queue's tests are
// built on are what they say: an answer is lost though the record is there, a leader moves while records are sent.
import type { Producer } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isProduce, type KafkaCluster, startKafka } from './kafka.js';
import { createTopic, kafkaAt, leaderOf, moveLeader, readAll } from './topics.js';

const TOPIC = 'records';
let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

/** Sends one record after the other; each is retried until it is acknowledged, unless `retries` says otherwise. */
async function producerOf(
  kafka: KafkaCluster,
  options: { idempotent?: boolean; retries?: number } = {},
): Promise<Producer> {
  const { idempotent = true, retries = Number.MAX_SAFE_INTEGER } = options;
  const producer = kafkaAt(kafka.bootstrap).producer({
    allowAutoTopicCreation: false,
    idempotent,
    retry: { retries, initialRetryTime: 50, maxRetryTime: 500 },
  });
  await producer.connect();
  stack.defer(() => producer.disconnect());
  return producer;
}

async function send(producer: Producer, value: string): Promise<string | undefined> {
  const [answer] = await producer.send({ topic: TOPIC, acks: -1, messages: [{ value, partition: 0 }] });
  return answer?.baseOffset;
}

describe('one node', () => {
  test('what it acknowledged is there after kill -9 and a restart', async () => {
    const kafka = stack.use(await startKafka());
    await createTopic(kafka.bootstrap, TOPIC, { partitions: 3, config: { 'retention.ms': '3600000' } });
    expect(await send(await producerOf(kafka), 'one')).toBe('0');
    await kafka.nodes[0]?.restart();
    expect(await readAll(kafka.bootstrap, TOPIC)).toEqual([{ partition: 0, offset: '0', value: 'one' }]);
  });

  test('a paused node holds a send until it goes on', async () => {
    const kafka = stack.use(await startKafka());
    await createTopic(kafka.bootstrap, TOPIC);
    const producer = await producerOf(kafka);
    await send(producer, 'one');
    kafka.nodes[0]?.pause();
    let answered = false;
    const second = send(producer, 'two').finally(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(answered).toBe(false);
    kafka.nodes[0]?.resume();
    expect(await second).toBe('1');
  });

  test('one that cannot start says why', async () => {
    await expect(startKafka({ properties: { 'num.partitions': 'many' } })).rejects.toThrow(/num\.partitions/);
  });

  test('behind the proxy, a client that knows only what it was told loses the answer to a record that is in the log', async () => {
    const kafka = stack.use(await startKafka({ proxied: true }));
    await createTopic(kafka.bootstrap, TOPIC);
    const producer = await producerOf(kafka, { idempotent: false, retries: 0 });
    expect(await send(producer, 'heard of')).toBe('0');
    const cut = kafka.proxies[0]?.cutAnswer(isProduce);
    await expect(send(producer, 'not heard of')).rejects.toThrow();
    await cut;
    expect((await readAll(kafka.bootstrap, TOPIC)).map(({ value }) => value)).toEqual(['heard of', 'not heard of']);
  });

  test('an idempotent producer with one send in flight gets the offset of the record whose answer was cut', async () => {
    const kafka = stack.use(await startKafka({ proxied: true }));
    await createTopic(kafka.bootstrap, TOPIC);
    const producer = await producerOf(kafka);
    await send(producer, 'one');
    const cut = kafka.proxies[0]?.cutAnswer(isProduce);
    expect(await send(producer, 'two')).toBe('1');
    await cut;
    expect((await readAll(kafka.bootstrap, TOPIC)).map(({ value }) => value)).toEqual(['one', 'two']);
  });
});

describe('three nodes', () => {
  /** Sends until `happens` is over, and then ten more; every acknowledged record must be at the offset of its answer. */
  async function sendDuring(kafka: KafkaCluster, happens: () => Promise<void>): Promise<void> {
    const producer = await producerOf(kafka);
    const acknowledged = new Map<string, string | undefined>();
    let over = false;
    const event = happens().finally(() => {
      over = true;
    });
    for (let more = 10; more > 0; more -= over ? 1 : 0) {
      const value = `record ${acknowledged.size}`;
      acknowledged.set(value, await send(producer, value));
    }
    await event;
    const stored = await readAll(kafka.bootstrap, TOPIC);
    expect(new Map(stored.map(({ value, offset }) => [value, offset]))).toEqual(acknowledged);
    expect(stored).toHaveLength(acknowledged.size);
  }

  test('a leader killed during sends, and back again, costs no acknowledged record', async () => {
    const kafka = stack.use(await startKafka({ nodes: 3 }));
    await createTopic(kafka.bootstrap, TOPIC);
    const leader = kafka.nodes[(await leaderOf(kafka.bootstrap, TOPIC)) - 1];
    await sendDuring(kafka, async () => {
      await leader?.end('SIGKILL');
      const alive = kafka.bootstrap.filter((address) => !address.endsWith(`:${leader?.port}`));
      while (kafka.nodes[(await leaderOf(alive, TOPIC)) - 1] === leader);
      await leader?.start();
    });
  });

  test('a leader moved during sends costs no acknowledged record', async () => {
    const kafka = stack.use(await startKafka({ nodes: 3 }));
    await createTopic(kafka.bootstrap, TOPIC);
    await sendDuring(kafka, async () => {
      for (let round = 0; round < 3; round += 1) {
        const before = await leaderOf(kafka.bootstrap, TOPIC);
        expect(await moveLeader(kafka.bootstrap, TOPIC)).not.toBe(before);
      }
    });
  });
});
