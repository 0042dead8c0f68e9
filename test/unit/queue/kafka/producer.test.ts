// What the producer does when leaders fail and others do not, turn by turn. What it does on real brokers is in test/brokers; here
// leaders answer when the test says so, because what has to be shown is one order of answers.

import { expect, test } from 'vitest';
import { type LogName, userLog } from '../../../../src/protocol/ids.js';
import { KafkaClient } from '../../../../src/server/queue/kafka/client.js';
import type { Cluster, Node } from '../../../../src/server/queue/kafka/internals.js';
import { partitionOf } from '../../../../src/server/queue/kafka/partitions.js';
import { Producer } from '../../../../src/server/queue/kafka/producer.js';
import type { ProduceAnswer } from '../../../../src/server/queue/kafka/wire.js';
import { bucketOf } from '../../../../src/server/store/bucket.js';
import { HandClock } from '../../comet/stage.js';

const PARTITIONS = 3;
/** Kafka's: the replica asked does not lead the partition any more. */
const NOT_LEADER = 6;

/** A leader for each partition, its requests unanswered until the test answers them. */
function stage() {
  const clock = new HandClock();
  const requests: PromiseWithResolvers<readonly ProduceAnswer[]>[][] = [[], [], []];
  const looks: PromiseWithResolvers<void>[] = [];
  const leaderOf = (partition: number): Node => ({
    connectionPool: {
      send: () => {
        const answer = Promise.withResolvers<readonly ProduceAnswer[]>();
        requests[partition]?.push(answer);
        return answer.promise;
      },
    },
    versions: null,
    initProducerId: async () => ({ producerId: '7', producerEpoch: 0 }),
  });
  const cluster: Cluster = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    isConnected: () => true,
    addTargetTopic: async () => undefined,
    refreshMetadata: () => {
      const look = Promise.withResolvers<void>();
      looks.push(look);
      return look.promise;
    },
    refreshMetadataIfNecessary: async () => undefined,
    findTopicPartitionMetadata: () => [0, 1, 2].map((partitionId) => ({ partitionId, leader: partitionId })),
    findBroker: async ({ nodeId }) => leaderOf(nodeId),
    findControllerBroker: async () => leaderOf(0),
    removeBroker: () => undefined,
  };
  const log = { debug: () => undefined } as never;
  const producer = new Producer({
    client: new KafkaClient({
      kafka: { brokers: ['127.0.0.1:9'], tls: false, sasl: undefined },
      clientId: 'test',
      log,
      clock,
    }),
    cluster,
    clock,
    topic: 'imgo',
    partitions: PARTITIONS,
    maxBatchBytes: 1 << 20,
    deliveryMs: 8_000,
    onStrange: () => undefined,
    verify: async () => undefined,
  });
  const outcomes: string[] = [];
  const send = (partition: number): void => {
    const record = { log: logOf(partition), payload: Buffer.from('x'), acceptedAt: 0, expiresAt: 1e6 };
    producer.send(record, {
      appended: (offset) => void outcomes.push(`${partition} appended at ${offset}`),
      failed: ({ message }) => void outcomes.push(`${partition} failed: ${message}`),
      bytes: 1,
      since: clock.monotonic(),
    });
  };
  /** The last request to this partition's leader is answered. */
  const answer = async (partition: number, errorCode: number, baseOffset = -1): Promise<void> => {
    requests[partition]?.at(-1)?.resolve([{ partition, errorCode, baseOffset }]);
    await clock.rest();
  };
  return { clock, producer, requests, looks, outcomes, send, answer };
}

function logOf(partition: number): LogName {
  for (let n = 0; ; n++) {
    const log = userLog(`u${n}` as never);
    if (partitionOf(bucketOf(log), PARTITIONS) === partition) return log;
  }
}

test('a partition that failed while another one recovers is sent again, whoever succeeds meanwhile', async () => {
  const { clock, producer, requests, looks, outcomes, send, answer } = stage();
  for (const partition of [0, 1, 2]) send(partition);
  await clock.rest();
  expect(requests.map(({ length }) => length)).toEqual([1, 1, 1]);
  // The first recovers: it looks who leads now. Then the second fails, and the third one's success is no news of the second.
  await answer(0, NOT_LEADER);
  await clock.pass(100);
  expect(looks).toHaveLength(1);
  await answer(1, NOT_LEADER);
  await answer(2, 0, 30);
  looks[0]?.resolve();
  await clock.pass(100);
  expect(requests.map(({ length }) => length)).toEqual([2, 1, 1]);
  await answer(0, 0, 10);
  await clock.pass(1_000);
  expect(looks).toHaveLength(2);
  looks[1]?.resolve();
  await clock.pass(100);
  expect(requests.map(({ length }) => length)).toEqual([2, 2, 1]);
  await answer(1, 0, 20);
  expect(outcomes).toEqual(['2 appended at 30', '0 appended at 10', '1 appended at 20']);
  expect([producer.idle, producer.trouble]).toEqual([true, undefined]);
  producer.stop();
});
