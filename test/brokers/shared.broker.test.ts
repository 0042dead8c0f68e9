// The brokers of the run take writes from any file.
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { sharedKafka, sharedRedis, uniquePrefix } from './shared.js';
import { kafkaAt } from './topics.js';

test('the Kafka of the run appends a record at the offset that it answers', async () => {
  const kafka = kafkaAt(await sharedKafka());
  const topic = uniquePrefix();
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false });
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const [sent] = await producer.send({ topic, acks: -1, messages: [{ value: 'one' }] });
  expect(sent?.baseOffset).toBe('0');
  expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ partition: 0, high: '1' }]);
  await Promise.all([producer.disconnect(), admin.disconnect()]);
});

test('the Redis of the run keeps a value', async () => {
  const redis = new Redis(await sharedRedis());
  const key = uniquePrefix();
  await redis.set(key, 'one');
  expect(await redis.get(key)).toBe('one');
  redis.disconnect();
});
