// The queue on a real Kafka: the contract, and what only it promises.
import { describe } from 'vitest';
import { queueConformance } from '../conformance/queue.js';
import { openQueue } from './kafka-queue.js';
import { sharedKafka, uniquePrefix } from './shared.js';

describe('the queue on Kafka keeps the contract', () => {
  let topic = '';
  queueConformance({
    // With a key they are: queue-kafka-jobs.broker.test.ts.
    answersAfterApply: false,
    create: async (maxWaitingBytes) => {
      topic = uniquePrefix();
      return openQueue(await sharedKafka(), topic, { maxWaitingBytes });
    },
    another: async () => openQueue(await sharedKafka(), topic),
  });
});
