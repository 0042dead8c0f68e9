// Queues on Kafka for tests: the options that all have, and short words for records and handlers.
import { pino } from 'pino';
import { type LogName, ZERO_ID } from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import type { KafkaQueueOptions } from '../../src/server/queue/kafka/options.js';
import { createKafkaQueue, type KafkaQueue } from '../../src/server/queue/kafka.js';
import type { BatchHandler, QueueBatch, RecordOutcome } from '../../src/server/queue/queue.js';
import type { PushRecord } from '../../src/server/store/buckets.js';

export const EPOCH = 7;

/** Everything but where the brokers are and what the topic is called. */
export function queueOptions(
  brokers: readonly string[],
  topic: string,
  more: Partial<KafkaQueueOptions> = {},
): KafkaQueueOptions {
  return {
    kafka: { brokers, tls: false, sasl: undefined },
    topic: { topic, partitions: 1, replication: 1, create: true },
    group: `${topic}-jobs`,
    clientId: 'imgo-test',
    openHistory: async () => EPOCH,
    answers: {
      marks: async (buckets) => buckets.map(() => ZERO_ID),
      keyUses: async (asked) => asked.map(() => undefined),
    },
    asides: { note: async () => undefined, has: async () => false },
    log: pino({ level: process.env['IMGO_TEST_LOG'] ?? 'silent' }),
    clock: systemClock,
    maxWaitingBytes: 64 * 1024 * 1024,
    commitMs: 200,
    ...more,
  };
}

export function openQueue(
  brokers: readonly string[],
  topic: string,
  more: Partial<KafkaQueueOptions> = {},
): Promise<KafkaQueue> {
  return createKafkaQueue(queueOptions(brokers, topic, more));
}

export function record(user: string, body: string, more: Partial<PushRecord> = {}): PushRecord {
  const acceptedAt = Date.now();
  return {
    log: `user:${user}` as LogName,
    payload: Buffer.from(body),
    acceptedAt,
    expiresAt: acceptedAt + 60_000,
    ...more,
  };
}

export function bodies(batch: QueueBatch): string[] {
  return batch.records.map(({ payload }) => Buffer.from(payload).toString());
}

/** Says that all of a batch was appended. */
export function applyAll(batch: QueueBatch): void {
  batch.applied(batch.records.map(({ id }): RecordOutcome => ({ kind: 'appended', id, prev: ZERO_ID, sessions: [] })));
}

/** A handler that applies everything and passes it to `see`. */
export function handlerOf(see: (batch: QueueBatch) => void): BatchHandler {
  return async (batch) => {
    see(batch);
    applyAll(batch);
    return undefined;
  };
}
