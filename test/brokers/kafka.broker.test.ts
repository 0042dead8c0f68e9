// Each topology of Kafka starts, appends, and survives what it should survive; and the faults that the queue's tests are
// built on are what they say: an answer is lost though the record is there, a leader moves while records are sent.
import type { Producer } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isProduce, type KafkaCluster, startKafka } from './kafka.js';
import { uniquePrefix } from './shared.js';
import { createTopic, kafkaAt, leaderOf, moveLeader, readAll } from './topics.js';

let stack: AsyncDisposableStack;
let topic: string;
beforeEach(() => {
  stack = new AsyncDisposableStack();
  topic = uniquePrefix();
});
afterEach(() => stack.disposeAsync());

/** Retries until it is answered, unless told otherwise. */
async function producerOf(
  { bootstrap }: KafkaCluster,
  { idempotent = true, retries = Number.MAX_SAFE_INTEGER } = {},
): Promise<Producer> {
  const retry = { retries, initialRetryTime: 50, maxRetryTime: 500 };
  const producer = kafkaAt(bootstrap).producer({ allowAutoTopicCreation: false, idempotent, retry });
  await producer.connect();
  stack.defer(() => producer.disconnect());
  return producer;
}

async function send(producer: Producer, value: string): Promise<string | undefined> {
  const [answer] = await producer.send({ topic, acks: -1, messages: [{ value, partition: 0 }] });
  return answer?.baseOffset;
}

async function valuesOf({ bootstrap }: KafkaCluster): Promise<readonly string[]> {
  return (await readAll(bootstrap, topic)).map(({ value }) => value);
}

test('one node has what it acknowledged after kill -9 and a restart', async () => {
  const kafka = stack.use(await startKafka());
  await createTopic(kafka.bootstrap, topic, { partitions: 3, config: { 'retention.ms': '3600000' } });
  expect(await send(await producerOf(kafka), 'one')).toBe('0');
  await kafka.nodes[0]?.restart();
  expect(await readAll(kafka.bootstrap, topic)).toEqual([{ partition: 0, offset: '0', value: 'one' }]);
});

test('a node that cannot start says why', async () => {
  await expect(startKafka({ properties: { 'num.partitions': 'many' } })).rejects.toThrow(/num\.partitions/);
});

describe('one node behind the proxy, which is all that clients know', () => {
  let kafka: KafkaCluster;
  beforeAll(async () => {
    kafka = await startKafka({ proxied: true });
  });
  afterAll(() => kafka[Symbol.asyncDispose]());

  test('a client loses the answer to a record that is in the log', async () => {
    await createTopic(kafka.bootstrap, topic);
    const producer = await producerOf(kafka, { idempotent: false, retries: 0 });
    expect(await send(producer, 'heard of')).toBe('0');
    const cut = kafka.proxies[0]?.cutAnswer(isProduce);
    await expect(send(producer, 'not heard of')).rejects.toThrow();
    await cut;
    expect(await valuesOf(kafka)).toEqual(['heard of', 'not heard of']);
  });

  test('an idempotent producer with one send in flight gets the offset of the record whose answer was cut', async () => {
    await createTopic(kafka.bootstrap, topic);
    const producer = await producerOf(kafka);
    await send(producer, 'one');
    const cut = kafka.proxies[0]?.cutAnswer(isProduce);
    expect(await send(producer, 'two')).toBe('1');
    await cut;
    expect(await valuesOf(kafka)).toEqual(['one', 'two']);
  });

  test('without idempotence the retry of a send whose answer was cut appends it again', async () => {
    await createTopic(kafka.bootstrap, topic);
    const producer = await producerOf(kafka, { idempotent: false });
    const cut = kafka.proxies[0]?.cutAnswer(isProduce);
    await send(producer, 'one');
    await cut;
    expect(await valuesOf(kafka)).toEqual(['one', 'one']);
  });
});

describe('three nodes', () => {
  let kafka: KafkaCluster;
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  });
  afterAll(() => kafka[Symbol.asyncDispose]());

  /**
   * Sends from before `happens` until it is over, and ten more, to more than one leader. Every record must be once in the log, at the
   * offset of its answer.
   */
  async function sendDuring(happens: () => Promise<void>): Promise<void> {
    const producer = await producerOf(kafka);
    const leaders = new Set<string>();
    producer.on(producer.events.REQUEST, ({ payload }) => {
      if (payload.apiName === 'Produce') leaders.add(payload.broker);
    });
    const acknowledged = new Map([['record 0', await send(producer, 'record 0')]]);
    let over = false;
    const event = happens().finally(() => {
      over = true;
    });
    for (let more = 10; more > 0; more -= over ? 1 : 0) {
      const value = `record ${acknowledged.size}`;
      acknowledged.set(value, await send(producer, value));
    }
    await event;
    expect(leaders.size).toBeGreaterThan(1);
    const stored = await readAll(kafka.bootstrap, topic);
    expect(new Map(stored.map(({ value, offset }) => [value, offset]))).toEqual(acknowledged);
    expect(stored).toHaveLength(acknowledged.size);
  }

  test('a leader moved during sends costs no acknowledged record', async () => {
    await createTopic(kafka.bootstrap, topic);
    await sendDuring(async () => {
      for (let round = 0; round < 3; round += 1) {
        const before = await leaderOf(kafka.bootstrap, topic);
        expect(await moveLeader(kafka.bootstrap, topic)).not.toBe(before);
      }
    });
  });

  test('a leader killed during sends, and back again, costs no acknowledged record', async () => {
    await createTopic(kafka.bootstrap, topic);
    const leader = kafka.nodes[(await leaderOf(kafka.bootstrap, topic)) - 1];
    await sendDuring(async () => {
      await leader?.end('SIGKILL');
      const alive = kafka.bootstrap.filter((address) => !address.endsWith(`:${leader?.port}`));
      while (kafka.nodes[(await leaderOf(alive, topic)) - 1] === leader);
      await leader?.start();
    });
  });
});
